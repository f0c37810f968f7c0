"""What a run's own networks say of rows, its discriminators and a generator that has a likelihood: white-box attacks ask them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from rivalry.audit.attacking import Scorer
from rivalry.data.base import Store
from rivalry.errors import RunError
from rivalry.parts import Turn
from rivalry.recipe import Recipe
from rivalry.run import Run, load_module
from rivalry.streams import Draw, generator
from rivalry.training.contest import packed
from rivalry.training.sources import FixedRows
from rivalry.types import PAD, Batch, per_example

ROWS = 256
LIKELIHOOD = "likelihood"


@dataclass(frozen=True)
class Asked:
    """Scorers: the discriminators, by match, and the generator's likelihood, if it has one."""

    judges: Mapping[str, Scorer] = field(default_factory=dict)
    likelihood: Scorer | None = None

    def by_name(self) -> dict[str, Scorer]:
        found = {f"discriminator {match}": scorer for match, scorer in self.judges.items()}
        return found if self.likelihood is None else {**found, LIKELIHOOD: self.likelihood}


def asked(run: Run, device: torch.device, seed: int) -> tuple[Asked, str]:
    """(whom to ask, why no discriminator can be or ''): the live networks of checkpoint 'last', which are judged unaveraged,
    as they last saw the rows; augmentation is left out."""
    if run.settings["train"]["own_modules"]:
        return Asked(), "the run was trained with modules of its own, which the audit does not have"
    try:
        tensors, _ = run.state("last")
    except RunError as error:
        return Asked(), f"the discriminator cannot be read: {error}"
    nets = run.recipe.build(run.spec)
    for name, module in nets.items():
        own = {k.removeprefix(f"nets/{name}/"): v for k, v in tensors.items() if k.startswith(f"nets/{name}/")}
        load_module(module, own, f"{run.checkpoint('last')} ({name})")
        module.to(device).eval().requires_grad_(False)
    found = of_networks(run.recipe, nets, device, seed, run.spec.context)
    return found, "" if found.judges else "nothing judges real rows in this recipe"


def of_networks(recipe: Recipe, nets: Mapping[str, nn.Module], device: torch.device, seed: int, context: int = 0) -> Asked:
    """Networks in evaluation mode.  context: `Spec.context` of the data."""
    judged = dict.fromkeys(m for side in recipe.sides() for m in side.judges)
    judges = {match: _scorer(recipe, nets, match, device, seed) for match in judged}
    return Asked(judges, _likelihood(recipe, nets, device, context) if recipe.game.likelihood else None)


def _likelihood(recipe: Recipe, nets: Mapping[str, nn.Module], device: torch.device, context: int) -> Scorer:
    @torch.no_grad()
    def score(store: Store, index: Tensor) -> Tensor:
        """[n]: log p for each entry of a row that is no padding, and not replied to."""
        found = list[Tensor]()
        for part in index.split(ROWS):
            x = store.batch(part, device).x
            surprise = recipe.game.surprise(nets, x)
            assert surprise is not None
            found.append(-per_example(surprise[:, context:].double(), x[:, context:] != PAD).cpu())
        return torch.cat(found)

    return score


def _scorer(recipe: Recipe, nets: Mapping[str, nn.Module], name: str, device: torch.device, seed: int) -> Scorer:
    @torch.no_grad()
    def score(store: Store, index: Tensor) -> Tensor:
        """[n]: the mean of a row's scores.  Rows are shuffled, so that what couples a batch couples them at random."""
        order = torch.randperm(len(index), generator=generator(torch.device("cpu"), seed, "audit", "judged"))
        found = torch.empty(len(index), dtype=torch.float64)
        for part in order.split(ROWS):
            found[part] = _judge(recipe, nets, name, store.batch(index[part], device), seed, device)
        return found

    return score


def _judge(
    recipe: Recipe, nets: Mapping[str, nn.Module], name: str, rows: Batch, seed: int, device: torch.device
) -> Tensor:
    """[n] on the CPU.  A judge of packs sees each row with itself."""
    draw = Draw(seed, ("audit", "judged"), device)
    turn = Turn("audit", 0, 0, 0, draw, {}, {}, len(rows))
    match = recipe.game.play(nets, FixedRows(rows), turn).match(name)
    if match.real is None:
        raise RunError(f"the match {name!r} of this recipe judges no real rows; audit it without its discriminator")
    point = match.real
    if match.pack > 1:
        cond = tuple(c.repeat_interleave(match.pack, 0) for c in point.cond)
        point = packed(point._replace(x=point.x.repeat_interleave(match.pack, 0), cond=cond), match.pack)
    score: Tensor = nets[match.judge](point.x, *point.cond)["score"]
    return per_example(score.double(), match.real_mask).cpu()
