"""A comparison as one HTML file: the verdict, every finding with its numbers and the user's own lines.

It needs no script and no network.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

AROUND = 3  # lines of the user's file before and behind the one that is meant
COLOURS = {"SAME": "#1a7f37", "SAME UP TO": "#1a7f37", "DIFFERENT": "#cf222e", "UNDECIDED": "#9a6700"}
STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem }
h1 span { color: var(--verdict) }
table { border-collapse: collapse; margin: 1rem 0 }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8884 }
td.number { font-variant-numeric: tabular-nums }
pre { background: #8881; padding: .6rem; overflow-x: auto; font-size: 14px }
pre b { background: #d2992255 }
.sides { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem }
section { border-top: 1px solid #8884; margin-top: 1.5rem }
"""


def page(document: Mapping[str, Any]) -> str:
    """The file's text, from what `report.record` gives."""
    verdict = str(document["verdict"])
    a, b = document["a"], document["b"]
    parts = [
        f"<h1>Is B the same model as A? <span>{escape(verdict)}</span></h1>",
        table(("", "file", "written in", "runs on"), [side("A", a), side("B", b)]),
        f"<p>{escape(summary(document))}</p>",
        *(finding(entry, a["path"], b["path"]) for entry in document["findings"]),
        *low_precision(document.get("low_precision")),
        "<section><h2>What it rests on</h2>",
        listed(document["notes"]),
        f"<details><summary>{len(document['links'])} weights of A and their partners in B</summary>",
        table(("A", "B"), document["links"]),
        "</details></section>",
    ]
    colour = COLOURS.get(verdict, "inherit")
    style = f"<style>{STYLE}\nh1 {{ --verdict: {colour} }}</style>"
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(verdict)}</title>'
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}{style}</head><body>\n' + "\n".join(parts) + "\n</body></html>\n"
    )


def side(letter: str, entry: Mapping[str, str]) -> tuple[str, ...]:
    return letter, entry["path"], entry["api"], entry["backend"]


def summary(document: Mapping[str, Any]) -> str:
    share = document["worst_share_of_bound"]
    percent = f"{share:.0%}" if isinstance(share, float) else str(share)
    count = document["compared"]
    return f"{count} tensors were compared; the worst that agrees differs by {percent} of what rounding allows."


def finding(entry: Mapping[str, Any], path_a: str, path_b: str) -> str:
    """One difference: its words, its worst number, and the lines it comes from."""
    places = entry["place_a"], entry["place_b"]
    place = places[0] if places[0] == places[1] else f"{places[0]} of A, {places[1]} of B"
    where = place if place == entry["phase"] else f"{place}, {entry['phase']}"
    parts = [f"<section><h2>{escape(where)}</h2><p><strong>{escape(entry['words'])}</strong></p>"]
    if entry["released"]:
        parts.append(f"<p>No port can avoid this: {escape(entry['released'])}.</p>")
    if entry["difference"] is not None:
        parts.append(numbers(entry["difference"]))
    lines = [excerpt("A", path_a, entry["line_a"]), excerpt("B", path_b, entry["line_b"])]
    if any(lines):
        parts.append(f'<div class="sides">{"".join(lines)}</div>')
    return "\n".join([*parts, "</section>"])


def low_precision(entry: Mapping[str, Any] | None) -> list[str]:
    """What became of both sides in a lower type; nothing where none was asked for."""
    if entry is None:
        return []
    parts = [f"<section><h2>In {escape(entry['dtype'])}: {escape(entry['verdict'])}</h2>"]
    parts += [listed([f"{one['side']}, {one['place']}: {one['words']}" for one in entry["findings"]])]
    rows = []
    for letter, side in entry["sides"].items():
        if side["refused"]:
            parts.append(f"<p>{letter.upper()} does not run: {escape(side['refused'])}</p>")
        for place, found in (*side["outputs"].items(), *side["layers"].items()):
            rows.append((letter.upper(), place, found["error"], found["bound"]))
    return [*parts, table(("side", "place", "off by, relative", "rounding allows"), rows), "</section>"]


def numbers(difference: Mapping[str, Any]) -> str:
    """The worst element of a tensor, and how far it may be off."""
    index = difference["index"]
    if index is None:
        return f"<p>{escape(difference['tensor'])} has shapes {escape(str(difference['shapes']))}.</p>"
    element = difference["tensor"] + (f"[{', '.join(map(str, index))}]" if index else "")
    row = (element, difference["a"], difference["b"], difference["relative"], difference["bound"])
    return table(("worst element", "A", "B", "relative difference", "rounding allows"), [row])


def excerpt(letter: str, path: str, line: str) -> str:
    """The user's lines around `file.py:12`; "" where the file can't be read."""
    name, _, number = line.rpartition(":")
    file = Path(path).parent / name
    if not number.isdigit() or not file.is_file():
        return ""
    at = int(number)
    source = file.read_text(encoding="utf-8", errors="replace").splitlines()
    shown = []
    for count in range(max(1, at - AROUND), min(len(source), at + AROUND) + 1):
        text = f"{count:4} {escape(source[count - 1])}"
        shown.append(f"<b>{text}</b>" if count == at else text)
    return f"<div>{letter}: {escape(line)}<pre>{chr(10).join(shown)}</pre></div>"


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    cells = "".join(f"<th>{escape(word)}</th>" for word in head)
    body = "".join(f"<tr>{''.join(map(cell, row))}</tr>" for row in rows)
    return f"<table><tr>{cells}</tr>{body}</table>"


def cell(value: object) -> str:
    if isinstance(value, float):
        return f'<td class="number">{value:.10g}</td>'
    return f"<td>{escape(str(value))}</td>"


def listed(lines: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"
