"""What is known to differ: the rows of the catalogue that say which operations or layers of a campaign have it.

An alarm that an entry explains is counted under it, and is no new finding. An entry on accuracy says `within` how many
times the bound it explains, others have an `extent`, which elements and by how much (`suites.campaign.extents`): the
verdict is given once more with that in the bound, and what is still outside is an alarm. A layer that is known to be
computed as another one (`instead`) is judged once more by an oracle that computes it so. A network is explained by the
layers that it has.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from impls.known_differences import DIFFERENCES, Difference
from suites.campaign import extents
from suites.campaign.case import Case
from suites.campaign.judge import AS_KNOWN

Extent = Callable[[Case, np.ndarray], Any]


@dataclass(frozen=True)
class Known:
    """Patterns (`re.fullmatch`) of what was asked, and the row that says why the answer is another.

    `says`: of an error's text. `layer` is the key of a network's layer whose name `operation` is, and `instead` what it
    is computed as, one of `impls.campaign.known_layers`; None: it is left out. With a `loss` this is so of the last
    layer of a network that has it.
    """

    row: Difference
    operation: str
    realisation: str
    dtype: str = ".*"
    says: str = ""
    within: float = math.inf  # times the bound
    phases: tuple[str, ...] = ()  # of a network; none: all
    extent: Extent | None = None  # of an operation: what is added to its bound
    layer: str = ""
    instead: str | None = None
    loss: str = ""

    @property
    def kind(self) -> str:
        return self.row.kind

    @property
    def why(self) -> str:
        return self.row.cause

    @property
    def link(self) -> str:
        return self.row.link

    def covers(
        self,
        operation: str,
        realisation: str,
        dtype: str,
        error: str = "",
        ratio: float | None = None,
        phase: str = "",
        condition: str = AS_KNOWN,
    ) -> bool:
        """Whether it explains an alarm (or an error) of an operation or a layer; a `ratio` of None is infinite.

        `condition` is what the verdict was given by: an `extent` that did not hold explains nothing.
        """
        if (self.extent or self.layer) and condition != AS_KNOWN:
            return False
        if self.within < (math.inf if ratio is None else ratio):
            return False
        if self.phases and phase not in self.phases:
            return False
        patterns = ((self.operation, operation), (self.realisation, realisation), (self.dtype, dtype))
        if bool(error) != bool(self.says) or not all(re.fullmatch(*each) for each in patterns):
            return False
        return not self.says or re.search(self.says, error) is not None


def entry_of(row: Difference, given: Mapping[str, Any]) -> Known:
    """An entry of a row's `campaign`; its `extent` is a function of that name, of a `size` where one is given."""
    words = {**given, "instead": given.get("as"), "phases": tuple(given.get("phases", ()))}
    words.pop("as", None)
    size = words.pop("size", None)
    if "extent" in words:
        function = getattr(extents, words["extent"])
        words["extent"] = function if size is None else function(size)
    return Known(row, **words)


KNOWN = tuple([entry_of(row, given) for row in DIFFERENCES.values() for given in row.campaign])


def explanation(
    subject: str | Iterable[str],
    realisation: str,
    dtype: str,
    error: str = "",
    ratio: float | None = None,
    phase: str = "",
    condition: str = AS_KNOWN,
) -> Known | None:
    """The entry that explains an alarm of an operation, or of a network by its layers; None: nobody knows of it."""
    names = [subject] if isinstance(subject, str) else [*subject, "network"]
    for entry in KNOWN:
        if any(entry.covers(name, realisation, dtype, error, ratio, phase, condition) for name in names):
            return entry
    return None


def explain(record: Mapping[str, Any], realisation: str, outcome: Mapping[str, Any]) -> Known | None:
    """The same of a record of a store."""
    says = outcome.get("says", "") if outcome["status"] != "exceeds" else ""
    parts = [*record.get("layers", []), *record.get("activations", [])]
    subject = record.get("operation") or parts or "network"
    return explanation(
        subject, realisation, record.get("dtype", ""), says, outcome.get("ratio"), outcome.get("phase", ""),
        outcome.get("condition", AS_KNOWN),
    )  # fmt: skip


def extent(case: Case, realisation: str, truth: np.ndarray) -> Any:
    """What is known of an operation in this case, as an addition to its bound; None: nothing."""
    entries = [entry for entry in KNOWN if entry.extent and entry.covers(case.operation, realisation, case.dtype)]
    with np.errstate(all="ignore"):
        found = [np.broadcast_to(entry.extent(case, truth), truth.shape) for entry in entries if entry.extent]
    return np.max(found, axis=0) if found else None
