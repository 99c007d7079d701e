"""`nox -s published`: published models against each other, as their libraries build them, without weights.

Every pair of `pairs.toml` is compared as a user would, `triptych port A B --tiny`, with both sides in the environment
of `--python`. What came out is kept as JSON, from which the table of the documentation is made.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from pydantic import BaseModel

from impls import interpreters
from suites.port import files
from suites.port.api import Result, compare
from suites.port.errors import PortError
from suites.records import terminal
from suites.runner.workers import Pool

HERE = Path(__file__).parent
MIB = 2**20
SHOWN = 3  # differences in the table
START, END = "<!-- table -->", "<!-- end of the table -->"  # in the page of the documentation


class Pair(BaseModel):
    """Two names, the data, and a mapping file beside `pairs.toml` where one is needed."""

    name: str
    a: str
    b: str
    data: str
    map: str = ""
    tiny: bool = True
    backend: str = "jax"  # of Keras


def pairs() -> list[Pair]:
    table = tomllib.loads((HERE / "pairs.toml").read_text(encoding="utf-8"))
    return [Pair.model_validate(entry) for entry in table["pair"]]


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser("triptych published", description=__doc__)
    made.add_argument("--python", default="", help="the interpreter that has the libraries (default: its environment)")
    made.add_argument("--pair", action="append", default=[], help="only this one (more than once)")
    made.add_argument("--json", type=Path, default=Path("results/published.json"), help="where the record goes")
    made.add_argument("--markdown", type=Path, help="also put the table into this page")
    made.add_argument("--table", action="store_true", help="only write the table again, from the record")
    return made


@terminal.guarded
def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    known = {pair.name: pair for pair in pairs()}
    for name in options.pair:
        if name not in known:
            return terminal.refuse(f"unknown pair {name!r}: known are {', '.join(known)}")
    place = interpreters.environments() / "published" / "bin" / "python"
    python = options.python or str(place)
    if not options.table and not Path(python).exists():
        terminal.LOG.info(f"skipped: there is no {python}: the libraries of published models are not installed")
        return 0
    record: dict[str, Any] = {"version": 1, "pairs": {}}
    if options.json.exists():
        record = json.loads(options.json.read_text())
    if not options.table:
        for pair in [known[name] for name in options.pair] or list(known.values()):
            record["pairs"][pair.name] = run(pair, python)
            print(row(pair.name, record["pairs"][pair.name]), flush=True)
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.write_text(json.dumps(record, indent=1) + "\n")
    if options.markdown:
        page = options.markdown.read_text() if options.markdown.exists() else f"{START}\n{END}\n"
        options.markdown.write_text(with_table(page, markdown(record["pairs"])))
    return 0


def run(pair: Pair, python: str) -> dict[str, Any]:
    """One comparison: its verdict and findings, seconds, and the peak memory of each side in MiB."""
    start = time.monotonic()
    named = {"a": pair.a, "b": pair.b, "data": pair.data, "map": pair.map}
    with Pool() as pool:
        try:
            found = compare(
                pair.a,
                pair.b,
                data_of(pair),
                map=HERE / pair.map if pair.map else None,
                backend_a=pair.backend if keras(pair.a) else "",
                backend_b=pair.backend if keras(pair.b) else "",
                python_a=python,
                python_b=python,
                tiny=pair.tiny,
                pool=pool,
            )
        except PortError as error:
            seconds = time.monotonic() - start
            return {
                **named,
                "verdict": "REFUSED",
                "error": str(error),
                "seconds": round(seconds, 1),
                "peak_mib": peaks(),
            }
        seconds = time.monotonic() - start
        return {**named, **told(found), "seconds": round(seconds, 1), "peak_mib": peaks()}


def data_of(pair: Pair) -> dict[str, np.ndarray]:
    """Random inputs; a mask hides the ends of some sequences, as padding does, and never a whole one."""
    inputs = dict(files.random_data(pair.data).inputs)
    for name, array in inputs.items():
        if name.endswith("mask"):
            lengths = np.array([array.shape[1] - (3 * row) % (array.shape[1] - 2) for row in range(len(array))])
            inputs[name] = (np.arange(array.shape[1]) < lengths[:, None]).astype(array.dtype)
    return inputs


def keras(name: str) -> bool:
    return name.startswith("keras")


def told(found: Result) -> dict[str, Any]:
    record = found.to_json()
    kept = ("verdict", "compared", "findings")
    size = sum(weight.size for weight in found.comparison.a.weights)
    return {"parameters": size, **{key: record[key] for key in kept}}


def peaks() -> list[int]:
    """The peak resident memory of each worker, in MiB."""
    found = []
    for child in psutil.Process().children():
        try:
            status = Path(f"/proc/{child.pid}/status").read_text()
        except OSError:
            continue
        lines = [line for line in status.splitlines() if line.startswith("VmHWM")]
        found += [int(line.split()[1]) * 1024 // MIB for line in lines]
    return sorted(found, reverse=True)[:2]


def row(name: str, entry: dict[str, Any]) -> str:
    """A line of the table."""
    size = f"{entry['parameters'] / 1e6:.2f} M" if "parameters" in entry else ""
    sides = f"`{entry['a']}`<br>`{entry['b']}`"
    peak = " + ".join(str(mib) for mib in entry["peak_mib"])
    seconds = "" if entry["seconds"] is None else f"{entry['seconds']:.0f}"
    return f"| {name} | {sides} | {size} | {outcome(entry)} | {seconds} | {peak} |"


def outcome(entry: dict[str, Any]) -> str:
    """The verdict and what differs."""
    if entry["verdict"] == "NOT RUN":
        return "not run yet"
    if entry["verdict"] == "REFUSED":
        return f"not compared: {entry['error'].splitlines()[0]}"
    words = [finding["words"] for finding in entry["findings"]]
    first = list(dict.fromkeys(words))
    more = f"; {len(first) - SHOWN} more" if len(first) > SHOWN else ""
    return f"**{entry['verdict']}**" + (f": {'; '.join(first[:SHOWN])}{more}" if first else "")


def with_table(page: str, table: str) -> str:
    """The page with the table between its two marks."""
    before, _, rest = page.partition(START)
    return f"{before}{START}\n\n{table}\n{END}{rest.partition(END)[2]}"


def markdown(entries: dict[str, dict[str, Any]]) -> str:
    head = ["| family | A, B | parameters | verdict | seconds | peak MiB, A + B |", "|---|---|---|---|---|---|"]
    rows = [row(pair.name, entries.get(pair.name) or not_run(pair)) for pair in pairs()]
    return "\n".join([*head, *rows]) + "\n"


def not_run(pair: Pair) -> dict[str, Any]:
    """A planned pair that nobody has run: it is in the table all the same."""
    return {"a": pair.a, "b": pair.b, "verdict": "NOT RUN", "findings": [], "seconds": None, "peak_mib": []}


if __name__ == "__main__":
    sys.exit(main())
