"""A summary with shapes and parameter counts, with Triptych's shim."""

from impls import shim

# Model


def build(features=64, hidden=(128, 64), classes=10):
    layers = [
        shim.Dense(hidden[0], activation="relu", name="hidden1"),
        shim.Dense(hidden[1], activation="relu", name="hidden2"),
        shim.Dense(classes, name="logits"),
    ]
    return shim.Sequential(layers, inputs=(features,))


def summary(model):
    model.summary()


# Loss

LOSS = "softmax_cross_entropy"

# Optimizer

OPTIMIZER = shim.SGD(learning_rate=0.125, momentum=0.5)

# Training


def train(model, x, y, epochs=20, batch_size=64):
    model.compile(optimizer=OPTIMIZER, loss=LOSS)
    return model.fit(x, y, epochs=epochs, batch_size=batch_size, shuffle=False)["loss"]


# Prediction


def predict(model, x):
    return model.predict(x)


if __name__ == "__main__":
    from impls.datasets import DATASETS

    data = DATASETS["digits"]()
    model = build()
    summary(model)
    print("loss", train(model, data.x, data.y)[-1])
    print("accuracy", (predict(model, data.x_test).argmax(-1) == data.y_test).mean())
