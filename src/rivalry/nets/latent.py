"""Networks that live in the latent space: judges of codes (adversarial autoencoders)."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import nn

from rivalry.catalogue import register
from rivalry.errors import RecipeError
from rivalry.nets.discriminators import Discriminator
from rivalry.nets.mlp import MLPTrunk
from rivalry.parts import Net, Wiring
from rivalry.types import Spec


@register("net", "latent-judge")
@dataclass(frozen=True)
class LatentJudge(Net):
    """(z [N, latent]) -> Heads: `net`, built as if the data were points of the latent space."""

    net: Net = field(default_factory=lambda: Discriminator(MLPTrunk(sizes=(256, 256))))

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        if not wiring.latent:
            raise RecipeError("a judge of latents needs a game with a latent")
        return self.net.build(Spec("points", (wiring.latent,), (-4.0, 4.0)), wiring)
