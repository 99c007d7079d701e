"""Two dense layers that tell versicolor from virginica, with Triptych's shim."""

from impls import shim


# Model
def build(features=4, hidden=8):
    layers = [
        shim.Dense(hidden, activation="relu", name="hidden"),
        shim.Dense(1, name="logits"),
    ]
    return shim.Sequential(layers, inputs=(features,))


# Loss
LOSS = "sigmoid_cross_entropy"

# Optimizer
OPTIMIZER = shim.Adam(learning_rate=0.01)


# Training
def train(model, x, y, epochs=100, batch_size=32):
    model.compile(optimizer=OPTIMIZER, loss=LOSS)
    return model.fit(x, y, epochs=epochs, batch_size=batch_size, shuffle=False)["loss"]


# Prediction
def predict(model, x):
    return model.predict(x)


if __name__ == "__main__":
    from impls.datasets import DATASETS

    data = DATASETS["iris"]()
    model = build()
    train(model, data.x, data.y)
    print("held-out accuracy:", ((predict(model, data.x_test) > 0) == data.y_test).mean())
