"""The generator of tables: numbers as they are, choices by Gumbel-softmax, and margins that are set right at the end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from rivalry.catalogue import register
from rivalry.errors import RecipeError
from rivalry.nets.inits import he_
from rivalry.nets.layers import JoinLabel
from rivalry.nets.mlp import Hidden, VectorNorm
from rivalry.parts import Net, Settles, Wiring
from rivalry.types import Block, Spec

KNOTS, REACH = 65, 3.0
"""A number's own distribution is known by its quantiles at so many normal deviates, evenly spread over -REACH to REACH."""
ROUNDS, CLOSE, FARTHEST = 30, 1e-4, 20.0
"""Of fitting offsets to shares, the last change that is worth another round, and what an offset is at most, which float32 can take to its exponential."""
SCALE = 4.0
"""Encoded numbers are normal deviates over this."""


@register("net", "table")
@dataclass(frozen=True)
class TableNet(Net):
    """Generator (z [N, latent], *cond) -> encoded rows [N, D] by the Spec's blocks.

    sizes, norm, residual: of the hidden layers.  temperature: of Gumbel-softmax (Jang et al. 2017) in choices: the
    discriminator sees rows that are nearly one-hot, the gradient passes.  outputs: what training gets, rows that are
    'drawn', or 'scores' (logits of options, means of numbers) for likelihoods (TVAE).  margins: when weights are averaged for
    sampling, each column's own distribution is measured and set right (see `Margins`).  joined: a hidden layer's input goes
    on beside its output (CTGAN).
    """

    sizes: tuple[int, ...] = (256, 256)
    norm: VectorNorm = "none"
    residual: bool = True
    slope: float = 0.2
    temperature: float = 0.2
    outputs: Literal["drawn", "scores"] = "drawn"
    label_width: int = 16
    margins: bool = True
    joined: bool = False

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        return TableGenerator(self, of_table(spec, "table"), wiring)


def of_table(spec: Spec, who: str) -> Spec:
    """The Spec; RecipeError where it is not that of a table."""
    if not spec.blocks:
        raise RecipeError(f"the net {who!r} works on rows of tables, and these data have no columns; pick another row")
    return spec


class RowGenerator(nn.Module, ABC):
    """What generators of rows share: (z, *cond) -> raw scores -> encoded rows [N, D].

    blocks: of the rows.  scores: whether training gets the raw scores.
    """

    def __init__(self, blocks: tuple[Block, ...], temperature: float, scores: bool = False, margins: bool = False) -> None:
        super().__init__()
        self.blocks, self.scores = blocks, scores
        self.choose = Choose(blocks, temperature)
        self.margins = Margins(blocks, self.choose) if margins else None

    @abstractmethod
    def before(self, z: Tensor, *cond: Tensor) -> Tensor:
        """[N, D]: logits of options and numbers, as the network makes them."""

    def raw(self, z: Tensor, *cond: Tensor) -> Tensor:
        """[N, D]: the same with margins set right, where they are."""
        x = self.before(z, *cond)
        return x if self.margins is None or self.training else self.margins(x)

    def drawn(self, raw: Tensor) -> Tensor:
        """Raw scores [N, D] -> encoded rows [N, D]."""
        rows: Tensor = self.choose(raw)
        return rows

    def forward(self, z: Tensor, *cond: Tensor) -> Tensor:
        raw = self.raw(z, *cond)
        measured = self.margins is not None and self.margins.measuring  # what is drawn then would be thrown away
        return raw if measured or (self.scores and self.training) else self.drawn(raw)


class TableGenerator(RowGenerator):
    def __init__(self, settings: TableNet, spec: Spec, wiring: Wiring) -> None:
        s = settings
        super().__init__(spec.blocks, s.temperature, s.outputs == "scores", s.margins)
        self.join = JoinLabel(wiring.latent, wiring.classes, s.label_width)
        self.hidden = Hidden(self.join.outputs, s.sizes, s.slope, s.norm, True, residual=s.residual, joined=s.joined)
        self.last = nn.Linear(self.hidden.outputs, spec.shape[0])
        he_(self.hidden, s.slope)
        nn.init.xavier_normal_(self.last.weight)
        with torch.no_grad():  # every choice begins at its share, every number at zero
            self.last.bias.copy_(log_shares(spec.blocks))

    def before(self, z: Tensor, *cond: Tensor) -> Tensor:
        x: Tensor = self.last(self.hidden(self.join(z, *cond)))
        return x


