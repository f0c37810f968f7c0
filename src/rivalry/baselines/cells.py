"""A table's encoded rows as whole numbers, and back: what counting needs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from rivalry.data.columns.codes import BOUND
from rivalry.types import Block, Spec

END = 1e-5
"""Numbers are drawn no further out than this share from either end."""


@dataclass(frozen=True)
class Variable:
    """A choice, a number, or a number with the choice before it whose first option says 'ordinary'.

    size: of its values.  bins: of them the first so many are a number's, each as likely as the others if the deviate is
    normal; 0 for a choice.
    """

    name: str
    choice: Block | None
    number: Block | None
    bins: int

    @property
    def size(self) -> int:
        if self.choice is None:
            return self.bins
        return self.choice.width + max(0, self.bins - 1)

    def codes(self, x: Tensor) -> Tensor:
        """Encoded rows [N, D] -> [N] int64 below `size`."""
        chosen = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        if self.choice is not None:
            chosen = x[:, self.choice.start : self.choice.start + self.choice.width].argmax(1)
        if self.number is None:
            return chosen
        level = torch.special.ndtr(x[:, self.number.start].double() * BOUND)
        at = (level * self.bins).long().clamp(0, self.bins - 1)
        return torch.where(chosen == 0, at, chosen + self.bins - 1)

    def write(self, codes: Tensor, within: Tensor, x: Tensor) -> None:
        """The inverse, into encoded rows x [N, D] of zeros; within [N] in [0, 1): the place inside the bin."""
        ordinary = codes < self.bins
        if self.choice is not None:
            chosen = torch.where(ordinary, 0, codes - self.bins + 1) if self.number is not None else codes
            x[torch.arange(len(x)), self.choice.start + chosen] = 1.0
        if self.number is not None:
            level = ((codes + within) / self.bins).clamp(END, 1 - END)
            x[:, self.number.start] = torch.where(ordinary, torch.special.ndtri(level) / BOUND, 0.0).to(x.dtype)


@dataclass(frozen=True)
class Cells:
    """A Spec's blocks as variables: a column is one, but for columns of more than 64 levels, whose group and member are
    two.  Bins have equal shares of the standard normal, so they take nothing from the rows that their encoding did not."""

    spec: Spec
    bins: int

    @cached_property
    def variables(self) -> tuple[Variable, ...]:
        found: list[Variable] = []
        for block in self.spec.blocks:
            last = found[-1] if found else None
            if block.kind == "choice":
                found.append(Variable(block.name, block, None, 0))
            elif last is not None and last.name == block.name and last.number is None:
                found[-1] = Variable(block.name, last.choice, block, self.bins)
            else:
                found.append(Variable(block.name, None, block, self.bins))
        return tuple(found)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        return tuple(v.size for v in self.variables)

    @cached_property
    def within(self) -> tuple[tuple[int, int], ...]:
        """Pairs of variables that are of one column."""
        pairs = zip(self.variables, self.variables[1:], strict=False)
        return tuple((i, i + 1) for i, (a, b) in enumerate(pairs) if a.name == b.name)

    def codes(self, x: Tensor) -> Tensor:
        """Encoded rows [N, D] -> [N, V] int64."""
        return torch.stack([v.codes(x) for v in self.variables], 1)

    def rows(self, codes: Tensor, within: Tensor) -> Tensor:
        """[N, V], and places inside the bins [N, V] in [0, 1) -> encoded rows [N, D] float32."""
        x = torch.zeros(len(codes), *self.spec.shape)
        for i, variable in enumerate(self.variables):
            variable.write(codes[:, i], within[:, i], x)
        return x
