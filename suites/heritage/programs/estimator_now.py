"""TensorFlow today: where the Estimator was."""

import tensorflow as tf

for path in ("tf.keras.estimator.model_to_estimator", "tf.estimator"):
    found = tf
    try:
        for name in path.split(".")[1:]:
            found = getattr(found, name)
    except AttributeError as error:
        print(f"{path}: AttributeError: {error}")
    else:
        raise AssertionError(f"there is {path}")
