"""Two convolutions with batch normalisation on handwritten digits, with Triptych's shim."""

from impls import shim


# Model
def build(image=(8, 8, 1), filters=(16, 32), classes=10):
    layers = [
        shim.Conv2D(filters[0], 3, padding="same", use_bias=False, name="conv1"),
        shim.BatchNorm(momentum=0.9, name="bn1"),
        shim.ReLU(name="relu1"),
        shim.MaxPool2D(2, name="pool1"),
        shim.Conv2D(filters[1], 3, strides=2, padding="same", use_bias=False, name="conv2"),
        shim.BatchNorm(momentum=0.9, name="bn2"),
        shim.ReLU(name="relu2"),
        shim.Flatten(name="flatten"),
        shim.Dense(classes, name="logits"),
    ]
    return shim.Sequential(layers, inputs=image)


# Loss
LOSS = "softmax_cross_entropy"

# Optimizer
RATE = shim.ExponentialDecay(learning_rate=0.05, decay_steps=100, decay_rate=0.8)
OPTIMIZER = shim.SGD(RATE, momentum=0.9, nesterov=True)


# Training
def train(model, x, y, epochs=12, batch_size=64):
    model.compile(optimizer=OPTIMIZER, loss=LOSS)
    return model.fit(x, y, epochs=epochs, batch_size=batch_size, shuffle=False)["loss"]


# Prediction
def predict(model, x):
    return model.predict(x)


if __name__ == "__main__":
    from impls.datasets import DATASETS

    data = DATASETS["digit_images"]()
    model = build()
    train(model, data.x, data.y)
    print("held-out accuracy:", (predict(model, data.x_test).argmax(-1) == data.y_test).mean())
