"""StyleGAN2 (Karras et al. 2020) in plain PyTorch: mapping network, modulated convolutions, skip generator,
residual trunk with minibatch standard deviation.

Widths: published configurations have cap 512 and width 32768 / side (64 px: 512, 256 px: 128), or half of it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rivalry.catalogue import register
from rivalry.nets.batchwise import MinibatchStd
from rivalry.nets.layers import EqualConv2d, EqualLinear, PixelNorm, ScaledLeaky, need_label
from rivalry.nets.resample import Resample
from rivalry.nets.shapes import Grid, Out, crop, ending, grid_of, image_shape, pad, pyramid
from rivalry.nets.trunk import Seen, Trunk, TrunkModule
from rivalry.parts import Net, Wiring
from rivalry.streams import generator
from rivalry.types import Spec

ROOT2 = math.sqrt(2)


class Truncates(ABC):
    """Marks generators with a truncation of their own, which trades variety for typicality."""

    @abstractmethod
    def truncated(self, z: Tensor, *cond: Tensor, psi: float) -> Tensor:
        """x [N, *shape]; psi = 1 changes nothing, 0 gives the average example."""


class Styled(Truncates):
    """Marks style-based generators: mapping(z, *cond) -> w [N, style], synthesis(w or ws [N, layers, style]) -> x [N, *shape].  By a mark
    and not by their members: where those are modules, Python 3.12 and later do not see them."""

    layers: int
    mapping: Callable[..., Tensor]
    synthesis: Callable[..., Tensor]


@register("net", "stylegan2")
@dataclass(frozen=True)
class StyleGAN2(Net):
    """Generator (z [N, latent], *cond) -> x [N, C, H, W] = synthesis(mapping(z, *cond)).

    style: length of w.  depth: layers of the mapping, which learn at mapping_lr of the rate.  width: channels at
    full resolution, doubling towards the base up to `cap`.  noise: every layer adds learnt amounts of noise,
    fresh in training and fixed in evaluation.
    """

    style: int = 512
    depth: int = 8
    mapping_lr: float = 0.01
    width: int = 128
    cap: int = 512
    noise: bool = True
    out: Out = "none"
    smallest: int = 4

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        return StyleGAN2Generator(self, spec, wiring)


class StyleGAN2Generator(nn.Module, Styled):
    """mapping(z, *cond) -> w [N, style]; synthesis(w or ws [N, layers, style]) -> x [N, C, H, W]."""

    def __init__(self, settings: StyleGAN2, spec: Spec, wiring: Wiring) -> None:
        super().__init__()
        self.mapping = Mapping(wiring, settings.style, settings.depth, settings.mapping_lr)
        self.synthesis = synthesis = Synthesis(settings, spec)
        self.layers, self.latent, self.classes = synthesis.layers, wiring.latent, wiring.classes

    def forward(self, z: Tensor, *cond: Tensor) -> Tensor:
        out: Tensor = self.synthesis(self.mapping(z, *cond))
        return out

    @torch.no_grad()
    def centre(self, count: int = 1024) -> Tensor:
        """[style]: the mean w over `count` fixed draws of z (and of labels)."""
        p = next(self.parameters())
        g = generator(p.device, "stylegan2", "centre")
        z = torch.randn(count, self.latent, generator=g, device=p.device).to(p.dtype)
        cond = (torch.arange(count, device=p.device) % self.classes,) if self.classes else ()
        mean: Tensor = self.mapping(z, *cond).mean(0)
        return mean

    def truncated(self, z: Tensor, *cond: Tensor, psi: float) -> Tensor:
        """synthesis(centre + psi (w - centre)); the centre is that of the present weights, so nothing is tracked."""
        w = self.mapping(z, *cond)
        out: Tensor = self.synthesis(w if psi == 1 else torch.lerp(self.centre(), w, psi))
        return out


class Mapping(nn.Module):
    """(z [N, latent], *cond) -> w [N, style]: normalised z, beside it the normalised embedding of the label."""

    def __init__(self, wiring: Wiring, style: int, depth: int, lr: float) -> None:
        super().__init__()
        self.embed = nn.Embedding(wiring.classes, style) if wiring.classes else None
        widths = [wiring.latent + (style if self.embed else 0), *[style] * depth]
        layers: list[nn.Module] = []
        for a, b in pairwise(widths):
            layers += [EqualLinear(a, b, lr_scale=lr), ScaledLeaky()]
        self.norm, self.layers = PixelNorm(), nn.Sequential(*layers)

    def forward(self, z: Tensor, *cond: Tensor) -> Tensor:
        x = self.norm(z)
        if self.embed is not None:
            x = torch.cat([x, self.norm(self.embed(need_label(cond)))], 1)
        w: Tensor = self.layers(x)
        return w


class ModulatedConv(nn.Module):
    """(x [N, C, H, W], w [N, style]) -> [N, outputs, H', W'], equations 1-3 of the paper.

    Instead of one kernel per example (a grouped convolution), inputs are scaled by the style s before one
    shared convolution and outputs by d = 1 / sqrt(sum (W s)^2 + eps) after it: the same function.  `up` doubles
    by a transposed convolution and smooths.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, style: int, size: tuple[int, int], up: bool = False,
        demodulate: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.style = EqualLinear(style, inputs, bias_start=1)
        self.scale, self.padding = 1 / math.sqrt(inputs * kernel**2), kernel // 2
        self.demodulate = demodulate
        self.smooth = Resample((2 * size[0] + 1, 2 * size[1] + 1), "join") if up else None

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        style, weight = self.style(w), self.weight * self.scale
        x = x * style[:, :, None, None]
        if self.smooth is None:
            x = F.conv2d(x, weight, padding=self.padding)
        else:
            x = 4 * self.smooth(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2))
        if not self.demodulate:
            return x
        power = F.linear(style.square(), weight.square().sum((2, 3)))  # [N, outputs]
        return x * (power + 1e-8).rsqrt()[:, :, None, None]


