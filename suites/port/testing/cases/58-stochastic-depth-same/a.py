import keras
from keras import layers, ops


class LayerScale(layers.Layer):
    def __init__(self, value=0.1, **options):
        super().__init__(**options)
        self.value = value

    def build(self, shape):
        self.gamma = self.add_weight(shape=(shape[-1],), initializer=keras.initializers.Constant(self.value), name="gamma")

    def call(self, x):
        return x * self.gamma

    def get_config(self):
        return {**super().get_config(), "value": self.value}


class StochasticDepth(layers.Layer):
    def __init__(self, rate, **options):
        super().__init__(**options)
        self.rate = rate
        self.seed_generator = keras.random.SeedGenerator(0)

    def call(self, x, training=False):
        if not training:
            return x
        keep = 1 - self.rate
        shape = (ops.shape(x)[0], 1, 1, 1)
        mask = ops.floor(keep + keras.random.uniform(shape, dtype=x.dtype, seed=self.seed_generator))
        return x / keep * mask


def build():
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(6, 2, strides=2, name="stem")(image)
    x = layers.LayerNormalization(epsilon=1e-6, name="stem_norm")(x)
    for i in range(2):
        h = layers.DepthwiseConv2D(7, padding="same", name=f"dw{i}")(x)
        h = layers.LayerNormalization(epsilon=1e-6, name=f"norm{i}")(h)
        h = layers.Dense(12, name=f"pw1_{i}")(h)
        h = layers.Dense(6, name=f"pw2_{i}")(keras.activations.gelu(h))
        h = StochasticDepth(0.2, name=f"depth{i}")(LayerScale(name=f"scale{i}")(h))
        x = layers.Add()([x, h])
    return keras.Model(image, layers.Dense(4, name="head")(layers.GlobalAveragePooling2D()(x)))


loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
