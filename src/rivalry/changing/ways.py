"""How a changer is to be applied, and what it means for the channels of a picture."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rivalry.changing.changer import Changer
from rivalry.changing.resample import enlarged
from rivalry.errors import DataError, RecipeError

LUMA = (0.299, 0.587, 0.114)
"""ITU-R BT.601, as JPEG has it."""
STRONGEST = 1.5
LEAST_TILE = 16


@dataclass(frozen=True)
class Ways:
    """strength: 0 gives the picture itself (enlarged, for super-resolution), 1 what the network makes of it, more goes
    beyond.  self_ensemble: the mean over the picture turned and mirrored in the ways that training knew, eight or two.  tile: side of a tile in pixels of
    the picture; None goes by memory.  draws, seed: of networks with noise.  quality: of JPEG, WebP and AVIF.
    """

    strength: float = 1.0
    self_ensemble: bool = False
    tile: int | None = None
    draws: int = 1
    seed: int = 0
    quality: int = 95

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= STRONGEST:
            raise DataError(f"strength must be from 0 (the picture as it is) to {STRONGEST}, not {self.strength}")
        if self.tile is not None and self.tile < LEAST_TILE:
            raise DataError(f"tiles must be {LEAST_TILE} pixels wide or more, not {self.tile}")
        if self.draws < 1:
            raise DataError(f"draws must be 1 or more, not {self.draws}")
        if not 1 <= self.quality <= 100:
            raise DataError(f"quality must be from 1 to 100, not {self.quality}")

    def check(self, changer: Changer) -> None:
        """RecipeError where the network has no use for what is asked."""
        if self.draws > 1 and not changer.latent:
            raise RecipeError("the network of this run draws no noise, so every draw would be the same; leave --draws out")
        if self.self_ensemble and len(changer.views) < 2:
            raise RecipeError("the pictures that this run learned from were neither turned nor mirrored, so there are no views to ask about; leave --self-ensemble out")


def luma(colour: Tensor) -> Tensor:
    """[n, 3, h, w] RGB -> [n, 1, h, w]; [n, 1, h, w] stays."""
    if colour.shape[1] == 1:
        return colour
    weights = torch.tensor(LUMA, dtype=colour.dtype).view(1, 3, 1, 1)
    return (colour * weights).sum(1, keepdim=True)


@dataclass(frozen=True)
class Channels:
    """How a picture of `colours` channels, with or without `alpha`, goes through a changer; all values in [0, 1].

    A network of one channel, met by a colour picture, works on luma; what it adds is added to all three colours, which
    is to keep Cb and Cr (enlarged bicubically).  A network of three, met by a grey picture, is given it three times, and the
    luma of its answer is taken.  Alpha that the network does not know is enlarged bicubically.
    """

    changer: Changer
    colours: int
    alpha: bool

    @property
    def makes(self) -> tuple[int, bool]:
        """(colours, alpha) of the result."""
        c = self.changer
        alpha = self.alpha if c.keeps_colour or c.outputs < 4 else True
        if c.keeps_colour and c.inputs == 1 and c.outputs == 1:
            return self.colours, alpha
        if c.outputs == 1 or (c.keeps_colour and c.inputs >= 3 and self.colours == 1):
            return 1, alpha
        return 3, alpha

    def note(self) -> str:
        """What the picture's owner may not expect; '' for nothing."""
        c = self.changer
        if c.inputs == 1 and self.colours == 3:
            if c.outputs > 1:
                return "the network works on grey pictures: the picture's own colours were set aside"
            kept = "its luma was changed, its colours were kept" if c.keeps_colour else "the result is grey"
            return f"the network works on grey pictures: {kept}"
        if c.inputs >= 3 and self.colours == 1:
            return "the network works on colour: grey was given to it as colour" + (", and the result made grey" if c.keeps_colour else "")
        return ""

    def given(self, x: Tensor) -> Tensor:
        """[n, colours + alpha, h, w] -> [n, inputs, h, w] in [-1, 1]."""
        colour = x[:, : self.colours]
        if self.changer.inputs == 1:
            colour = luma(colour)
        elif self.colours == 1:
            colour = colour.expand(-1, 3, -1, -1)
        if self.changer.inputs == 4:
            opacity = x[:, self.colours :] if self.alpha else torch.ones_like(x[:, :1])
            colour = torch.cat([colour, opacity], 1)
        return colour * 2 - 1

    def before(self, x: Tensor) -> Tensor:
        """[n, colours + alpha, h, w] -> the picture itself in the result's size and channels."""
        colours, alpha = self.makes
        base = enlarged(x, self.changer.scale)
        own = base[:, : self.colours]
        planes = [own if self.colours == colours else luma(own).expand(-1, colours, -1, -1)]
        if alpha:
            planes.append(base[:, self.colours :] if self.alpha else torch.ones_like(base[:, :1]))
        return torch.cat(planes, 1)

    def made(self, before: Tensor, y: Tensor, mask: Tensor | None, strength: float) -> Tensor:
        """before [n, c, H, W] as above, y [n, outputs, H, W] in [-1, 1], mask [n, 1, H, W] -> the result [n, c, H, W], clipped
        to [0, 1]."""
        colours, alpha = self.makes
        answer = (y + 1) / 2
        colour = answer[:, :3]
        if colours == 1:
            colour = luma(colour)
        elif self.changer.outputs == 1:
            colour = before[:, :3] + (colour - luma(before[:, :3]))
        if alpha:
            colour = torch.cat([colour, answer[:, 3:] if self.changer.outputs == 4 else before[:, colours:]], 1)
        out = (before + strength * (colour - before)).clamp(0, 1)
        return out if mask is None else torch.where(mask > 0, out, before)
