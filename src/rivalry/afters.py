"""Afters: what happens to a side's parameters after its step, in place and without gradients."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rivalry.catalogue import register
from rivalry.parts import After, Turn


@register("after", "clip")
@dataclass(frozen=True)
class Clip(After):
    """WGAN, Arjovsky et al. 2017, algorithm 1: every weight clipped to [-c, c]."""

    c: float = 0.01

    @torch.no_grad()
    def __call__(self, parameters: list[Tensor], memory: dict[str, Tensor], turn: Turn) -> None:
        torch._foreach_clamp_min_(parameters, -self.c)
        torch._foreach_clamp_max_(parameters, self.c)


@register("after", "historical-averaging")
@dataclass(frozen=True)
class HistoricalAveraging(After):
    """Salimans et al. 2016, section 3.3: the cost |theta - mean over the past of theta|^2, as a step of its own:
    theta moves the share `pull` of the way (rate times twice the cost's weight) back to the mean."""

    pull: float = 1e-3

    def start(self, parameters: list[Tensor]) -> dict[str, Tensor]:
        memory = {f"mean.{i}": p.detach().clone() for i, p in enumerate(parameters)}
        memory["count"] = torch.ones((), device=parameters[0].device if parameters else None)
        return memory

    @torch.no_grad()
    def __call__(self, parameters: list[Tensor], memory: dict[str, Tensor], turn: Turn) -> None:
        if not parameters:
            return
        means = [memory[f"mean.{i}"] for i in range(len(parameters))]
        torch._foreach_lerp_(parameters, means, self.pull)
        count = memory["count"].add_(1)
        moves = torch._foreach_sub(parameters, means)
        torch._foreach_div_(moves, count)
        torch._foreach_add_(means, moves)
