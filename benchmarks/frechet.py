"""The statistics of rulers against their common implementations: time and memory.

    python benchmarks/frechet.py                      # the table
    python benchmarks/frechet.py --part prdc-ours     # one cell, in this process

Each cell runs in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import scipy.linalg
import torch
from common import keep, table, threads
from sklearn.metrics import pairwise_distances
from torch import Tensor

from rivalry.stats import (
    PRDC,
    Moments,
    Reference,
    frechet_distance,
    frechet_from_features,
    neighbour_radii,
    prdc,
)

DIM, COUNT = 2048, 5000
PRDC_DIM, PRDC_COUNT, K = 512, 8000, 5


def features(count: int, dim: int, seed: int) -> Tensor:
    """Correlated features with a falling spectrum, as networks make them: [count, dim] float32."""
    g = torch.Generator().manual_seed(seed)
    scale = torch.logspace(0, -2, dim)
    mixing = torch.linalg.qr(torch.randn(dim, dim, generator=torch.Generator().manual_seed(9))).Q
    return (torch.randn(count, dim, generator=g) * scale) @ mixing + 0.05 * seed


def peak() -> float:
    """The most memory this process has had so far, in MB (Linux counts it in kB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(work: Callable[[], object]) -> float:
    """Best of two, in seconds."""
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def by_sqrtm(a: Moments, b: Moments) -> float:
    """As in pytorch-fid: the square root of S_a S_b, which is not symmetric."""
    first, second = a.covariance.numpy(), b.covariance.numpy()
    gap = (a.mean - b.mean).numpy()
    root = scipy.linalg.sqrtm(first @ second)
    return float(gap @ gap + np.trace(first) + np.trace(second) - 2 * np.trace(root.real))


def by_full_matrices(real: np.ndarray, fake: np.ndarray) -> tuple[float, float, float, float]:
    """As in the package prdc: three matrices of all pairs."""

    def radii(x: np.ndarray) -> np.ndarray:
        return np.partition(pairwise_distances(x), K, axis=-1)[:, K]

    of_real, of_fake, between = radii(real), radii(fake), pairwise_distances(real, fake)
    inside = between < of_real[:, None]
    recall = (between < of_fake[None]).any(1).mean()
    coverage = (between.min(1) < of_real).mean()
    return float(inside.any(0).mean()), float(recall), float(inside.sum(0).mean() / K), float(coverage)


def four(found: PRDC) -> tuple[float, float, float, float]:
    return found.precision, found.recall, found.density, found.coverage


def cell(part: str) -> dict[str, object]:
    """Time, memory (above that of the imports) and result of one way."""
    start = peak()
    if part.startswith("fd"):
        a, b = features(COUNT, DIM, 0), features(COUNT, DIM, 1)
        left, right = Moments.of(a), Moments.of(b)
        reference = Reference(right)
        ways: dict[str, Callable[[], object]] = {
            "fd-ours": lambda: frechet_distance(left, reference),
            "fd-ours-first": lambda: frechet_distance(left, right),
            "fd-features": lambda: frechet_from_features(a[:1000], b[:1000]),
            "fd-sqrtm": lambda: by_sqrtm(left, right),
        }
    else:
        a, b = features(PRDC_COUNT, PRDC_DIM, 0), features(PRDC_COUNT, PRDC_DIM, 1)

        radii = neighbour_radii(a, K) if part == "prdc-kept" else None
        ways = {
            "prdc-ours": lambda: four(prdc(a, b, K)),
            "prdc-kept": lambda: four(prdc(a, b, K, real_radii=radii)),
            "prdc-full": lambda: by_full_matrices(a.double().numpy(), b.double().numpy()),
        }
    return {"seconds": timed(ways[part]), "memory": peak() - start, "result": ways[part]()}


def apart(part: str, count: int) -> dict[str, object]:
    command = [sys.executable, "-W", "ignore", __file__, "--part", part, "--threads", str(count)]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, object] = json.loads(out)
    return found


def report(count: int) -> None:
    found = {part: apart(part, count) for part in PARTS}
    rows = []
    for part, (what, base) in PARTS.items():
        mine, other = found[part], found[base]
        ratio = float(other["seconds"]) / float(mine["seconds"])  # type: ignore[arg-type]
        result = mine["result"]
        shown = ", ".join(f"{v:.6g}" for v in result) if isinstance(result, list) else f"{result:.6f}"
        rows.append((what, f"{mine['seconds']:.2f}", f"{ratio:.1f}", f"{mine['memory']:.0f}", shown))
    text = table(("what", "seconds", "times faster", "peak memory, MB", "result"), rows)
    text += (
        f"\n\nFréchet distance at {DIM} features, {COUNT} rows a side (1000 from features); precision, recall, density, "
        f"coverage at {PRDC_COUNT} rows a side, {PRDC_DIM} features, k = {K}. {count} thread(s), best of two "
        "runs; memory is above that of a Python with the libraries loaded, and includes the features."
    )
    keep("frechet", "Fréchet distance and neighbours: time and memory", text)


PARTS = {
    "fd-sqrtm": ("FD by scipy's sqrtm", "fd-sqrtm"),
    "fd-ours-first": ("FD, reference factored anew", "fd-sqrtm"),
    "fd-ours": ("FD, reference kept", "fd-sqrtm"),
    "fd-features": ("FD from 1000 rows of features", "fd-sqrtm"),
    "prdc-full": ("precision ... coverage by full matrices", "prdc-full"),
    "prdc-ours": ("precision ... coverage in chunks", "prdc-full"),
    "prdc-kept": ("the same, the reference's radii kept", "prdc-full"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=PARTS, help="only this, as JSON")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    threads(given.threads)
    if given.part:
        print(json.dumps(cell(given.part)))
    else:
        report(given.threads)


if __name__ == "__main__":
    main()
