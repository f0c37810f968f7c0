"""Points in the plane with a known density, so that the game can be watched and its optimum drawn.

All are mixtures of isotropic Gaussians: of a few modes (ring, grid), or of so many along a curve that the density
is that of the curve blurred by sigma, exact to float precision (nodes stand closer than sigma / 2).
Ring and grid follow PacGAN (Lin et al. 2018, arXiv:1712.04086).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import torch
from torch import Tensor

from rivalry.errors import UnknownName
from rivalry.streams import key

CHUNK = 1 << 22


@dataclass(frozen=True)
class Truth:
    """A density in the plane.

    nodes: [M, 2] float64, centres of equally likely Gaussians of standard deviation `sigma`.
    modes: [K, 2], where the density has K separate modes, else None.
    scale: what one axis is divided by to have a standard deviation of about 1 (the means are about 0).
    """

    name: str
    nodes: Tensor = field(repr=False)
    sigma: float
    modes: Tensor | None = field(repr=False, default=None)

    @property
    def scale(self) -> float:
        return float((self.nodes.square().mean() + self.sigma**2).sqrt())

    def sample(self, n: int, seed: int, stream: str = "train") -> Tensor:
        """[n, 2] float32 draws, a function of (name, n, seed, stream)."""
        own = torch.Generator().manual_seed(key(seed, "truth", self.name, stream))
        which = torch.randint(len(self.nodes), (n,), generator=own)
        noise = torch.randn(n, 2, generator=own, dtype=torch.float64)
        return (self.nodes[which] + self.sigma * noise).float()

    def log_density(self, x: Tensor) -> Tensor:
        """[n, 2] points in data units -> [n] float64, the log of the true density there."""
        points = x.detach().double().cpu()
        rows = max(1, CHUNK // len(self.nodes))
        constant = math.log(2 * math.pi * self.sigma**2 * len(self.nodes))
        parts = [
            torch.logsumexp((part[:, None] - self.nodes).square().sum(2) / (-2 * self.sigma**2), 1) - constant
            for part in points.split(rows)
        ]
        return torch.cat(parts) if parts else points.new_zeros(0)

    def density(self, x: Tensor) -> Tensor:
        """[n, 2] -> [n] float64."""
        return self.log_density(x).exp()

    def assign(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[n, 2] -> the nearest mode [n] int64 and the distance to it [n], in units of sigma.

        Where there are no separate modes, the nearest node of the curve.
        """
        centres = self.nodes if self.modes is None else self.modes
        points = x.detach().double().cpu()
        parts = [
            (part[:, None] - centres).square().sum(2).min(1) for part in points.split(max(1, CHUNK // len(centres)))
        ]
        if not parts:
            return torch.zeros(0, dtype=torch.int64), points.new_zeros(0)
        return torch.cat([p.indices for p in parts]), torch.cat([p.values for p in parts]).sqrt() / self.sigma


def _modes(name: str, centres: Tensor, sigma: float) -> Truth:
    return Truth(name, centres.double(), sigma, centres.double())


def _curve(name: str, arms: list[Tensor], sigma: float) -> Truth:
    nodes = torch.cat(arms)
    return Truth(name, nodes - nodes.mean(0), sigma)


def _even(path: Callable[[Tensor], Tensor], step: float) -> Tensor:
    """Points [m, 2] on the path t in [0, 1], evenly spaced by about `step` along its length."""
    t = torch.linspace(0, 1, 100_001, dtype=torch.float64)
    length = torch.cat([t.new_zeros(1), path(t).diff(dim=0).norm(dim=1).cumsum(0)])
    m = max(2, math.ceil(float(length[-1]) / step))
    wanted = (torch.arange(m, dtype=torch.float64) + 0.5) / m * length[-1]
    right = torch.searchsorted(length, wanted).clamp(1, len(t) - 1)
    share = (wanted - length[right - 1]) / (length[right] - length[right - 1])
    return path(t[right - 1] + share * (t[right] - t[right - 1]))


def _turn(radius: Tensor, angle: Tensor) -> Tensor:
    return torch.stack([radius * angle.cos(), radius * angle.sin()], 1)


def _ring8() -> Truth:
    angle = torch.arange(8, dtype=torch.float64) * (math.pi / 4)
    return _modes("ring8", _turn(torch.ones_like(angle), angle), 0.01)


def _grid25() -> Truth:
    axis = torch.arange(-4, 5, 2, dtype=torch.float64)
    return _modes("grid25", torch.cartesian_prod(axis, axis), 0.05)


def _spiral() -> Truth:
    sigma = 0.02
    arm = _even(lambda t: _turn(0.1 + 0.9 * t, 3 * math.pi * t), sigma / 3)
    return _curve("spiral", [arm, -arm], sigma)


def _swissroll() -> Truth:
    sigma = 0.02
    roll = _even(lambda t: _turn((1 + 2 * t) / 3, 1.5 * math.pi * (1 + 2 * t)), sigma / 3)
    return _curve("swissroll", [roll], sigma)


def _moons() -> Truth:
    sigma = 0.05
    upper = _even(lambda t: _turn(torch.ones_like(t), math.pi * t), sigma / 3)
    return _curve("moons", [upper, torch.tensor([1.0, 0.5], dtype=torch.float64) - upper], sigma)


MAKERS: dict[str, Callable[[], Truth]] = {
    "grid25": _grid25,
    "moons": _moons,
    "ring8": _ring8,
    "spiral": _spiral,
    "swissroll": _swissroll,
}


@cache
def truth(name: str) -> Truth:
    """The built-in density of that name; raises UnknownName."""
    if name not in MAKERS:
        raise UnknownName("built-in points", name, MAKERS)
    return MAKERS[name]()
