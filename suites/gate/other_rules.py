"""What the usual rules say about the same rounds: is head slower than base?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean, median

from scipy import stats

Times = Sequence[float]


def pytest_benchmark(base: Times, head: Times) -> bool:
    """`--benchmark-compare-fail=mean:5%`: the mean is more than 5 % larger."""
    return fmean(head) > 1.05 * fmean(base)


def pyperf(base: Times, head: Times) -> bool:
    """`pyperf compare_to`: Student's t-test calls the means different (two-sided, 95 %), and head's is larger."""
    return fmean(head) > fmean(base) and bool(stats.ttest_ind(head, base).pvalue < 0.05)


def asv(base: Times, head: Times) -> bool:
    """`asv continuous`: the Mann-Whitney test at 0.002, and medians that differ by more than 10 %."""
    if median(head) <= 1.1 * median(base):
        return False
    return bool(stats.mannwhitneyu(head, base).pvalue < 0.002)


RULES: dict[str, Callable[[Times, Times], bool]] = {
    "pytest-benchmark compare-fail": pytest_benchmark,
    "pyperf t-test": pyperf,
    "asv": asv,
}


def verdicts(base: Times, head: Times) -> dict[str, bool]:
    """Whether each rule would have raised an alarm."""
    return {name: rule(base, head) for name, rule in RULES.items()}
