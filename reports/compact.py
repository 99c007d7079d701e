"""The same page in fewer bytes: what HTML lets one leave out, and what a table's head or a cell's text says already.

What came out of the records can't be touched, for no angle bracket or quote of theirs is left by then.
"""

from __future__ import annotations

import re

APART = re.compile(r"(<pre\b.*?</pre>|<style>.*?</style>|<script\b.*?</script>)", re.S)
OPTIONAL = re.compile(r"</(?:td|th|tr|li|dt|dd|tbody|thead)>")
LINES = re.compile(r"\n(?=</?(?:t[rdh]|tbody|thead|table|[uod]l|li|d[td]|div|details|section|article|figure|h\d)\b)")
PLAIN = re.compile(r' ([a-z-]+)="([\w.%+-]+)"(?!/)(?=[^<>]*>)')
UNITS = r"(?: (?:ns|µs|ms|s|MB|GB|%|nats)|\N{MULTIPLICATION SIGN})"
WRITTEN = re.compile(rf'(<td[^>]*?) data-v="?[\w.+-]+"?(?=>-?[\d.]+(?:e[+-]\d+)?{UNITS}?<)')
TABLE = re.compile(r'<table [^>]*id="([\w-]+)".*?</table>', re.S)
HEADS = re.compile(r"<th\b([^>]*)>")
NUM = re.compile(r'<td class="?num"?')
SHORTER = (
    (' scope="row"', ""),  # a column or a row of nothing but heads says so itself
    (' scope="col"', ""),
    ("<i class=dot></i>", "<i></i>"),
    ('<tr class="row">', "<tr>"),
    *((f'<tr class="row {panel}"', f"<tr class={panel}") for panel in ("raw", "keras", "shim")),
)


def compact(text: str) -> str:
    """A page that shows the same, without optional end tags, quotes and line breaks.

    Columns whose head is right-aligned get one rule instead of a class in every cell, and a cell whose text the
    script can read as a number needs no value to sort by. Scripts lose their indentation and comments.
    """
    rules: list[str] = []
    text = TABLE.sub(lambda found: _aligned(found[0], found[1], rules), text)
    text = text.replace("</style>", "".join(rules) + "</style>", 1)
    parts = APART.split(text)
    return "".join(_script(part) if at % 2 else _markup(part) for at, part in enumerate(parts))


def _aligned(table: str, name: str, rules: list[str]) -> str:
    head = table.partition("</thead>")[0]
    right = [at for at, found in enumerate(HEADS.findall(head), 1) if "num" in found]
    if not right or "colspan" in table or " rowspan" in table:
        return table
    rules.append(",".join(f"#{name} td:nth-child({at})" for at in right) + "{text-align:right;white-space:nowrap}\n")
    return NUM.sub("<td", table.replace('<td class="num ', '<td class="'))


def _markup(text: str) -> str:
    for long, short in SHORTER:
        text = text.replace(long, short)
    text = LINES.sub("", WRITTEN.sub(r"\1", text))
    return PLAIN.sub(r" \1=\2", OPTIONAL.sub("", text))


def _script(text: str) -> str:
    return re.sub(r"\n(?: *//.*\n)*\s*", "\n", text) if text.startswith("<script>") else text
