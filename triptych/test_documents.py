"""What the documents show is what runs: their commands, options, programs, links and pictures."""

from __future__ import annotations

import dataclasses
import importlib
import json
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import TypeAdapter

from reports.gate import budgets
from reports.gate.judge import document, judged
from reports.testing import small_runs
from suites.records import gate as gate_records
from suites.records import run as records
from suites.records.gate import Contest, Duels, Side
from suites.runner.machine import ROOT
from triptych import tree
from triptych.__main__ import COMMANDS

PAGES = ROOT / "docs/pages"
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(PAGES.rglob("*.md"))]
BLOCK = re.compile(r'^```(?P<language>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?)^```$', re.M | re.S)
TRIPTYCH = re.compile(r"(?:^|(?<!from) |[`(])triptych (?:--json )?(?P<name>[a-z]+)(?P<words>[^`\n#;&|]*)")
NOX = re.compile(r"nox -s (?P<names>[a-z]+(?: [a-z]+)*)(?: -- (?P<words>[^`\n#;&|]*))?")
OPTION = re.compile(r"--[a-z][a-z-]*")
REFERENCE = re.compile(r"^::: (?P<name>[\w.]+)\n(?:    options: .*?members: \[(?P<members>[^\]]*)\])?", re.M)
LINK = re.compile(r"\]\((?!https?:|#)(?P<path>[^)#]+)")
# The dialect that this project once had, and what is said now, see docs/pages/glossary.md.
OLD_WORDS = {
    r"slips?": "bug",
    r"plant(?:s|ed|ing)?": "inject",
    r"departs?|departing|departures?": "differ",
    r"canary": "positive control",
    r"twins?": "A/A control",
    r"comforts?": "feature",
    r"anew": "again",
    r"of its own accord": "by itself",
}


@pytest.fixture(autouse=True)
def checkout() -> None:
    """The documents are no part of an installed package."""
    if not PAGES.is_dir():
        pytest.skip("there are no documents here")


def tool(name: str) -> ModuleType:
    """A module of docs/tools."""
    folder = str(ROOT / "docs/tools")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return importlib.import_module(name)


def code_of(path: Path) -> Iterator[str]:
    """The lines of a document that a reader may type: indented ones, fenced ones, and what stands in backquotes."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith(("    ", "- run: ")):
            yield line.strip()
        yield from re.findall(r"`([^`]+)`", line)


def sessions() -> set[str]:
    """The names that `nox -s` takes."""
    text = (ROOT / "noxfile.py").read_text()
    return {*re.findall(r"^@(?:nox\.session|shared)\ndef (\w+)", text, re.M), *COMMANDS}


def commands_of(path: Path) -> Iterator[tuple[str, str, set[str]]]:
    """(line, command, options) of every `triptych` command that a document shows."""
    for line in code_of(path):
        for found in TRIPTYCH.finditer(line):
            yield line, found["name"], set(OPTION.findall(found["words"]))
        for found in NOX.finditer(line):
            for name in found["names"].split():
                yield line, name, set(OPTION.findall(found["words"] or ""))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_exist(path: Path) -> None:
    """Nothing is more annoying than a README whose commands are not there."""
    for line, name, _ in commands_of(path):
        assert name in sessions(), f"{path.name}: `{line}`: there is no command {name}"


@pytest.mark.full
@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.one_in(8)
def test_options_exist(name: str) -> None:
    """An option that a document shows is one that the command's own help lists."""
    known = {"--help", *OPTION.findall(tool("commands").help_of(name))}
    for path in DOCUMENTS:
        for line, command, options in commands_of(path):
            if command == name:
                assert options <= known, f"{path.name}: `{line}`: unknown {', '.join(options - known)}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    """Of files that are read as they are; the site's build checks its own."""
    made = {"changelog.md", "figures", "schemas"}
    for target in LINK.findall(path.read_text(encoding="utf-8")):
        parts = (path.parent / target).resolve()
        if not made & set(parts.parts):
            assert parts.exists(), f"{path.name} links to {target}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_documents_speak_the_fields_words(path: Path) -> None:
    """A reader knows bugs and A/A controls, not slips and twins."""
    if path.name == "glossary.md":
        pytest.skip("it names the old words")
    text = re.sub(r"```.*?```|`[^`]*`", "", path.read_text(encoding="utf-8"), flags=re.S)
    for old, new in OLD_WORDS.items():
        found = re.search(rf"\b(?:{old})\b", text, re.I)
        assert found is None, f"{path.name}: {found[0]!r}: say {new!r}" if found else ""


def described() -> Iterator[tuple[str, list[str]]]:
    """(name, its chosen members) of all that the pages of reference take from the source."""
    for path in sorted((PAGES / "reference").glob("*.md")):
        for found in REFERENCE.finditer(path.read_text(encoding="utf-8")):
            yield found["name"], (found["members"] or "").replace(",", " ").split()


def test_the_reference_names_what_is_there() -> None:
    """A class that has moved breaks the site, and a member that has gone is left out of it without a word."""
    entries = list(described())
    assert len(entries) > 20
    for name, members in entries:
        found = pkgutil.resolve_name(name)
        gone = [member for member in members if not hasattr(found, member)]
        assert not gone, f"{name} has no {', '.join(gone)}"