class StyleLayer(nn.Module):
    """A modulated 3x3 convolution, noise, bias and leaky ReLU; size: of the input."""

    fixed: Tensor

    def __init__(self, inputs: int, outputs: int, style: int, size: tuple[int, int], up: bool, noise: bool) -> None:
        super().__init__()
        self.conv = ModulatedConv(inputs, outputs, 3, style, size, up)
        self.bias = nn.Parameter(torch.zeros(outputs, 1, 1))
        self.strength = nn.Parameter(torch.zeros(())) if noise else None
        if noise:
            self.register_buffer("fixed", torch.randn(1, 1, size[0] << up, size[1] << up))
        self.act = ScaledLeaky()

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        x = self.conv(x, w)
        if self.strength is not None:
            noise = x.new_empty(x.shape[0], 1, *x.shape[2:]).normal_() if self.training else self.fixed
            x = torch.addcmul(x, noise, self.strength)
        out: Tensor = self.act(x + self.bias)
        return out


class Synthesis(nn.Module):
    """w [N, style], or ws [N, layers, style] for one style per layer -> x [N, C, H, W]: each resolution adds its
    colours to the upsampled ones of the last."""

    def __init__(self, settings: StyleGAN2, spec: Spec) -> None:
        super().__init__()
        s, (colours, height, width) = settings, image_shape(spec, "stylegan2")
        self.grid = grid_of((height, width), s.smallest)
        widths = pyramid(s.width, s.cap, self.grid.doublings + 1)
        self.start = nn.Parameter(torch.randn(widths[0], *self.grid.base))
        self.first = StyleLayer(widths[0], widths[0], s.style, self.grid.base, False, s.noise)
        self.colour = nn.ModuleList([ToColour(widths[0], colours, s.style, self.grid.base)])
        self.ups, self.convs, self.enlarge = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for level, (a, b) in enumerate(pairwise(widths)):
            size, twice = self.grid.at(level), self.grid.at(level + 1)
            self.ups.append(StyleLayer(a, b, s.style, size, True, s.noise))
            self.convs.append(StyleLayer(b, b, s.style, twice, False, s.noise))
            self.colour.append(ToColour(b, colours, s.style, twice))
            self.enlarge.append(Resample(size, "up"))
        self.layers, self.ending = 2 * len(widths), ending(s.out, spec)

    def forward(self, w: Tensor) -> Tensor:
        ws = w.unbind(1) if w.dim() == 3 else (w,) * self.layers
        x = self.first(self.start.expand(w.shape[0], -1, -1, -1), ws[0])
        picture: Tensor = self.colour[0](x, ws[1])
        for i, (up, conv, enlarge) in enumerate(zip(self.ups, self.convs, self.enlarge, strict=True)):
            x = conv(up(x, ws[2 * i + 1]), ws[2 * i + 2])
            picture = enlarge(picture) + self.colour[i + 1](x, ws[2 * i + 3])
        out: Tensor = self.ending(crop(picture, self.grid.size))
        return out


