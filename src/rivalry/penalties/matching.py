"""Feature matching on pairs: a made picture is to be seen as the one it stands for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from rivalry.catalogue import register
from rivalry.parts import Contest
from rivalry.penalties.common import Charge


@register("penalty", "seen-alike")
@dataclass(frozen=True)
class SeenAlike(Charge):
    """Mean |f(x) - f(G(source))| per example over all that the judge's layers saw (Wang et al. 2018, pix2pixHD, eq. 5; the mean is
    over all numbers, where the paper takes it layer by layer): head 'maps' [N, F], for the fooling side of a game with pairs."""

    needs: ClassVar[frozenset[str]] = frozenset({"real", "fake"})
    weight: float = 10.0
    head_name: str = "maps"

    def __call__(self, contest: Contest) -> Tensor:
        real = self.head(contest, "real", self.head_name).detach()
        return (real - self.head(contest, "fake", self.head_name)).abs().mean(1)
