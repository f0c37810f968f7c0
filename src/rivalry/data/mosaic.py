"""Stores for pictures that are changed into pictures: squares cut out of pictures of any size, alone or in pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import final

import numpy as np
import torch
from torch import Tensor

from rivalry.data.sources import Array
from rivalry.data.stores import Encode
from rivalry.types import Batch


@dataclass(frozen=True)
class Pile:
    """Pictures of any size in one tensor: `flat` [total], each [C, h, w] in turn; offsets, heights, widths [N]."""

    flat: Tensor
    channels: int
    heights: Tensor
    widths: Tensor
    offsets: Tensor

    @classmethod
    def of(cls, pictures: Sequence[Array]) -> Pile:
        """pictures: [C, h, w] of one number of channels and one type."""
        sizes = torch.tensor([p.shape[1:] for p in pictures])
        lengths = sizes.prod(1) * pictures[0].shape[0]
        flat = torch.from_numpy(np.concatenate([p.reshape(-1) for p in pictures]))
        return cls(flat, pictures[0].shape[0], sizes[:, 0], sizes[:, 1], lengths.cumsum(0) - lengths)

    def __len__(self) -> int:
        return len(self.heights)

    def picture(self, i: int) -> Tensor:
        """[C, h, w]: one of them, whole."""
        h, w, at = int(self.heights[i]), int(self.widths[i]), int(self.offsets[i])
        return self.flat[at : at + self.channels * h * w].view(self.channels, h, w)

    def cut(self, which: Tensor, top: Tensor, left: Tensor, size: tuple[int, int]) -> Tensor:
        """[n, C, *size] out of pictures `which` [n] at top, left [n]."""
        here = self.flat.device
        h, w = self.heights[which], self.widths[which]
        first = (self.offsets[which] + top * w + left).to(here)
        plane, line = (h * w).to(here), w.to(here)
        c = torch.arange(self.channels, device=here)
        y, x = (torch.arange(s, device=here) for s in size)
        places = (
            first[:, None, None, None] + plane[:, None, None, None] * c[:, None, None]
            + line[:, None, None, None] * y[:, None] + x
        )  # fmt: skip
        flat = self.flat.view(torch.int16) if self.flat.dtype == torch.uint16 else self.flat
        return flat[places].view(self.flat.dtype)

    def to(self, device: torch.device) -> Pile:
        return self if self.flat.device == device else replace(self, flat=self.flat.to(device))


@dataclass(frozen=True)
class Places:
    """Where squares are cut: rows of the store, numbered through all pictures `which` [P].

    size: of a square, (h, w).  step: between squares; the last ones end at the border.  across: squares side by side in each
    picture; counts: squares in it and all before it.
    """

    which: Tensor
    heights: Tensor
    widths: Tensor
    size: tuple[int, int]
    step: int
    across: Tensor = field(init=False)
    counts: Tensor = field(init=False)

    def __post_init__(self) -> None:
        down, across = (-(-(sides - s) // self.step) + 1 for sides, s in zip((self.heights, self.widths), self.size, strict=True))
        object.__setattr__(self, "across", across)
        object.__setattr__(self, "counts", (down * across).cumsum(0))

    def __len__(self) -> int:
        return int(self.counts[-1])

    def at(self, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(picture, top, left) [n] of rows `index` [n]."""
        index = index.cpu().contiguous()
        number = torch.searchsorted(self.counts, index, right=True)
        rest = index - torch.where(number > 0, self.counts[(number - 1).clamp_min(0)], 0)
        across = self.across[number]
        top = torch.minimum(rest // across * self.step, self.heights[number] - self.size[0])
        left = torch.minimum(rest % across * self.step, self.widths[number] - self.size[1])
        return self.which[number], top, left


def places(pile: Pile, which: Array, size: tuple[int, int], step: int) -> Places:
    """Squares of the pictures `which`."""
    index = torch.from_numpy(which).long()
    return Places(index, pile.heights[index], pile.widths[index], size, step)


@final
class Mosaic:
    """Squares of pictures, and, where the data are pairs, the same squares of their partners.

    source: the partners, of equal size, or all `scale` times smaller a side (then squares and steps are multiples of it).  other: in place of partners, squares of other pictures that belong to nobody: row i
    comes with row i of them, again from the first where there are fewer.  classes: of those other pictures [M] int64, where they have
    some; they come as extra 'source-label'.
    """

    labels: Tensor | None = None

    def __init__(
        self, pile: Pile, places: Places, encode: Encode, source: Pile | None = None, other: tuple[Pile, Places] | None = None,
        classes: Tensor | None = None, scale: int = 1,
    ) -> None:  # fmt: skip
        self._pile, self._places, self._encode = pile, places, encode
        self._source, self._other, self._classes, self._scale = source, other, classes, scale

    def __len__(self) -> int:
        return max(len(self._places), 0 if self._other is None else len(self._other[1]))

    def raw(self, index: Tensor) -> Tensor:
        return self._pile.cut(*self._places.at(index.cpu() % len(self._places)), self._places.size)

    def batch(self, index: Tensor, device: torch.device) -> Batch:
        x = self._encode(self.raw(index).to(device))
        return Batch(x, None, index.to(device), self._extra(index, device))

    def _extra(self, index: Tensor, device: torch.device) -> dict[str, Tensor]:
        labels: dict[str, Tensor] = {}
        if self._source is not None:
            which, top, left = self._places.at(index)
            height, width = self._places.size
            partners = self._source.cut(which, top // self._scale, left // self._scale, (height // self._scale, width // self._scale))
        elif self._other is not None:
            pile, places = self._other
            at = places.at(index.cpu() % len(places))
            partners = pile.cut(*at, places.size)
            if self._classes is not None:
                labels = {"source-label": self._classes[at[0]].to(device)}
        else:
            return {}
        return {"source": self._encode(partners.to(device)), **labels}

    def prefetch(self, index: Tensor) -> None:
        """Nothing to do: the pictures are here."""

    def to(self, device: torch.device) -> Mosaic:
        if device.type == "cpu":
            return self
        source = None if self._source is None else self._source.to(device)
        other = None if self._other is None else (self._other[0].to(device), self._other[1])
        return Mosaic(self._pile.to(device), self._places, self._encode, source, other, self._classes, self._scale)
