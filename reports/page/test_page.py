"""The page and the exports: complete, inert, self-contained, small, and the same for the same input."""

from __future__ import annotations

import csv
import io
import json
import random
import re
import subprocess
import sys
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from reports import claims
from reports.evidence.load import Evidence, gather
from reports.formats import tables, terminal
from reports.page import render
from reports.page.__main__ import FORMATS, main
from reports.sections import speed
from reports.testing import full_run, small_runs
from suites.records import run as records
from suites.records.run import Cell, Comparison, Run, Timing

RUNS = small_runs.RUNS


class Elements(HTMLParser):
    """Every element and attribute of a page, and every id."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def all(self, attribute: str) -> list[str]:
        return [attributes[attribute] or "" for _, attributes in self.found if attribute in attributes]


def python(program: str) -> str:
    """What `program` prints in a fresh interpreter."""
    root = Path(__file__).parents[2]
    return subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, cwd=root).stdout.decode()


def evidence(name: str = "good") -> Evidence:
    return gather([RUNS[name]()])


@pytest.mark.parametrize("name", RUNS)
def test_the_page_fetches_nothing(name: str, written: dict[str, str]) -> None:
    """It has to work from a mail attachment: any source is inside it."""
    text = written[name]
    elements = Elements(text)
    assert all(source.startswith(("#", "data:")) for part in ("src", "href") for source in elements.all(part))
    assert not {"link", "iframe", "object", "embed", "img", "base"} & {
        tag for tag, attributes in elements.found if attributes.get("href") != "data:,"
    }
    assert not re.search(r"url\((?!'data:)|@import|fetch\(|XMLHttpRequest|WebSocket", text)


@pytest.mark.parametrize("name", RUNS)
def test_links_lead_somewhere_and_ids_are_unique(name: str, written: dict[str, str]) -> None:
    elements = Elements(written[name])
    ids = elements.all("id")
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in elements.all("href") if link.startswith("#")} <= set(ids)


def test_hostile_names_stay_text(written: dict[str, str]) -> None:
    """A model, a reason, an option or a source with mark-up in it must not become mark-up."""
    text = written["bad"]
    elements = Elements(text)
    assert "alert(1)" in text and "&lt;b&gt;no mark-up" in text
    assert sum(tag == "script" for tag, _ in elements.found) == 1 + text.count('type="text/plain"')
    assert not [name for _, attributes in elements.found for name in attributes if name.startswith("on")]
    assert "49" not in re.findall(r"`(.*?)<", text), "a template ran inside a name"


def test_markdown_and_csv_stay_inert() -> None:
    markdown, table = tables.markdown(evidence("bad")), tables.table(evidence("bad"))
    assert "<script" not in markdown and "<img" not in markdown
    rows = list(csv.reader(io.StringIO(table)))
    assert not [text for row in rows for text in row if text.startswith(("=", "@"))]
    assert {len(row) for row in rows} == {len(tables.COLUMNS)}


@pytest.fixture(scope="module")
def again() -> dict[str, str]:
    """Every format of every small run, from a fresh process, where sets are in another order."""
    program = (
        "import json\nfrom reports.evidence.load import gather\nfrom reports.page.__main__ import FORMATS\n"
        "from reports.testing import small_runs\n"
        "made = {name: gather([run()]) for name, run in small_runs.RUNS.items()}\n"
        "every = {f'{name} {form}': FORMATS[form](made[name]) for name in made for form in FORMATS}\n"
        "print(json.dumps(every))"
    )
    found: dict[str, str] = json.loads(python(program))
    return found


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", RUNS)
def test_same_input_gives_the_same_bytes(name: str, form: str, again: dict[str, str], written: dict[str, str]) -> None:
    own = written[name] if form == "html" else FORMATS[form](evidence(name))
    assert own == again[f"{name} {form}"]


@pytest.mark.parametrize("name", RUNS)
def test_the_page_is_small(name: str, written: dict[str, str]) -> None:
    assert len(written[name].encode()) <= 400_000


def fits(text: str, packs: list[str]) -> None:
    assert len(text.encode()) <= 400_000
    assert all(f'id="pack-{name}"' in text for name in ("table", "listings", *packs))
    assert len(re.findall(r"<tr[^>]*><th>[^<]* on [^<]*<small>", text)) > 16 * len(full_run.WAYS)


def test_a_full_run_fits(full_page: str) -> None:
    """With everything that can lie beside it."""
    fits(full_page, [])


@pytest.mark.full
@pytest.mark.catalogue
def test_ten_full_runs_fit() -> None:
    fits(render.page(full_run.evidence([full_run.full(day) for day in range(10)])), ["facts"])


def test_a_page_too_large_leaves_out_the_downloads_first() -> None:
    """What a person reads is never cut; the raw data still is in the result file."""
    run = small_runs.good()
    rounds = [float(k) ** 0.5 for k in range(1, 4000)]
    run.timings = [Timing(**{**vars(item), "seconds": random.sample(rounds, len(rounds))}) for item in run.timings]
    text = render.page(gather([run]))
    assert len(text.encode()) <= 400_000
    assert 'id="pack-table"' in text and 'id="pack-records"' not in text


def test_no_number_is_typed_in_the_templates() -> None:
    """A sentence with a number in it would be wrong for the next run."""
    for template in render.TEMPLATES.glob("*.html"):
        markup = r"{%.*?%}|{{.*?}}|<svg.*?</svg>|<symbol.*?</symbol>|<[^>]*>"
        text = re.sub(markup, " ", template.read_text(), flags=re.S)
        assert not re.search(r"(?<![\w.#-])\d+(\.\d+)?(?![\w])", text.replace("epoch 1", "")), template.name


def linear(colour: str) -> np.ndarray:
    """Red, green and blue of `#rrggbb` as amounts of light."""
    parts = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def lab(light: np.ndarray) -> np.ndarray:
    """CIELAB, in which distances are those that an eye sees."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(to_xyz @ np.clip(light, 0, 1) / np.array([0.9505, 1.0, 1.089]))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


