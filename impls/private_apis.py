"""Which private names of engines this code uses, and the releases in which they were seen.

An engine promises nothing about them, so each module that uses some calls `check` when it is imported: with a release
that has none of that name, the user reads which name is gone and which release has it, and not an AttributeError in
the middle of a training. `impls/test_private_apis.py` finds a private name that stands in no row.

Valid on Python 3.6.
"""

import importlib
from typing import Any, Dict, Tuple

RELEASES = {"tensorflow": "2.21.0", "torch": "2.13.0", "keras": "3.15.1"}  # those of pyproject.toml
TRACING = "tensorflow.python.eager.polymorphic_function"

# module of ours -> the names that it uses, each from its engine's top on
USES: Dict[str, Tuple[str, ...]] = {
    "impls.shim.backends.torch": (
        "torch._VF.gru",
        "torch._VF.lstm",
        "torch._foreach_mul",
        "torch._foreach_norm",
        "torch._foreach_sub_",
    ),
    "impls.shim.backends.torch_graphs": ("torch._C._cuda_clearCublasWorkspaces", "torch._foreach_copy_"),
    "impls.shim.backends.torch_optimizers": (
        "torch._foreach_add",
        "torch._foreach_add_",
        "torch._foreach_addcdiv_",
        "torch._foreach_addcmul_",
        "torch._foreach_div",
        "torch._foreach_mul",
        "torch._foreach_mul_",
        "torch._foreach_sqrt_",
        "torch._foreach_sub_",
        "torch._fused_adam_",
    ),
    "impls.shim.backends.tensorflow": (
        TRACING + ".concrete_function.ConcreteFunction.inference_fn",
        TRACING + ".atomic_function.AtomicFunction.call_preflattened",
    ),
    "impls.port.keras": ("keras.src.backend.random", "keras.src.utils.naming.reset_uids"),
    "impls.port.keras_types": ("keras.src.backend.common.dtypes.BIT64_TO_BIT32_DTYPE",),
    "impls.port.keras2_graph": ("tensorflow.python.framework.tensor_util",),
    "impls.port.tensorflow_recorder": (
        "tensorflow.python.eager.execute",
        "tensorflow.python.framework.op_callbacks",
        "tensorflow.python.pywrap_tfe",
    ),
}
CUDA_ONLY = ("torch._C._cuda_clearCublasWorkspaces",)  # a build without CUDA has none of them, and uses none


def check(module: str) -> None:
    """Raises ImportError for the first private name that `module` uses and the installed engine lacks."""
    for place in USES[module]:
        engine = place.partition(".")[0]
        if place not in CUDA_ONLY and not exists(place):
            version = getattr(importlib.import_module(engine), "__version__", "of unknown version")
            release = f"{engine}=={RELEASES[engine]}"
            raise ImportError(f"{engine} {version} has no {place}, which {module} uses: {release} has it")


def exists(place: str) -> bool:
    """Whether a dotted name leads to something, through modules that may not be imported yet."""
    names = place.split(".")
    found: Any = importlib.import_module(names[0])
    for count, name in enumerate(names[1:], start=2):
        inner = getattr(found, name, None)
        if inner is None:
            try:
                inner = importlib.import_module(".".join(names[:count]))
            except ImportError:
                return False
        found = inner
    return True
