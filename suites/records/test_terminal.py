"""What a person reads beside the results: errors, progress, and details where they were asked for."""

from __future__ import annotations

import errno
import os

import pytest

from suites.records import terminal


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(terminal.VERBOSE, raising=False)


def test_an_error_is_one_line_and_progress_is_shown_once_however_often_a_command_began(
    capsys: pytest.CaptureFixture[str],
) -> None:
    terminal.begin()
    terminal.begin()
    terminal.LOG.debug("a detail")
    terminal.LOG.info("loading 50 %")
    assert terminal.refuse("unknown backend 'tensrflow'") == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "loading 50 %\nerror: unknown backend 'tensrflow'\n")


def test_details_come_with_the_time_where_they_were_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(terminal.VERBOSE, "1")
    terminal.begin()
    terminal.LOG.debug("a detail")
    time, _, text = capsys.readouterr().err.partition(" ")
    assert text == "a detail\n"
    assert len(time) == len("12:00:00")


def test_columns_are_as_wide_as_they_have_to_be() -> None:
    rows = [("verdict", "n"), ("ok", "1,000")]
    assert terminal.table(rows) == ["verdict  n", "ok       1,000"]
    assert terminal.table(rows, right=True) == ["verdict      n", "     ok  1,000"]
    assert terminal.table([]) == []


def test_a_file_that_cannot_be_written_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def main(arguments: object) -> int:
        raise OSError(number, os.strerror(number), "there/report.html")

    number = errno.ENOSPC
    assert terminal.guarded(main)() == 2
    assert capsys.readouterr().err == "error: there/report.html: No space left on device\n"
    number = errno.ENOENT
    assert terminal.guarded(main)() == 2
    assert capsys.readouterr().err == "error: there/report.html: No such file or directory\n"
    monkeypatch.setenv(terminal.VERBOSE, "1")
    with pytest.raises(FileNotFoundError):
        terminal.guarded(main)()


def test_trouble_without_a_file_is_shown_with_its_place() -> None:
    def main(arguments: object) -> int:
        raise OSError(errno.ECONNREFUSED, "refused")

    with pytest.raises(ConnectionRefusedError):
        terminal.guarded(main)()