# Machado, Oliveira and Fernandes (2009), severity 1.
EYES = {
    "most": np.eye(3),
    "deuteranopes": np.array([[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]]),
    "protanopes": np.array([[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]]),
}


@pytest.mark.parametrize("eyes", EYES)
@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_the_three_colours_differ_for_every_eye(scheme: int, eyes: str) -> None:
    """Keras and the shim were one grey-blue to a deuteranope; a distance of 30 is plain, 7 is not."""
    style = (render.TEMPLATES / "style.css").read_text()
    named = dict(re.findall(r"--(\w+):light-dark\((#\w{6},#\w{6})\)", style))
    own = [named[name].split(",")[scheme] for name in ("raw", "keras", "shim")]
    seen = [lab(EYES[eyes] @ linear(colour)) for colour in own]
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) >= 30
    luminances = [
        linear(it) @ np.array([0.2126, 0.7152, 0.0722]) + 0.05 for it in [named["paper"].split(",")[scheme], *own]
    ]
    ratios = [max(luminances[0], it) / min(luminances[0], it) for it in luminances[1:]]
    assert min(ratios) >= 4.5  # contrast, WCAG 2.2


def test_a_missing_reference_is_said_and_no_ratio_is_made_up() -> None:
    run = small_runs.good()
    run.timings = [item for item in run.timings if item.cell.implementation != "raw_tf"]
    found = speed.report(gather([run]))
    assert found.rows and not any(row.ratio for row in found.rows)
    assert "no reference" in render.page(gather([run]))


def test_every_cell_is_counted() -> None:
    """One that failed before it recorded anything is a cell too."""
    assert {item.cell for item in small_runs.bad().outcomes} <= set(evidence("bad").cells())


def test_ratios_never_cross_runs() -> None:
    """Two runs are two machines or two days: a reference in the other run is no reference."""
    first, second = small_runs.good(), small_runs.good()
    second.id, second.started = "20270101T000000-1", "2027-01-01T00:00:00+00:00"
    first.timings = [item for item in first.timings if item.cell.implementation == "raw_tf"]
    second.timings = [item for item in second.timings if item.cell.implementation != "raw_tf"]
    assert all(row.ratio is None or row.ratio.value == 1 for row in speed.report(gather([first, second])).rows)


