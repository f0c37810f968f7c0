"""How networks see a learned column: quantile-normal numbers, spikes and missing cells as choices, levels as choices.

Nothing here holds a row, an exact quantile or an extreme: knots are means of five order statistics or more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from rivalry.data.columns.cells import Floats
from rivalry.streams import generator
from rivalry.types import Block

CPU = torch.device("cpu")
BOUND = 4.0
WIDEST = 64
INNER = 61
GROUP, SHARE = 5, 0.005
FINE = 100


@dataclass(frozen=True)
class NumberCode:
    """A number or date: a choice of [ordinary, spikes ..., missing] where there is more than 'ordinary', and the
    deviate of ordinary values.

    step, low, high: of decoded values.  knots: values at the standard normal `deviates` (none: never ordinary), linear
    between and beyond them.  gaps: missing cells occur.  shares: of the choice's options, () where nobody may know.  alone: a row is
    encoded by itself, whatever the others are.
    """

    step: float
    low: float
    high: float
    spikes: tuple[float, ...] = ()
    gaps: bool = False
    knots: tuple[float, ...] = field(default=(), repr=False)
    deviates: tuple[float, ...] = field(default=(), repr=False)
    shares: tuple[float, ...] = ()
    alone: bool = False

    @property
    def options(self) -> int:
        """Of the choice; 0 without one."""
        n = bool(self.knots) + len(self.spikes) + self.gaps
        return 0 if n == 1 and self.knots else n

    def blocks(self, name: str, start: int) -> list[Block]:
        made = [Block(name, "choice", start, self.options, self.shares)] if self.options else []
        return [*made, Block(name, "number", start + self.options, 1)] if self.knots else made

    def encode(self, values: Tensor, seed: int, places: Tensor | None = None) -> tuple[list[Tensor], Tensor | None]:
        """[N] float64, NaN missing -> (codes of the choice [N] int64, if there is one; deviates / 4 [N] float32).

        Values of one tie are spread evenly over its step, in an order fixed by the seed; `alone`, each to its own of the
        places [N] in [0, 1), that a row alone decides on.
        """
        code, ordinary = self._choose(values)
        codes = [code] if self.options else []
        if not self.knots:
            return codes, None
        z = torch.zeros(len(values), dtype=torch.float32, device=values.device)
        if self.alone:
            even = values[ordinary] if places is None else values[ordinary] + (places[ordinary] - 0.5) * self.step
        else:
            even = spread(values[ordinary].cpu(), self.step, seed).to(values.device)
        xs, ys = _row(self.knots, values), _row(self.deviates, values)
        z[ordinary] = (_line(even, xs, ys).clamp(-BOUND, BOUND) / BOUND).float()
        return codes, z

    def _choose(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """(option [N], whether the value is ordinary [N])."""
        first, missing = int(bool(self.knots)), values.isnan()
        ordinary = ~missing if self.knots else torch.zeros_like(missing)
        code = torch.zeros(len(values), dtype=torch.int64, device=values.device)
        if self.spikes:
            spikes = _row(self.spikes, values)
            middle = torch.searchsorted((spikes[1:] + spikes[:-1]) / 2, values.nan_to_num(0.0))
            hit = ~missing & ((spikes[middle] == values) | (not self.knots))
            code, ordinary = torch.where(hit, middle + first, code), ordinary & ~hit
        gap = first + len(self.spikes) if self.gaps else 0
        if self.gaps and not self.spikes and not self.knots:
            return code, ordinary
        return torch.where(missing, gap, code), ordinary & ~missing

    def decode(self, codes: list[Tensor], z: Tensor | None) -> Tensor:
        """The inverse: [N] float64 at multiples of `step` between low and high, NaN where missing."""
        like = codes[0] if z is None else z
        values = torch.full((len(like),), torch.nan, dtype=torch.float64, device=like.device)
        if z is not None:
            reached = z.double().nan_to_num(0.0).clamp(-1, 1) * BOUND
            values = self.rounded(_line(reached, _row(self.deviates, values), _row(self.knots, values)))
        if not self.options:
            return values
        table = torch.full((self.options,), torch.nan, dtype=torch.float64, device=like.device)
        first = int(bool(self.knots))
        table[first : first + len(self.spikes)] = _row(self.spikes, values)
        chosen = table[codes[0]]
        return torch.where(codes[0] == 0, values, chosen) if first else chosen

    def rounded(self, values: Tensor) -> Tensor:
        """Within the bounds, at multiples of the step."""
        values = values.clamp(self.low, self.high)
        return self.on_grid(values) if self.step else values

    def on_grid(self, values: Tensor) -> Tensor:
        """The nearest multiples of the step, as the floats that are nearest to their decimals."""
        scale = 10.0 ** decimals_of(self.step)
        return ((values / self.step).round() * self.step * scale).round() / scale


@dataclass(frozen=True)
class LevelCode:
    """A category or boolean: one choice of its levels (and missing, the last), or two for more than 64: option a * B + b.

    levels: as words, in an order that their numbers of rows have no part in (runs of reading 1: the most frequent first).  shares: of each option,
    () where nobody may know.
    """

    levels: tuple[str, ...]
    gaps: bool = False
    shares: tuple[float, ...] = field(default=(), repr=False)

    @property
    def options(self) -> int:
        return len(self.levels) + self.gaps

    @property
    def minor(self) -> int:
        """B of the two-level code, 0 if one choice is enough."""
        return math.isqrt(self.options - 1) + 1 if self.options > WIDEST else 0

    def blocks(self, name: str, start: int) -> list[Block]:
        b = self.minor
        if not b:
            return [Block(name, "choice", start, self.options, self.shares)]
        a = -(-self.options // b)
        if not self.shares:
            return [Block(name, "choice", start, a), Block(name, "choice", start + a, b)]
        grid = np.zeros(a * b)
        grid[: self.options] = self.shares
        majors, minors = (grid.reshape(a, b).sum(axis) for axis in (1, 0))
        return [
            Block(name, "choice", start, a, tuple(majors.tolist())),
            Block(name, "choice", start + a, b, tuple(minors.tolist())),
        ]

    def encode(self, values: Tensor) -> list[Tensor]:
        """[N] level numbers, NaN missing -> codes [N] int64 of its one or two choices."""
        gap = len(self.levels) if self.gaps else 0
        option = torch.where(values.isnan(), float(gap), values).long().clamp(0, self.options - 1)
        return [option // self.minor, option % self.minor] if self.minor else [option]

    def decode(self, codes: list[Tensor]) -> Tensor:
        """The inverse; a pair that names no level is brought to the nearest that exists."""
        option = codes[0] * self.minor + codes[1] if self.minor else codes[0]
        option = torch.where(option >= self.options, len(self.levels) - 1, option)
        gone = (option == len(self.levels)) & self.gaps
        return torch.where(gone, torch.nan, option.double())


Code = NumberCode | LevelCode


def decimals_of(step: float) -> int:
    """Digits after the point that multiples of the step need: 0 for 5, 2 for .25."""
    return next((d for d in range(10) if abs(step * 10**d - round(step * 10**d)) < 1e-9 * 10**d and round(step * 10**d)), 9)


def _row(values: tuple[float, ...], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=torch.float64, device=like.device)


def _line(x: Tensor, xs: Tensor, ys: Tensor) -> Tensor:
    """[N]: the line through (xs, ys) at x, continued beyond its ends; in the middle of a jump."""
    i = torch.searchsorted(xs, x.contiguous()).clamp(1, len(xs) - 1)
    width = xs[i] - xs[i - 1]
    part = torch.where(width > 0, (x - xs[i - 1]) / width.clamp_min(1e-300), 0.5)
    return ys[i - 1] + part * (ys[i] - ys[i - 1])


def spread(values: Tensor, step: float, seed: int) -> Tensor:
    """[N] float64: rows of one value get places evenly spread over value +- step / 2, in an order fixed by the seed.

    >>> spread(torch.tensor([3.0, 3.0], dtype=torch.float64), 1.0, 0).sort().values
    tensor([2.7500, 3.2500], dtype=torch.float64)
    """
    if not step or not len(values):
        return values
    order = torch.randperm(len(values), generator=generator(CPU, seed, "ties"))
    order = order[values[order].argsort(stable=True)]
    _, times = values[order].unique_consecutive(return_counts=True)
    starts = (times.cumsum(0) - times).repeat_interleave(times)
    each = times.repeat_interleave(times).double()
    offset = (torch.arange(len(values)) - starts + 0.5) / each - 0.5
    out = torch.empty_like(values)
    out[order] = values[order] + offset * step
    return out


def knots_of(values: Tensor, step: float, seed: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(knots, deviates) of ordinary values [N] float64; at most 65.

    Each knot is the mean of the five (and one in two hundred) order statistics around it, the ends that of the five
    most extreme, rounded to a hundredth of the step; fewer than ten values are known by mean and deviation only.
    """
    n = len(values)
    if n < GROUP:
        return (), ()
    rows = spread(values, step, seed).sort().values.numpy()
    if n < 2 * GROUP:
        deviates = np.array([-1.5, 0.0, 1.5])
        return _tuple(_grained(rows.mean() + deviates * rows.std(), step, rows)), _tuple(deviates)
    window = max(GROUP, math.ceil(SHARE * n))
    inner = min(INNER, max(n // GROUP - 3, 0))
    places = np.concatenate([[SHARE], np.arange(1, inner + 1) / (inner + 1), [1 - SHARE]]) * n
    places = places[(places >= window / 2 + GROUP / 2) & (places <= n - window / 2 - GROUP / 2)]
    first = np.rint(places - window / 2).astype(np.int64)
    total = np.concatenate([[0.0], np.cumsum(rows - rows.mean())])  # centred, so that the sums keep their digits
    means = (total[first + window] - total[first]) / window + rows.mean()
    knots = np.concatenate([[rows[:GROUP].mean()], means, [rows[-GROUP:].mean()]])
    middles = np.concatenate([[GROUP / 2], first + window / 2, [n - GROUP / 2]]) / n
    deviates = torch.special.ndtri(torch.from_numpy(middles)).numpy()
    return _tuple(np.maximum.accumulate(_grained(knots, step, rows))), _tuple(deviates.round(5))


def _grained(knots: Floats, step: float, rows: Floats) -> Floats:
    """Knots at multiples of a hundredth of the step, or of a hundred-thousandth of their reach."""
    reach = float(rows[-GROUP:].mean() - rows[:GROUP].mean()) or 1.0
    grain = step / FINE if step else 10.0 ** (math.floor(math.log10(reach)) - 5)
    rounded: Floats = np.rint(knots / grain) * grain
    return rounded


def _tuple(values: Floats) -> tuple[float, ...]:
    return tuple(float(v) for v in values.tolist())


def shares_of(codes: Tensor, options: int) -> tuple[float, ...]:
    """Shares of options among rows, as if half a row more had each, so that none is 0."""
    counts = torch.bincount(codes, minlength=options).double() + 0.5
    return _tuple((counts / counts.sum()).numpy())
