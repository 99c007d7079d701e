"""The command `triptych`: one table of subcommands, each of which runs a module in a process of its own.

Commands work from any folder. Results go to ./results, or where `--results` says; nothing is written into the
installed package. Exit status 0: done, or equal; 1: a finding; 2: bad input; 130: interrupted.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from triptych import tree
from triptych.messages import complain, guarded

OK, FINDING, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
CODES = {OK: "ok", FINDING: "finding", BAD_INPUT: "bad_input", INTERRUPTED: "interrupted"}
# What else modules exit with: pytest 4 for a usage error and 5 where no test was selected.
STATUSES = {OK: OK, FINDING: FINDING, BAD_INPUT: BAD_INPUT, 4: BAD_INPUT, 5: BAD_INPUT, INTERRUPTED: INTERRUPTED}
HELP = {"-h", "--help"}
VERBOSE = "TRIPTYCH_VERBOSE"  # see suites.records.terminal


@dataclass(frozen=True)
class Step:
    """A module to run with fixed `words`, in which {root} and {results} are filled in, and then the user's.

    `takes` are the only options of the user that it gets, None: all; `leaves_out` those that it does not. It runs
    after a step that found something only if it `always` does.
    """

    module: str
    words: tuple[str, ...] = ()
    takes: tuple[str, ...] | None = None
    leaves_out: tuple[str, ...] = ()
    always: bool = False


@dataclass(frozen=True)
class Command:
    """A line of help, the steps, and where its answer for machines is: a file of {results}, or `--json FILE`."""

    summary: str
    steps: tuple[Step, ...]
    record: str = ""
    json_option: bool = False


BENCH = (
    "--config-file={root}/pyproject.toml",
    "--rootdir={root}",
    "-pno:cacheprovider",
    "--benchmark-autosave",
    "--benchmark-storage=file://{results}/benchmarks",
    "--bench",
    "{root}/suites",
)

COMMANDS = {
    "bench": Command(
        "Prove, train, measure and count everything on this machine, then write the page.",
        (Step("pytest", BENCH), Step("reports.page", ("--results={results}", "--summary"), takes=(), always=True)),
    ),
    "report": Command("Write the page again from saved results (default: the newest).", (Step("reports.page"),)),
    "port": Command(
        "Is a model the same in another framework? A.py B.py --data x.npz: where it differs, and what that is.",
        (Step("suites.port"),),
        json_option=True,
    ),
    "capture": Command(
        "Run one side of a port in its own interpreter, and keep all that a comparison asks of it: M.py --out m.npz.",
        (Step("suites.port.capture_command"),),
    ),
    "compare": Command(
        "Compare two captures, or a capture and a file that runs here: a.npz b.npz.",
        (Step("suites.port"),),
        json_option=True,
    ),
    "published": Command(
        "Published models of keras.applications, keras-hub, transformers, timm, torchvision, Haiku against each other.",
        (Step("triptych.environments", ("published",), takes=()), Step("suites.port.published")),
    ),
    "gate": Command(
        "Did a change make a project's benchmarks slower? --base REV [--head REV]; status 1: it did, 2: unfit.",
        (Step("triptych.gate"),),
        record="gate.json",
    ),
    "faults": Command(
        "Inject every bug of the catalogue, or of --file FILE: which are found, and where.",
        (Step("suites.faults.scoreboard"),),
        record="faults.json",
    ),
    "mutants": Command(
        "Change the shim's sources line by line: which changes no test notices; --known: the catalogue instead.",
        (Step("suites.mutants"),),
    ),
    "campaign": Command(
        "Random networks and operations on every engine, judged by derived bounds; what differs, as small programs.",
        (Step("suites.campaign"),),
        record="campaign.json",
    ),
    "controls": Command(
        "Negative controls: clean cells against their derived bounds over seeds, shapes, threads and modes.",
        (Step("suites.equivalence.controls"),),
        record="controls.json",
    ),
    "agreement": Command(
        "Forward, gradients and 1,000 steps under seven optimizers in float64: how closely everything agrees.",
        (Step("suites.equivalence.agreement"),),
        record="agreement.json",
    ),
    "calibrate": Command(
        "Count how often the gate errs on this machine and a project's benchmarks; in a checkout on its own cells.",
        (Step("triptych.calibrate"),),
        record="calibration.json",
    ),
    "heritage": Command(
        "The engines that came before, each in its own environment, against the same oracle; about 3 GB.",
        (Step("triptych.environments", ("heritage",), takes=()), Step("suites.heritage")),
    ),
    "upgrade": Command(
        "Run the programs unchanged on older releases, each in its own environment; about 5 GB.",
        (Step("triptych.environments", ("upgrade",), takes=()), Step("suites.code.upgrade")),
    ),
    "doctor": Command(
        "Which engines, devices, interpreters and browsers are here, what is missing and what installs it.",
        (Step("triptych.doctor"),),
        json_option=True,
    ),
    "demo": Command(
        "In under a minute, offline: two files that should be the same model, and the bug that makes them differ.",
        (Step("triptych.demo"),),
        json_option=True,
    ),
    "completion": Command(
        "Print the completion for bash, zsh or fish: > ~/.local/share/bash-completion/completions/triptych",
        (Step("triptych.completion"),),
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; the exit status."""
    if os.name != "posix":
        return complain(f"Triptych runs on Linux and macOS; this is {sys.platform}: on Windows use it inside WSL")
    options = parser().parse_args(arguments)
    if options.verbose:
        os.environ[VERBOSE] = "1"
    if not options.command:
        parser().print_help(sys.stderr)
        return BAD_INPUT
    if options.command not in COMMANDS:
        return complain(unknown(options.command))
    if tree.INSTALLED and "--keep" in options.words:
        return complain(f"--keep writes the counts that are committed with a checkout, and {tree.ROOT} is installed")
    return run_for_machines(options.command, options.words) if options.json else run(options.command, options.words)


