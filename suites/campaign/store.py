"""Results on disk: one JSON line for each judged case, appended as it is made, and never changed.

Lines are written whole and synced as they arrive, so that whatever kills the process costs at most what had just
arrived: a last line without its end is left out by `read`, and cut off by the next `Store`. The key of
a line is what was judged (kind, seed, subject); a key that comes twice, from two stores that are merged for instance,
counts once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

Record = dict[str, Any]


class StoreError(ValueError):
    """A file that is no store of a campaign; the message names the file and the line."""


def key(record: Record) -> tuple[str, int, str]:
    """What a line is about: its kind, its seed, and the engines that were asked or the finding."""
    return str(record["kind"]), int(record["seed"]), str(record.get("about", ""))


class Store:
    """Appends to a file, which may hold lines already."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self.records = {key(record): record for record in read(path)} if path.exists() else {}
        _cut_torn_end(path)
        self.file: IO[bytes] = path.open("ab")

    def add(self, record: Record, sync: bool = True) -> bool:
        """Write one line, unless its key is there; whether it was written. With `sync` it is then on the disk."""
        if key(record) in self.records:
            return False
        self.file.write(json.dumps(record, separators=(",", ":"), allow_nan=True).encode() + b"\n")
        self.records[key(record)] = record
        if sync:
            self.sync()
        return True

    def sync(self) -> None:
        """Wait until all lines are on the disk."""
        self.file.flush()
        os.fsync(self.file.fileno())

    def __contains__(self, asked: object) -> bool:
        return asked in self.records

    def close(self) -> None:
        self.file.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def read(path: Path) -> Iterator[Record]:
    """The lines of a store; a last one that is torn is left out. Raises StoreError for any other that is no record."""
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines[:-1], 1):
        try:
            record = json.loads(line)
            key(record)
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{path}:{number}: no record of a campaign ({error})") from error
        yield record


def _cut_torn_end(path: Path) -> None:
    """Remove what follows the last end of a line: a process died while it wrote that."""
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with path.open("r+b") as file:
            file.truncate(whole)


def merge(target: Path, sources: Iterable[Path]) -> int:
    """Append what other stores have and `target` has not; how many lines that were."""
    with Store(target) as store:
        count = sum(store.add(record, sync=False) for source in sources for record in read(source))
        store.sync()
    return count
