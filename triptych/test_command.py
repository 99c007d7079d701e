"""The command and the package from a user's folder: what is listed exists, what is wrong is said in a line."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from triptych import tree
from triptych.__main__ import COMMANDS, Step, command_line, main, taken

HERE = {**tree.environment(), "HOME": "/nonexistent"}


def run(folder: Path, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([sys.executable, *words], cwd=folder, env=HERE, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done


def triptych(folder: Path, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    return run(folder, "-m", "triptych", *words, status=status)


def test_every_row_of_the_table_names_modules_that_exist() -> None:
    steps = [step for command in COMMANDS.values() for step in command.steps]
    assert all(importlib.util.find_spec(step.module) for step in steps)
    assert all(any(step.takes is None for step in command.steps) for command in COMMANDS.values())


def test_an_unknown_command_is_answered_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prot"]) == 2
    said = capsys.readouterr().err
    assert "unknown command 'prot': known are bench, report, port" in said and "did you mean port?" in said


def test_bad_input_of_a_command_is_status_2_and_no_traceback(tmp_path: Path) -> None:
    done = triptych(tmp_path, "port", "a.py", "b.py", "--random-data", "4", status=2)
    assert "error: a.py: can't be read" in done.stderr and "Traceback" not in done.stderr
    document = json.loads(triptych(tmp_path, "--json", "report", "--results", "none", status=2).stdout)
    assert (document["command"], document["exit"], document["code"]) == ("report", 2, "bad_input")


@pytest.mark.parametrize("where", ["> /dev/full", "| true"])
def test_what_cannot_be_written_is_one_line_and_no_answer(tmp_path: Path, where: str) -> None:
    """A full disk and a closed pipe; Python's own end would try once more, and speak of an ignored exception."""
    command = f"set -o pipefail; {sys.executable} -P -m triptych doctor {where}"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=HERE, capture_output=True, text=True, check=False)
    said = {"> /dev/full": "No space left on device", "| true": "Broken pipe"}[where]
    assert (done.returncode, done.stderr) == (2, f"error: what was to be written: {said}\n")


def test_nothing_of_a_users_folder_stands_in_for_a_module_of_ours(tmp_path: Path) -> None:
    """A project has a `reports` and a `suites` of its own as likely as not."""
    for name in ("impls", "suites", "reports", "triptych_conftest"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the wrong package')")
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong module')")
    assert "usage: triptych port" in run(tmp_path, "-P", "-m", "triptych", "port", "--help").stdout


def test_a_users_package_of_our_name_is_named_in_process(tmp_path: Path) -> None:
    (tmp_path / "impls").mkdir()
    (tmp_path / "impls" / "__init__.py").write_text("")
    done = run(
        tmp_path,
        "-c",
        f"import sys; sys.path.pop(1); sys.path.append({str(tree.ROOT)!r}); import triptych.shim",
        status=1,
    )
    assert f"the package 'impls' at {tmp_path / 'impls'} hides Triptych's own" in done.stderr


def test_importing_the_package_loads_nothing_behind_it(tmp_path: Path) -> None:
    """Whoever only asks for the version must not wait for NumPy; a folder `reports` of results is no package."""
    (tmp_path / "reports").mkdir()
    program = (
        "import sys, triptych; assert not set(sys.modules) & {'numpy', 'impls', 'torch', 'pandas'};"
        "from triptych import shim; from triptych.shim import Dense; import impls.shim;"
        "assert triptych.shim is shim is impls.shim and Dense is impls.shim.Dense;"
        "triptych.tree.open_rooms(); import reports; assert reports.__file__"
    )
    run(tmp_path, "-P", "-c", program)


def test_modules_of_the_shim_are_the_same_by_both_names(tmp_path: Path) -> None:
    """`from keras.layers import Dense` is how programs of Keras begin: a second copy's callbacks were refused."""
    program = (
        "from triptych.shim.layers import Dense, MaxPooling2D; from triptych.shim.callbacks import EarlyStopping;"
        "from triptych.shim.models import Sequential; import triptych.shim.losses as losses; from triptych import shim;"
        "assert (Dense, EarlyStopping, Sequential) == (shim.Dense, shim.EarlyStopping, shim.Sequential);"
        "assert MaxPooling2D is shim.MaxPool2D and losses is shim.losses and losses.__spec__.name == losses.__name__;"
        "import triptych.shim.nothing"
    )
    done = run(tmp_path, "-P", "-c", program, status=1)
    assert done.stderr.rstrip().endswith("ModuleNotFoundError: No module named 'triptych.shim.nothing'")


def test_a_name_that_there_is_not_is_answered_with_those_that_are() -> None:
    import triptych as package

    with pytest.raises(AttributeError, match="triptych has no 'compare': it has assert_same_model, compare_models"):
        _ = package.compare
    assert dir(package) == ["assert_same_model", "compare_models", "load_results", "shim"]


def test_each_step_gets_the_words_that_belong_to_it() -> None:
    words = ["--results", "there", "--model=mlp", "--keep"]
    assert taken(Step("a", takes=("--results", "--keep")), words) == ["--results", "there", "--keep"]
    assert taken(Step("a", leaves_out=("--keep",)), words) == words[:3]
    bench = command_line(COMMANDS["bench"].steps[0], words)
    assert "--benchmark-storage=file://there/benchmarks" in bench and bench[1] == "-P"


def test_the_doctor_says_what_is_missing_and_what_installs_it(tmp_path: Path) -> None:
    document = json.loads(triptych(tmp_path, "--json", "doctor").stdout)
    found = {(item["kind"], item["name"]): item for item in document["result"]}
    assert found["engine", "numpy"]["here"] and found["base", "pandas"]["here"]
    lacking = [item for item in document["result"] if not item["here"] and item["kind"] == "engine"]
    assert all("pip install" in item["install"] for item in lacking)


@pytest.mark.full
@pytest.mark.catalogue
def test_the_completion_knows_commands_and_options(tmp_path: Path) -> None:
    script = triptych(tmp_path, "completion", "bash").stdout
    ask = 'COMP_CWORD=$#; COMP_WORDS=(triptych "$@"); _triptych; echo "${COMPREPLY[@]}"'
    answers = [
        subprocess.run(["bash", "-c", script + ask, "-", *words], capture_output=True, text=True, check=True).stdout
        for words in (["po"], ["port", "--layout"], ["bench", "--qui"])
    ]
    assert answers == ["port\n", "--layout-a --layout-b\n", "--quick\n"]
    assert "known are bash, zsh, fish" in triptych(tmp_path, "completion", "csh", status=2).stderr
