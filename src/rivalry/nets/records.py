"""Networks for patient records: a generator that makes visits one after the other, and a trunk that reads them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from rivalry.catalogue import register
from rivalry.errors import RecipeError
from rivalry.nets.inits import he_
from rivalry.nets.layers import JoinLabel
from rivalry.nets.mlp import Hidden
from rivalry.nets.table import KNOTS, REACH, SCALE, Choose, Margins, log_shares, mapped, quantiles
from rivalry.nets.trunk import Seen, Trunk, TrunkModule
from rivalry.parts import Net, Settles, Wiring
from rivalry.types import Block, Spec

ALIVE = 2
"""Entries of the choice that begins a visit: there is one, there is none."""
ROUNDS = 30
AGAIN = 2
"""How often margins are measured: what a visit is changes those after it."""
SIFTED = 50_000
"""Visits that margins are measured on, at most."""


def need_records(spec: Spec, what: str) -> None:
    if spec.kind != "records":
        raise RecipeError(f"{what} is for patient records, and these data are of kind {spec.kind!r}; pick another row")


def static_blocks(spec: Spec) -> tuple[Block, ...]:
    """The blocks of a patient's own columns."""
    return tuple(b for b in spec.blocks if b.start < spec.static)


def visit_blocks(spec: Spec) -> tuple[Block, ...]:
    """The blocks of one visit, counted from its beginning; the first says whether there is one."""
    end = spec.static + spec.visit_width
    return tuple(b._replace(start=b.start - spec.static) for b in spec.blocks if spec.static <= b.start < end)


def presence(spec: Spec) -> Tensor:
    """[L]: the share of patients that have a first visit, a second ..."""
    return torch.tensor([b.shares[0] for b in spec.blocks if b.start >= spec.static and (b.start - spec.static) % spec.visit_width == 0])


def gap_width(spec: Spec) -> int:
    """Entries of the gap since the visit before, which follow the choice."""
    name = visit_blocks(spec)[1].name
    return sum(b.width for b in visit_blocks(spec) if b.name == name)


def taken_apart(x: Tensor, spec_static: int, visits: int) -> tuple[Tensor, Tensor]:
    """[N, D] -> static [N, S], visits [N, L, W]."""
    return x[:, :spec_static], x[:, spec_static:].reshape(len(x), visits, -1)


@register("net", "records")
@dataclass(frozen=True)
class RecordNet(Net):
    """Generator (z [N, latent], *cond) -> encoded records [N, D].

    First the patient's own columns, by a residual MLP of z.  Then each visit: a GRU cell reads the visit before (as it was
    drawn), the patient's columns and fresh noise of `noise` entries; from its state, what it read, and z come whether there is a
    visit, the gap, and the columns.  So a visit hangs on those before it, and times only grow.

    width: of all hidden layers.  depth: of the MLPs.  kept: of a number's deviate at the visit before, when training begins (0:
    left to chance).  temperature: of Gumbel-softmax, see 'table'.  margins: set right when weights are
    averaged: the patient's columns, the columns of all visits together, and the numbers of visits (see `VisitMargins`).
    """

    width: int = 128
    depth: int = 2
    noise: int = 16
    kept: float = 0.0
    temperature: float = 0.2
    slope: float = 0.2
    label_width: int = 16
    margins: bool = True

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        need_records(spec, "the net 'records'")
        return RecordGenerator(self, spec, wiring)


