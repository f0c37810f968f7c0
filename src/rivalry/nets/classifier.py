"""A classifier of one of a table's columns by the others (TableGAN's third network)."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from rivalry.catalogue import register
from rivalry.errors import RecipeError, UnknownName
from rivalry.nets.mlp import MLPTrunk
from rivalry.nets.table import of_table
from rivalry.nets.trunk import Trunk
from rivalry.parts import Net, Wiring
from rivalry.types import Block, Spec


@register("net", "column-classifier")
@dataclass(frozen=True)
class ColumnClassifier(Net):
    """Encoded rows [N, D] -> logits [N, K] of the levels of column `target`, which it does not see.

    target: a category by name; '' is the last category of the table, where many tables keep their outcome.
    """

    trunk: Trunk = field(default_factory=lambda: MLPTrunk(sizes=(256, 256)))
    target: str = ""

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        return Classifier(self.trunk, target_of(of_table(spec, "column-classifier"), self.target), spec, wiring)


def target_of(spec: Spec, name: str) -> tuple[Block, ...]:
    """The blocks of the target; RecipeError where there is no category, UnknownName where it is none."""
    numbers = {b.name for b in spec.blocks if b.kind == "number"}
    names = list(dict.fromkeys(b.name for b in spec.blocks if b.name not in numbers))
    if not names:
        raise RecipeError(
            "this recipe predicts a category by the other columns, and the table has none; take 'house-table', or make a "
            "column a category with --schema"
        )
    if name and name not in names:
        raise UnknownName("category of the table", name, names)
    return tuple(b for b in spec.blocks if b.name == (name or names[-1]))


class Classifier(nn.Module):
    """A trunk on the other columns, the target's set to 0, and a linear layer."""

    mask: Tensor

    def __init__(self, trunk: Trunk, blocks: tuple[Block, ...], spec: Spec, wiring: Wiring) -> None:
        super().__init__()
        self.blocks = blocks
        self.trunk = trunk.build(spec, Wiring())
        self.last = self.trunk.dense(self.trunk.features, sum(b.width for b in blocks))
        mask = torch.ones(spec.shape[0])
        for b in blocks:
            mask[b.start : b.start + b.width] = 0
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, rows: Tensor) -> Tensor:
        logits: Tensor = self.last(self.trunk(rows * self.mask).features)
        return logits

    def surprise(self, rows: Tensor) -> Tensor:
        """[N]: cross-entropy between what a row says of its target and what its other columns foretell; of a category
        of many levels, of group and member."""
        found, at = rows.new_zeros(len(rows)), 0
        logits = self(rows)
        for b in self.blocks:
            said = rows[:, b.start : b.start + b.width]
            found = found + cross_entropy(logits[:, at : at + b.width], said, reduction="none")
            at += b.width
        return found
