"""Controllers: turn knobs by what was noted, after every step, on device tensors.

Notes are keyed '<side>.<what>' and hold this step's values only: a note that is not there moves nothing.  What they
read of a discriminator's turn: '<side>.<match>.real', '.fake' (mean scores) and '.sign' (mean sign of the real).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from rivalry.catalogue import register
from rivalry.parts import Controller
from rivalry.types import Knobs


def _knob(knobs: Knobs, name: str, default: float, like: Tensor) -> Tensor:
    """The knob as a 0-d tensor beside the note, at full precision."""
    dtype = torch.promote_types(like.dtype, torch.float32)
    return torch.as_tensor(knobs.get(name, default), dtype=dtype, device=like.device)


@register("controller", "ada")
@dataclass(frozen=True)
class ADA(Controller):
    """Karras et al. 2020, section 3.1: p += sign(r - target) batch / (1000 speed_kimg), r = E[sign D(real)],
    held to [0, 1] (theirs only from below).

    knob: 'augment' for ADA; 'apa' for APA (Jiang et al. 2021), which steers by the same rule.  ceiling: a p that it
    never exceeds (beyond .8 or so augmentations leak into the samples).
    """

    side: str = "discriminator"
    match: str = "main"
    knob: str = "augment"
    target: float = 0.6
    speed_kimg: float = 500.0
    initial: float = 0.0
    ceiling: float = 1.0

    def start(self) -> dict[str, float]:
        return {self.knob: self.initial}

    def __call__(self, knobs: Knobs, notes: Mapping[str, Tensor], batch: int) -> dict[str, Tensor]:
        sign = notes.get(f"{self.side}.{self.match}.sign")
        if sign is None:
            return {}
        p = _knob(knobs, self.knob, self.initial, sign)
        step = batch / (self.speed_kimg * 1000)
        return {self.knob: (p + torch.sign(sign - self.target) * step).clamp(0.0, self.ceiling)}


@register("controller", "began")
@dataclass(frozen=True)
class BEGAN(Controller):
    """Berthelot et al. 2017: k += rate (gamma L(x) - L(G(z))), in [0, 1], with L = -score; knob 'began.k'.

    Also tells the convergence measure M = L(x) + |gamma L(x) - L(G(z))| as knob 'began.measure'.
    """

    side: str = "discriminator"
    match: str = "main"
    gamma: float = 0.75
    rate: float = 0.001

    def start(self) -> dict[str, float]:
        return {"began.k": 0.0, "began.measure": 0.0}

    def __call__(self, knobs: Knobs, notes: Mapping[str, Tensor], batch: int) -> dict[str, Tensor]:
        real, fake = notes.get(f"{self.side}.{self.match}.real"), notes.get(f"{self.side}.{self.match}.fake")
        if real is None or fake is None:
            return {}
        balance = fake - self.gamma * real
        k = _knob(knobs, "began.k", 0.0, real)
        return {"began.k": (k + self.rate * balance).clamp(0.0, 1.0), "began.measure": balance.abs() - real}


@register("controller", "path-mean")
@dataclass(frozen=True)
class PathMean(Controller):
    """Karras et al. 2019b (StyleGAN2), eq. 4: the running mean a of path lengths, knob 'path.mean', moved by `decay`
    towards the note '<side>.path.length' of the term 'path-length'."""

    side: str = "generator"
    decay: float = 0.01

    def start(self) -> dict[str, float]:
        return {"path.mean": 0.0}

    def __call__(self, knobs: Knobs, notes: Mapping[str, Tensor], batch: int) -> dict[str, Tensor]:
        length = notes.get(f"{self.side}.path.length")
        if length is None:
            return {}
        old = _knob(knobs, "path.mean", 0.0, length)
        return {"path.mean": old.lerp(length.to(old.dtype), self.decay)}


@register("controller", "lecam")
@dataclass(frozen=True)
class LeCam(Controller):
    """Tseng et al. 2021: running means of the scores, knobs 'lecam.real' and 'lecam.fake', which keep the
    share `decay` of themselves per step; the penalty 'lecam' anchors to them."""

    side: str = "discriminator"
    match: str = "main"
    decay: float = 0.99

    def start(self) -> dict[str, float]:
        return {"lecam.real": 0.0, "lecam.fake": 0.0}

    def __call__(self, knobs: Knobs, notes: Mapping[str, Tensor], batch: int) -> dict[str, Tensor]:
        out: dict[str, Tensor] = {}
        for which in ("real", "fake"):
            mean = notes.get(f"{self.side}.{self.match}.{which}")
            if mean is not None:
                old = _knob(knobs, f"lecam.{which}", 0.0, mean)
                out[f"lecam.{which}"] = old.lerp(mean.to(old.dtype), 1 - self.decay)
        return out
