"""The registry: which models, implementations and backends exist. Everything else derives from these tables.

Importing this package loads no framework, and it stays valid on Python 3.6.
"""

from typing import Dict, NamedTuple, Tuple

from impls.specs import MODELS

__all__ = ["BACKENDS", "DEVICES", "DTYPES", "IMPLEMENTATIONS", "MODELS", "Backend", "Implementation"]


class Backend(NamedTuple):
    """An engine: the module that has to be importable, and the distributions whose versions are recorded.

    One that is `extra` runs only where it is asked for, by its own name or by that of an `extra` implementation.
    """

    module: str
    distributions: Tuple[str, ...]
    extra: bool = False


class Implementation(NamedTuple):
    """One way to write a model: its adapter, and per backend the modes it has, the default one first.

    `environments` names the environment of each backend whose workers can't run in this one: `nox -s heritage` makes
    it. An implementation that is `extra` runs only where it is asked for by name. `program` is the implementation
    whose programs it runs, "" being its own; `inference` says that its engines predict and can't train. `gpu` has the
    modes that there are on a GPU besides.
    """

    title: str
    adapter: str
    backends: Dict[str, Tuple[str, ...]]
    requires: Tuple[str, ...] = ()
    departs: bool = False  # True: its optimizer follows another convention than the specs, on purpose
    environments: Dict[str, str] = {}
    extra: bool = False
    program: str = ""
    inference: bool = False
    gpu: Dict[str, Tuple[str, ...]] = {}

    def modes(self, backend: str, device: str) -> Tuple[str, ...]:
        """The modes on that device, the default one first."""
        return self.backends[backend] + (self.gpu.get(backend, ()) if device == "gpu" else ())


BACKENDS = {
    "numpy": Backend("numpy", ("numpy",)),
    "tensorflow": Backend("tensorflow", ("tensorflow",)),
    "torch": Backend("torch", ("torch",)),
    "jax": Backend("jax", ("jax", "jaxlib")),
    "numba": Backend("numba", ("numba", "numpy"), extra=True),
    "tensorflow1": Backend("tensorflow", ("tensorflow",), extra=True),
    "pytensor": Backend("pytensor", ("pytensor",), extra=True),
    "theano": Backend("theano", ("theano",), extra=True),
    "cntk": Backend("cntk", ("cntk",), extra=True),
    "mxnet": Backend("mxnet", ("mxnet",), extra=True),
    "openvino": Backend("openvino", ("openvino",), extra=True),
    "onnxruntime": Backend("onnxruntime", ("onnxruntime",), extra=True),
}

IMPLEMENTATIONS = {
    "raw_tf": Implementation("Raw TensorFlow ops", "tensorflow_ops", {"tensorflow": ("graph", "xla", "eager")}),
    "tf_keras": Implementation(
        "Keras 3",
        "keras",
        {"tensorflow": ("graph", "xla", "eager"), "torch": ("eager",), "jax": ("jit", "eager")},
        requires=("keras",),
    ),
    "shim": Implementation(
        "Triptych's shim",
        "shim",
        {
            "tensorflow": ("graph", "xla", "eager"),
            "torch": ("eager", "compile"),
            "jax": ("jit", "eager"),
            "numpy": ("eager",),
            "numba": ("eager",),
            "pytensor": ("graph",),
            "theano": ("graph",),
            "mxnet": ("eager",),
        },
        environments={"pytensor": "pytensor", "theano": "ancestors", "mxnet": "ancestors"},
        gpu={"torch": ("graph",)},
    ),
    "raw_torch": Implementation("Raw PyTorch", "pytorch", {"torch": ("eager", "compile")}),
    "torch_native": Implementation(
        "PyTorch with torch.optim",
        "pytorch",
        {"torch": ("eager", "compile")},
        departs=True,
        gpu={"torch": ("reduce-overhead",)},
    ),
    "raw_jax": Implementation("Raw JAX", "jax_functions", {"jax": ("jit", "eager")}),
    "raw_tf1": Implementation(
        "Raw TensorFlow 1, graph and session",
        "tensorflow_session",
        {"tensorflow1": ("graph",)},
        environments={"tensorflow1": "keras2"},
        extra=True,
    ),
    "keras2": Implementation(
        "Keras 2, as of 2019",
        "keras2",
        dict.fromkeys(("tensorflow1", "theano", "cntk", "mxnet", "tensorflow"), ("graph",)),
        requires=("keras",),
        environments={"tensorflow1": "keras2", "theano": "keras2", "cntk": "keras2", "mxnet": "mxnet"},
        extra=True,
    ),
    "keras_inference": Implementation(
        "Keras 3, inference only",
        "keras_inference",
        {"numpy": ("eager",), "openvino": ("graph",)},
        requires=("keras",),
        extra=True,
        program="tf_keras",
        inference=True,
    ),
    "shim_onnx": Implementation(
        "Triptych's shim, exported to ONNX",
        "onnx_runtime",
        {"onnxruntime": ("graph",)},
        requires=("onnx",),
        extra=True,
        program="shim",
        inference=True,
    ),
}

DEVICES = ("cpu", "gpu")
DTYPES = ("float32", "float64")
