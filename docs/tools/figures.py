"""The figures of the ideas, from the numbers in docs/data and reports/data: a figure is a function that returns SVG."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parents[2]
MEASURED, KEPT = ROOT / "docs/data", ROOT / "reports/data"
OCHRE, RED, TEAL, GREY = "#9a5b13", "#8f2d56", "#0b6e75", "#77746b"
UNIT = {"float64": 2.0**-53, "float32": 2.0**-24}
STYLE = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "triptych",  # the same bytes every time
    "font.family": "sans-serif",
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "#fffefa",
    "axes.facecolor": "#fffefa",
}
MESSAGE = re.compile(r"the tensor (?:departs|differs) by (\S+) of its norm, its bound is (\S+)\)")


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def figure(width: float = 7.6, height: float = 3.6) -> Figure:
    return Figure(figsize=(width, height), layout="constrained")


def svg(drawn: Figure) -> str:
    target = io.StringIO()
    drawn.savefig(target, format="svg", metadata={"Date": None}, dpi=144)
    return target.getvalue()


def injected_bugs() -> tuple[np.ndarray, np.ndarray]:
    """(difference, float64 bound) of the first differing tensor of every injected bug in the kept run; normwise."""
    pairs = []
    for row in load(KEPT / "faults.json")["rows"]:
        found = MESSAGE.search(row["message"]) if row["kind"] == "fault" else None
        if found:
            pairs.append((float(found[1]), float(found[2])))
    differences, bounds = np.array(pairs).T
    usable = np.isfinite(differences) & (differences > 0) & (bounds > 0)  # data are compared exactly: a bound of zero
    return differences[usable], bounds[usable]


def hidden_in_float32() -> tuple[int, int]:
    """(bugs whose difference is less than the same bound in float32's units, all bugs with a finite difference)."""
    differences, bounds = injected_bugs()
    return int((differences < bounds * UNIT["float32"] / UNIT["float64"]).sum()), len(differences)


def float64() -> str:
    """How large the effects of injected bugs are, against the bounds of rounding in both types."""
    differences, bounds = injected_bugs()
    drawn = figure()
    axes = drawn.subplots()
    edges = np.logspace(-16, 2, 73)
    series = [
        (bounds, TEAL, "what rounding may do in float64"),
        (bounds * UNIT["float32"] / UNIT["float64"], OCHRE, "the same in float32"),
        (differences, RED, "what an injected bug does"),
    ]
    for values, colour, label in series:
        axes.hist(np.clip(values, edges[0], edges[-1]), edges, color=colour, alpha=0.75, label=label)
    axes.set(xscale="log", xlabel="relative difference of a tensor (norm)", ylabel="bugs", xlim=(1e-16, 1e2))
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(0.0, 1.18), ncols=3, fontsize=9)
    return svg(drawn)


def bounds() -> str:
    """Bound divided by what was observed, in the clean runs that were kept: 1 would be a false alarm."""
    runs = load(KEPT / "controls.json")["runs"]
    drawn = figure(7.6, 3.9)
    axes = drawn.subplots()
    phases = ["forward", "loss", "backward", "state", "slot", "trajectory"]
    titles = ["forward", "loss", "gradients", "statistics", "optimizer state", "trajectory"]
    for shift, (dtype, colour) in enumerate([("float64", TEAL), ("float32", OCHRE)]):
        for place, phase in enumerate(phases):
            known = [run["slack"][f"{dtype} {phase}"] for run in runs if f"{dtype} {phase}" in run["slack"]]
            if not known:
                continue
            low, middle, high = (quantile(known, name) for name in ("0.0", "0.5", "0.9"))
            y = place + (shift - 0.5) * 0.34
            axes.plot([low, high], [y, y], color=colour, linewidth=5, alpha=0.35, solid_capstyle="butt")
            axes.plot([low], [y], "|", color=colour, markersize=12, markeredgewidth=2)
            axes.plot([middle], [y], "o", color=colour, label=dtype if place == 0 else None)
    axes.axvline(1, color=RED, linewidth=1.5)
    axes.text(0.93, 2.5, "false alarm", color=RED, rotation=90, ha="right", va="center", fontsize=9)
    axes.set(xscale="log", xlabel="bound / observed difference: smallest, median, 90th percentile", xlim=(0.6, 2000))
    axes.set_yticks(range(len(phases)), titles)
    axes.invert_yaxis()
    axes.legend(frameon=False, loc="lower right")
    return svg(drawn)


def quantile(known: list[dict[str, float]], name: str) -> float:
    """A quantile over all kept runs: the worst of them for the smallest, their median otherwise."""
    values = [run[name] for run in known]
    return min(values) if name == "0.0" else float(np.median(values))


