"""Keras 2.3.1 on TensorFlow: Adam's first update in twenty models; each has to be the learning rate (gradient 1)."""

import numpy as np
from keras.layers import Dense
from keras.models import Sequential
from keras.optimizers import Adam

updates = []
for _ in range(20):
    model = Sequential([Dense(1, use_bias=False, input_shape=(1,))])
    model.compile(Adam(0.1, epsilon=1e-7), loss=lambda y_true, y_pred: y_pred)
    before = model.get_weights()[0][0, 0]
    model.train_on_batch(np.ones((1, 1)), np.ones((1, 1)))
    updates.append(before - model.get_weights()[0][0, 0])
print("expected 0.1, found", sorted(set(np.round(updates, 4))))
assert np.abs(np.array(updates) - 0.1).max() > 0.01
