"""Recurrent networks for patient records: RCGAN's pair, and the five of TimeGAN.

A code is [N, 1 + L, H]: first the patient's, then one for each visit.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from rivalry.catalogue import register
from rivalry.nets.layers import JoinLabel
from rivalry.nets.records import ALIVE, Own, gap_width, need_records, static_blocks, taken_apart, visit_blocks
from rivalry.nets.table import Choose, log_shares
from rivalry.parts import Net, Wiring
from rivalry.types import Block, Heads, Spec


def finished(drawn: Tensor, gap: int) -> Tensor:
    """Visits [N, L, W] of which each says by its first entry whether there is one -> such as data have: none after the first that
    is missing, nothing but that choice where there is none, and no gap before the first."""
    there = drawn[:, :, :1].cumprod(1)
    rest = drawn[:, :, ALIVE:] * there
    first = torch.cat([torch.zeros_like(rest[:, :1, :gap]), rest[:, :1, gap:]], 2)
    return torch.cat([there, 1 - there, torch.cat([first, rest[:, 1:]], 1)], 2)


@register("net", "rcgan")
@dataclass(frozen=True)
class RCGANNet(Net):
    """Generator (z [N, latent], *cond) -> encoded records [N, D] (Esteban et al. 2017): an LSTM that sees, at each visit, fresh
    noise of `latent` entries and the patient's columns, and says a visit through one linear layer.

    The paper takes the condition from real patients; here a linear layer makes it of z, so that no real row is handed on.
    Choices are drawn as in the net 'table'.
    """

    width: int = 100
    temperature: float = 0.2
    label_width: int = 16

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        need_records(spec, "the net 'rcgan'")
        return RCGANGenerator(self, spec, wiring)


class RCGANGenerator(nn.Module):
    def __init__(self, settings: RCGANNet, spec: Spec, wiring: Wiring) -> None:
        super().__init__()
        s = settings
        self.visits, self.gap = spec.visits, gap_width(spec)
        self.join = JoinLabel(wiring.latent, wiring.classes, s.label_width)
        self.own = Own(static_blocks(spec), self.join.outputs, s.temperature, margins=False) if spec.static else None
        self.noise = wiring.latent
        self.lstm = nn.LSTM(self.noise + spec.static, s.width, batch_first=True)
        self.last = nn.Linear(s.width, spec.visit_width)
        self.choose = Choose(visit_blocks(spec), s.temperature)
        with torch.no_grad():
            self.last.bias.copy_(log_shares(visit_blocks(spec)))

    def forward(self, z: Tensor, *cond: Tensor) -> Tensor:
        joined = self.join(z, *cond)
        own = joined[:, :0] if self.own is None else self.own(joined)
        noise = torch.randn(len(z), self.visits, self.noise, device=z.device, dtype=z.dtype)
        seen = torch.cat([noise, own[:, None].expand(-1, self.visits, -1)], 2)
        raw = self.last(self.lstm(seen)[0]).flatten(0, 1)
        drawn = self.choose(raw).reshape(len(z), self.visits, -1)
        return torch.cat([own, finished(drawn, self.gap).flatten(1)], 1)


@register("net", "rcgan-judge")
@dataclass(frozen=True)
class RCGANJudge(Net):
    """Discriminator: records [N, D] -> 'score' [N, L], one for each visit, from an LSTM over the visits that sees the patient's
    columns at each (Esteban et al. 2017, section 3: the loss is the mean over the steps)."""

    width: int = 100

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        need_records(spec, "the net 'rcgan-judge'")
        return RCGANDiscriminator(self.width, spec)


class RCGANDiscriminator(nn.Module):
    def __init__(self, width: int, spec: Spec) -> None:
        super().__init__()
        self.static, self.visits = spec.static, spec.visits
        self.lstm = nn.LSTM(spec.visit_width + spec.static, width, batch_first=True)
        self.out = nn.Linear(width, 1)

    def forward(self, x: Tensor, *cond: Tensor) -> Heads:
        own, visits = taken_apart(x, self.static, self.visits)
        hidden = self.lstm(torch.cat([visits, own[:, None].expand(-1, self.visits, -1)], 2))[0]
        return {"score": self.out(hidden)[:, :, 0], "features": hidden[:, -1]}


# -- TimeGAN -----------------------------------------------------------------------------------------------------------


class Steps(nn.Module):
    """(own [N, A], steps [N, L, B]) -> code [N, 1 + L, H]: of the patient by one layer; of the visits by a GRU that sees that
    code at each step: h_s = f(own), h_t = g(h_s, h_(t-1), step_t), all of them in (0, 1)."""

    def __init__(self, own: int, step: int, width: int, layers: int) -> None:
        super().__init__()
        self.first = nn.Linear(own, width)
        self.gru = nn.GRU(step + width, width, layers, batch_first=True)
        self.out = nn.Linear(width, width)

    def forward(self, own: Tensor, steps: Tensor) -> Tensor:
        first = torch.sigmoid(self.first(own))[:, None]
        seen = torch.cat([steps, first.expand(-1, steps.shape[1], -1)], 2)
        return torch.cat([first, torch.sigmoid(self.out(self.gru(seen)[0]))], 1)


@dataclass(frozen=True)
class _Recurrent(Net):
    """width: of the code and of hidden layers; layers: of the GRU."""

    width: int = 24
    layers: int = 3


@register("net", "timegan-embedder")
@dataclass(frozen=True)
class TimeGANEmbedder(_Recurrent):
    """Records [N, D] -> codes [N, 1 + L, H] (Yoon et al. 2019, eq. 1)."""

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        need_records(spec, "the net 'timegan-embedder'")
        return Embedder(self, spec)


class Embedder(nn.Module):
    def __init__(self, settings: _Recurrent, spec: Spec) -> None:
        super().__init__()
        self.static, self.visits = spec.static, spec.visits
        self.steps = Steps(max(spec.static, 1), spec.visit_width, settings.width, settings.layers)

    def forward(self, x: Tensor) -> Tensor:
        own, visits = taken_apart(x, self.static, self.visits)
        code: Tensor = self.steps(own if self.static else torch.ones_like(x[:, :1]), visits)
        return code


@register("net", "timegan-generator")
@dataclass(frozen=True)
class TimeGANGenerator(_Recurrent):
    """Noise [N, (1 + L) Z] -> codes [N, 1 + L, H] (eq. 3)."""

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        need_records(spec, "the net 'timegan-generator'")
        return CodeGenerator(self, spec, wiring)


class CodeGenerator(nn.Module):
    def __init__(self, settings: _Recurrent, spec: Spec, wiring: Wiring) -> None:
        super().__init__()
        self.places = 1 + spec.visits
        size = wiring.latent // self.places
        self.steps = Steps(size, size, settings.width, settings.layers)

    def forward(self, z: Tensor, *cond: Tensor) -> Tensor:
        z = z.reshape(len(z), self.places, -1)
        code: Tensor = self.steps(z[:, 0], z[:, 1:])
        return code


@register("net", "timegan-supervisor")
@dataclass(frozen=True)
class TimeGANSupervisor(_Recurrent):
    """Codes [N, 1 + L, H] -> codes [N, 1 + L, H]: the patient's as it is; at each visit what is expected of the next one."""

    layers: int = 2

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        return Supervisor(self)


