"""A baseline as a run: its forest is the generator of a recipe that plays nobody, so that samples, scores, audits and reports come
by the doors that GANs have."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from torch import Tensor, nn

from rivalry.baselines.cells import Cells
from rivalry.baselines.forest import Forest
from rivalry.baselines.trees import Counting
from rivalry.baselines.using import blocks, check, private
from rivalry.catalogue import part, register
from rivalry.data import Dataset
from rivalry.data.base import Store
from rivalry.errors import RecipeError
from rivalry.games import Sample
from rivalry.objectives import Null
from rivalry.parts import Net, Wiring
from rivalry.privacy.accounting import DELTA_POWER
from rivalry.privacy.counts import CountTerms
from rivalry.recipe import EMA, About, Recipe, Side, Stage
from rivalry.types import Spec

NET = "generator"
LEAST = 5
"""Rows: fewer are not counted without differential privacy, since a run is handed over."""
ABOUTS = {
    "independent": About(
        "Independent columns", "", 0, "baselines", "Every column on its own, by counts: what marginals alone are worth.", ("generate", "tables")
    ),
    "mst": About(
        "Spanning tree of pairs (MST)", "McKenna, Miklau & Sheldon 2021, Winning the NIST contest, arXiv:2108.04978", 2021, "baselines",
        "Counts of single columns and of the pairs of a maximum spanning tree, also under differential privacy; no game and no networks.",
        ("generate", "tables"),
    ),
}  # fmt: skip


@final
class CountedTable(nn.Module):
    """A forest as a generator: z [N, 2V], uniform on [-1, 1], -> encoded rows [N, D].  Its tables are buffers, which come with
    `take` or with a state."""

    def __init__(self, cells: Cells) -> None:
        super().__init__()
        self.cells = cells

    def take(self, tensors: Mapping[str, Tensor]) -> None:
        for name, value in tensors.items():
            self.register_buffer(name.replace(".", "_"), value.clone())

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """The tables' sizes hang on the tree, so they are taken as they are; RuntimeError where one is missing."""
        found = dict(state_dict)
        parents = found.get("parents")
        names = {"parents", *(f"table_{i}" for i in range(len(self.cells.variables)))}
        if parents is None or set(found) != names or len(parents) != len(self.cells.variables):
            raise RuntimeError("Error in the counted table:\n it must have its parents and a table for each variable")
        self.take(found)
        return super().load_state_dict(found, strict, assign)

    def forward(self, z: Tensor) -> Tensor:
        uniform = ((z.detach().cpu().double() + 1) / 2).clamp(0, 1 - 1e-9)
        values, within = uniform.chunk(2, dim=1)
        tables = tuple(self.get_buffer(f"table_{i}").cpu() for i in range(len(self.cells.variables)))
        codes = Forest(tuple(self.get_buffer("parents").tolist()), tables).sample(values)
        return self.cells.rows(codes, within).to(z.device)


@register("net", "counted")
@dataclass(frozen=True)
class Counted(Net):
    """The forest of a baseline of this name: bins of a number; epsilon, delta of its differential privacy, 0 for none; before,
    names_delta: what the preparation of the columns had cost (see `trees.Counting`)."""

    baseline: str = "mst"
    bins: int = 16
    epsilon: float = 0.0
    delta: float = 0.0
    before: float = 0.0
    names_delta: float = 0.0

    @property
    def private(self) -> bool:
        return self.epsilon > 0

    def model(self) -> Counting:
        """Not fitted yet."""
        made: Counting = part("baseline", self.baseline)(
            self.bins, self.epsilon or math.inf, self.delta, self.before, self.names_delta, LEAST
        )  # fmt: skip
        return made

    def build(self, spec: Spec, wiring: Wiring) -> CountedTable:
        cells = Cells(spec, self.bins)
        if wiring.latent != 2 * len(cells.variables):
            raise RecipeError(
                f"the net 'counted' is not for other data than those it was fitted to; train {self.baseline!r} on these: rivalry train DATA "
                f"--recipe {self.baseline}"
            )
        return CountedTable(cells)


def counted(recipe: Recipe) -> Counted | None:
    """The settings of the forest, of a recipe that is one."""
    net = recipe.nets.get(NET)
    return net if isinstance(net, Counted) else None


def as_recipe(name: str, dataset: Dataset, epsilon: float | None, delta: float | None) -> Recipe | None:
    """The recipe of a baseline of this name for these data; None where no baseline is called so.  RecipeError for other data than
    tables, and for baselines that are no forest."""
    found = check(name, dataset)
    if found is None:
        return None
    if not isinstance(found, Counting):
        raise RecipeError(f"the baseline {name!r} is no forest of counts, so there is no run of it; it is for rivalry compare")
    if epsilon is None and delta is not None:
        raise RecipeError("--dp-delta goes with --dp-epsilon, which says how much may be spent, for example 3")
    settings = Counted(name, found.bins)
    if epsilon is not None:
        own = private(found, dataset, epsilon, delta or len(dataset.train) ** DELTA_POWER)
        assert isinstance(own, Counting)
        settings = Counted(name, own.bins, float(own.epsilon), own.delta, own.before, own.names_delta)
    game = Sample(latent=2 * len(Cells(dataset.spec, settings.bins).variables), distribution="uniform")
    return Recipe(
        name, {NET: settings}, game, (Stage((Side("counts", (NET,)),)),), Null(), about=ABOUTS.get(name, About()),
        ema=EMA(modules=()), batch=1, steps=1,
    )  # fmt: skip


def refuse(name: str, until: str, budget: str, start: str, settings: int, players: int) -> None:
    """RecipeError for what is asked of trainings and means nothing where rows are only counted."""
    asked = {"--until": until, "--budget": budget, "--from": start, "--set": settings, "players": players}
    flag = next((k for k, v in asked.items() if v), "")
    if flag:
        raise RecipeError(f"{name!r} counts the rows once and trains nothing, so {flag} has no meaning for it; leave it out")


def take(nets: Mapping[str, nn.Module], tensors: Mapping[str, Tensor]) -> None:
    """Puts fitted tensors into the networks of the recipe's state."""
    forest = nets[NET]
    assert isinstance(forest, CountedTable)
    forest.take(tensors)


def fitted(recipe: Recipe, rows: Store, spec: Spec) -> tuple[dict[str, Tensor], CountTerms | None]:
    """(the tensors of the recipe's forest, fitted to the rows; what that spent, None without differential privacy).  Each call
    counts, and spends, anew."""
    net = counted(recipe)
    assert net is not None
    model = net.model().fit(blocks(rows), spec)
    tensors = {k.replace(".", "_"): v for k, v in model.tensors().items()}
    if not net.private:
        return tensors, None
    return tensors, CountTerms(net.epsilon, net.delta, model.rho, model.rounds, len(rows), net.before, net.names_delta)