def test_the_readme_is_short() -> None:
    """Who wants more finds the documentation."""
    assert len((ROOT / "README.md").read_text().splitlines()) <= 90


def programs() -> list[tuple[str, str, str]]:
    """(page, file, text) of every program that the pages show as a file."""
    found = []
    for path in sorted(PAGES.rglob("*.md")):
        for block in BLOCK.finditer(path.read_text(encoding="utf-8")):
            if block["language"] == "python" and block["title"] and block["title"].endswith(".py"):
                found.append((str(path.relative_to(PAGES)), block["title"], block["text"]))
    return found


def test_the_shim_tutorial_runs(tmp_path: Path) -> None:
    """Both programs, one after the other, as they are printed; only the second backend is one that is always here."""
    texts = {title: text for page, title, text in programs() if page == "tutorials/shim.md"}
    assert list(texts) == ["digits.py", "move.py"]
    for title, text in texts.items():
        (tmp_path / title).write_text(text.replace('backend="torch"', 'backend="numpy"'))
        environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
        command = [sys.executable, title]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert "4,810 parameters" in done.stdout


def test_every_room_is_in_the_picture() -> None:
    """A room that the picture leaves out is one that nobody finds."""
    architecture = tool("architecture")
    drawing = architecture.draw(architecture.read())
    for package in architecture.PACKAGES:
        for folder in sorted((ROOT / package).iterdir()):
            ignored = folder.name in (*architecture.IGNORED, *architecture.PROGRAM_FOLDERS)
            if (folder / "__init__.py").exists() and not ignored:
                assert f'data-room="{package}/{folder.name}"' in drawing
    assert 'data-from="suites/runner" data-to="impls/worker"' in drawing


def test_an_import_becomes_an_arrow_and_a_circle_an_error(tmp_path: Path) -> None:
    """The picture follows the source: whoever adds an import sees it there."""
    architecture = tool("architecture")
    files = {
        "suites/a/one.py": "from suites.b import two\nRUN = 'impls.worker'",
        "suites/b/two.py": "import json",
        "impls/worker/__init__.py": "",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for package in ("suites", "suites/a", "suites/b", "impls"):
        (tmp_path / package / "__init__.py").touch()
    found = architecture.read(tmp_path)
    assert found.imports == {("suites/a", "suites/b")} and found.starts == {("suites/a", "impls/worker")}
    assert 'data-from="suites/a" data-to="suites/b"' in architecture.draw(found)
    (tmp_path / "suites/b/two.py").write_text("def later():\n    from suites.a import one")
    with pytest.raises(ValueError, match="circle: suites/a, suites/b"):
        architecture.draw(architecture.read(tmp_path))


def test_the_published_schemas_fit_the_files(tmp_path: Path) -> None:
    """A program that reads results by a schema has to find what the schema says."""
    schemas = tool("schemas")
    run = small_runs.good()
    saved = records.save(run, tmp_path).read_text()
    TypeAdapter(schemas.RunFile).validate_json(saved)
    side = Side("v1", "abc", False, "3.11", {"numpy": "2.4"})
    cell = run.timings[0].cell
    times = ([1.0, 1.1, 1.2] * 20, [1.1, 1.0, 1.2] * 20)
    contest = Contest(cell, "train_step", "gate", 20, 20, *times, *times, 1.0)
    duels = Duels("now", run.environment, side, side, {}, compared=[cell], contests=[contest], finished="then")
    TypeAdapter(schemas.DuelsFile).validate_json(gate_records.save(duels, tmp_path).read_text())
    verdict = document(judged(duels, budgets.load(budgets.TABLE)))
    TypeAdapter(schemas.GateFile).validate_json(json.dumps(verdict))
    assert verdict["comparisons"] and verdict["findings"]
    assert set(verdict) == {field.name for field in dataclasses.fields(schemas.GateFile)}


@pytest.mark.full
def test_the_first_comparison_of_a_newcomer(tmp_path: Path) -> None:
    """The example of the page "Start": its verdict, its status, and a record that fits the published schema."""
    text = next(text for page, title, text in programs() if (page, title) == ("start.md", "a.py"))
    (tmp_path / "a.py").write_text(text)
    (tmp_path / "b.py").write_text(text.replace("epsilon=1e-3", "epsilon=1e-5"))
    command = [sys.executable, "-m", "triptych", "port", "a.py", "b.py", "--random-data", "4:3", "--json", "port.json"]
    done = subprocess.run(command, cwd=tmp_path, env=tree.environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "bn, inference: epsilon" in done.stdout, done.stdout + done.stderr
    record = json.loads((tmp_path / "port.json").read_text())
    port = tool("schemas").PortFile
    TypeAdapter(port).validate_json(json.dumps(record))
    assert set(record) == {field.name for field in dataclasses.fields(port)}
    (finding,) = record["findings"]
    assert (finding["signature"], finding["place_a"]) == ("epsilon", "bn")
