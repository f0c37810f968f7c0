"""Noise from the operating system's secure source: it cannot be repeated, and nothing of it is kept."""

from __future__ import annotations

import math
import os
import secrets
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rivalry.streams import Draw

_BITS = 52
_SUMMED = 4


def uniform(n: int) -> Tensor:
    """[n] float64, evenly spread over the odd multiples of 2^-53 between 0 and 1; neither end occurs."""
    bits = np.frombuffer(os.urandom(8 * n), dtype=np.uint64) >> np.uint64(64 - _BITS)
    return torch.from_numpy((bits.astype(np.float64) + 0.5) * 2.0**-_BITS)


def normal(n: int) -> Tensor:
    """[n] float64 of N(0, 1), by the inverse distribution function.

    Each is the sum of four, over 2, so that the gaps between floating-point numbers, which may give noise away
    (Mironov 2012), are harder to make use of (Holohan & Braghin 2021, section 5).  That is a hedge and no proof.
    """
    drawn: Tensor = torch.special.ndtri(uniform(_SUMMED * n)).view(_SUMMED, n)
    return drawn.sum(0) / math.sqrt(_SUMMED)


@dataclass(frozen=True)
class SecureDraw(Draw):
    """Random draws that are a function of nothing: each call gives others.  Modules that draw by themselves (dropout,
    Gumbel noise) go on using torch's generators, seeded from the secure source too."""

    @classmethod
    def like(cls, draw: Draw) -> SecureDraw:
        """At the same place, under a seed that nobody knows."""
        return cls(secrets.randbits(63), draw.place, draw.device)

    def _float(self, values: Tensor, n: int, shape: tuple[int, ...]) -> Tensor:
        return values.view(n, *shape).float().to(self.device)

    def normal(self, name: str, n: int, *shape: int) -> Tensor:
        return self._float(normal(n * math.prod(shape)), n, shape)

    def uniform(self, name: str, n: int, *shape: int) -> Tensor:
        exact = (uniform(n * math.prod(shape)) * 2**24).floor() * 2.0**-24  # float32 would round the last ones up to 1
        return self._float(exact, n, shape)

    def integers(self, name: str, high: int, n: int, *shape: int) -> Tensor:
        return (uniform(n * math.prod(shape)) * high).long().clamp_max(high - 1).view(n, *shape).to(self.device)

    def permutation(self, name: str, n: int) -> Tensor:
        return uniform(n).argsort().to(self.device)
