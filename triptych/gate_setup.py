"""`triptych gate --init`: a workflow that measures without any right to write, one that comments, and the table.

The job that runs a stranger's code has no token that can write and no secret. What it found is an artifact, and a
second workflow, which never runs code of the pull request, posts it as one comment.
"""

from __future__ import annotations

from pathlib import Path

from triptych.messages import complain

MEASURE = """\
# Are the benchmarks of a pull request slower than those of its base? Written by `triptych gate --init`.
# This job runs the code of the pull request, so it may not write anything: `gate-comment.yml` comments.
name: gate
on: pull_request

permissions:
  contents: read

concurrency:
  group: gate-${{ github.event.pull_request.number }}
  cancel-in-progress: true

jobs:
  gate:
    runs-on: ubuntu-latest
    timeout-minutes: 60
    steps:
      - uses: actions/checkout@v4
        with:
          fetch-depth: 0 # the base's commit has to be there
          persist-credentials: false
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      - uses: actions/cache@v4
        with:
          path: ~/.cache/triptych
          key: gate-${{ runner.os }}-${{ hashFiles('**/pyproject.toml', '**/*requirements*.txt', 'uv.lock') }}
      - run: python -m pip install -q triptych # or wherever you install it from
      - name: Compare
        env:
          BASE: ${{ github.event.pull_request.base.sha }}
          HEAD: ${{ github.event.pull_request.head.sha }}
        run: triptych gate --base "$BASE" --head "$HEAD" --unfit-ok --results "$GITHUB_WORKSPACE/gate-results"
      - name: Show
        if: always()
        run: test ! -f gate-results/gate.md || cat gate-results/gate.md >> "$GITHUB_STEP_SUMMARY"
      - name: Keep
        if: always()
        uses: actions/upload-artifact@v4
        with:
          name: gate
          path: |
            gate-results/gate.*
            gate-results/project-duels.json
          retention-days: 90
"""

COMMENT = """\
# Posts what `gate.yml` found as one comment. It runs no code of the pull request and takes nothing from it but text.
name: gate comment
on:
  workflow_run:
    workflows: [gate]
    types: [completed]

permissions:
  actions: read
  pull-requests: write

jobs:
  comment:
    if: github.event.workflow_run.event == 'pull_request'
    runs-on: ubuntu-latest
    timeout-minutes: 5
    steps:
      - uses: actions/download-artifact@v4
        with:
          name: gate
          path: gate
          run-id: ${{ github.event.workflow_run.id }}
          github-token: ${{ github.token }}
      - name: Comment
        env:
          GH_TOKEN: ${{ github.token }}
          REPOSITORY: ${{ github.repository }}
          HEAD: ${{ github.event.workflow_run.head_sha }}
          OWNER: ${{ github.event.workflow_run.head_repository.owner.login }}
          BRANCH: ${{ github.event.workflow_run.head_branch }}
        run: |
          # The number comes from GitHub, not from the artifact: a pull request can't comment on another one.
          number=$(gh api --method GET "repos/$REPOSITORY/pulls" -f state=open -f "head=$OWNER:$BRANCH" \\
            --jq "[.[] | select(.head.sha == \\"$HEAD\\")][0].number // empty")
          test -n "$number" || exit 0
          head -c 60000 gate/gate.md > comment.md
          id=$(gh api --paginate "repos/$REPOSITORY/issues/$number/comments" \\
            --jq '.[] | select(.user.type == "Bot" and (.body | startswith("<!-- triptych-gate -->"))) | .id' | head -1)
          if [ -n "$id" ]; then
            gh api --method PATCH "repos/$REPOSITORY/issues/comments/$id" -F body=@comment.md --silent
          else
            gh api --method POST "repos/$REPOSITORY/issues/$number/comments" -F body=@comment.md --silent
          fi
"""

TABLE = """
[tool.triptych.gate]
default = "fail"      # what a slower benchmark does: fail, warn, off
patience = 120        # seconds that a run waits in all for a calm machine
longest = 60          # seconds: a benchmark whose fewest rounds take longer is left out, and named

[tool.triptych.gate.policy]
# "tests/bench/test_slow.py::*" = "warn"

[tool.triptych.gate.budget]
# "*::test_parse*" = "5 %"  # is allowed to become slower by this much
"""
WORKFLOWS = {"gate.yml": MEASURE, "gate-comment.yml": COMMENT}


def init(repository: Path, project: str = ".") -> int:
    """Write both workflows and the table; the exit status. Nothing that is there is changed.

    `project`: its folder in the repository, which the workflow is for and the table is written in.
    """
    folder = repository / ".github" / "workflows"
    there = [name for name in WORKFLOWS if (folder / name).exists()]
    if there:
        return complain(f"{folder / there[0]}: is there already; remove it to have it written again")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in WORKFLOWS.items():
        (folder / name).write_text(within(text, project), encoding="utf-8")
        print(f"wrote {folder / name}")
    pyproject = repository / project / "pyproject.toml"
    before = pyproject.read_text(encoding="utf-8") if pyproject.is_file() else ""
    if "[tool.triptych.gate" in before:
        print(f"{pyproject}: has [tool.triptych.gate] already")
        return 0
    pyproject.write_text(before + TABLE if before else TABLE.lstrip(), encoding="utf-8")
    print(f"wrote [tool.triptych.gate] into {pyproject}")
    return 0


def within(workflow: str, project: str) -> str:
    """A workflow whose gate runs in the folder of the project."""
    compare = "      - name: Compare\n"
    return workflow if project == "." else workflow.replace(compare, f"{compare}        working-directory: {project}\n")
