"""Correct ports drawn at random, and some with a bug: how often is the verdict wrong?

`python -m suites.port.random_pairs --count 100 --seed 0`: each seed draws a network and two frameworks, writes it in
both, and asks the port checker. A correct port that is not the same is a false alarm, a bug that is not found a wrong
SAME. Exit status 1 where there was one; the programs of each are kept under --keep.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from suites.port.api import compare
from suites.port.files import PortError, missing
from suites.port.testing.networks import Draw, Network, planted
from suites.port.testing.programs import WRITERS, write
from suites.records import terminal
from suites.runner.workers import Pool, compiled_once

BACKENDS = {"torch": "torch", "keras": "tensorflow"}  # of the others it is jax
APIS = {"nnx": "flax", "linen": "flax", "jax": "functions"}
PAIRS_OF_A_WORKER = 20  # what JAX compiles stays in the memory of its process
# JAX compiles most of the time, and small networks have many operations in common: files of one run serve the next.
COMPILED = compiled_once("random-pairs")


@dataclass(frozen=True)
class Drawn:
    """One pair: a network in two APIs, and the bug that is in B ("" for a correct port)."""

    seed: int
    a: str
    b: str
    backends: tuple[str, str]
    network: Network
    bug: str
    texts: tuple[str, str]


@dataclass(frozen=True)
class Answer:
    """What the checker said; `right` by whether there is a bug."""

    seed: int
    a: str
    b: str
    kind: str
    bug: str
    verdict: str
    right: bool
    seconds: float
    words: list[str]


def draw(seed: int, bugs: float, apis: Sequence[str]) -> Drawn:
    """The pair of a seed."""
    rng = np.random.default_rng([seed, 1])
    a, b = (str(api) for api in rng.choice(apis, 2, replace=True))
    backends = tuple(str(rng.choice(["tensorflow", "torch", "jax"])) if api == "keras" else "" for api in (a, b))
    lacks = [kind for api in (a, b) for kind in WRITERS[api].lacks]
    network = Draw(seed, lacks).network()
    made = planted(network, seed) if rng.random() < bugs else None
    wrong, bug = made if made is not None else (network, "")
    texts = write(network, a), write(wrong, b)
    return Drawn(seed, a, b, (backends[0], backends[1]), network, bug, texts)


def ask(pair: Drawn, folder: Path, pool: Pool) -> Answer:
    """Writes both programs and compares them."""
    paths = [folder / "a.py", folder / "b.py"]
    for path, text in zip(paths, pair.texts, strict=True):
        path.write_text(text, encoding="utf-8")
    start = time.perf_counter()
    data = pair.network.data(pair.seed)
    try:
        found = compare(paths[0], paths[1], data, backend_a=pair.backends[0], backend_b=pair.backends[1], pool=pool)
        verdict, same = found.verdict.value, found.same
        words = [f"{finding.place}, {finding.phase}: {finding.words()}" for finding in found.findings]
    except PortError as error:
        verdict, same, words = "refused", False, [str(error), error.traceback]
    right = verdict != "refused" and same == (not pair.bug)
    seconds = time.perf_counter() - start
    return Answer(
        pair.seed, named(pair, 0), named(pair, 1), pair.network.kind, pair.bug, verdict, right, seconds, words
    )


def named(pair: Drawn, side: int) -> str:
    api, backend = (pair.a, pair.b)[side], pair.backends[side]
    return f"{api} on {backend}" if backend else api


def run(seeds: Sequence[int], bugs: float, apis: Sequence[str], keep: Path | None) -> Iterator[Answer]:
    """The answers, one after the other; the programs of a wrong one are kept."""
    for name, value in COMPILED.items():
        os.environ.setdefault(name, value)
    for start in range(0, len(seeds), PAIRS_OF_A_WORKER):
        with Pool() as pool, tempfile.TemporaryDirectory() as name:
            for seed in seeds[start : start + PAIRS_OF_A_WORKER]:
                pair = draw(seed, bugs, apis)
                answer = ask(pair, Path(name), pool)
                if not answer.right and keep is not None:
                    keep_programs(pair, answer, keep / str(seed))
                yield answer


def keep_programs(pair: Drawn, answer: Answer, folder: Path) -> None:
    """All that it takes to ask about this pair again."""
    folder.mkdir(parents=True, exist_ok=True)
    for side, text in zip("ab", pair.texts, strict=True):
        (folder / f"{side}.py").write_text(text, encoding="utf-8")
    np.savez(folder / "data.npz", **pair.network.data(pair.seed))  # type: ignore[arg-type]
    (folder / "answer.json").write_text(json.dumps(asdict(answer), indent=1), encoding="utf-8")


def available() -> list[str]:
    """The APIs that are installed here."""
    return [api for api in WRITERS if not missing(APIS.get(api, api), BACKENDS.get(api, "jax"))]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("random_pairs", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=20, help="pairs (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the first pair (default: %(default)s)")
    parser.add_argument("--bugs", type=float, default=0.0, help="share of pairs with a bug in B (default: none)")
    parser.add_argument("--apis", default="", help=f"of {', '.join(WRITERS)} (default: all that are here)")
    parser.add_argument("--keep", type=Path, help="a folder for the programs of wrong answers")
    return parser.parse_args(arguments)


@terminal.guarded
def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    apis = options.apis.split(",") if options.apis else available()
    counts: Counter[str] = Counter()
    for answer in run(range(options.seed, options.seed + options.count), options.bugs, apis, options.keep):
        kind = "bug" if answer.bug else "correct"
        counts[f"{kind}, {answer.verdict}"] += 1
        counts["wrong"] += not answer.right
        if not answer.right:
            print(
                f"{answer.seed}: {answer.a} and {answer.b}, {answer.kind}: {answer.verdict} ({answer.bug or 'correct'})"
            )
            print(*(f"    {line}" for line in answer.words[:3]), sep="\n")
        terminal.LOG.info(f"{answer.seed} {answer.verdict} {answer.seconds:.1f} s")
        sys.stdout.flush()
    print(", ".join(f"{count} {words}" for words, count in sorted(counts.items())))
    return 1 if counts["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
