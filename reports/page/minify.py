"""The same page in fewer bytes: what HTML lets one leave out, and what a table's head or a cell's text says already.

What came out of the records can't be touched, for no angle bracket or quote of theirs is left by then.
"""

from __future__ import annotations

import math
import re

APART = re.compile(r"(<pre\b.*?</pre>|<style>.*?</style>|<script\b.*?</script>)", re.S)
OPTIONAL = re.compile(r"</(?:td|th|tr|li|dt|dd|tbody|thead)>")
LINES = re.compile(r"\n(?=</?(?:t[rdh]|tbody|thead|table|[uod]l|li|d[td]|div|details|section|article|figure|h\d)\b)")
PLAIN = re.compile(r' ([a-z-]+)="([\w.%+:;-]+)"(?!/)(?=[^<>]*>)')
UNITS = {"": 1.0, "ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "MB": 1e6, "GB": 1e9, "%": 0.01, "nats": 1.0}
UNITS |= {"\N{MULTIPLICATION SIGN}": 1.0}
NEAR = 0.05  # a text so near to the value, rounded to two digits, sorts as the value does
WRITTEN = re.compile(
    rf'(<td[^>]*?) data-v="?([\w.+-]+)"?>(?=(-?[\d.]+(?:e[+-]?\d+)?)(?: ?({"|".join(filter(None, UNITS))}))?(?![\w.-]))'
)
TABLE = re.compile(r'<table [^>]*id="([\w-]+)".*?</table>', re.S)
HEADS = re.compile(r"<th\b([^>]*)>")
NUM = re.compile(r'<td class="?num"?')
Places = dict[str, dict[int, list[str]]]  # names of tables by column, by what the head says of it
RULES = {"num": "{text-align:right;white-space:nowrap}\n", "way": "{--dot:inline-block;white-space:nowrap}\n"}
SHORTER = (
    (' scope="row"', ""),  # a column or a row of nothing but heads says so itself
    (' scope="col"', ""),
    (' data-v="1"><b class="check">', "><b class=check>"),
    ('<tr class="row">', "<tr>"),
    *((f'<tr class="row {panel}"', f"<tr class={panel}") for panel in ("raw", "keras", "shim")),
)


def compact(text: str) -> str:
    """A page that shows the same, without optional end tags, quotes and line breaks.

    A column gets one rule for what its head says of it instead of a class in every cell: right-aligned, or ways with
    the dot of their colour. A cell whose text the script can read as a number needs no value to sort by. Scripts lose
    their indentation and comments.
    """
    places: Places = {mark: {} for mark in RULES}
    text = TABLE.sub(lambda found: _columns(found[0], found[1], places), text)
    rules = [_selector(places[mark]) + rule for mark, rule in RULES.items() if places[mark]]
    text = text.replace("</style>", "".join(rules) + "</style>", 1)
    parts = APART.split(text)
    return "".join(_script(part) if at % 2 else _markup(part) for at, part in enumerate(parts))


def _columns(table: str, name: str, places: Places) -> str:
    """`table` without the classes that its head has for a whole column; `places` gets its name by column."""
    heads = HEADS.findall(table.partition("</thead>")[0])
    spans = "colspan" in table or " rowspan" in table
    for mark in ("way",) if spans else RULES:
        for at in (at for at, head in enumerate(heads, 1) if mark in head):
            places[mark].setdefault(at, []).append(f"#{name}")
    if spans or not any("num" in head for head in heads):
        return table
    return NUM.sub("<td", table.replace('<td class="num ', '<td class="'))


def _selector(columns: dict[int, list[str]]) -> str:
    return ",".join(f":is({','.join(names)}) tbody>*>:nth-child({at})" for at, names in sorted(columns.items()))


def _markup(text: str) -> str:
    for long, short in SHORTER:
        text = text.replace(long, short)
    text = LINES.sub("", WRITTEN.sub(_unsaid, text))
    return PLAIN.sub(r" \1=\2", OPTIONAL.sub("", text))


def _unsaid(found: re.Match[str]) -> str:
    """A cell without its value where its text says the same."""
    cell, value, amount, unit = found.groups(default="")
    near = math.isclose(float(value), float(amount) * UNITS[unit], rel_tol=NEAR)
    return f"{cell}>" if near else found[0]


def _script(text: str) -> str:
    return re.sub(r"\n(?: *//.*\n)*\s*", "\n", text) if text.startswith("<script>") else text