def log_shares(blocks: tuple[Block, ...]) -> Tensor:
    """[D]: logarithm of each option's share, 0 for numbers."""
    parts = [torch.tensor(b.shares or (1.0,) * b.width).log() if b.kind == "choice" else torch.zeros(1) for b in blocks]
    return torch.cat(parts)


def gumbel(like: Tensor) -> Tensor:
    """Standard Gumbel noise, of the shape and device of `like`: -log E of exponential E = -log(1 - U), where U is a midpoint of 2^31 equal
    parts of (0, 1) in float32.  So the upper tail, which decides what is rare, is told to 2^-31, and the lower one to 2^-24; and it takes
    a fifth to a third of the time of `exponential_`."""
    u = torch.empty(like.shape, dtype=torch.int32, device=like.device).random_().float()
    e: Tensor = u.add_(0.5).mul_(2.0**-31).clamp_(max=1 - 2.0**-24).neg_().log1p_().neg_()
    return e.log_().neg_().to(like.dtype)


class Choose(nn.Module):
    """Raw outputs [N, D] -> encoded rows [N, D]: choices become nearly one-hot (exactly so when sampling), and a number
    counts only while the choice before it says 'ordinary' (its first option), else it is drawn to the filler, 0."""

    member: Tensor
    options: Tensor
    gate: Tensor
    gated: Tensor

    def __init__(self, blocks: tuple[Block, ...], temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        width = sum(b.width for b in blocks)
        member, options = torch.zeros(width, len(blocks)), torch.zeros(width, dtype=torch.bool)
        gate, gated = torch.zeros(width, dtype=torch.long), torch.zeros(width, dtype=torch.bool)
        for i, b in enumerate(blocks):
            member[b.start : b.start + b.width, i] = 1
            options[b.start : b.start + b.width] = b.kind == "choice"
            before = blocks[i - 1] if i else b
            if b.kind == "number" and before.kind == "choice" and before.name == b.name:
                gate[b.start], gated[b.start] = before.start, True
        for name, value in (("member", member), ("options", options), ("gate", gate), ("gated", gated)):
            self.register_buffer(name, value, persistent=False)

    def soft(self, logits: Tensor, temperature: float = 1.0) -> Tensor:
        """[N, D] -> softmax within each block (1 for numbers)."""
        logits = logits / temperature
        weight = (logits - self._top(logits.detach())).exp()
        share: Tensor = weight / (weight @ self.member @ self.member.T)
        return share

    def surprise(self, scores: Tensor, rows: Tensor, sigma: float) -> Tensor:
        """[N]: -log p(rows | scores) of encoded rows [N, D], sigma that of numbers; without the numbers' constant."""
        logs = self.soft(scores).clamp_min(1e-30).log()
        chosen = -torch.where(self.options, rows * logs, 0.0).sum(1)
        there = torch.where(self.gated, rows[:, self.gate], 1.0)
        apart = ((rows - scores) / sigma).square() * there
        found: Tensor = chosen + 0.5 * torch.where(self.options, 0.0, apart).sum(1)
        return found

    def _top(self, logits: Tensor) -> Tensor:
        """[N, D]: the largest of each block, at all its places."""
        index, columns = self.member.argmax(1), logits.T.contiguous()  # whole lines of N at a time are faster
        top = columns.new_full((self.member.shape[1], len(logits)), -torch.inf)
        return top.scatter_reduce(0, index[:, None].expand_as(columns), columns, "amax").index_select(0, index).T

    def offsets(self, logits: Tensor, shares: Tensor) -> Tensor:
        """[D]: what to add to logits [N, D] so that the mean of their softmax is `shares` [D]; 0 where the share is 1, as for numbers.

        It is found by proportional fitting, in weights rather than logarithms of them, so that a round is two products of matrices."""
        weight, offset = (logits - self._top(logits)).exp(), torch.zeros_like(shares)
        for _ in range(ROUNDS):
            tilt = offset.exp()
            whole = weight @ (tilt[:, None] * self.member)
            share = tilt * ((weight.T @ whole.reciprocal()) * self.member).sum(1) / len(weight)
            change = torch.where(shares < 1, shares.log() - share.clamp_min(1e-9).log(), 0.0)
            offset = (offset + change).clamp(-FARTHEST, FARTHEST)
            if float(change.detach().abs().max()) < CLOSE:
                break
        return offset

    def forward(self, x: Tensor) -> Tensor:
        disturbed = x + gumbel(x)
        if self.training:
            chosen = self.soft(disturbed, self.temperature)
        else:
            chosen = (disturbed == self._top(disturbed)).to(x.dtype)
        numbers = torch.where(self.gated, x * chosen[:, self.gate], x)
        return torch.where(self.options, chosen, numbers)


class Margins(nn.Module, Settles):
    """Sets each column's own distribution right, row by row, without touching how columns hang together more than
    that needs: numbers go through a monotone map from the generator's quantiles to the data's (which are normal, by
    their encoding), options get an offset to their logits.

    The offsets solve mean softmax(logits + offset) = share, which with Gumbel noise is exact whatever the
    temperature.  Nothing but the shares in the Spec is read from data.
    """

    offset: Tensor
    knots: Tensor
    known: Tensor
    target: Tensor
    shares: Tensor
    numbers: Tensor

    def __init__(self, blocks: tuple[Block, ...], choose: Choose) -> None:
        super().__init__()
        width = sum(b.width for b in blocks)
        numbers = torch.tensor([b.start for b in blocks if b.kind == "number"], dtype=torch.long)
        target = torch.linspace(-REACH, REACH, KNOTS) / SCALE
        self.choose = choose
        self.register_buffer("offset", torch.zeros(width))
        self.register_buffer("knots", target.repeat(len(numbers), 1))
        self.register_buffer("known", torch.zeros(()))
        for name, value in (("target", target), ("shares", log_shares(blocks).exp()), ("numbers", numbers)):
            self.register_buffer(name, value, persistent=False)
        self._seen: list[Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self._seen is not None:
            self._seen.append(x)
            return x
        if not self.known:
            return x
        out = x + self.offset
        out[:, self.numbers] = mapped(x[:, self.numbers], self.knots, self.target)
        return out

    @property
    def measuring(self) -> bool:
        """Whether rows are looked at, rather than set right."""
        return self._seen is not None

    def settle(self, sample: Callable[[], None]) -> None:
        """Measures what the generator makes, over as many calls of `sample` as it is given, and sets it right."""
        self._seen = []
        sample()
        x = torch.cat(self._seen)
        self._seen = None
        self.offset.copy_(self.choose.offsets(x, self.shares).clamp(-10, 10))
        ordinary = self.choose.soft(x + self.offset)[:, self.choose.gate[self.numbers]]
        weight = torch.where(self.choose.gated[self.numbers], ordinary, 1.0)
        if len(self.numbers):
            levels = torch.special.ndtr(self.target.double() * SCALE)
            self.knots.copy_(quantiles(x[:, self.numbers], weight, levels))
        self.known.fill_(1.0)


def quantiles(x: Tensor, weight: Tensor, levels: Tensor) -> Tensor:
    """Columns x, weight [N, C] -> weighted quantiles [C, K] at levels [K] (Hazen's rule), strictly increasing."""
    values, order = x.T.contiguous().sort(1)
    mass = weight.T.gather(1, order).double().cumsum(1)
    share = (mass - 0.5 * weight.T.gather(1, order)) / mass[:, -1:].clamp_min(1e-12)
    levels = levels.to(share).repeat(len(values), 1)
    right = torch.searchsorted(share, levels).clamp(1, x.shape[0] - 1)
    low, high = share.gather(1, right - 1), share.gather(1, right)
    t = ((levels - low) / (high - low).clamp_min(1e-12)).clamp(0, 1).float()
    found = values.gather(1, right - 1).lerp(values.gather(1, right), t)
    return found + 1e-6 * torch.arange(levels.shape[1], device=x.device)


def mapped(x: Tensor, knots: Tensor, target: Tensor) -> Tensor:
    """x [N, C] through the piecewise linear map that takes knots [C, K] to target [K]; beyond the ends it goes on with
    the slope of the last piece."""
    at = torch.searchsorted(knots, x.T.contiguous()).clamp(1, knots.shape[1] - 1)
    low, high = knots.gather(1, at - 1), knots.gather(1, at)
    t = (x.T - low) / (high - low)
    return (target[at - 1] + t * (target[at] - target[at - 1])).T


__all__ = ["Choose", "Margins", "RowGenerator", "TableGenerator", "TableNet", "gumbel", "log_shares", "mapped", "of_table", "quantiles"]
