"""Trainings of a run's recipe for an audit's own use, on other rows: nothing of them is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from rivalry.audit.discriminator import Asked, of_networks
from rivalry.audit.material import Tick
from rivalry.baselines import counted, fitted, take
from rivalry.data import Dataset, Modality, Store
from rivalry.recipe import Recipe
from rivalry.sampling import Sampler, class_shares, settle
from rivalry.training.engine import Engine
from rivalry.training.loop import Trainer
from rivalry.training.state import build_state
from rivalry.types import Batch

MOST = 1_000
"""Steps of such a training, where nothing else is said and the run took more."""
TOLD = 20
"""Steps between words of how far it is."""


@dataclass(frozen=True)
class Retraining:
    """The recipe to train anew and its steps.  shadows: models on random halves (even, 4 at least), 0 for none; canaries:
    rows that are planted in one more training by the toss of a coin, 0 for none.  precision: that of the run."""

    recipe: Recipe
    steps: int
    shadows: int = 0
    canaries: int = 0
    precision: str = "float32"


@dataclass(frozen=True)
class Trained:
    """draw: (n, seed) -> encoded samples; asked: its own networks."""

    draw: Callable[[int, int], Tensor]
    asked: Asked


def retrain(plan: Retraining, dataset: Dataset, store: Store, seed: int, device: torch.device, tell: Callable[[float], None]) -> Trained:
    """Trains the plan's recipe on the store for its steps.  Under differential privacy with the recipe's own noise: what
    comes out is as private as the run's own steps are, but nobody keeps account of it."""
    state = build_state(plan.recipe, dataset.spec, seed, device)
    if counted(plan.recipe) is not None:
        take(state.nets, fitted(plan.recipe, store, dataset.spec)[0])
    trainer = Trainer(state, store, plan.steps, Engine(device.type, plan.precision))
    for step in range(plan.steps):
        trainer.step()
        state.sums, state.counts = {}, {}
        if step % TOLD == 0:
            tell(step / plan.steps)
    nets = {**state.nets, **state.ema}
    sampler = Sampler(plan.recipe.game, state.wiring, nets, device, class_shares(dataset))
    settle(sampler, seed)
    for net in state.nets.values():
        net.eval().requires_grad_(False)
    return Trained(sampler, of_networks(plan.recipe, state.nets, device, seed))


def telling(tick: Tick, what: str, part: int, parts: int) -> Callable[[float], None]:
    """The share of one of several trainings as a share of all."""
    return lambda share: tick(what, (part + share) / parts)


@final
class Joined:
    """Rows of several stores as one: (store, row numbers [n]) one after the other."""

    def __init__(self, parts: Sequence[tuple[Store, Tensor]]) -> None:
        self._parts = [(store, index) for store, index in parts if len(index)]
        self._ends = torch.tensor([len(index) for _, index in self._parts]).cumsum(0)

    @property
    def labels(self) -> Tensor | None:
        found = [store.labels[index] for store, index in self._parts if store.labels is not None]
        return torch.cat(found) if len(found) == len(self._parts) else None

    def __len__(self) -> int:
        return int(self._ends[-1])

    def _shares(self, index: Tensor) -> list[tuple[Tensor, Store, Tensor]]:
        """(places in what was asked for, the store, its rows)."""
        asked = index.cpu()
        which = torch.searchsorted(self._ends, asked, right=True)
        out = []
        for number, (store, rows) in enumerate(self._parts):
            mine = (which == number).nonzero()[:, 0]
            if len(mine):
                out.append((mine, store, rows[asked[mine] - (int(self._ends[number]) - len(rows))]))
        return out

    def batch(self, index: Tensor, device: torch.device) -> Batch:
        found = [(mine, store.batch(rows, device)) for mine, store, rows in self._shares(index)]
        order = torch.cat([mine for mine, _ in found]).argsort().to(device)
        x = torch.cat([b.x for _, b in found])[order]
        labels = [b.label for _, b in found if b.label is not None]
        return Batch(x, torch.cat(labels)[order] if len(labels) == len(found) else None, index.to(device))

    def raw(self, index: Tensor) -> Tensor:
        found = [(mine, store.raw(rows)) for mine, store, rows in self._shares(index)]
        return torch.cat([r for _, r in found])[torch.cat([mine for mine, _ in found]).argsort()]

    def prefetch(self, index: Tensor) -> None:
        """Nothing to do: rows come from stores that are read as they are asked."""

    def to(self, device: torch.device) -> Joined:
        return Joined([(store.to(device), index) for store, index in self._parts])


@final
class Encoded:
    """Rows as networks see them, x [N, *shape], with labels [N] or without."""

    def __init__(self, x: Tensor, labels: Tensor | None, modality: Modality) -> None:
        self.x, self.labels, self._modality = x, labels, modality

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, index: Tensor, device: torch.device) -> Batch:
        label = None if self.labels is None else self.labels[index.cpu()].to(device)
        return Batch(self.x[index.cpu()].to(device), label, index.to(device))

    def raw(self, index: Tensor) -> Tensor:
        return self._modality.decode(self.x[index.cpu()])

    def prefetch(self, index: Tensor) -> None:
        """Nothing to do: the rows are here."""

    def to(self, device: torch.device) -> Encoded:
        return self
