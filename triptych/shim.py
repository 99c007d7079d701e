"""The shim under the name by which users import it: `from triptych import shim`, `from triptych.shim import Dense`."""

import sys
from typing import TYPE_CHECKING

from triptych import tree

if TYPE_CHECKING:
    from impls.shim import *  # noqa: F403

tree.open_rooms()

import impls.shim  # noqa: E402 (the rooms have to be open)

sys.modules[__name__] = impls.shim  # one module under two names: a model of either is a model of the other