class RecordGenerator(nn.Module):
    def __init__(self, settings: RecordNet, spec: Spec, wiring: Wiring) -> None:
        super().__init__()
        s, self.noise = settings, settings.noise
        self.visits, self.size, self.width = spec.visits, spec.static, spec.visit_width
        self.join = JoinLabel(wiring.latent, wiring.classes, s.label_width)
        sizes = (s.width,) * s.depth
        self.body = Hidden(self.join.outputs, sizes, s.slope, "none", tracked=True, residual=True)
        self.own = Own(static_blocks(spec), s.width, s.temperature, s.margins) if spec.static else None
        self.begin = nn.Linear(self.join.outputs + spec.static, s.width)
        self.cell = nn.GRUCell(self.width + spec.static + s.noise, s.width)
        read = s.width + self.width + spec.static + s.noise
        self.head = Hidden(read, sizes, s.slope, "none", tracked=True, residual=True)
        self.last = nn.Linear(s.width + self.width, self.width)
        blocks = visit_blocks(spec)
        self.choose = Choose(blocks, s.temperature)
        self.margins = VisitMargins(spec, self.choose) if s.margins else None
        he_(self.body, s.slope)
        he_(self.head, s.slope)
        nn.init.xavier_normal_(self.last.weight)
        with torch.no_grad():
            self.last.bias.copy_(log_shares(blocks))
            numbers = torch.tensor([b.start for b in blocks if b.kind == "number" and b.start >= ALIVE + gap_width(spec)])
            if s.kept and len(numbers):
                self.last.weight[numbers, s.width :] = 0.0
                self.last.weight[numbers, s.width + numbers] = s.kept
        have = presence(spec)
        before = torch.cat([torch.ones(1), have[:-1]])
        going = (have / before).clamp(0.01, 0.995)
        self.going = nn.Parameter((going / (1 - going)).log())
        keep = torch.ones(spec.visits, self.width)
        keep[0, ALIVE : ALIVE + gap_width(spec)] = 0.0  # nothing comes before the first visit
        self.register_buffer("keep", keep, persistent=False)
        self.keep: Tensor

    def forward(self, z: Tensor, *cond: Tensor) -> Tensor:
        z = self.join(z, *cond)
        own = z[:, :0] if self.own is None else self.own(self.body(z))
        state = torch.tanh(self.begin(torch.cat([z, own], 1)))
        visit, there = z.new_zeros(len(z), self.width), z.new_ones(len(z), 1)
        raws, made = list[Tensor](), list[Tensor]()
        for place in range(self.visits):
            read = torch.cat([visit, own, torch.randn(len(z), self.noise, device=z.device)], 1)
            state = self.cell(read, state)
            raw = self.last(torch.cat([self.head(torch.cat([state, read], 1)), visit], 1))
            going = self.going[place].expand(len(z), 1)
            raw = torch.cat([going + raw[:, :1] - raw[:, 1:ALIVE], torch.zeros_like(going), raw[:, ALIVE:]], 1)
            if self.margins is not None and not self.training:
                raw = self.margins.shifted(raw, place)
            drawn = self.choose(raw)
            there = there * drawn[:, :1]
            visit = torch.cat([there, 1 - there, drawn[:, ALIVE:] * self.keep[place, ALIVE:] * there], 1)
            raws.append(raw)
            made.append(visit)
        visits = torch.stack(made, 1)
        if self.margins is not None and not self.training:
            visits = self.margins(torch.stack(raws, 1), visits)
        return torch.cat([own, visits.flatten(1)], 1)


class Own(nn.Module):
    """The patient's own columns [N, S] of features [N, width], as the net 'table' makes them."""

    def __init__(self, blocks: tuple[Block, ...], width: int, temperature: float, margins: bool) -> None:
        super().__init__()
        self.last = nn.Linear(width, sum(b.width for b in blocks))
        self.choose = Choose(blocks, temperature)
        self.margins = OwnMargins(blocks, self.choose) if margins else None
        nn.init.xavier_normal_(self.last.weight)
        with torch.no_grad():
            self.last.bias.copy_(log_shares(blocks))

    def forward(self, x: Tensor) -> Tensor:
        x = self.last(x)
        if self.margins is not None and not self.training:
            x = self.margins(x)
        rows: Tensor = self.choose(x)
        return rows


class OwnMargins(Margins):
    """Of a patient's own columns: their visits make samples dear."""

    appetite: ClassVar[int] = 1


