"""A trained network that changes pictures, as files and exports need it: whatever trained it is no longer of interest."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import nn

from rivalry.errors import RecipeError

SCALES = (1, 2, 3, 4)
VIEWS = tuple(range(8))
"""Four quarter turns, each as it is and (from 4 on) mirrored first: a picture's symmetries."""


@dataclass(frozen=True)
class Changer:
    """A trained network that changes pictures, ready for files of any size.

    net: called as net(x) or, with a latent, net(x, z): x [n, c, h, w] float32 in [-1, 1], any h, w >= 1, z [n, latent]
    standard normal -> [n, outputs, scale * h, scale * w] in about [-1, 1].  It pads by itself, at the right and the bottom
    only: otherwise tiles do not lie as in the whole picture.  c is `inputs`, one more with a mask.

    inputs: 1 grey, 3 colour, 4 colour and alpha; outputs: likewise.  scale: 2, 3, 4 for super-resolution.  context: pixels of
    the source around a place that may bear on it, for tiles overlap by it.  multiple: the net's stride in all (2 to the
    number of its halvings); tiles begin at multiples of it.  task: what it was trained for, in a word.  latent: size of the
    noise, 0 for none.  mask: the net fills holes; it is given x with 0 in the holes and then the mask, 1 in the holes and 0
    elsewhere, and only the holes are replaced.  keeps_colour: a net of one channel, met by a colour picture, is given its
    luma, and the colours are kept; without it the result is grey.  views: those of VIEWS that training showed, in which it may be asked.

    Statistics over the whole picture (instance and group norm, pooling to one pixel, means over height and width) are found by
    `rivalry.changing.whole`; nothing need be said of them.
    """

    net: nn.Module
    inputs: int
    outputs: int
    scale: int = 1
    context: int = 32
    multiple: int = 16
    task: str = "restore"
    latent: int = 0
    mask: bool = False
    keeps_colour: bool = True
    views: tuple[int, ...] = VIEWS
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def __post_init__(self) -> None:
        if self.inputs not in (1, 3, 4) or self.outputs not in (1, 3, 4):
            raise RecipeError(f"a network that changes pictures takes and makes 1, 3 or 4 channels, not {self.inputs} and {self.outputs}")
        if self.scale not in SCALES:
            raise RecipeError(f"pictures can be enlarged 1, 2, 3 or 4 times, not {self.scale}")
        if self.context < 0 or self.multiple < 1 or self.latent < 0:
            raise RecipeError("context and latent must be 0 or more, and multiple 1 or more")
        if self.mask and (self.scale != 1 or self.inputs != self.outputs):
            raise RecipeError("a network that fills holes keeps the size and the channels of the picture")
