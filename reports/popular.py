"""Claims that are often made of Keras and of its backends, judged from this run and from what is kept beside it."""

from __future__ import annotations

from collections import Counter

from reports import claims, formatting, verdicts
from reports.claims import KERAS, Claim, Computed, judged
from reports.sections import gadgets, heritage, speed
from reports.sections.heritage import Heritage
from reports.statistics.ratios import Ratio, median, paired_ratio
from reports.verdicts import Verdict
from suites.records.run import Timing

PRECISION = 1e-7  # "numerics are identical across backends, up to 1e-7"
FASTER = (1.2, 4.5)  # "20 to 350 % faster by choosing the backend"


def popular(found: Computed, kept: Heritage | None) -> list[Claim]:
    """All of them."""
    return [_identical(found), _fastest(found), _gadgets(found), _keras_2_and_3(kept), _ships(kept)]


def _unknown(name: str, statement: str, missing: str) -> Claim:
    return Claim(name, statement, claims.UNKNOWN, f"{missing} are not in the records.")


def _identical(found: Computed) -> Claim:
    statement = "Numerics are identical across Keras's backends, up to 1e-7"
    tensors = [it for it in found.evidence.comparisons if it.cell.implementation == KERAS]
    backends = found.evidence.ordered({it.cell.backend for it in tensors})
    if len(backends) < 2:
        return _unknown("identical", statement, "Comparisons of Keras on two backends")
    parts, good, bad = [], 0, 0
    for dtype in sorted({it.cell.dtype for it in tensors}):
        own = [it for it in tensors if it.cell.dtype == dtype]
        within = sum(it.disagreement <= PRECISION for it in own)
        good, bad = good + within, bad + len(own) - within
        worst = verdicts.largest(own)
        far = f", at most {formatting.small(worst.disagreement)} ({formatting.name(worst.cell)})" if worst else ""
        parts.append(f"{within} of {formatting.count(len(own), 'tensor')} in {dtype}{far}")
    names = formatting.listed([formatting.BACKENDS.get(name, name) for name in backends])
    sentence = f"On {names}, so near to the one float64 oracle are {'; '.join(parts)}."
    return Claim("identical", statement, judged(good, bad, 0), sentence, "equivalence", "Equivalence matrix")


def _fastest(found: Computed) -> Claim:
    statement = "Choosing the backend makes Keras 20 to 350 % faster"
    ratios = _backends(found)
    if not ratios:
        return _unknown("backend-speed", statement, "Steps of Keras on two backends in the same rounds")
    inside = sum(FASTER[0] <= it.low and it.high <= FASTER[1] for _, it in ratios)
    outside = sum(it.high < FASTER[0] or it.low > FASTER[1] for _, it in ratios)
    told = [f"{text} by {formatting.percent(it.value - 1)}" for text, it in ratios]
    sentence = f"A train step on the fastest backend against the slowest: {'; '.join(told)}."
    verdict = judged(inside, outside, len(ratios) - inside - outside)
    return Claim("backend-speed", statement, verdict, sentence, "speed", "Speed")


def _backends(found: Computed) -> list[tuple[str, Ratio]]:
    """For each model the slowest backend's time over the fastest one's, each in its fastest mode."""
    groups: dict[tuple[object, ...], dict[str, Timing]] = {}
    for row in found.speed.rows:
        timing = row.timing
        if timing.what == "train_step" and timing.cell.implementation == KERAS:
            own = groups.setdefault(speed.work(timing), {})
            backend = timing.cell.backend
            own[backend] = min(own.get(backend, timing), timing, key=_middle)
    result = []
    for arms in groups.values():
        slowest, fastest = max(arms.values(), key=_middle), min(arms.values(), key=_middle)
        ratio = paired_ratio(speed.per_call(slowest), speed.per_call(fastest))
        if ratio and len(arms) > 1:
            names = [formatting.BACKENDS.get(it.cell.backend, it.cell.backend) for it in (fastest, slowest)]
            result.append((f"{fastest.cell.model}, {names[0]} over {names[1]}", ratio))
    return result