def test_ratios_are_those_of_the_data() -> None:
    found = speed.report(evidence())
    steps = {(row.timing.cell.implementation, row.timing.cell.backend): row for row in found.rows if row.ratio}
    for implementation, backend, _, expected in small_runs.WAYS:
        ratio = steps[implementation, backend].ratio
        assert ratio and ratio.value == pytest.approx(expected, rel=0.02)


def verdicts_of(run: Run) -> dict[str, str]:
    return {claim.id: claim.verdict.word for claim in claims.claims(claims.compute(gather([run])))}


def test_claims_follow_the_data() -> None:
    """The verdicts of a run in which everything went well, and what each planted defect turns over."""
    found = verdicts_of(small_runs.good())
    assert found["same"] == found["learns"] == found["shorter"] == found["slower"] == found["engine"] == "holds"
    assert found["must-be-slower"] != "holds"
    assert set(verdicts_of(small_runs.empty()).values()) == {"no data in this run"}
    broken = verdicts_of(small_runs.bad())
    assert broken["same"] == broken["learns"] == "does not hold"
    assert broken["engine"] == "holds in part"


@pytest.mark.parametrize(
    ("factor", "noise", "keras", "shim"),
    [
        (2.0, 0.01, "holds", "holds"),
        (1.0, 0.01, "does not hold", "does not hold"),
        (0.5, 0.01, "does not hold", "does not hold"),
        (1.0, 1.00, "not decided by this run", "not decided by this run"),
    ],
)
def test_verdicts_on_speed_follow_the_intervals(factor: float, noise: float, keras: str, shim: str) -> None:
    """Faster and equal are no cost; an interval too wide to tell decides nothing."""
    run, rng = small_runs.good(), random.Random(3)
    for item in run.timings:
        if item.cell.implementation != "raw_tf":
            item.seconds[:] = [1e-3 * factor * rng.lognormvariate(0, noise) for _ in item.seconds]
        else:
            item.seconds[:] = [1e-3] * len(item.seconds)
    found = verdicts_of(run)
    assert (found["slower"], found["must-be-slower"]) == (keras, shim)


def test_a_nan_is_never_the_same() -> None:
    run = small_runs.good()
    at = Cell("mlp", "shim", "torch", "eager", "cpu", "float64")
    run.comparisons.append(Comparison(at, at, "loss", "loss", float("nan"), None))
    assert verdicts_of(run)["same"] == "does not hold"


@pytest.mark.parametrize("name", RUNS)
def test_json_is_json(name: str) -> None:
    content = json.loads(tables.json_text(evidence(name)))
    assert len(content["claims"]) == 8
    assert len(content["findings"]) == len(RUNS[name]().comparisons and content["findings"])


@pytest.mark.parametrize("name", RUNS)
def test_summary_is_plain_text(name: str) -> None:
    text = terminal.text(RUNS[name]())
    assert all(character.isprintable() or character == "\n" for character in text)
    assert len(text.splitlines()) < 120


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files in and out, exit statuses, and nothing written into results/."""
    saved = records.save(small_runs.bad(), tmp_path / "results")
    before = saved.read_bytes()
    output = tmp_path / "out" / "page.html"
    assert main([str(saved), "--output", str(output), "--summary"]) == 0
    assert output.read_text().startswith("<!doctype html>") and "errors" in capsys.readouterr().out
    assert main([str(saved), "--output", str(output), "--check"]) == 1
    results = ["--results", str(saved.parent)]
    assert main([*results, "--format", "csv", "--output", "-"]) == 0
    assert main([*results, "--output", str(saved.parent / "page.html")]) == 2
    assert [path.name for path in saved.parent.iterdir()] == [saved.name] and saved.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "message"),
    [('{"format": "triptych-run", "ver', "truncated"), ("[]", "not a result file"), (None, "can't be read")],
)
def test_a_file_that_is_no_result_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, message: str
) -> None:
    path = tmp_path / "broken.json"
    if text is not None:
        path.write_text(text)
    assert main([str(path), "--output", str(tmp_path / "page.html")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "broken.json" in error and message in error
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--reference", "raw_tf/mars"], "timed are raw_tf/tensorflow"), (["--output", "/"], "can't be written")],
)
def test_bad_input_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    records.save(small_runs.good(), tmp_path)
    assert main(["--results", str(tmp_path), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and message in error
