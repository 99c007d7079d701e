"""A training step of one's own, on inputs moved to where the loss is larger, with Triptych's shim."""

from impls import shim
from impls.shim.layers import Run

# Model


class Adversarial(shim.Sequential):
    def training_step(self, names):
        B, step = self.B, super().training_step(names)

        def objective(inputs, carry, y):
            logits = self.apply({**carry["state"], **carry["weights"]}, inputs["x"], Run(True))
            return self.loss(B, y, logits), None

        differentiate = B.value_and_grad(objective, self.mode)

        def adversarial_step(carry, rates, columns):
            x, y = columns
            g = differentiate({"x": x}, carry, y)[1]["x"]
            return step(carry, rates, (x + g / B.global_norm([g]), y))

        return adversarial_step


def build(features=64, hidden=(128, 64), classes=10):
    layers = [
        shim.Dense(hidden[0], activation="relu", name="hidden1"),
        shim.Dense(hidden[1], activation="relu", name="hidden2"),
        shim.Dense(classes, name="logits"),
    ]
    return Adversarial(layers, inputs=(features,))


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
    print("loss", train(model, data.x, data.y)[-1])
    print("accuracy", (predict(model, data.x_test).argmax(-1) == data.y_test).mean())
