"""A large picture within bounded memory, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import resource, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from changing.cases import restorer
from rivalry.changing import apply_files
from rivalry.training.engine import keep_freed_memory
keep_freed_memory()
scale, source, out = int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
apply_files(restorer(scale=scale, **({"norm": torch.nn.InstanceNorm2d} if scale == 1 else {})), source, out)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("scale", "size", "ending"), [(1, (8000, 6000), ".jpg"), (1, (8000, 6000), ".png"), (4, (8000, 3000), ".png")])
def test_a_picture_of_48_million_pixels_takes_less_than_2_gigabytes(scale: int, size: tuple[int, int], ending: str, tmp_path: Path) -> None:
    """Peak resident memory of the whole process, Python, PyTorch and Pillow included, in MiB."""
    from PIL import Image

    source, out = tmp_path / f"large{ending}", tmp_path / f"changed{ending}"
    Image.effect_noise((size[0] // 8, size[1] // 8), 60).convert("RGB").resize(size).save(source)
    made = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(scale), str(source), str(out)], capture_output=True, text=True, check=False, timeout=1200,
        env={"PYTHONPATH": ":".join([str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "src")]), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert int(made.stdout) < 2000
    Image.MAX_IMAGE_PIXELS, before = None, Image.MAX_IMAGE_PIXELS
    with Image.open(out) as picture:
        assert picture.size == (size[0] * scale, size[1] * scale)
    Image.MAX_IMAGE_PIXELS = before
    print(f"scale {scale}, {ending}: {made.stdout.strip()} MiB")