def _middle(timing: Timing) -> float:
    return median(speed.per_call(timing))


def _gadgets(found: Computed) -> Claim:
    statement, brought = "An API brings gadgets", gadgets.gadgets(found.evidence)
    pairs = [(it, brought.written(it, found.raw), brought.written(it, KERAS)) for it in brought.rows]
    both = [(it, raw, mine) for it, raw, mine in pairs if raw is not None and mine is not None]
    if not both:
        return _unknown("gadgets", statement, "Features in a raw program and in Keras")
    fewer = sum(mine < raw for _, raw, mine in both)
    equal = [it.title for it, _, _ in both if it.verdict == verdicts.SAME]
    sentence = (
        f"{fewer} of {formatting.count(len(both), 'feature')} take fewer lines in {found.evidence.title(KERAS)}: "
    )
    sentence += f"{sum(mine for _, _, mine in both)} lines in all for {sum(raw for _, raw, _ in both)} of "
    sentence += f"{found.evidence.title(found.raw)}; {len(equal)} behave the same in every implementation."
    sentence += found.evidence.kept_since("gadgets")
    verdict = judged(fewer, len(both) - fewer, 0)
    return Claim("gadgets", statement, verdict, sentence, "gadgets", "Features")


def _keras_2_and_3(kept: Heritage | None) -> Claim:
    statement = "Keras 2 and Keras 3 train to the same result"
    ways = [(name, "tensorflow") for name in ("keras2", KERAS)]
    judged_ways = {heritage.way_of(it.cell) for it in kept.verdicts} if kept else set()
    if kept is None or not judged_ways.issuperset(ways):
        return _unknown("keras-2-3", statement, "Keras 2 and Keras 3 on TensorFlow")
    models, groups = heritage.models(kept), Counter[tuple[Verdict, Verdict]]()
    for model in models:
        old, new = (heritage.verdict(kept, way, model) for way in ways)
        groups[old, new] += 1
    good = groups[verdicts.SAME, verdicts.SAME]
    open_ = sum(number for pair, number in groups.items() if set(pair) <= KNOWN)
    told = [
        f"{number} with the verdicts “{old.word}” in Keras 2 and “{new.word}” in Keras 3"
        for (old, new), number in groups.items()
    ]
    sentence = (
        f"Against one oracle, of {formatting.count(len(models), 'model')} {', '.join(told)}; where both are known "
    )
    sentence += f"to differ from it, that does not say how far from each other. Run on {formatting.when(kept.started)}."
    verdict = judged(good, len(models) - good - open_, open_)
    return Claim("keras-2-3", statement, verdict, sentence, "heritage", "Then and now")


KNOWN = {verdicts.EXPLAINED, heritage.KNOWN}
SHIPPED = (("shim_onnx", "onnxruntime"), ("keras_inference", "openvino"))


def _ships(kept: Heritage | None) -> Claim:
    statement = "A trained model ships without its engine"
    told, good, total = [], 0, 0
    for way in SHIPPED if kept else ():
        found = [heritage.verdict(kept, way, model) for model in heritage.models(kept)] if kept else []
        tried = [verdict for verdict in found if verdict != verdicts.NONE]
        if not tried or kept is None:
            continue
        same, other = sum(it == verdicts.SAME for it in tried), sum(it in KNOWN for it in tried)
        time = heritage.ratio(kept, way, "predict")
        price = f", a prediction in {formatting.ratio(time)} the time of raw TensorFlow" if time is not None else ""
        name = formatting.configuration(*way)
        told.append(
            f"{name} computes the same for {same} of {formatting.count(len(tried), 'model')}, "
            f"{other} with a known difference{price}"
        )
        good, total = good + same, total + len(tried)
    if kept is None or not told:
        return _unknown("ships", statement, "Exported models")
    sentence = f"{'; '.join(told)}. Run on {formatting.when(kept.started)}. LiteRT and torch.export are not measured."
    return Claim("ships", statement, judged(good, total - good, 0), sentence, "heritage", "Then and now")
