"""On a device that is not the processor nothing is mixed with what is: what would break on a GPU breaks here (`away`)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from torch.utils import backend_registration

HERE = Path(__file__).parent
SLOW = pytest.mark.slow
pytestmark = pytest.mark.skipif(
    getattr(backend_registration, "_setup_privateuseone_for_python_backend", None) is None, reason="this torch has no backends in Python"
)


@pytest.mark.parametrize(
    "kind", ["text", "table", *(pytest.param(k, marks=SLOW) for k in ("points", "pictures", "style", "denoise", "ctgan", "private"))]
)
def test_a_run_elsewhere(kind: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(HERE / "away_run.py"), kind], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def test_mixing_is_seen(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import torch, away; d = away.register(); x = torch.zeros(3, device=d)\n"
        "assert torch.equal((x + 1).cpu(), torch.ones(3))\n"
        "try: x + torch.ones(3)\nexcept RuntimeError: print('seen')"
    )
    done = subprocess.run([sys.executable, "-c", code, str(HERE)], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.strip() == "seen", done.stderr
