"""What is drawn once training is over: the final samples, their nearest training rows, and, where the truth is known,
the optimal discriminator beside the learned one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rivalry.data import Dataset, Truth
from rivalry.evaluate import Judge, neighbours, write_sheet
from rivalry.files import atomic
from rivalry.run import Run
from rivalry.sampling import Sampler
from rivalry.training.showing import FOLDER, write_changes, write_worst

SHEET = 64
SHOWN = 8
POINTS = 20_000
SIDE = 96


def close(run: Run, sampler: Sampler, data: Dataset, judge: Judge, seed: int) -> None:
    """samples/final.png (of text final.txt); what shows real rows in private/: neighbours.png, of tables columns.png instead (an audit compares
    their rows), of a user's own points points.png besides; plots/optimal.png for points of a known density."""
    if sampler.game.changes:
        write_changes(run.path / FOLDER / "final.png", sampler, data, seed)
        write_worst(run.path / FOLDER / "worst.png", sampler, data, seed)
        return
    if data.spec.kind == "tokens":
        data.modality.preview(sampler(SHEET, seed), run.path / "samples" / "final.txt")
        return
    index = torch.arange(min(2000, len(data.held)))
    reference = None if data.spec.kind == "image" else data.held.batch(index, sampler.device).x
    x = sampler(2000 if reference is not None else SHEET, seed)
    if data.spec.kind in ("table", "records"):
        data.modality.preview(x, run.path / "samples" / "final.png")
        data.modality.preview(x, run.path / "private" / "columns.png", reference)
        return
    known = reference if data.truth is not None else None
    data.modality.preview(x, run.path / "samples" / "final.png", known)
    if reference is not None and known is None:
        data.modality.preview(x, run.path / "private" / "points.png", reference)
    shown = x[: min(SHOWN, len(data.train))]
    found = neighbours(shown, data, judge.extractor, min(3, len(data.train)), sampler.device)
    write_sheet(run.path / "private" / "neighbours.png", shown, found, data)
    judges = sampler.nets.get("discriminator")
    if data.truth is not None and judges is not None and data.spec.shape == (2,) and not sampler.wiring.classes:
        draw_optimum(run.path / "plots" / "optimal.png", sampler, judges, data, data.truth, seed)


def draw_optimum(
    path: Path, sampler: Sampler, judges: nn.Module, data: Dataset, truth: Truth, seed: int
) -> None:
    """The learned D = sigmoid(score) beside the optimal D* = p / (p + q) (Goodfellow et al. 2014, proposition 1).

    p is the true density, q that of the generator; both are blurred by the same kernel of three cells, since q is known
    from samples only.  Where a loss's score is no logit (Wasserstein), the left picture shows its sigmoid all the same.
    """
    from matplotlib.figure import Figure

    x = data.modality.decode(sampler(POINTS, seed).cpu()).double()
    real = truth.sample(POINTS, seed, "held").double()
    reach = 1.15 * float(real.abs().max())
    edges = torch.linspace(-reach, reach, SIDE + 1, dtype=torch.float64)
    centres = (edges[1:] + edges[:-1]) / 2
    grid = torch.cartesian_prod(centres, centres)
    score = _scores(judges, data.modality.encode(grid.float()), sampler.device, sampler.wiring.pack)
    p, q = (_blurred(_histogram(points, edges)) for points in (real, x))
    best = p / (p + q).clamp_min(1e-12)
    known = (p + q) > 1e-3 * (p + q).max()
    figure = Figure(figsize=(8.4, 3.6), layout="constrained")
    panels: Mapping[str, Tensor] = {
        "learned D (sigmoid of the score)": score.sigmoid().view(SIDE, SIDE),
        "optimal D* = p / (p + q)": torch.where(known, best, torch.nan),
    }
    for i, (title, values) in enumerate(panels.items()):
        axes: Any = figure.add_subplot(1, 2, i + 1)
        shown = axes.imshow(values.T.numpy(), origin="lower", extent=(-reach, reach) * 2, vmin=0, vmax=1, cmap="RdBu")
        axes.scatter(x[:300, 0], x[:300, 1], s=1, color="black", alpha=0.4)
        axes.set_title(title, fontsize=9)
    figure.colorbar(shown, ax=figure.axes, shrink=0.8, label="1: real, 0: generated, 1/2: cannot tell")
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=110)


@torch.no_grad()
def _scores(judges: nn.Module, x: Tensor, device: torch.device, pack: int) -> Tensor:
    """[n] scores of encoded points [n, 2]; a packed judge sees the same point `pack` times."""
    score: Tensor = judges(x.to(device).repeat(1, pack))["score"]
    return score.cpu().double()


def _histogram(points: Tensor, edges: Tensor) -> Tensor:
    """[SIDE, SIDE] shares of points [n, 2] per cell."""
    counts = torch.histogramdd(points, [edges, edges]).hist
    return counts / len(points)


def _blurred(image: Tensor, width: float = 1.5) -> Tensor:
    """A Gaussian blur of `width` cells."""
    reach = int(4 * width)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=image.dtype) / width).square())
    kernel = kernel / kernel.sum()
    rows = torch.nn.functional.conv2d(image[None, None], kernel.view(1, 1, -1, 1), padding=(reach, 0))
    return torch.nn.functional.conv2d(rows, kernel.view(1, 1, 1, -1), padding=(0, reach))[0, 0]
