"""The information loss of TableGAN and CTAB-GAN: moments of what the discriminator sees in real rows and in fakes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import relu

from rivalry.catalogue import register
from rivalry.parts import Contest
from rivalry.penalties.common import Charge


@register("penalty", "information")
@dataclass(frozen=True)
class Information(Charge):
    """TableGAN, Park et al. 2018, eq. 3-5: [|E f(x) - E f(G(z))|_2 - mean]_+ + [|SD f(x) - SD f(G(z))|_2 - deviation]_+,
    f: head 'features' [N, F], moments over the batch; [1], for the side that fools.

    mean, deviation: differences that are put up with (the deltas: the larger, the further from real rows, which is
    their privacy; 0 in CTAB-GAN).  Moments are those of the batch, in place of their running averages.  Couples the batch.
    """

    couples: ClassVar[bool] = True
    needs: ClassVar[frozenset[str]] = frozenset({"real", "fake"})
    mean: float = 0.0
    deviation: float = 0.0

    def __call__(self, contest: Contest) -> Tensor:
        real = self.head(contest, "real", "features").detach()
        fake = self.head(contest, "fake", "features")
        means = torch.linalg.vector_norm(real.mean(0) - fake.mean(0))
        deviations = torch.linalg.vector_norm(real.std(0, correction=0) - fake.std(0, correction=0))
        return (relu(means - self.mean) + relu(deviations - self.deviation)).reshape(1)
