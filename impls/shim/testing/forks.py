"""Small programs that would each import an engine: a process that has imported it forks for each of them.

Importing TensorFlow takes some four seconds of a processor, and taking it down another two, where most programs
compute for a fraction of one. A fork begins where a fresh process is after its imports, so no program sees what another
one did. What is imported before must not have computed anything: an engine that has, has threads, and a fork has none.

`python -m impls.shim.testing.forks MODULE ...` is that process: it answers {"code": text} or {"path": file}, a program
and how many seconds it may take, with what the program printed and its exit status.
"""

from __future__ import annotations

import importlib
import os
import runpy
import signal
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from typing import IO, Any, NamedTuple, NoReturn

from impls import protocol
from impls.piped import Piped


class Done(NamedTuple):
    """A program that has ended, as `subprocess.run` tells it."""

    returncode: int
    stdout: str
    stderr: str


class Forks(Piped):
    """A process that has imported some modules, in an environment of its own."""

    def __init__(self, modules: Sequence[str], environment: Mapping[str, str]) -> None:
        super().__init__([sys.executable, "-m", __name__, *modules], environment)

    def run(self, seconds: int = 600, **program: str) -> Done:
        """Run one program, `code="..."` or `path="..."`, and wait for its end."""
        self.send({**program, "seconds": seconds})
        body, _ = self.answer()
        return Done(body["status"], body["stdout"], body["stderr"])


class Started(dict[tuple[tuple[str, ...], tuple[tuple[str, str], ...]], Forks]):
    """A process for each set of modules and environment, started when it is first asked for."""

    def of(self, modules: Sequence[str], environment: Mapping[str, str]) -> Forks:
        key = tuple(modules), tuple(sorted(environment.items()))
        if key not in self:
            self[key] = Forks(modules, environment)
        return self[key]

    def close(self) -> None:
        """End them all."""
        for each in self.values():
            each.close()
        self.clear()


def run(program: Mapping[str, Any]) -> dict[str, Any]:
    """What a fork of this process prints as it runs a program, and its status, as `subprocess` counts it."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        child = os.fork()
        if not child:
            become(program, out, errors)
        _, status = os.waitpid(child, 0)
        printed = [_read(file) for file in (out, errors)]
    return {"ok": True, "status": os.waitstatus_to_exitcode(status), "stdout": printed[0], "stderr": printed[1]}


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")


def become(program: Mapping[str, Any], out: IO[bytes], errors: IO[bytes]) -> NoReturn:
    """Be the program, and end as it does: without taking the engine down."""
    os.dup2(out.fileno(), 1)
    os.dup2(errors.fileno(), 2)
    signal.alarm(program["seconds"])
    status = 1
    try:
        if "path" in program:
            runpy.run_path(program["path"], run_name="__main__")
        else:
            exec(compile(program["code"], "<program>", "exec"), {"__name__": "__main__"})
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def main(modules: Sequence[str]) -> None:
    """Answer programs from standard input until it ends."""
    replies, requests = os.fdopen(os.dup(1), "wb"), os.fdopen(os.dup(0), "rb")
    os.dup2(2, 1)  # whatever an engine prints must not get into the answers
    for name in modules:
        importlib.import_module(name)
    while True:
        try:
            program, _ = protocol.read(requests)
        except EOFError:
            os._exit(0)
        protocol.write(replies, run(program))


if __name__ == "__main__":
    main(sys.argv[1:])
