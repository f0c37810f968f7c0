"""One pulse: what a few hundred fakes and reals tell of a training, in a dozen numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from rivalry.streams import generator

SIDE = 32
"""Larger pictures are averaged down to this before distances are taken."""

DIRECTIONS = 8
"""Fixed random directions along which the centre of the fakes is followed."""


@dataclass(frozen=True)
class Vitals:
    """One pulse's reading of n fakes against n reals.

    spread: mean distance between fakes, in that of reals.  near: mean distance to the nearest neighbour, likewise.
    coverage: share of reals with a fake within the distance of their fifth neighbour.  distance: energy distance
    (2 E|x-y| - E|x-x'| - E|y-y'|) / E|y-y'| (Székely & Rizzo 2013): 0 for equal distributions, at most about 1 for
    mass inside the data's range.  middle: share of fake values between the ends of their range over the same of
    reals.  centre: mean of the fakes along fixed directions, in the reals' mean distance.
    gap: score on real minus score on fake; value: V(D, G) in nats; gradient: norm of the generator's gradient; means
    since the last pulse, None where unknown.
    """

    step: int
    spread: float
    near: float
    coverage: float
    distance: float
    middle: float = 1.0
    centre: tuple[float, ...] = ()
    gap: float | None = None
    value: float | None = None
    gradient: float | None = None


@torch.no_grad()
def vitals(step: int, fakes: Tensor, reals: Tensor, notes: Mapping[str, float]) -> Vitals:
    """Reads fakes and reals [n, *shape], finite, n >= 8; notes as the loop names them ('discriminator.main.real';
    'generator.gradient' is used where it is noted).

    Rows of pictures (four axes) are encoded, hence between -1 and 1.
    """
    x, y = _rows(fakes, reals)
    within_x, within_y, across = torch.cdist(x, x), torch.cdist(y, y), torch.cdist(x, y)
    spread_x, spread_y = _mean_pair(within_x), max(_mean_pair(within_y), 1e-12)
    nearest_x = _neighbour(within_x, 1)
    nearest_y, fifth_y = _neighbour(within_y, 1), _neighbour(within_y, min(5, len(y) - 1))
    draw = generator(torch.device("cpu"), "health", x.shape[1])
    directions = torch.randn(x.shape[1], DIRECTIONS, generator=draw, dtype=x.dtype)
    centre = x.mean(0) @ (directions / directions.norm(dim=0)) / spread_y
    return Vitals(
        step=step,
        spread=_mean_pair(within_x) / spread_y,
        near=float(nearest_x.mean() / nearest_y.mean().clamp_min(1e-12)),
        coverage=float((across.amin(0) <= fifth_y).double().mean()),
        distance=(2 * float(across.mean()) - spread_x - spread_y) / spread_y,
        middle=_middle(fakes, reals) if fakes.dim() == 4 else 1.0,
        centre=tuple(centre.tolist()),
        gap=_gap(notes),
        value=_mean([v for k, v in notes.items() if k.endswith(".value")]),
        gradient=notes.get("generator.gradient"),
    )


def _rows(fakes: Tensor, reals: Tensor) -> tuple[Tensor, Tensor]:
    """[n, D] float64 each, about the reals' mean; large pictures averaged down to SIDE."""

    def flat(x: Tensor) -> Tensor:
        x = x.detach().cpu().float()
        if x.dim() == 4 and max(x.shape[2:]) > SIDE:
            x = adaptive_avg_pool2d(x, (min(SIDE, x.shape[2]), min(SIDE, x.shape[3])))
        return x.flatten(1).double()

    x, y = flat(fakes), flat(reals)
    return x - y.mean(0), y - y.mean(0)


def _mean_pair(within: Tensor) -> float:
    n = len(within)
    return float(within.sum()) / (n * (n - 1))


def _neighbour(within: Tensor, k: int) -> Tensor:
    """[n]: distance of each row to its k-th neighbour, itself left out."""
    return within.clone().fill_diagonal_(torch.inf).topk(k, largest=False).values[:, -1]


def _middle(fakes: Tensor, reals: Tensor) -> float:
    """Share of fake values that are not at -1 or 1, over the same of reals; 1 for black-and-white data."""
    inside = [float((x.abs() < 0.98).double().mean()) for x in (fakes, reals)]
    return inside[0] / inside[1] if inside[1] > 0.02 else 1.0


def _gap(notes: Mapping[str, float]) -> float | None:
    """Mean of real minus fake scores over the discriminators that noted both."""
    pairs = {k: k.removesuffix(".real") + ".fake" for k in notes if k.endswith(".real")}
    return _mean([notes[real] - notes[fake] for real, fake in pairs.items() if fake in notes])


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
