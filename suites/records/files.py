"""Files of records: written whole or not at all, read with one line that names the file and what is wrong with it."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")


class RecordError(ValueError):
    """A result file that can't be read; the message names the file and the reason."""


def write(path: Path, content: str | bytes) -> Path:
    """Write a file: the old one or the new one is there at any moment, never a part of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode("utf-8") if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), 0o644)  # a draft is private, a result is for everyone who may read the folder
        os.replace(draft, path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    return path


@dataclass(frozen=True)
class Kind(Generic[T]):
    """One kind of file: what its "format" and "version" say, under which key its content is, and what writes it."""

    format: str
    version: int
    key: str
    adapter: TypeAdapter[T]
    what: str

    def document(self, value: T) -> str:
        """The text of a file, on one line."""
        body = json.loads(self.adapter.dump_json(value))
        content = {"format": self.format, "version": self.version, self.key: body}
        return json.dumps(content, allow_nan=False, separators=(",", ":"))

    def load(self, path: Path) -> T:
        """What a file holds. Raises RecordError where it is missing, truncated, foreign or of another version."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise RecordError(f"{path}: can't be read: {error}") from error
        except json.JSONDecodeError as error:
            raise RecordError(f"{path}: not complete JSON (truncated?): {error}") from error
        if not isinstance(content, dict) or content.get("format") != self.format:
            raise RecordError(f"{path}: not {self.what} (its 'format' is not {self.format!r})")
        if content.get("version") != self.version:
            raise RecordError(f"{path}: version {content.get('version')!r}, this program reads version {self.version}")
        try:
            return self.adapter.validate_json(json.dumps(content.get(self.key)))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise RecordError(f"{path}: {place or self.key}: {first['msg']}") from error
