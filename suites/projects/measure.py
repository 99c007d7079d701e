"""Measures the benchmarks of a user's project in two revisions; it judges nothing.

What is measured is saved after every test. Whatever the run made, worktrees, processes, half an environment, the
janitor removes.
"""

from __future__ import annotations

import itertools
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from suites.projects import changes, disguise, environments, worktrees
from suites.projects.calibrate import Counting, Plan
from suites.projects.crew import Crew, SideName
from suites.projects.environments import Built, Wishes
from suites.projects.janitor import Janitor
from suites.projects.sessions import SYNCHRONIZE, Ground
from suites.projects.table import Table
from suites.projects.walk import Walk
from suites.projects.wheels import BuildError
from suites.projects.worktrees import Tree
from suites.records import projects
from suites.records.projects import ProjectRun, Side
from suites.runner import machine
from suites.runner.laboratory import now


@dataclass(frozen=True)
class Request:
    """What the command line asks for; an interpreter "": one is made."""

    repository: Path
    project: str  # its folder in the repository
    base: str
    head: str
    base_python: str
    head_python: str
    arguments: tuple[str, ...]
    results: Path
    cache: Path
    pin_head: bool = False
    benchmarks_from_head: bool = False
    measure_anyway: bool = False


class Measurement:
    """One run: trees, environments, and the walk through the tests."""

    def __init__(self, request: Request, wishes: Wishes, janitor: Janitor) -> None:
        self.request, self.wishes, self.janitor = request, wishes, janitor
        self.folder = Path(tempfile.mkdtemp(prefix="triptych-gate-")).resolve()
        janitor.watch_worktrees(request.repository, self.folder)
        self.base = self.tree(request.base, "base")
        self.head = self.tree(request.head, "head")

    def tree(self, revision: str, side: SideName) -> Tree:
        place = self.folder / side
        return worktrees.take(self.request.repository, revision, f"--{side}", place, self.request.project)

    def measure(self, table: Table) -> ProjectRun:
        """Measure and save, also what an interruption leaves. Raises BuildError where head can't be built."""
        run = self.new_run(table)
        if self.request.base_python == self.request.head_python and not self.request.measure_anyway:
            run.green = changes.reason_for_green(self.base, self.head, self.request.repository)
        try:
            with interruptible():
                if not run.green and self.build(run, table):
                    Walk(run, self.grounds, table, self.request, self.folder, self.janitor).go()
                run.finished = now()
        except KeyboardInterrupt:
            run.notes.append(projects.INTERRUPTED)
        projects.save(run, self.request.results)
        return run

    def new_run(self, table: Table) -> ProjectRun:
        sides = [Side(tree.name, tree.commit, tree.dirty, "", {}) for tree in (self.base, self.head)]
        repository = str(self.request.repository)
        return ProjectRun(now(), machine.environment(), repository, sides[0], sides[1], table=asdict(table))

    def build(self, run: ProjectRun, table: Table) -> bool:
        """Have both sides ready to run; whether base is. Raises BuildError where head can't be built."""
        head = self.side(self.head, self.request.head_python, self.head)
        run.head = replace(run.head, python=head.python, versions=head.versions)
        try:
            base = self.side(self.base, self.request.base_python, self.head if self.request.pin_head else self.base)
        except BuildError as error:
            run.absent = f"base can't be built: {error}"
            return False
        run.base = replace(run.base, python=base.python, versions=base.versions)
        variables = dict(table.variables)
        if table.synchronize:
            variables[SYNCHRONIZE] = table.synchronize
        self.grounds: dict[SideName, Ground] = {
            "base": replace(base.ground, variables=variables),
            "head": replace(head.ground, variables=variables),
        }
        if self.request.benchmarks_from_head:
            self.put_benchmarks(run)
        return True

    def side(self, tree: Tree, python: str, needs: Tree) -> Built:
        if not tree.folder.is_dir():
            raise BuildError(f"{tree.name} has no folder {tree.inside}")
        if python:
            return environments.as_it_is(tree, python)
        metadata = self.folder / f"{tree.top.name}-metadata"
        return environments.build(tree, self.wishes, self.request.cache, metadata, self.janitor, needs)

    def put_benchmarks(self, run: ProjectRun) -> None:
        """The benchmarks of head, and what lies beside them, into base's worktree."""
        changed = worktrees.changed_files(self.base, self.head, self.request.repository)
        names = [name for name in changed if changes.is_test_material(name)]
        worktrees.put_benchmarks(self.head.top, self.base.top, names)
        if names:
            run.notes.append(f"{len(names)} files of tests and benchmarks in base are those of head")

    def calibrate(self, table: Table, plan: Plan) -> Path:
        """Count errors on trees that differ in nothing that runs; the file. Raises BuildError, SessionFailed."""
        if not self.build(self.new_run(table), table):
            raise BuildError("it can't be built a second time")
        changed = disguise.disguise(self.head.folder, plan.seed)
        numbers = itertools.count()

        def crew_from(first: int) -> Crew:
            words = [*table.arguments, *plan.arguments]
            folder = self.folder / f"sessions{next(numbers)}"
            return Crew(self.grounds, folder, words, self.janitor, table.bind, table.timeout, first)

        with interruptible():
            return Counting(crew_from, plan).go(changed)


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM is an interruption like Ctrl-C."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
