"""Early stopping that restores the best weights, with Triptych's shim."""

from impls import shim

# Model


def build(features=64, hidden=(128, 64), classes=10):
    layers = [
        shim.Dense(hidden[0], activation="relu", name="hidden1"),
        shim.Dense(hidden[1], activation="relu", name="hidden2"),
        shim.Dense(classes, name="logits"),
    ]
    return shim.Sequential(layers, inputs=(features,))


# Loss

LOSS = "softmax_cross_entropy"

# Optimizer

OPTIMIZER = shim.SGD(learning_rate=0.125, momentum=0.5)

# Training


def train(model, x, y, x_val, y_val, epochs=100, batch_size=64, patience=3):
    model.compile(optimizer=OPTIMIZER, loss=LOSS)
    stopping = shim.EarlyStopping(patience=patience)
    validation = (x_val, y_val)
    return model.fit(x, y, batch_size, epochs, shuffle=False, validation_data=validation, callbacks=[stopping])


# Prediction


def predict(model, x):
    return model.predict(x)


if __name__ == "__main__":
    from impls.datasets import DATASETS

    data = DATASETS["digits"]()
    model = build()
    print("epochs", len(train(model, data.x, data.y, data.x_test, data.y_test)["loss"]))
    print("accuracy", (predict(model, data.x_test).argmax(-1) == data.y_test).mean())
