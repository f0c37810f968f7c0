"""What the floors hand to one another: the data's Spec, batches, points, matches, verdicts.

Shapes: N is the number of examples in (a share of) a batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

Heads = dict[str, Tensor]
"""What a discriminator says of N examples, by name: 'score' is [N] or [N, K] logits (K patches, tokens or
critics); others are e.g. 'class' [N, classes], 'features' [N, F], 'code' [N, ...]."""

PAD, BOS, EOS, UNKNOWN = 0, 1, 2, 3
"""Tokens that stand for none of the text: after the end, before the first, the end, and what the vocabulary lacks.  A row of
tokens [T] holds those of its text, EOS where it ends within T, then PAD; BOS is put before it by networks."""

Knobs = dict[str, float | Tensor]
"""What schedules and controllers turn: Python numbers (schedules) or 0-d device tensors (controllers)."""


class Block(NamedTuple):
    """A part of a table's encoded rows, columns [start, start + width): a 'number', about a standard normal deviate
    over 4, or a 'choice', one-hot.

    name: the column of the table.  shares: of a choice's options among the training rows, none of them 0.
    """

    name: str
    kind: Literal["number", "choice"]
    start: int
    width: int
    shares: tuple[float, ...] = ()


class Outcome(NamedTuple):
    """Survival among the static columns of records: `time` until the event or the end of follow-up; the event happened where
    the column `event` has the level of that number.  after: columns that are known only later, and so predict nothing."""

    time: str
    event: str
    level: int = 1
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class Spec:
    """What networks may know of the data.

    kind: 'points' (shape (D,)), 'image' (C, H, W), 'tokens' (T,), 'series' (T, D), 'table' (D,), 'records' (D,).
    range: of the encoded values.  classes: 0 when there are no labels.  vocabulary: of tokens.  blocks: of a table's
    rows, without gaps and in order.  columns: names of a table's raw columns and whether each is a 'number' or a
    'category', where they are others than those of its blocks (tables with constraints).

    Of records, the first `static` entries of an example are the patient's own, then come `visits` visits of one layout;
    each begins with a choice of 'there is this visit' and 'there is none'.  survival: where their columns hold an outcome.

    source: (C, H, W) of the pictures that pictures are made from, where the data are pairs (Batch.extra['source']).

    context: of dialogue, kind 'tokens': the first so many places of a row hold what is replied to, pushed to the right: turns that
    begin with BOS (who will reply) or with `vocabulary - 1` (anybody else) and end with EOS, and BOS in the last place, after
    which the reply begins.
    """

    kind: str
    shape: tuple[int, ...]
    range: tuple[float, float] = (-1.0, 1.0)
    class_names: tuple[str, ...] = ()
    vocabulary: int = 0
    blocks: tuple[Block, ...] = ()
    columns: tuple[tuple[str, str], ...] = ()
    static: int = 0
    visits: int = 0
    survival: Outcome | None = None
    source: tuple[int, ...] = ()
    context: int = 0

    @property
    def classes(self) -> int:
        return len(self.class_names)

    @property
    def visit_width(self) -> int:
        """Entries of one visit; 0 where there are none."""
        return (self.shape[0] - self.static) // self.visits if self.visits else 0


SURVEYED = "surveyed"
"""Batch.extra: [N] 1 for rows that a network of the recipe has looked at before training (`rivalry.parts.Surveys`); absent where nobody has."""


@dataclass
class Batch:
    """N examples: x [N, *spec.shape], labels [N] int64 or None, index [N] of the rows they came from."""

    x: Tensor
    label: Tensor | None = None
    index: Tensor | None = None
    extra: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.x.shape[0]


class Point(NamedTuple):
    """Where a discriminator is asked: x [N, ...], conditions (each [N, ...]), and the latent it came from.

    Only x is ever differentiated by penalties.
    """

    x: Tensor
    cond: tuple[Tensor, ...] = ()
    latent: Tensor | None = None

    def detach(self) -> Point:
        latent = None if self.latent is None else self.latent.detach()
        return Point(self.x.detach(), tuple(c.detach() for c in self.cond), latent)


class Match(NamedTuple):
    """`judge` is to tell `real` from `fake`.  Masks ([N] or [N, K], 1 = counts) are optional; weight scales
    the match's share of a side's loss (TimeGAN counts some twice); pack joins so many examples into one before
    the judge sees them; augment says whether the recipe's augmentation applies to its points."""

    judge: str
    real: Point | None
    fake: Point | None
    real_mask: Tensor | None = None
    fake_mask: Tensor | None = None
    weight: float = 1.0
    pack: int = 1
    augment: bool = True


class Judged(NamedTuple):
    """A point with what the judge said of it; slope is d(sum of scores)/dx [N, ...] where it was asked for."""

    point: Point
    heads: Heads
    slope: Tensor | None = None

    @property
    def score(self) -> Tensor:
        return self.heads["score"]


def per_example(x: Tensor, mask: Tensor | None = None) -> Tensor:
    """[N, ...] -> [N]: the mean over all but the first axis, over what the mask counts if there is one.

    >>> per_example(torch.ones(2, 3)).shape
    torch.Size([2])
    """
    if mask is not None:
        mask = mask.to(x.dtype)
        if mask.dim() < x.dim():
            mask = mask.reshape(mask.shape + (1,) * (x.dim() - mask.dim())).expand_as(x)
        if x.dim() == 1:
            return x * mask
        return (x * mask).flatten(1).sum(1) / mask.flatten(1).sum(1).clamp_min(1)
    return x if x.dim() == 1 else x.flatten(1).mean(1)


def square_norm(x: Tensor) -> Tensor:
    """[N, ...] -> [N]: the squared Euclidean norm of each example."""
    wide = x if x.dtype == torch.float64 else x.float()  # bfloat16 would keep three figures of each square and of their sum
    return wide.flatten(1).square().sum(1)


@lru_cache(maxsize=256)
def constant(values: tuple[Any, ...], device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
    """The numbers (or rows of them) as a tensor, made once for each device: copying them anew at every step would make the processor wait."""
    with torch.inference_mode(False):  # who asks first may be sampling, and who asks next training
        return torch.tensor(values, dtype=dtype, device=device)


def device_of(tensors: Mapping[str, Tensor]) -> torch.device:
    """The device the first of the tensors lives on (CPU if there is none)."""
    return next((t.device for t in tensors.values()), torch.device("cpu"))