class VisitMargins(nn.Module, Settles):
    """Sets right what all visits together are like, and how many there are.

    Choices get an offset to their logits that makes the options' mean over visits the share in the Spec; whether there is
    another visit gets one for each place, from the shares of patients that have so many; numbers go through one monotone map,
    from their quantiles over visits to the data's, after the visits were made.  Nothing else of the data is read.
    """

    appetite: ClassVar[int] = 1
    offset: Tensor
    going: Tensor
    knots: Tensor
    known: Tensor
    target: Tensor
    shares: Tensor
    numbers: Tensor
    have: Tensor
    open: Tensor

    def __init__(self, spec: Spec, choose: Choose) -> None:
        super().__init__()
        blocks = visit_blocks(spec)
        numbers = torch.tensor([b.start for b in blocks if b.kind == "number"], dtype=torch.long)
        target = torch.linspace(-REACH, REACH, KNOTS) / SCALE
        self.choose, self.gap = choose, gap_width(spec)
        self.register_buffer("offset", torch.zeros(spec.visit_width))
        self.register_buffer("going", torch.zeros(spec.visits))
        self.register_buffer("knots", target.repeat(len(numbers), 1))
        self.register_buffer("known", torch.zeros(()))
        shares = log_shares(blocks).exp()
        shares[:ALIVE] = 1.0
        for name, value in (("target", target), ("shares", shares), ("numbers", numbers), ("have", presence(spec))):
            self.register_buffer(name, value, persistent=False)
        self._seen: list[tuple[Tensor, Tensor]] | None = None

    def shifted(self, raw: Tensor, place: int) -> Tensor:
        """Raw outputs [N, W] of one place, before anything is drawn."""
        if not self.known:
            return raw
        shift = self.offset.clone()
        shift[0] = self.going[place]
        return raw + shift

    def forward(self, raw: Tensor, visits: Tensor) -> Tensor:
        """raw outputs and visits [N, L, W] -> visits whose numbers are set right."""
        if self._seen is not None:
            self._seen.append((raw, visits))
            return visits
        if not self.known:
            return visits
        n, places, _ = visits.shape
        flat = raw[:, :, self.numbers].flatten(0, 1)
        right = mapped(flat, self.knots, self.target).reshape(n, places, -1)
        out = visits.clone()
        # what is 0 is no ordinary number, or of no visit
        out[:, :, self.numbers] = torch.where(visits[:, :, self.numbers] == 0, 0.0, right)
        return out

    def settle(self, sample: Callable[[], None]) -> None:
        """Measures what the generator makes and sets it right, twice, since a visit changes those after it."""
        self.known.fill_(1.0)
        for _ in range(AGAIN):
            self._seen = []
            sample()
            raw, visits = (torch.cat(part) for part in zip(*self._seen, strict=True))
            self._seen = None
            self._places(raw[:, :, 0], visits[:, :, 0])
            there, later = visits[:, :, 0] > 0, visits[:, :, 0] > 0
            later = later.clone()
            later[:, 0] = False
            self._columns(raw, there, torch.arange(raw.shape[2], device=raw.device) >= ALIVE + self.gap)
            self._columns(raw, later, torch.arange(raw.shape[2], device=raw.device) < ALIVE + self.gap)

    def _places(self, logit: Tensor, there: Tensor) -> None:
        """Whether there is another visit: [N, L] logits, as shifted, and who had one."""
        before = torch.cat([torch.ones_like(there[:, :1]), there[:, :-1]], 1)
        wanted = torch.cat([self.have[:1], self.have[1:] / self.have[:-1]]).clamp(1e-3, 1 - 1e-3)
        shift = torch.zeros_like(self.going)
        for _ in range(ROUNDS):
            p = ((logit + shift).sigmoid() * before).sum(0) / before.sum(0).clamp_min(1.0)
            p = p.clamp(1e-4, 1 - 1e-4)
            shift = shift + (wanted / (1 - wanted)).log() - (p / (1 - p)).log()
        self.going.copy_((self.going + shift).clamp(-10, 10))

    def _columns(self, raw: Tensor, which: Tensor, mine: Tensor) -> None:
        """Options and quantiles of the entries `mine` over the visits `which`."""
        x = raw[which][:SIFTED]
        if len(x) < 2:
            return
        shift = self.choose.offsets(x, self.shares)
        self.offset.copy_(torch.where(mine, (self.offset + shift).clamp(-10, 10), self.offset))
        chosen = mine[self.numbers]
        if bool(chosen.any()):
            ordinary = self.choose.soft(x + shift)[:, self.choose.gate[self.numbers]]
            weight = torch.where(self.choose.gated[self.numbers], ordinary, 1.0)
            levels = torch.special.ndtr(self.target.double() * SCALE)
            self.knots[chosen] = quantiles(x[:, self.numbers][:, chosen], weight[:, chosen], levels)


@register("trunk", "records")
@dataclass(frozen=True)
class RecordTrunk(Trunk):
    """Records [N, D] -> features [N, 2 width]: of the whole record by one MLP; and of each visit beside the one before it and
    the patient's columns by another, the same for all places, averaged over the visits there are (Zaheer et al. 2017).

    The second sees every change between visits as one more example of the same kind, which a small number of patients needs.
    """

    width: int = 128
    depth: int = 2
    slope: float = 0.2

    def build(self, spec: Spec, wiring: Wiring) -> TrunkModule:
        need_records(spec, "the trunk 'records'")
        return RecordTrunkModule(self, spec)


class RecordTrunkModule(TrunkModule):
    def __init__(self, settings: RecordTrunk, spec: Spec) -> None:
        super().__init__()
        s, self.static, self.visits = settings, spec.static, spec.visits
        sizes = (s.width,) * s.depth
        self.whole = he_(Hidden(spec.shape[0], sizes, s.slope, "none", False, 0.0, True), s.slope)
        self.pairs = he_(Hidden(spec.static + 2 * spec.visit_width, sizes, s.slope, "none", False, 0.0, True), s.slope)
        self.features = 2 * s.width

    def forward(self, x: Tensor) -> Seen:
        own, visits = taken_apart(x, self.static, self.visits)
        before = torch.cat([torch.zeros_like(visits[:, :1]), visits[:, :-1]], 1)
        own = own[:, None].expand(-1, self.visits, -1)
        there = visits[:, :, :1]
        changes = (self.pairs(torch.cat([own, before, visits], 2)) * there).sum(1) / (there.sum(1) + 1.0)
        return Seen(torch.cat([self.whole(x), changes], 1))
