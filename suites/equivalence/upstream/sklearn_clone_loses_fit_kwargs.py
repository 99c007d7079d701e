"""Keras: a clone of SKLearnClassifier, which cross_val_score makes, has lost the arguments of its fit."""

from keras.wrappers import SKLearnClassifier
from sklearn.base import clone

model = SKLearnClassifier(lambda X, y: None, fit_kwargs={"epochs": 7})
print((clone(model).fit_kwargs or {}).get("epochs", 1), 7)