class ToColour(nn.Module):
    """A modulated 1x1 convolution without demodulation, and a bias."""

    def __init__(self, inputs: int, colours: int, style: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.conv = ModulatedConv(inputs, colours, 1, style, size, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(colours, 1, 1))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        out: Tensor = self.conv(x, w) + self.bias
        return out


@register("trunk", "stylegan2")
@dataclass(frozen=True)
class StyleGAN2Trunk(Trunk):
    """x [N, C, H, W] -> features [N, channels], maps [N, channels, h, w]; heads learn at an equalised rate.

    group: size of the groups of minibatch standard deviation, which couples the batch; 0 leaves it out.
    """

    width: int = 128
    cap: int = 512
    group: int = 4
    smallest: int = 4

    def build(self, spec: Spec, wiring: Wiring) -> TrunkModule:
        return StyleGAN2TrunkModule(self, spec)


class StyleGAN2TrunkModule(TrunkModule):
    def __init__(self, settings: StyleGAN2Trunk, spec: Spec) -> None:
        super().__init__()
        s, (colours, height, width) = settings, image_shape(spec, "stylegan2")
        self.grid = grid_of((height, width), s.smallest)
        widths = pyramid(s.width, s.cap, self.grid.doublings + 1)[::-1]
        top = widths[-1]
        self.first = nn.Sequential(EqualConv2d(colours, widths[0], 1), ScaledLeaky())
        self.blocks = nn.Sequential(*(_block(self.grid, i, widths) for i in range(len(widths) - 1)))
        self.std = MinibatchStd(s.group) if s.group else nn.Identity()
        self.conv = nn.Sequential(EqualConv2d(top + (1 if s.group else 0), top, 3, padding=1), ScaledLeaky())
        h, w = self.grid.base
        self.last = nn.Sequential(EqualLinear(top * h * w, top), ScaledLeaky())
        self.features = self.maps = top

    def forward(self, x: Tensor) -> Seen:
        maps = self.blocks(self.first(pad(x, self.grid.full)))
        return Seen(self.last(self.conv(self.std(maps)).flatten(1)), maps)

    def dense(self, inputs: int, outputs: int, bias: bool = True) -> nn.Module:
        return EqualLinear(inputs, outputs, bias)


def _block(grid: Grid, index: int, widths: tuple[int, ...]) -> nn.Module:
    return StyleDownBlock(widths[index], widths[index + 1], grid.at(grid.doublings - index))


class StyleDownBlock(nn.Module):
    """Two 3x3 convolutions, the second after smoothing and with stride 2, beside a smoothed 1x1 shortcut; the
    sum over sqrt(2)."""

    def __init__(self, inputs: int, outputs: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(EqualConv2d(inputs, inputs, 3, padding=1), ScaledLeaky())
        self.conv2 = nn.Sequential(
            Resample(size, "part"), EqualConv2d(inputs, outputs, 3, stride=2), ScaledLeaky(gain=1.0)
        )
        self.skip = nn.Sequential(Resample(size, "down"), EqualConv2d(inputs, outputs, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        # the residual branch's gain sqrt(2) cancels against the sum's 1 / sqrt(2)
        out: Tensor = self.conv2(self.conv1(x)) + self.skip(x) / ROOT2
        return out
