"""Programs on the page: the same lines are shown once, and what a reader has to know is told for the right ones."""

from __future__ import annotations

from dataclasses import replace

from reports.evidence import load
from reports.page import embedded_data, render
from reports.sections import code
from reports.testing import small_runs
from suites.records.run import Concept, Function, Program, Run, Section

SOURCE = "import this\n# Training\ndef train(x):\n    yield x\n\n\nif __name__ == '__main__':\n    OWN = 1\n"
SECTIONS = [Section("imports", 1, 2, 1, 1), Section("Training", 3, 9, 2, 5), Section("main", 2, 6, 6, 7)]
LOOP = Program(
    "mlp", "raw_tf", "impls/mlp/raw_tf.py", SOURCE, 6, 17, SECTIONS,
    functions=[Function("train", 3, 9, 2, 1, cognitive=11)], cognitive=12, concepts={"loop": ["for"]},
)  # fmt: skip
FIT = replace(LOOP, implementation="tf_keras", source=SOURCE.replace("this", "that"), concepts={"fit": [".fit()"]})
MEANINGS = [Concept("loop", "epochs & batches"), Concept("fit", small_runs.HOSTILE), Concept("tape", "nobody needs it")]


def run(*programs: Program) -> Run:
    made = small_runs.good()
    made.programs, made.concepts = list(programs), MEANINGS
    return made


def test_what_a_reader_has_to_know() -> None:
    """An implementation that asks for a concept in one model only must not look as if it did in all."""
    programs = (LOOP, replace(LOOP, model="rnn", concepts={"fit": [".fit()"]}), FIT)
    found = code.knowledge(load.gather([run(*programs)]))
    assert found.implementations == ["raw_tf", "tf_keras"]
    assert {row.concept.name: row.models for row in found.rows} == {"loop": ["mlp", ""], "fit": ["rnn", "all"]}


def test_the_same_lines_are_shown_once() -> None:
    """Lines that differ have to be there, and those of another section never stand for them."""
    (model,) = code.models(load.gather([run(LOOP, FIT)]))
    shown = [[part.same for part in panel.parts if part] for panel in model.panels()]
    assert model.sections == ["imports", "Training"] and shown == [["", ""], ["", "raw_tf"]]


def test_the_page_shows_counts_and_concepts() -> None:
    page = render.page(load.gather([run(LOOP, FIT)]))
    text = page.partition("<section id=code")[2].partition("</section>")[0]
    text += embedded_data.unpacked(page.partition('id="pack-listings">')[2].partition("<")[0])
    assert "<td>12" in text and "<td>11" in text and "epochs &amp; batches" in text and "as in raw_tf" in text
    assert "OWN" not in text and "nobody needs it" not in text and "<img" not in text and "<script>alert" not in text


def test_code_keeps_its_shape() -> None:
    """Indentation is meaning, in a string of several lines too."""
    source = 'def f():\n    if x:\n      return """a\n    <b>"""\n'
    lines = code.highlighted(source)
    assert [line.partition("<")[0].expandtabs(4) for line in lines[:3]] == ["", "    ", "      "]
    assert "&lt;b&gt;" in lines[3] and '<b>"' not in lines[3]