def localisation() -> str:
    """The port example: outputs of both models, layer by layer, and the layers that are named."""
    measured = load(MEASURED / "localisation.json")
    layers = [row["layer"] for row in measured["layers"]]
    values = np.array([row["difference"] or measured["rounding"] for row in measured["layers"]])
    named = [measured["named"].get(layer, "").replace("_", " ") for layer in layers]
    drawn = figure(7.6, 3.9)
    axes = drawn.subplots()
    colours = [RED if name else GREY for name in named]
    axes.barh(range(len(layers)), values, color=colours, left=0, height=0.6)
    axes.axvspan(1e-17, measured["rounding"], color=TEAL, alpha=0.18, linewidth=0)
    axes.text(measured["rounding"] / 1.5, len(layers) - 0.4, "rounding", color=TEAL, ha="right", fontsize=9)
    for place, (name, value) in enumerate(zip(named, values, strict=True)):
        if name:
            axes.text(value * 1.5, place, name, color=RED, va="center", fontsize=10, fontweight="bold")
    axes.set(
        xscale="log", xlim=(1e-16, 2e3), xlabel="relative difference of the output, Keras against PyTorch, float64"
    )
    axes.set_yticks(range(len(layers)), layers)
    axes.invert_yaxis()
    return svg(drawn)


def rounds() -> str:
    """One call against itself: one block after the other, and in turns."""
    measured = load(MEASURED / "rounds.json")
    drawn = figure(7.6, 3.8)
    left, right = drawn.subplots(1, 2)
    blocks = {name: np.array(values) * 1e6 for name, values in measured["blocks"].items()}
    turns = {name: np.array(values) for name, values in measured["turns"].items()}
    start = 0
    for name, colour in (("A", OCHRE), ("B", TEAL)):
        values = blocks[name]
        places = np.arange(start, start + len(values))
        left.plot(places, values, ".", color=colour, markersize=2.5, rasterized=True)
        left.plot(places[[0, -1]], [np.median(values)] * 2, color="black", linewidth=1)
        start += len(values)
    ratio = np.median(blocks["B"]) / np.median(blocks["A"])
    left.set(title=f"one after the other: B / A = {ratio:.4f}", xlabel="measurement", ylabel="microseconds")
    left.set_ylim(*np.percentile(np.concatenate(list(blocks.values())), [0.2, 97]))
    ratios = turns["B"] / turns["A"]
    right.plot(ratios, ".", color=RED, markersize=2.5, rasterized=True)
    right.axhline(np.median(ratios), color="black", linewidth=1)
    right.set(title=f"in turns: B / A = {np.median(ratios):.4f}", xlabel="round", ylabel="ratio within the round")
    right.set_ylim(*np.percentile(ratios, [2, 98]))
    return svg(drawn)


def error_rates() -> str:
    """False alarms and detected slowdowns of four rules, on the same comparisons."""
    kept = load(KEPT / "calibration.json")
    rules = {"this gate": {"aa_bursts": kept["aa_bursts"], "power_bursts": kept["power_bursts"]}, **kept["rivals"]}
    drawn = figure(9.2, 3.4)
    left, right = drawn.subplots(1, 2, width_ratios=[2, 3])
    colours = dict(zip(rules, (TEAL, OCHRE, RED, GREY), strict=True))
    shares = [100 * rule["aa_bursts"]["alarms"] / rule["aa_bursts"]["comparisons"] for rule in rules.values()]
    left.barh(list(rules), shares, color=[colours[name] for name in rules])
    for place, share in enumerate(shares):
        left.text(share + 0.2, place, f"{share:.1f} %", va="center", fontsize=9)
    left.invert_yaxis()
    left.set(title="false alarms, same code", xlabel="% of comparisons", xlim=(0, max(shares) * 1.35))
    for name, rule in rules.items():
        points = sorted((float(size), 100 * share) for size, share in rule["power_bursts"].items())
        right.plot(*zip(*points, strict=True), "o-", color=colours[name], label=name)
    right.set(title="slowdowns found", xlabel="true slowdown, %", ylabel="% of comparisons", ylim=(-3, 103))
    right.legend(frameon=False, fontsize=8.5, loc="upper left", bbox_to_anchor=(1.0, 0.9))
    return svg(drawn)


FIGURES = {
    "float64": float64,
    "bounds": bounds,
    "localisation": localisation,
    "rounds": rounds,
    "error_rates": error_rates,
}


def draw(name: str) -> str:
    with mpl.rc_context(STYLE):
        return FIGURES[name]()
