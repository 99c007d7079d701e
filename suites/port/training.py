"""What differs in training besides the outputs: running statistics, the loss, gradients, penalties and the update."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from suites.port import hypotheses
from suites.port.buffers import dropping, of_steps_alone
from suites.port.compared_tensors import first, trained
from suites.port.comparison import Comparison
from suites.port.findings import Finding
from suites.port.gradients import of_gradients
from suites.port.hypotheses.loss_question import LossQuestion
from suites.port.hypotheses.question import Cause
from suites.port.layouts import fit
from suites.port.loss_facts import slopes_of_losses
from suites.port.optimizer_steps import of_steps
from suites.port.running_statistics import of_start, of_state


def of_training(c: Comparison, known: Sequence[Finding]) -> list[Finding]:
    """In the order in which a mistake travels; what follows from a `known` finding is left out."""
    real = [finding for finding in known if not finding.released and not dropping(finding)]
    single = any(finding.signature == "float32" for finding in known)
    found = [*of_start(c), *of_state(c, {finding.place_a for finding in known}), *of_steps_alone(c)]
    found += of_loss(c, real, single)
    found += of_penalty(c)
    found += of_gradients(c, [*real, *found], single)
    found += of_steps(c, [*real, *found], single)
    return found


def of_loss(c: Comparison, known: Sequence[Finding], single: bool) -> Iterator[Finding]:
    if "loss" not in c.a.arrays or "loss" not in c.b.arrays:
        return
    difference = first(c, "loss", single)
    if difference is None and c.difference("loss") is None and not known:
        return
    causes = hypotheses.explain_loss(loss_question(c))
    for cause in causes or ():
        yield Finding("loss", "loss", "loss", cause, difference)
    if causes is None and difference is not None and not known:
        details = f"the outputs agree, the losses do not: A {difference.a:.6g}, B {difference.b:.6g}"
        yield Finding("loss", "loss", "loss", None, difference, details=details)


def of_penalty(c: Comparison) -> Iterator[Finding]:
    """What one side adds to the loss besides squares of weights (a decay could do those); else steps show it."""
    if (c.a.steps and c.b.steps) or c.data.labels is None or not (c.a.has_loss and c.b.has_loss):
        return
    ours, theirs = (float(side.arrays.get("penalty/no_decay", 0.0)) for side in (c.a, c.b))
    if not math.isclose(ours, theirs, rel_tol=math.sqrt(c.unit), abs_tol=0.0):
        a, b = (f"adds {value:.4g}" if value else "adds none" for value in (ours, theirs))
        template = "penalty that layers add to the loss (activity_regularizer, add_loss, L1): A {a}, B {b}"
        yield Finding("loss", "loss", "loss", Cause("penalty", template, a, b))


def loss_question(c: Comparison) -> LossQuestion:
    mode = c.modes[-1]
    ours = c.a.group(f"output/{mode}/")
    theirs = c.b.group(f"output/{mode}/")
    turned = c.a.turned != c.b.turned
    outputs_b = {path_a: fit(theirs[path_b], ours[path_a], turned) for path_a, path_b in c.pairs if path_b in theirs}
    assert c.data.labels is not None
    slopes = trained(c, "gradient")
    return LossQuestion(
        outputs_a={path: ours[path] for path, _ in c.pairs if path in ours},
        outputs_b=outputs_b,
        data={**c.data.inputs, "y": c.data.labels},
        loss_a=float(c.a.arrays["loss"]),
        loss_b=float(c.b.arrays["loss"]),
        unit=c.unit,
        gradients_a={
            link.a.name: link.pick_a(c.a.arrays[f"gradient/{link.a.name}"]) for link in trained(c, "gradient")
        },
        gradients_b={link.a.name: link.to_a(c.b.arrays[f"gradient/{link.b.name}"]) for link in slopes},
        weights={link.a.name: link.pick_a(c.a.start[link.a.name]) for link in slopes},
        slopes=lambda: slopes_of_losses(c),
    )
