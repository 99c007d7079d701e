"""The rooms of the source tree and who imports whom, read from the source and drawn as one SVG.

python docs/tools/architecture.py > architecture.svg
"""

from __future__ import annotations

import ast
import html
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("triptych", "reports", "suites", "impls")  # from the door down to what imports nothing
PROGRAMS = "impls/programs"
PROGRAM_FOLDERS = ("seed", "mlp", "cnn", "rnn", "gadgets", "optimizers")
IGNORED = ("testing", "programs", "upstream", "data", "templates", "__pycache__")
STARTED = ("impls.worker", "impls.port.worker")  # what another process runs by `python -m`

TITLES = {
    "triptych": "public API, commands",
    "impls": "registry, specs, wire format",
    "suites": "names",
    "reports": "claims, findings, verdicts",
    PROGRAMS: "programs of models",
}


@dataclass
class Module:
    """One file: its path below the root, dotted names that it imports anywhere, and modules that it starts."""

    path: Path
    imported: list[str] = field(default_factory=list)
    started: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, name: str, file: Path, path: Path) -> Module:
        """The module `name`; what stands in its source as a string of its own is run by another process."""
        module = cls(path)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                module.imported += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = absolute(node, name, path.name == "__init__.py")
                module.imported += [f"{base}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Constant) and node.value in STARTED:
                module.started.append(node.value)
        return module


@dataclass
class Tree:
    """`rooms` maps a room to its modules; `imports` and `starts` hold (room, room)."""

    rooms: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    imports: set[tuple[str, str]] = field(default_factory=set)
    starts: set[tuple[str, str]] = field(default_factory=set)


def read(root: Path = ROOT) -> Tree:
    """All rooms of `root` and the arrows between them.

    The hall of a package, its modules in no folder, is split into them where a circle runs through it.
    """
    sources = {name: Module.read(name, path, path.relative_to(root)) for name, path in modules(root)}
    tree = walk(sources, ())
    halls = tuple(room for room in circles(tree.imports) if "/" not in room)
    return walk(sources, halls) if halls else tree


def walk(sources: dict[str, Module], split: tuple[str, ...]) -> Tree:
    """Rooms and arrows; each module at the top of a package in `split` is a room by itself."""
    tree = Tree()
    rooms = {name: room_of(module.path, split) for name, module in sources.items()}
    for name, module in sources.items():
        here = rooms[name]
        tree.rooms[here].append(name)
        for other in module.imported:
            target = resolve(other, sources)
            if target is not None:
                tree.imports.add((here, rooms[target]))
        for other in module.started:
            if other in sources:
                tree.starts.add((here, rooms[other]))
    tree.imports = {(a, b) for a, b in tree.imports if a != b}
    linked = {room for arrow in tree.imports for room in arrow}
    tree.rooms = {room: names for room, names in tree.rooms.items() if "/" in room or room in linked}
    tree.starts = {(a, b) for a, b in tree.starts if a != b}
    return tree


def modules(root: Path) -> Iterator[tuple[str, Path]]:
    """(dotted name, path) of every module that is neither a test nor a program of a user."""
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            if path.name.startswith("test_") or any(part in IGNORED for part in parts):
                continue
            yield ".".join(parts[:-1] if path.name == "__init__.py" else parts), path


def room_of(path: Path, split: tuple[str, ...] = ()) -> str:
    """The room of a module: its folder, two deep at most; the programs of all models are one room."""
    folders = path.parts[:-1][:2]
    if len(folders) == 1 and folders[0] in split and path.stem != "__init__":
        return f"{folders[0]}/{path.name}"
    if len(folders) == 2 and folders[0] == "impls" and folders[1] in PROGRAM_FOLDERS:
        return PROGRAMS
    return "/".join(folders)


def absolute(node: ast.ImportFrom, name: str, package: bool) -> str:
    """The module that `from ... import` names, without leading dots."""
    if not node.level:
        return node.module or ""
    parts = name.split(".")
    above = node.level - 1 if package else node.level
    parts = parts[: len(parts) - above]
    return ".".join([*parts, node.module] if node.module else parts)


def resolve(name: str, sources: dict[str, Module]) -> str | None:
    """The module of the tree that an import reaches: `name` itself, or the one that holds it."""
    for candidate in (name, name.rpartition(".")[0]):
        if candidate in sources:
            return candidate
    return None


def reachable(start: str, arrows: set[tuple[str, str]], without: tuple[str, str]) -> set[str]:
    """The rooms that `start` reaches by arrows other than `without`."""
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        room = waiting.pop()
        for arrow in arrows:
            if arrow[0] == room and arrow != without and arrow[1] not in seen:
                seen.add(arrow[1])
                waiting.append(arrow[1])
    return seen


def shown(arrows: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """The arrows that no chain of others implies; all of a circle."""
    return {arrow for arrow in arrows if arrow[1] not in reachable(arrow[0], arrows, arrow)}


def circles(arrows: set[tuple[str, str]]) -> list[str]:
    """Rooms that reach themselves."""
    rooms = {room for arrow in arrows for room in arrow}
    return sorted(room for room in rooms if room in reachable(room, arrows, ("", "")))


def floors(rooms: Iterable[str], arrows: set[tuple[str, str]]) -> list[list[str]]:
    """Rooms by floor: one that imports another stands above it. Raises ValueError where they run in a circle."""
    rooms = list(rooms)
    inside = {(a, b) for a, b in arrows if a in rooms and b in rooms}
    if found := circles(inside):
        raise ValueError(f"imports run in a circle: {', '.join(found)}")
    height: dict[str, int] = {}

    def climb(room: str) -> int:
        if room not in height:
            height[room] = 1 + max((climb(b) for a, b in inside if a == room), default=-1)
        return height[room]

    levels: dict[int, list[str]] = defaultdict(list)
    for room in rooms:
        levels[climb(room)].append(room)
    return [levels[level] for level in sorted(levels, reverse=True)]


WIDTH, BOX, GAP, FLOOR, BAND = 1120, (156, 44), 16, 78, 34
COLOURS = {"triptych": "#7a5195", "reports": "#0b6e75", "suites": "#8f2d56", "impls": "#9a5b13"}


def places(tree: Tree) -> tuple[dict[str, tuple[float, float]], dict[str, tuple[float, float]], float]:
    """The centre of each room, top and height of each package's band, and the height of it all; in pixels."""
    centres: dict[str, tuple[float, float]] = {}
    bands: dict[str, tuple[float, float]] = {}
    top = 8.0
    for package in PACKAGES:
        rooms = [room for room in tree.rooms if room.split("/")[0] == package]
        if not rooms:
            continue
        levels = floors(rooms, tree.imports)
        for depth, level in enumerate(levels):
            step = min((WIDTH - 40) / len(level), 3 * BOX[0])
            for column, room in enumerate(ordered(level, tree.imports, centres)):
                x = WIDTH / 2 + (column - (len(level) - 1) / 2) * step
                centres[room] = (x, top + BAND + depth * FLOOR + BOX[1] / 2)
        height = BAND + (len(levels) - 1) * FLOOR + BOX[1] + GAP
        bands[package] = (top, height)
        top += height + 40
    return centres, bands, top - 32


def ordered(level: list[str], arrows: set[tuple[str, str]], centres: dict[str, tuple[float, float]]) -> list[str]:
    """The rooms of a floor, each below the rooms that import it."""

    def wanted(room: str) -> tuple[float, str]:
        above = [centres[a][0] for a, b in arrows if b == room and a in centres]
        return (sum(above) / len(above) if above else WIDTH / 2, room)

    return sorted(level, key=wanted)


def draw(tree: Tree) -> str:
    """The picture, as SVG."""
    centres, bands, height = places(tree)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img" '
        'font-family="system-ui, sans-serif" font-size="13">',
        "<title>Rooms of the source tree and the imports between them</title>",
        f'<rect width="{WIDTH}" height="{height:.0f}" fill="#fffefa"/>',
        "<defs>" + "".join(marker(package) for package in bands) + "</defs>",
    ]
    for package, (top, tall) in bands.items():
        colour = COLOURS[package]
        parts.append(
            f'<rect x="6" y="{top:.0f}" width="{WIDTH - 12}" height="{tall:.0f}" rx="8" fill="{colour}" '
            f'fill-opacity=".06" stroke="{colour}" stroke-opacity=".35"/>'
            f'<text x="18" y="{top + 22:.0f}" font-weight="700" fill="{colour}">{package}/</text>'
        )
    parts += [arrow(a, b, centres, "") for a, b in sorted(shown(tree.imports))]
    parts += [arrow(a, b, centres, "6 5") for a, b in sorted(tree.starts)]
    parts += [box(room, len(tree.rooms[room]), *centres[room]) for room in sorted(centres)]
    return "\n".join([*parts, "</svg>", ""])


def marker(package: str) -> str:
    return (
        f'<marker id="{package}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0 8 4 0 8z" fill="{COLOURS[package]}"/></marker>'
    )


def arrow(a: str, b: str, centres: dict[str, tuple[float, float]], dashes: str) -> str:
    """A curve from the room that imports to the room that is imported."""
    (x1, y1), (x2, y2) = centres[a], centres[b]
    y1, y2 = y1 + BOX[1] / 2, y2 - BOX[1] / 2
    bend = max(24.0, (y2 - y1) / 2)
    package = a.split("/")[0]
    return (
        f'<path class="arrow" data-from="{a}" data-to="{b}" d="M{x1:.0f} {y1:.0f}C{x1:.0f} {y1 + bend:.0f} '
        f'{x2:.0f} {y2 - bend:.0f} {x2:.0f} {y2 - 2:.0f}" fill="none" stroke="{COLOURS[package]}" '
        f'stroke-opacity=".75" stroke-width="1.4" stroke-dasharray="{dashes}" marker-end="url(#{package})"/>'
    )


def box(room: str, modules: int, x: float, y: float) -> str:
    package, _, name = room.partition("/")
    title = TITLES.get(room, name)
    size = 10.5 if room in TITLES else 13
    note = "one module" if modules == 1 else f"{modules} modules"
    return (
        f'<g class="room" data-room="{room}"><rect x="{x - BOX[0] / 2:.0f}" y="{y - BOX[1] / 2:.0f}" width="{BOX[0]}" '
        f'height="{BOX[1]}" rx="6" fill="#fff" stroke="{COLOURS[package]}"/>'
        f'<text x="{x:.0f}" y="{y - 3:.0f}" text-anchor="middle" font-weight="600" font-size="{size}">'
        f"{html.escape(title)}</text>"
        f'<text x="{x:.0f}" y="{y + 13:.0f}" text-anchor="middle" fill="#666" font-size="10">{html.escape(note)}</text>'
        "</g>"
    )


def table(tree: Tree) -> str:
    """Rooms and what each imports, as Markdown: what the picture says, for those who can't see it."""
    lines = ["| room | modules | imports |", "|---|---|---|"]
    for package in PACKAGES:
        for room in sorted(room for room in tree.rooms if room.split("/")[0] == package):
            others = sorted(b for a, b in tree.imports if a == room)
            text = ", ".join(f"`{other}`" for other in others) or "nothing of the tree"
            lines.append(f"| `{room}` | {len(tree.rooms[room])} | {text} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(draw(read()))
