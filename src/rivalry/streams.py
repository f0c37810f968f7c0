"""Named random streams, counter-based: a draw is a function of (seed, name, step), never of what was drawn before.

So resuming needs no hidden generator state, and adding a draw somewhere moves no other one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import cache

import torch
from torch import Tensor

_GENERATORS: dict[torch.device, torch.Generator] = {}


def key(*parts: str | int) -> int:
    """A 63-bit seed from names and numbers, the same on every machine."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") & (2**63 - 1)


def generator(device: torch.device, *parts: str | int) -> torch.Generator:
    """The device's generator, seeded for these parts; good until the next call for the same device."""
    if device not in _GENERATORS:
        _GENERATORS[device] = torch.Generator(device)
    return _GENERATORS[device].manual_seed(key(*parts))


@dataclass(frozen=True)
class Draw:
    """Random draws at one place of the training: `place` names it (stage, side, step, turn ...).

    With several processes or micro-batches, each takes its `share` = (index, count) of one common draw: a
    run on two ranks sees the numbers that a run on one rank with the double batch sees.
    """

    seed: int
    place: tuple[str | int, ...] = ()
    device: torch.device = field(default=torch.device("cpu"))
    share: tuple[int, int] = (0, 1)

    def at(self, *place: str | int) -> Draw:
        """The same stream, further down."""
        return replace(self, place=self.place + place)

    def key(self, name: str) -> int:
        return key(self.seed, *self.place, name)

    def _generator(self, name: str) -> torch.Generator:
        return generator(self.device, self.seed, *self.place, name)

    def _mine(self, whole: Tensor) -> Tensor:
        index, count = self.share
        if count == 1:
            return whole
        n = whole.shape[0] // count
        return whole[index * n : (index + 1) * n]

    def normal(self, name: str, n: int, *shape: int) -> Tensor:
        """[n, *shape] of N(0, 1)."""
        g = self._generator(name)
        return self._mine(torch.randn(n * self.share[1], *shape, generator=g, device=self.device))

    def uniform(self, name: str, n: int, *shape: int) -> Tensor:
        """[n, *shape] of U[0, 1)."""
        g = self._generator(name)
        return self._mine(torch.rand(n * self.share[1], *shape, generator=g, device=self.device))

    def integers(self, name: str, high: int, n: int, *shape: int) -> Tensor:
        """[n, *shape] int64 in [0, high)."""
        g = self._generator(name)
        return self._mine(torch.randint(high, (n * self.share[1], *shape), generator=g, device=self.device))

    def permutation(self, name: str, n: int) -> Tensor:
        """[n] a permutation, the same for all shares."""
        return torch.randperm(n, generator=self._generator(name), device=self.device)

    def seed_globally(self, name: str) -> None:
        """Seeds torch's own generators, for modules that draw by themselves (dropout)."""
        seed = key(self.seed, *self.place, name, self.share[0])
        # torch.manual_seed also seeds kinds of devices that the machine lacks: each of them notes the whole call stack
        if self.device.type in ("cpu", "cuda") and _accelerator() in ("", "cuda"):
            torch.default_generator.manual_seed(seed)
            if _accelerator():
                torch.cuda.manual_seed_all(seed)
        else:
            torch.manual_seed(seed)


@cache
def _accelerator() -> str:
    """The kind of the machine's accelerator; '' where there is none."""
    found = torch.accelerator.current_accelerator(check_available=True)
    return "" if found is None else found.type