def parser() -> argparse.ArgumentParser:
    """The options before the subcommand; what follows it belongs to the subcommand."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items()]
    found = argparse.ArgumentParser(
        prog="triptych",
        usage="triptych [--json] [--verbose] COMMAND [options], triptych COMMAND --help",
        description=(__doc__ or "").partition("\n")[2].strip(),
        epilog="\n".join(["commands:", *lines]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    found.add_argument("--version", action="version", version=f"triptych {tree.version()}")
    found.add_argument("--json", action="store_true", help="print one JSON document; the rest goes to standard error")
    found.add_argument("--verbose", action="store_true", help="also say what each process is asked, and for how long")
    found.add_argument("command", nargs="?", metavar="COMMAND", help=argparse.SUPPRESS)
    found.add_argument("words", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return found


def unknown(name: str) -> str:
    """The complaint about a subcommand that there is not."""
    close = difflib.get_close_matches(name, COMMANDS, 1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"unknown command {name!r}: known are {', '.join(COMMANDS)}{hint}"


def run(name: str, words: Sequence[str], to_stderr: bool = False) -> int:
    """Run the steps of a subcommand; its exit status is the worst of them."""
    steps = COMMANDS[name].steps
    if HELP & set(words):
        return show_help(next(step for step in steps if step.takes is None), words)
    status = OK
    for step in steps:
        if status and not step.always:
            break
        found = start(command_line(step, words), to_stderr)
        if found in (BAD_INPUT, INTERRUPTED):
            return found
        status = max(status, found)
    return status


def show_help(step: Step, words: Sequence[str]) -> int:
    """The help of the step that does the work; of pytest's long one only what is Triptych's own."""
    command = command_line(step, words)
    if step.module != "pytest":
        return start(command)
    text = subprocess.run(command, env=tree.environment(), capture_output=True, text=True, check=False).stdout
    own = text.partition("\ntriptych:\n")[2].partition("\n\n")[0]
    print(f"usage: triptych bench [options] [pytest's options]\n\n{COMMANDS['bench'].summary}\n\noptions:\n{own}")
    return OK


def command_line(step: Step, words: Sequence[str]) -> list[str]:
    """What one step runs. The user's folder is not on its path: a file there can't stand in for a module of ours."""
    filled = [word.format(root=tree.ROOT, results=results_folder(words)) for word in step.words]
    shown = ["--log-cli-level=DEBUG"] if step.module == "pytest" and os.environ.get(VERBOSE) else []
    return [sys.executable, "-P", "-m", step.module, *filled, *shown, *taken(step, words)]


def taken(step: Step, words: Sequence[str]) -> list[str]:
    """Those words of the user that belong to a step."""
    if step.takes is None:
        return [word for word in words if word not in step.leaves_out]
    picked: list[str] = []
    for at, word in enumerate(words):
        name, equals, _ = word.partition("=")
        if name in step.takes:
            picked.append(word)
            value = words[at + 1 : at + 2] if not equals else []
            picked += [found for found in value if not found.startswith("-")]
    return picked


def results_folder(words: Sequence[str]) -> str:
    """What `--results` says in the words of a command line."""
    found = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    found.add_argument("--results", default="results")
    return str(found.parse_known_args([word for word in words if word not in HELP])[0].results)


def start(command: Sequence[str], to_stderr: bool = False) -> int:
    """Run a process to its end; Ctrl-C goes to it as well, and it may still save what it has."""
    process = subprocess.Popen(command, env=tree.environment(), stdout=sys.stderr if to_stderr else None)
    interrupted = False
    while True:
        try:
            status = process.wait()
            break
        except KeyboardInterrupt:
            interrupted = True
    return INTERRUPTED if interrupted else STATUSES.get(status, FINDING)


def run_for_machines(name: str, words: Sequence[str]) -> int:
    """Run a subcommand and print one JSON document: its name, exit status, what that means, and its answer."""
    command = COMMANDS[name]
    with tempfile.TemporaryDirectory(prefix="triptych-") as folder:
        path = Path(folder, "answer.json") if command.json_option else Path(results_folder(words), command.record)
        before = modified(path)
        status = run(name, [*words, *([f"--json={path}"] if command.json_option else [])], to_stderr=True)
        result: Any = None
        if (command.json_option or command.record) and modified(path) != before:
            result = json.loads(path.read_text(encoding="utf-8"))
    document = {"version": 1, "command": name, "exit": status, "code": CODES[status], "result": result}

    @guarded
    def show(_: Sequence[str] | None = None) -> int:
        print(json.dumps(document, indent=1))
        return status

    return show()


def modified(path: Path) -> int:
    """When a file was written; 0 where there is none."""
    return path.stat().st_mtime_ns if path.is_file() else 0


if __name__ == "__main__":
    sys.exit(main())
