"""Are two models the same, what does each way of writing them cost, and did a change make it worse?

Importing this package loads no framework and none of the rooms behind it; a name is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from impls import shim as shim
    from triptych.comparison import assert_same_model as assert_same_model
    from triptych.comparison import compare_models as compare_models
    from triptych.results import load_results as load_results

__all__ = ["assert_same_model", "compare_models", "load_results", "shim"]

_PLACES = {
    "assert_same_model": "triptych.comparison",
    "compare_models": "triptych.comparison",
    "load_results": "triptych.results",
    "shim": "triptych.shim",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name not in _PLACES:
        raise AttributeError(f"triptych has no {name!r}: it has {', '.join(__all__)}")
    module = importlib.import_module(_PLACES[name])
    return module if name == "shim" else getattr(module, name)


def __dir__() -> list[str]:
    return __all__
