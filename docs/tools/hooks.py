"""What MkDocs calls while it builds: adds the pages and figures that are made from the tree.

Pages may hold `<!-- insert: NAME -->`; INSERTS says what each name stands for. Figures and schemas are files that no
page has to be regenerated for: they are drawn at every build, so they can't be out of date.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT)]  # MkDocs reads this file by its path

import architecture  # noqa: E402
import commands  # noqa: E402
import figures  # noqa: E402
import recipes  # noqa: E402
import schemas  # noqa: E402

import triptych  # noqa: E402
from suites.faults import catalogue  # noqa: E402

INSERT = re.compile(r"^<!-- insert: (?P<name>\S+)(?: (?P<argument>.+?))? -->$", re.M)


def on_config(config: Any) -> Any:
    """Put pages that nav does not name under "More", so that none is unreachable."""
    pages = Path(config.docs_dir)
    named = set(re.findall(r"[\w/-]+\.md", json.dumps(config.nav)))
    others = sorted({str(path.relative_to(pages)) for path in pages.rglob("*.md")} - named)
    if others:
        config.nav.append({"More": others})
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add what is made from the tree."""
    tree = architecture.read()
    made = {
        "figures/architecture.svg": architecture.draw(tree),
        **{f"figures/{name}.svg": figures.draw(name) for name in figures.FIGURES},
        **{f"schemas/{name}.schema.json": json.dumps(schema, indent=1) for name, schema in schemas.schemas().items()},
        "changelog.md": (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").replace("](docs/pages/", "]("),
    }
    for path, content in made.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The page with every insert in its place."""
    return INSERT.sub(insert, markdown)


def insert(found: re.Match[str]) -> str:
    name, argument = found["name"], found["argument"]
    if name not in INSERTS:
        raise PluginError(f"unknown insert {name!r}: known are {', '.join(INSERTS)}")
    make = INSERTS[name]
    return make(argument) if argument else make()


def hidden_bugs() -> str:
    """How many injected bugs float32 would hide, as a sentence."""
    hidden, known = figures.hidden_in_float32()
    return (
        f"Of {known} injected bugs with a finite effect, {hidden} change the first differing tensor by less than "
        "rounding alone may change it in float32. In float64 none does."
    )


def bug_counts() -> str:
    """How many bugs the catalogue has, as a sentence."""
    known = [item for item in catalogue.read(sorted(catalogue.CATALOGUE.glob("*.toml"))) if not harmless(item)]
    linked = {item.fault for item in known if item.source}
    bugs = {item.fault for item in known}
    return (
        f"The catalogue has {len(bugs)} bugs taken from real ports, {len(linked)} of them with a link to where it "
        f"happened, as one-line diffs of programs and shim files: {len(known)} instances over all models, on "
        "TensorFlow, PyTorch, JAX and NumPy."
    )


def harmless(item: catalogue.Instance) -> bool:
    return bool(item.equivalent or item.benign)


def port_example() -> str:
    """What the port checker printed for the example, as it was recorded with the figure of localisation."""
    lines = figures.load(figures.MEASURED / "localisation.json")["output"]
    return "\n".join(["```text", *lines, "```"])


def public_api() -> str:
    """The functions that `triptych` exports, each where it is written, and what they return."""
    places = {name: triptych._PLACES[name] for name in triptych.__all__ if name != "shim"}
    shown = [f"{place}.{name}" for name, place in places.items()] + [
        "triptych.comparison.Result",
        "triptych.comparison.Finding",
    ]
    return "\n\n".join(f"::: {name}" for name in shown)


INSERTS: dict[str, Callable[..., str]] = {
    "rooms": lambda: architecture.table(architecture.read()),
    "recipe": recipes.recipe,
    "command-table": commands.table,
    "commands": commands.reference,
    "hidden-bugs": hidden_bugs,
    "public-api": public_api,
    "port-example": port_example,
    "bug-counts": bug_counts,
}
