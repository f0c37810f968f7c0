"""On a device that is not the processor nothing is mixed with what is: what would break on a GPU breaks here (`away`)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from torch.utils import backend_registration

from rivalry import zoo

HERE = Path(__file__).parent
SLOW = pytest.mark.slow
pytestmark = pytest.mark.skipif(
    getattr(backend_registration, "_setup_privateuseone_for_python_backend", None) is None, reason="this torch has no backends in Python"
)


@SLOW
@pytest.mark.parametrize("kind", ["text", "table", "points", "pictures", "style", "denoise", "ctgan", "private"])
def test_a_run_elsewhere(kind: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(HERE / "away_run.py"), kind], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


LENGTHS = ("text", "styles")
"""Groups of rows where lengths of lines decide on shapes, so that they are waited for."""
ASKED = ("dp-gan", "rcgan", "pate-gan")
"""Draws of the operating system's; torch's own slope of a running product; votes that the processor counts."""
FUSED = ("house-records", "timegan")
"""A recurrent cell in one kernel, which such a device does not have."""


@pytest.mark.parametrize("names", [("real-esrgan", "ctgan"), pytest.param(tuple(n for n in zoo.names() if n not in (*ASKED, *FUSED) and zoo.get(n).about.group not in LENGTHS), marks=SLOW)])
def test_nothing_is_waited_for_within_a_step(names: tuple[str, ...], tmp_path: Path) -> None:
    """What a GPU would be waited for cannot be recorded either."""
    done = subprocess.run([sys.executable, str(HERE / "away_waits.py"), *(f"{n}-small" for n in names)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert not done.stdout


def test_waiting_is_seen(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import torch, away; d = away.register(); x = torch.zeros(3, device=d) + 1; away.watching = True\n"
        "waits = [lambda: float(x[0]), lambda: x.cpu(), lambda: torch.ones(3).to(d), lambda: x[torch.tensor([0, 1])], lambda: x[x > 1], lambda: x.nonzero()]\n"
        "for do in waits:\n    try: do()\n    except RuntimeError as e: print('waited for' in str(e))\n"
        "y = x + 1; y = torch.ones(3).to(d, non_blocking=True); y = torch.where(x > 1, x, y)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(HERE)], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.split() == ["True"] * 6, done.stderr
    assert done.returncode == 0, done.stderr


def test_mixing_is_seen(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import torch, away; d = away.register(); x = torch.zeros(3, device=d)\n"
        "assert torch.equal((x + 1).cpu(), torch.ones(3))\n"
        "try: x + torch.ones(3)\nexcept RuntimeError: print('seen')"
    )
    done = subprocess.run([sys.executable, "-c", code, str(HERE)], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.strip() == "seen", done.stderr