class Supervisor(nn.Module):
    def __init__(self, settings: _Recurrent) -> None:
        super().__init__()
        self.gru = nn.GRU(2 * settings.width, settings.width, settings.layers, batch_first=True)
        self.out = nn.Linear(settings.width, settings.width)

    def forward(self, code: Tensor) -> Tensor:
        seen = torch.cat([code[:, 1:], code[:, :1].expand_as(code[:, 1:])], 2)
        return torch.cat([code[:, :1], torch.sigmoid(self.out(self.gru(seen)[0]))], 1)


@register("net", "timegan-recovery")
@dataclass(frozen=True)
class TimeGANRecovery(Net):
    """Codes [N, 1 + L, H] -> records [N, D], each step on its own (eq. 2): numbers as they come, choices by softmax; when sampling
    the most likely option, and nothing after the last visit."""

    width: int = 24

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        need_records(spec, "the net 'timegan-recovery'")
        return Recovery(self.width, spec)


class Recovery(nn.Module):
    def __init__(self, width: int, spec: Spec) -> None:
        super().__init__()
        self.visits, self.gap = spec.visits, gap_width(spec)
        self.own, self.blocks = static_blocks(spec), visit_blocks(spec)
        self.first = _Read(self.own, width) if spec.static else None
        self.step = _Read(self.blocks, width)

    def forward(self, code: Tensor) -> Tensor:
        own = code[:, 0, :0] if self.first is None else self.first(code[:, 0])
        visits = self.step(code[:, 1:].flatten(0, 1)).reshape(len(code), self.visits, -1)
        if not self.training:
            visits = finished(visits, self.gap)
        return torch.cat([own, visits.flatten(1)], 1)


class _Read(nn.Module):
    """Codes [M, H] -> a row of these blocks."""

    def __init__(self, blocks: tuple[Block, ...], width: int) -> None:
        super().__init__()
        self.blocks = blocks
        self.hidden = nn.Linear(width, width)
        self.last = nn.Linear(width, sum(b.width for b in blocks))
        self.choose = Choose(blocks, 1.0)
        with torch.no_grad():
            self.last.bias.copy_(log_shares(blocks))

    def forward(self, code: Tensor) -> Tensor:
        raw = self.last(torch.relu(self.hidden(code)))
        if self.training:
            return torch.where(self.choose.options, self.choose.soft(raw), raw)
        parts = [raw[:, b.start : b.start + b.width] for b in self.blocks]
        made = [
            one_hot(p.argmax(1), b.width).to(p.dtype) if b.kind == "choice" else p
            for p, b in zip(parts, self.blocks, strict=True)
        ]
        row = torch.cat(made, 1)
        return torch.where(self.choose.gated, row * row[:, self.choose.gate], row)


@register("net", "timegan-judge")
@dataclass(frozen=True)
class TimeGANJudge(_Recurrent):
    """Codes [N, 1 + L, H] -> 'score' [N, 1 + L] (eq. 4): of the patient's by one layer, of the visits' by a GRU that runs both
    ways."""

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        return CodeJudge(self)


class CodeJudge(nn.Module):
    def __init__(self, settings: _Recurrent) -> None:
        super().__init__()
        width = settings.width
        self.first = nn.Linear(width, 1)
        self.gru = nn.GRU(2 * width, width, settings.layers, batch_first=True, bidirectional=True)
        self.out = nn.Linear(2 * width, 1)

    def forward(self, code: Tensor) -> Heads:
        seen = torch.cat([code[:, 1:], code[:, :1].expand_as(code[:, 1:])], 2)
        return {"score": torch.cat([self.first(code[:, 0]), self.out(self.gru(seen)[0])[:, :, 0]], 1)}
