"""Tiny data and trainings for tests: rows in memory, a trainer without a run folder."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from rivalry.recipe import Recipe
from rivalry.training.engine import Engine
from rivalry.training.loop import Trainer
from rivalry.training.state import State, build_state
from rivalry.types import BOS, EOS, PAD, Batch, Block, Spec

CPU = torch.device("cpu")
ENGINE = Engine("cpu")
POINTS = Spec("points", (2,), (-4.0, 4.0))
PICTURES = Spec("image", (1, 16, 16), (-1.0, 1.0))
TOKENS = Spec("tokens", (8,), (0.0, 9.0), vocabulary=10)
STYLES = Spec("tokens", (8,), (0.0, 9.0), ("plain", "old"), 10)
CLASSES = Spec("image", (1, 16, 16), (-1.0, 1.0), ("bar", "dash"))
TABLE = Spec(
    "table",
    (7,),
    blocks=(
        Block("height", "number", 0, 1),
        Block("income", "choice", 1, 2, (0.6, 0.4)),
        Block("income", "number", 3, 1),
        Block("colour", "choice", 4, 3, (0.5, 0.3, 0.2)),
    ),
)
VISIT = (
    Block("(visit)", "choice", 0, 2, (0.9, 0.1)),
    Block("(gap)", "number", 2, 1),
    Block("lab", "choice", 3, 2, (0.8, 0.2)),
    Block("lab", "number", 5, 1),
    Block("ward", "choice", 6, 3, (0.5, 0.3, 0.2)),
)
RECORDS = Spec(
    "records",
    (4 + 3 * 9,),
    blocks=(
        Block("age", "number", 0, 1),
        Block("sex", "choice", 1, 3, (0.5, 0.4, 0.1)),
        *(b._replace(start=4 + 9 * i + b.start, shares=(s, 1 - s) if b.name == "(visit)" else b.shares)
          for i, s in enumerate((0.95, 0.7, 0.4)) for b in VISIT),
    ),
    static=4,
    visits=3,
)  # fmt: skip


@dataclass
class Rows:
    """A store of rows in memory."""

    x: Tensor
    labels: Tensor | None = None
    extra: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, index: Tensor, device: torch.device) -> Batch:
        label = None if self.labels is None else self.labels[index]
        return Batch(self.x[index].to(device), label, index, {k: v[index].to(device) for k, v in self.extra.items()})

    def prefetch(self, index: Tensor) -> None:
        """They are in memory."""


def ring(n: int = 4096, modes: int = 4, sigma: float = 0.1) -> Rows:
    g = torch.Generator().manual_seed(0)
    angle = torch.randint(modes, (n,), generator=g) * (2 * math.pi / modes)
    centre = torch.stack([angle.cos(), angle.sin()], 1)
    return Rows(centre + sigma * torch.randn(n, 2, generator=g))


def bars(n: int = 512) -> Rows:
    """[n, 1, 16, 16]: a bright bar, upright (class 0) or lying (class 1), at a random place, on black."""
    g = torch.Generator().manual_seed(0)
    place, label = torch.randint(2, 13, (n,), generator=g), torch.randint(2, (n,), generator=g)
    upright = (torch.arange(16)[None] - place[:, None]).abs() <= 1
    pictures = upright[:, None, :].expand(n, 16, 16).float() * 2 - 1
    pictures = torch.where(label[:, None, None] == 1, pictures.transpose(1, 2), pictures)
    return Rows(pictures[:, None].contiguous(), label)


def people(n: int = 512) -> Rows:
    """[n, 7] by TABLE: the colour hangs on the height, and 40 % have no income."""
    g = torch.Generator().manual_seed(0)
    height, income = torch.randn(2, n, 1, generator=g) / 4
    poor = torch.rand(n, 1, generator=g) < 0.4
    colour = torch.bucketize(height, torch.tensor([0.0, 0.2]))
    choice = torch.cat([~poor, poor], 1).float()
    return Rows(torch.cat([height, choice, income * ~poor, torch.nn.functional.one_hot(colour[:, 0], 3)], 1))


def histories(n: int = 512) -> Rows:
    """[n, 31] by RECORDS: the ward stays from visit to visit, the lab hangs on the age and is missing at times."""
    g = torch.Generator().manual_seed(0)
    age = torch.randn(n, 1, generator=g) / 4
    sex = torch.nn.functional.one_hot(torch.randint(3, (n,), generator=g), 3)
    ward = torch.nn.functional.one_hot(torch.randint(3, (n,), generator=g), 3)
    there = torch.rand(n, 1, generator=g) < torch.tensor([[0.95, 0.7, 0.4]])
    there = there.cumprod(1).bool()
    parts: list[Tensor] = [age, sex]
    for i in range(3):
        gone = torch.rand(n, 1, generator=g) < 0.2
        lab = (age + torch.randn(n, 1, generator=g) / 10) * ~gone
        gap = torch.randn(n, 1, generator=g) / 4 * (i > 0)
        alive = there[:, i : i + 1]
        parts += [alive, ~alive, torch.cat([gap, ~gone, gone, lab, ward], 1) * alive]
    return Rows(torch.cat([p.float() for p in parts], 1))


def styled(n: int = 64) -> Rows:
    """The texts of `sentences`, of two styles in turn."""
    rows = sentences(n)
    return Rows(rows.x, torch.arange(n) % 2)


def sentences(n: int = 512) -> Rows:
    """[n, 8] by TOKENS: texts that count up from a random token, of 3 to 7 of them, then end."""
    g = torch.Generator().manual_seed(0)
    start, length = torch.randint(6, (n, 1), generator=g), torch.randint(3, 8, (n, 1), generator=g)
    place = torch.arange(8)
    x = 4 + (start + place) % 6
    return Rows(torch.where(place < length, x, torch.where(place == length, EOS, PAD)))


def counted_up(tokens: Tensor) -> float:
    """Share of neighbours that count up as the data do."""
    both = (tokens[:, 1:] > 3) & (tokens[:, :-1] > 3)
    right = (tokens[:, 1:] - tokens[:, :-1]) % 6 == 1
    return float((right & both).sum() / both.sum())


def trainer(recipe: Recipe, spec: Spec, rows: Rows, steps: int, seed: int = 0) -> Trainer:
    return Trainer(build_state(recipe, spec, seed, CPU), rows, steps, ENGINE)


def run(recipe: Recipe, spec: Spec, rows: Rows, steps: int, seed: int = 0) -> State:
    t = trainer(recipe, spec, rows, steps, seed)
    for _ in range(steps):
        t.step()
    return t.state


DIALOGUE = Spec("tokens", (12,), (0.0, 10.0), vocabulary=11, context=6)


def talks(n: int = 512) -> Rows:
    """[n, 12] by DIALOGUE: one says a token, the other counts on from it: 'talk' tells conversations apart."""
    g = torch.Generator().manual_seed(0)
    start, length = torch.randint(6, (n, 1), generator=g), torch.randint(2, 5, (n, 1), generator=g)
    place = torch.arange(6)
    reply = torch.where(place < length, 4 + (start + 1 + place) % 6, torch.where(place == length, EOS, PAD))
    said = torch.tensor([PAD, PAD, 10, 0, EOS, BOS]).repeat(n, 1)
    said[:, 3:4] = 4 + start
    return Rows(torch.cat([said, reply], 1), extra={"talk": torch.arange(n)})


LABELLED = Spec("image", (1, 28, 28), (-1.0, 1.0), ("shirt", "shoe", "bag"))


def labelled(n: int = 48) -> Rows:
    g = torch.Generator().manual_seed(1)
    return Rows(torch.rand(n, 1, 28, 28, generator=g) * 2 - 1, torch.randint(3, (n,), generator=g))


PAIRS = Spec("image", (3, 32, 32), (-1.0, 1.0), ("day", "night"), source=(3, 32, 32))


def pairs(n: int = 24) -> Rows:
    g = torch.Generator().manual_seed(2)
    x, source = (torch.rand(n, 3, 32, 32, generator=g) * 2 - 1 for _ in range(2))
    label = torch.arange(n) % 2
    return Rows(x, label, extra={"source": source, "source-label": label})


GROUPS = {"points": (POINTS, ring), "tables": (TABLE, people), "styles": (STYLES, styled), "records": (RECORDS, histories)}


def suited(recipe: Recipe, batch: int = 8) -> tuple[Recipe, Spec, Rows]:
    """(the recipe at so small a batch, data that it can learn from)."""
    spec, make = LABELLED, labelled
    if recipe.about.group in GROUPS:
        spec, make = GROUPS[recipe.about.group]
    elif recipe.game.changes:
        spec, make = PAIRS, pairs
    elif recipe.game.answers:
        spec, make = DIALOGUE, talks
    elif recipe.about.group == "text":
        spec, make = TOKENS, sentences
    schedules = {k: v for k, v in recipe.schedules.items() if k != "batch"}
    return replace(recipe, batch=batch, schedules=schedules), spec, make()


def flat(net: torch.nn.Module) -> Tensor:
    """All parameters in one row."""
    return torch.cat([p.detach().float().flatten() for p in net.parameters()])
