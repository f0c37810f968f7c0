"""Networks that make of a picture another one of the same size: U-Net and the residual network of CycleGAN."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rivalry.catalogue import register
from rivalry.errors import RecipeError
from rivalry.nets.filling import filled
from rivalry.nets.layers import Norm, need_label, normalise
from rivalry.nets.resample import nearest_up
from rivalry.nets.restorers import ChangeModule, alike, change_of
from rivalry.nets.shapes import Out, ending
from rivalry.parts import Net, Wiring
from rivalry.types import Spec

DEEPEST = 7


def to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Grown at the right and below, by repeating the border, to sides that divide, and at least twice that."""
    # (ONNX rounds quotients of negative numbers towards 0, so -(-s // multiple) would not do)
    down, across = (max(2 * multiple, (s + multiple - 1) // multiple * multiple) - s for s in x.shape[2:])
    return F.pad(x, (0, across, 0, down), mode="replicate")


@register("net", "unet")
@dataclass(frozen=True)
class UNet(Net):
    """(source [N, c, h, w], z [N, latent] if the game has one) -> [N, C, h, w] (Isola et al. 2017, pix2pix; Ronneberger et al. 2015).

    Any size: sides are grown to a multiple and cut again.  depth: times it halves, 0: down to 4 pixels of the training size.
    Enlarges by repeating pixels before a convolution, which leaves no checkerboard.  dropout: in the innermost levels, also
    when it is used, if `always` (the only noise of pix2pix).  z is joined to the source as planes (Zhu et al. 2017, BicycleGAN).
    near: what it makes is added to the source (its mean, where numbers of channels differ), and nothing at first.  holes: the last channel
    of the source is a mask, 1 in holes, which are filled smoothly before anything else (`nets.filling`).
    """

    width: int = 64
    cap: int = 512
    depth: int = 0
    norm: Norm = "instance"
    dropout: float = 0.0
    always: bool = False
    out: Out = "auto"
    near: bool = False
    holes: bool = False

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        change = change_of(spec, wiring, "unet")
        if change.scale != 1:
            raise RecipeError("a U-Net keeps the size; to enlarge use the net 'restorer'")
        if self.holes and change.inputs < 2:
            raise RecipeError("a U-Net that fills holes needs a mask as the last channel of its source; use task inpaint, or holes=false")
        depth = self.depth or max(1, min(DEEPEST, int(math.log2(max(min(spec.shape[1:]) // 4, 2)))))
        return UNetModule(self, change.inputs + wiring.latent, change.outputs, depth, ending(self.out, spec))


class UNetModule(ChangeModule):
    def __init__(self, s: UNet, inputs: int, outputs: int, depth: int, last: nn.Module) -> None:
        super().__init__()
        widths = [min(s.cap, s.width << i) for i in range(depth)]
        self.downs, self.ups, self.norms_down, self.norms_up = (nn.ModuleList() for _ in range(4))
        for i, (a, b) in enumerate(zip([inputs, *widths], widths, strict=False)):
            self.downs.append(nn.Conv2d(a, b, 4, 2, 1))
            # one pixel cannot be normalised by itself: the first and the innermost level go without
            self.norms_down.append(normalise(s.norm if 0 < i < depth - 1 else "none", b, tracked=True))
        for i in reversed(range(depth)):
            a = widths[i] if i == depth - 1 else 2 * widths[i]
            b = widths[i - 1] if i else max(s.width // 2, 8)
            self.ups.append(nn.Conv2d(a, b, 3, 1, 1))
            self.norms_up.append(normalise(s.norm if i else "none", b, tracked=True))
        self.last = nn.Conv2d(max(s.width // 2, 8) + inputs, outputs, 3, 1, 1)
        self.ending, self.dropout, self.always, self.multiple = last, s.dropout, s.always, 2**depth
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.normal_(m.weight, 0, 0.02)
        self.depth, self.outputs, self.near, self.holes = depth, outputs, s.near, s.holes
        if s.near:
            nn.init.zeros_(self.last.weight)
            nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]
        self.reach = 4 * self.multiple

    def forward(self, source: Tensor, *z: Tensor) -> Tensor:
        h, w = source.shape[2:]
        if self.holes:
            source = torch.cat([filled(source[:, :-1].float(), source[:, -1:].float(), self.depth), source[:, -1:]], 1)
        x = to_multiple(source, self.multiple)
        if z:
            planes = z[0][:, :, None, None].expand(-1, -1, *x.shape[2:])
            x = torch.cat([x, planes.to(x.dtype)], 1)
        seen = [x]
        for down, norm in zip(self.downs, self.norms_down, strict=True):
            x = norm(down(F.leaky_relu(x, 0.2) if len(seen) > 1 else x))
            seen.append(x)
        for i, (up, norm) in enumerate(zip(self.ups, self.norms_up, strict=True)):
            x = x if i == 0 else torch.cat([x, seen[-1 - i]], 1)
            x = norm(up(nearest_up(F.relu(x))))
            if self.dropout and i < 3:
                x = F.dropout(x, self.dropout, self.training or self.always)
        out: Tensor = self.last(torch.cat([F.relu(x), seen[0]], 1))[:, :, :h, :w]
        # added in full precision: rounded to bfloat16 the source itself would lose a level in 256
        return out.float() + alike(source[:, : -1 if self.holes else None], self.outputs).float() if self.near else self.ending(out)


@register("net", "resnet-translator")
@dataclass(frozen=True)
class ResNetTranslator(Net):
    """(source [N, c, h, w]) -> [N, C, h, w]: halves twice, `blocks` residual blocks, doubles twice (Johnson et al. 2016; Zhu et al.
    2017, CycleGAN).  Doubles by repeating pixels before a convolution.

    near: what it makes is added to the source, where both have as many channels, and nothing at first.  In games with
    classes the second argument is the class to make, [N] int64, joined to the source as planes (Choi et al. 2018, StarGAN).
    """

    width: int = 64
    blocks: int = 9
    norm: Norm = "instance"
    out: Out = "auto"
    near: bool = False

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        change = change_of(spec, wiring, "resnet-translator")
        if change.scale != 1:
            raise RecipeError("a translator keeps the size; to enlarge use the net 'restorer'")
        return ResNetTranslatorModule(self, change.inputs, change.outputs, wiring.classes, ending(self.out, spec))


class Block(nn.Module):
    """x + norm(3x3(ReLU(norm(3x3(x)))))."""

    def __init__(self, width: int, norm: Norm) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(width, width, 3, 1, 1, padding_mode="reflect") for _ in range(2))
        self.norms = nn.ModuleList(normalise(norm, width, tracked=True) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norms[0](self.convs[0](x)))
        out: Tensor = x + self.norms[1](self.convs[1](y))
        return out


class ResNetTranslatorModule(ChangeModule):
    """`features` hands out what lies between its layers, for losses on patches."""

    def __init__(self, s: ResNetTranslator, inputs: int, outputs: int, classes: int, last: nn.Module) -> None:
        super().__init__()
        w, self.classes = s.width, classes
        self.multiple = 4
        self.near = s.near and inputs == outputs
        inputs += classes
        self.encoder = nn.ModuleList(
            (
                nn.Sequential(nn.Conv2d(inputs, w, 7, 1, 3), normalise(s.norm, w, tracked=True), nn.ReLU()),
                nn.Sequential(nn.Conv2d(w, 2 * w, 3, 2, 1), normalise(s.norm, 2 * w, tracked=True), nn.ReLU()),
                nn.Sequential(nn.Conv2d(2 * w, 4 * w, 3, 2, 1), normalise(s.norm, 4 * w, tracked=True), nn.ReLU()),
            )
        )
        self.blocks = nn.ModuleList(Block(4 * w, s.norm) for _ in range(s.blocks))
        self.decoder = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 3, 1, 1), normalise(s.norm, b, tracked=True), nn.ReLU()) for a, b in ((4 * w, 2 * w), (2 * w, w))
        )
        self.last, self.ending = nn.Conv2d(w, outputs, 7, 1, 3), last
        self.widths = (w, 2 * w, 4 * w, *(4 * w for _ in range(s.blocks)))
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.normal_(m.weight, 0, 0.02)
        if self.near:
            nn.init.zeros_(self.last.weight)
            nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]
        self.reach = 3 + 2 + 4 + 8 * s.blocks + 4 + 2 + 3

    def forward(self, source: Tensor, *label: Tensor) -> Tensor:
        h, w = source.shape[2:]
        x = to_multiple(source, 4)
        if self.classes:
            planes = F.one_hot(need_label(label), self.classes).to(x.dtype)[:, :, None, None]
            x = torch.cat([x, planes.expand(-1, -1, *x.shape[2:])], 1)
        for part in (*self.encoder, *self.blocks):
            x = part(x)
        for part in self.decoder:
            x = part(nearest_up(x))
        out: Tensor = self.last(x)[:, :, :h, :w]
        # added in full precision: rounded to bfloat16 the source itself would lose a level in 256
        return out.float() + source.float() if self.near else self.ending(out)

    def features(self, source: Tensor, wanted: tuple[int, ...]) -> list[Tensor]:
        """What comes out of these of the encoder's and the blocks' layers, [n, widths[i], h_i, w_i] each."""
        x, found = to_multiple(source, 4), list[Tensor]()
        for i, part in enumerate((*self.encoder, *self.blocks)):
            x = part(x)
            if i in wanted:
                found.append(x)
            if i >= max(wanted):
                break
        return found
