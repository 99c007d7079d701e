"""The adapter of the Keras 2 programs, for the engines that Keras 2 ran on and for tf-keras today.

Keras 2 builds a symbolic graph. Taps and gradients are further outputs of that graph; an engine whose Keras backend
differentiates only inside a training step has none, see `shown`. Valid on Python 3.6.
"""

import importlib
import os
import sys
from collections import OrderedDict
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from impls import BACKENDS
from impls.adapters import Adapter as Base
from impls.adapters import Arrays

ENGINE = os.environ["KERAS_BACKEND"]
os.environ["KERAS_BACKEND"] = BACKENDS[ENGINE].module  # Keras knows one TensorFlow, the registry two
os.environ.setdefault("THEANO_FLAGS", "floatX={},device=cpu,openmp=False".format(os.environ["KERAS_FLOATX"]))


def imported() -> Any:
    """Keras 2; under TensorFlow 2 it is the package tf_keras, which the programs get by its old name."""
    if ENGINE != "tensorflow":
        return importlib.import_module("keras")
    importlib.import_module("tf_keras.api")
    package = importlib.import_module("tf_keras")
    for name in [name for name in sys.modules if name.partition(".")[0] == "tf_keras"]:
        sys.modules["keras" + name[len("tf_keras") :]] = sys.modules[name]
    return package


keras = imported()
K = keras.backend

# The weights that `Layer.get_weights` returns, in its order, are the canonical ones in theirs.
SLOTS = {"adam": "mv", "sgd": "m", "rmsprop": "v"}


def threads_of_tensorflow1(threads: int) -> None:
    import tensorflow as tf

    K.set_session(
        tf.Session(config=tf.ConfigProto(intra_op_parallelism_threads=threads, inter_op_parallelism_threads=1))
    )


def threads_of_tensorflow(threads: int) -> None:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def threads_of_cntk(threads: int) -> None:
    import cntk

    cntk.device.try_set_default_device(cntk.device.cpu())
    cntk.cntk_py.set_max_num_cputhreads(threads)


# Theano and MXNet take theirs from OMP_NUM_THREADS.
THREADS = {
    "tensorflow1": threads_of_tensorflow1,
    "tensorflow": threads_of_tensorflow,
    "cntk": threads_of_cntk,
}


def configure(device: str, dtype: str, threads: int) -> None:
    """Threads as asked for, channels last, and the dtype of every variable."""
    if ENGINE in THREADS:
        THREADS[ENGINE](threads)
    K.set_floatx(dtype)
    K.set_image_data_format("channels_last")
    if ENGINE == "theano":
        import theano

        theano.config.floatX = dtype  # Keras sets it when it is imported, to the dtype of its configuration file


