"""The reference of all commands, from the table of `triptych` and what each says under `--help`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GROUP = re.compile(r"^triptych:\n((?:  .*\n|\n)+?)(?=^\S|\Z)", re.M)  # of pytest's own help
SECONDS = 120


def summaries() -> dict[str, str]:
    """Every command and its line of help."""
    sys.path.insert(0, str(ROOT))
    from triptych.__main__ import COMMANDS

    return {name: command.summary for name, command in COMMANDS.items()}


def table() -> str:
    """The commands, a line each, as Markdown."""
    rows = [f"| [`triptych {name}`](#triptych-{name}) | {summary} |" for name, summary in summaries().items()]
    return "\n".join(["| command | |", "|---|---|", *rows])


def reference() -> str:
    """A section for each command with its whole help, as Markdown."""
    known = summaries()
    with ThreadPoolExecutor(os.cpu_count()) as executor:
        texts = dict(zip(known, executor.map(help_of, known), strict=True))
    sections = [
        f"## triptych {name}\n\n{summary}\n\n```text\n{texts[name].rstrip()}\n```" for name, summary in known.items()
    ]
    return "\n\n".join(sections)


def help_of(name: str) -> str:
    """What a command prints under `--help`; of pytest's help only the options that are ours."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100", "PYTHON_COLORS": "0"}
    command = [sys.executable, "-m", "triptych", name, "--help"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=SECONDS)
    if done.returncode or not done.stdout.strip():
        raise RuntimeError(f"triptych {name} --help: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    ours = GROUP.search(done.stdout)
    return f"usage: triptych {name} [options]\n\noptions:\n{ours[1]}" if ours else done.stdout
