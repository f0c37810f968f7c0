"""Networks of domain adaptation: a translator that keeps every pixel in its place, and a classifier of pictures."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rivalry.catalogue import register
from rivalry.errors import RecipeError
from rivalry.nets.dcgan import DCGANTrunk
from rivalry.nets.layers import Norm, normalise
from rivalry.nets.restorers import ChangeModule, change_of
from rivalry.nets.shapes import Out, ending
from rivalry.nets.translators import Block
from rivalry.nets.trunk import Trunk
from rivalry.parts import Net, Wiring
from rivalry.types import Spec


@register("net", "flat-translator")
@dataclass(frozen=True)
class FlatTranslator(Net):
    """(source [N, c, h, w], z [N, latent] if the game has one) -> [N, C, h, w], never halved: a convolution of 3, `blocks` residual
    blocks, another (Bousmalis et al. 2017, PixelDA, figure 2).  z is joined to the source as planes."""

    width: int = 64
    blocks: int = 6
    norm: Norm = "batch"
    out: Out = "auto"

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        change = change_of(spec, wiring, "flat-translator")
        if change.scale != 1:
            raise RecipeError("a translator keeps the size; to enlarge use the net 'restorer'")
        return FlatModule(self, change.inputs + wiring.latent, change.outputs, ending(self.out, spec))


class FlatModule(ChangeModule):
    def __init__(self, s: FlatTranslator, inputs: int, outputs: int, last: nn.Module) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, s.width, 3, 1, 1)
        self.norm = normalise(s.norm, s.width, tracked=True)
        self.blocks = nn.Sequential(*(Block(s.width, s.norm) for _ in range(s.blocks)))
        self.last, self.ending = nn.Conv2d(s.width, outputs, 3, 1, 1), last
        self.reach = 2 * s.blocks + 2
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.normal_(m.weight, 0, 0.02)

    def forward(self, source: Tensor, *z: Tensor) -> Tensor:
        h, w = source.shape[2:]
        x = F.pad(source, (0, max(0, 2 - w), 0, max(0, 2 - h)), mode="replicate")  # blocks reflect at the border, which takes two pixels
        if z:
            x = torch.cat([x, z[0][:, :, None, None].expand(-1, -1, *x.shape[2:]).to(x.dtype)], 1)
        made: Tensor = self.ending(self.last(self.blocks(F.relu(self.norm(self.first(x))))))
        return made[:, :, :h, :w]


@register("net", "picture-classifier")
@dataclass(frozen=True)
class PictureClassifier(Net):
    """Pictures [N, *shape] -> logits [N, classes]: a trunk and a linear layer.  norm of the trunk: one that keeps the examples of a batch
    apart, so that a picture's class hangs on nothing else."""

    trunk: Trunk = field(default_factory=lambda: DCGANTrunk(32, norm="layer"))

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        if spec.classes < 2:
            raise RecipeError("a classifier needs at least two classes, and the data have none; put each kind into a sub-folder of its own")
        return PictureClassifierModule(self.trunk, spec)


class PictureClassifierModule(nn.Module):
    def __init__(self, trunk: Trunk, spec: Spec) -> None:
        super().__init__()
        self.trunk = trunk.build(spec, Wiring())
        self.last = self.trunk.dense(self.trunk.features, spec.classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.last(self.trunk(x).features)
        return logits
