"""The levels of a table's categories as one list of options, and draws among them.

Option numbers run over all options of all category blocks, in the table's order: the places of a conditional vector
(CTGAN, Xu et al. 2019, section 4.3).  Choices that only say how a number is meant (spikes, missing) are no categories.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from rivalry.errors import RecipeError
from rivalry.streams import Draw
from rivalry.types import Block, constant


def categories(blocks: Sequence[Block]) -> tuple[Block, ...]:
    """The choices that stand for a category's levels (a category of many levels has two)."""
    numbers = {b.name for b in blocks if b.kind == "number"}
    return tuple(b for b in blocks if b.kind == "choice" and b.name not in numbers)


class Levels:
    """The categories of a table.

    blocks: one for each, C of them.  width: W, the number of all their options.
    """

    def __init__(self, blocks: Sequence[Block]) -> None:
        self.blocks = categories(blocks)
        widths = [b.width for b in self.blocks]
        self.width = sum(widths)
        self.first = tuple(sum(widths[:i]) for i in range(len(widths)))
        self._places = tuple(b.start + i for b in self.blocks for i in range(b.width))
        self._owner = tuple(i for i, width in enumerate(widths) for _ in range(width))

    def drawn_columns(self, draw: Draw, n: int) -> Tensor:
        """[n]: the category that each row is to be drawn by, all with equal chance; the same numbers for whoever asks at
        this place, so that a sampler and a game need no word of one another."""
        return draw.integers("by-column", max(1, len(self.blocks)), n)

    def within(self, x: Tensor, column: Tensor) -> Tensor:
        """Scores of encoded rows x [N, D] -> [N, W], -inf outside the options of the row's own column [N]."""
        owner, places = (constant(numbers, x.device, torch.long) for numbers in (self._owner, self._places))
        return x[:, places].masked_fill(owner[None] != column[:, None], -torch.inf)

    def of(self, rows: Tensor, column: Tensor) -> Tensor:
        """[N]: the option that encoded rows [N, D] have in a column [N]."""
        return self.within(rows, column).argmax(1)

    def hot(self, option: Tensor, like: Tensor) -> Tensor:
        """[N, W]: the conditional vector, one-hot."""
        return one_hot(option, self.width).to(like.dtype)

    def by_share(self, draw: Draw, n: int) -> Tensor:
        """[n]: options of columns drawn with equal chance, by their shares among the training rows as the Spec has them
        (never by the frequencies that training goes by)."""
        column, u = self.drawn_columns(draw, n), draw.uniform("by-share", n, 1)
        widest = max(b.width for b in self.blocks)
        table = torch.ones(len(self.blocks), widest, dtype=torch.float64)
        for i, b in enumerate(self.blocks):
            shares = torch.tensor(b.shares or (1.0,) * b.width, dtype=torch.float64)
            table[i, : b.width - 1] = (shares.cumsum(0) / shares.sum())[:-1]
        level = (table.to(u.device)[column] <= u.double()).sum(1)
        return constant(self.first, u.device, torch.long)[column] + level

    def option(self, name: str, level: int) -> int:
        """The option that stands for level number `level` of a category; of one with many levels, for its group.

        RecipeError for columns that are no category.
        """
        mine = [i for i, b in enumerate(self.blocks) if b.name == name]
        if not mine:
            raise RecipeError(f"{name!r} is no category, so no level of it can be asked for")
        group = level // self.blocks[mine[1]].width if len(mine) > 1 else level
        return self.first[mine[0]] + group
