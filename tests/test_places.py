"""Places that cannot be written to: a sentence and exit code 2, whatever the command."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest

from rivalry.cli import cli, main
from rivalry.errors import RunError
from rivalry.files import write_text


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with patch.object(sys, "argv", ["rivalry", *arguments]), pytest.raises(SystemExit) as end:
        main()
    told = capsys.readouterr().err
    assert end.value.code == 2, told
    assert told.count("\n") == 1
    assert told.startswith("error: ")
    return told


def test_names_that_are_too_long_are_a_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = "a" * 300
    for arguments in (("data", "inspect", name), ("sample", name)):
        told = said(capsys, *arguments)
        assert told.endswith("File name too long; give a shorter name\n")
        assert len(told) < 250


@pytest.mark.parametrize(("number", "remedy"), [(errno.EROFS, "name a place that can be written to"), (errno.ENOSPC, "make room, or name another place")])
def test_a_place_that_takes_nothing_is_a_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, number: int, remedy: str
) -> None:
    def failing(*args: object, **more: object) -> None:
        raise OSError(number, "no", "some/where")

    monkeypatch.setattr(cli, "main", failing)
    assert said(capsys, "zoo", "list") == f"error: some/where: no; {remedy}\n"


@pytest.mark.parametrize("mistake", [OSError("a bug"), FileNotFoundError(errno.ENOENT, "a bug", "ours.py"), OSError(errno.EMFILE, "a bug", "ours.py")])
def test_a_mistake_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch, mistake: OSError) -> None:
    def failing(*args: object, **more: object) -> None:
        raise mistake

    monkeypatch.setattr(cli, "main", failing)
    with patch.object(sys, "argv", ["rivalry", "zoo", "list"]), pytest.raises(OSError, match="a bug"):
        main()


def test_files_where_none_can_be(tmp_path: Path) -> None:
    if Path("/proc").is_dir():
        with pytest.raises(RunError, match=r"cannot write /proc/x\.txt"):
            write_text(Path("/proc/x.txt"), "")
    with pytest.raises(RunError, match="is a folder, and a file is to be written"):
        write_text(tmp_path, "")
    with pytest.raises(OSError, match="too long"):
        write_text(tmp_path / ("x" * 300), "")


def test_a_termination_leaves_nothing_half_written(tmp_path: Path) -> None:
    """As `kill` and a cluster's scheduler end programs, in the middle of a file."""
    code = """
import sys, time
import rivalry.cli
from rivalry.files import atomic
from pathlib import Path

def hold(**kwargs):
    with atomic(Path(sys.argv[1])):
        print("begun", flush=True)
        time.sleep(60)

rivalry.cli.cli.main = hold
rivalry.cli.main()
"""
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "out.bin")], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "begun\n"
        assert len(list(tmp_path.glob(".part-*"))) == 1
        child.terminate()
        assert child.wait(30) == 143
    assert list(tmp_path.iterdir()) == []