class Symbolic(Base):
    """Serves `keras2` on engines with a symbolic graph."""

    def load(self, weights: Arrays) -> None:
        self.model = self.program.build(**self.sizes)
        self.names = []
        for layer in self.layers:
            if layer.weights:
                own = list(layer.weights) + list(layer.state)
                self.names.append((layer.name, [layer.name + "/" + name for name in own]))
        self._put(weights)
        self.decay = None  # a callback that sets the rate before each batch, which `train_on_batch` would not call
        if hasattr(self.program, "ExponentialDecay"):
            self.decay = self.program.ExponentialDecay()
            self.decay.set_model(self.model)
            self.decay.on_train_begin()
        self.model.compile(optimizer=self.program.make_optimizer(), loss=self.program.loss_fn)
        self._prepare()

    def _put(self, weights: Arrays) -> None:
        for layer, names in self.names:
            self.model.get_layer(layer).set_weights([weights[name] for name in names])

    def _prepare(self) -> None:
        self.model._make_train_function()
        self.tapped = None  # type: Any
        self.slopes = None  # type: Any

    def weights(self) -> Arrays:
        found = {}  # type: Arrays
        for layer, names in self.names:
            found.update(zip(names, self.model.get_layer(layer).get_weights()))
        return {name: np.asarray(value, self.dtype) for name, value in found.items()}

    def _variables(self) -> Dict[str, Any]:
        """The optimizer's slots: it lists them slot by slot, in the order of the model's weights."""
        kinds = SLOTS[self.spec.optimizer["name"]]
        names = [kind + "/" + name for kind in kinds for name in self.trainable]
        iterations = self.model.optimizer.iterations
        variables = [variable for variable in self.model.optimizer.weights if variable is not iterations]
        return dict(zip(names, variables))

    def slots(self) -> Arrays:
        return {name: np.asarray(K.get_value(variable)) for name, variable in self._variables().items()}

    def restore(self, weights: Arrays, slots: Arrays, step: int) -> None:
        self._put(weights)
        for name, variable in self._variables().items():
            K.set_value(variable, slots[name].astype(self.dtype))
        self._at(step)

    def _at(self, step: int) -> None:
        """As after `step` updates."""
        K.set_value(self.model.optimizer.iterations, step)
        if self.decay is not None:
            self.decay.step = step

    def _function(self, inputs: List[Any], outputs: List[Any], **keywords: Any) -> Any:
        return K.function(inputs + [K.learning_phase()], outputs, **keywords)

    def _outputs(self) -> Tuple[List[str], List[Any]]:
        names = [layer.name for layer in self.layers]
        return names, [self.model.get_layer(name).output for name in names]

    def forward(self, x: np.ndarray, training: bool) -> "OrderedDict[str, np.ndarray]":
        names, outputs = self._outputs()
        if self.tapped is None:
            self.tapped = self._function(self.model.inputs, outputs)
        found = self.tapped([x, int(training)])
        return OrderedDict((name, np.asarray(value)) for name, value in zip(names, found))

    def gradients(self, x: np.ndarray, y: np.ndarray) -> Arrays:
        if self.slopes is None:
            self.slopes = self._slopes()
        names, function = self.slopes
        found = function([x, self._targets(y), np.ones(len(x), self.dtype), 1])
        return {name: np.asarray(value) for name, value in zip(names, found)}

    def _inputs(self) -> List[Any]:
        """Everything that Keras feeds to a training step."""
        model = self.model
        return model.inputs + model.targets + model.sample_weights

    def _slopes(self) -> Tuple[Any, Any]:
        """Loss, outputs, cotangents and gradients of a training-mode pass: their names, and the function."""
        layers, outputs = self._outputs()
        loss = self.model.total_loss
        found = K.gradients(loss, outputs + self.model.trainable_weights)
        names = ["loss"] + ["activation/" + name for name in layers] + ["cotangent/" + name for name in layers]
        names += ["gradient/" + name for name in self.trainable]
        return names, self._function(self._inputs(), [loss] + outputs + [_dense(slope) for slope in found])

    def _targets(self, y: np.ndarray) -> np.ndarray:
        """Targets with as many axes as the outputs, as Keras 2 wants them."""
        return y[..., None] if y.dtype.kind == "i" else y  # (..., 1)

    def batch(self, x: np.ndarray, y: Optional[np.ndarray] = None) -> Tuple[Any, Any]:
        """Keras 2 takes NumPy arrays and keeps nothing on a device for its user."""
        return x, None if y is None else self._targets(y)

    def step(self, x: Any, y: Any) -> Any:
        if self.decay is not None:
            self.decay.on_batch_begin(0)
        return self.model.train_on_batch(x, y)

    def call(self, x: Any) -> Any:
        return self.model.predict_on_batch(x)

    def _restart(self, **arguments: Any) -> None:
        """In place of `compile`: the optimizer starts afresh, and what is compiled stays."""
        for variable in self._variables().values():
            K.set_value(variable, np.zeros(K.int_shape(variable), self.dtype))
        self._at(0)

    def fit(self, x: np.ndarray, y: np.ndarray, epochs: int, batch_size: int) -> List[float]:
        self.model.compile = self._restart
        try:
            return self.program.train(self.model, x, y, epochs, batch_size)
        finally:
            del self.model.compile

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.program.predict(self.model, x)


def _dense(slope: Any) -> Any:
    """A gradient as a plain tensor; TensorFlow's of an embedding is a list of slices."""
    if ENGINE != "tensorflow1":
        return slope
    import tensorflow as tf

    return tf.convert_to_tensor(slope)


class Learner(Symbolic):
    """Serves `keras2` on CNTK, whose gradients exist only while its learner updates something."""

    def gradients(self, x: np.ndarray, y: np.ndarray) -> Arrays:
        if self.slopes is None:
            self.slopes = self._slopes()
        holders, function = self.slopes
        (loss,) = function([x, self._targets(y), np.ones(len(x), self.dtype), 1])
        found = {"loss": np.asarray(loss).reshape(())}
        found.update(("activation/" + name, value) for name, value in self.forward(x, True).items())
        found.update(("gradient/" + name, K.get_value(holder)) for name, holder in holders.items())
        return found

    def _slopes(self) -> Tuple[Any, Any]:
        """Variables, and a training function that assigns each of them the gradient of a weight."""
        weights, loss = self.model.trainable_weights, self.model.total_loss
        holders, slopes = [K.zeros(K.int_shape(weight)) for weight in weights], K.gradients(loss, weights)
        # A learner has to update the weights themselves as well: by nothing.
        updates = list(zip(holders, slopes)) + [(weight, weight + 0 * slope) for weight, slope in zip(weights, slopes)]
        return dict(zip(self.trainable, holders)), self._function(self._inputs(), [loss], updates=updates)


# Adapters of their own: their modules import what only one environment has.
ELSEWHERE = {"tensorflow": ("keras2_eager", "Eager"), "mxnet": ("keras2_mxnet", "Bound")}


def Adapter(*arguments: Any) -> Base:
    """The adapter for the engine of this process."""
    if ENGINE in ELSEWHERE:
        module, name = ELSEWHERE[ENGINE]
        return getattr(importlib.import_module("impls.adapters." + module), name)(*arguments)
    return (Learner if ENGINE == "cntk" else Symbolic)(*arguments)
