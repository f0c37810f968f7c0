"""What a run's own discriminators say of rows: the white-box attack asks them."""

from __future__ import annotations

from collections.abc import Mapping

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
from rivalry.types import Batch

ROWS = 256


def discriminators(run: Run, device: torch.device, seed: int) -> tuple[dict[str, Scorer], str]:
    """(scorer by match, why there is none or ''): the live networks of checkpoint 'last', which are judged unaveraged,
    as they last saw the rows; augmentation is left out."""
    if run.settings["train"]["own_modules"]:
        return {}, "the run was trained with modules of its own, which the audit does not have"
    try:
        tensors, _ = run.state("last")
    except RunError as error:
        return {}, f"the discriminator cannot be read: {error}"
    nets = run.recipe.build(run.spec)
    for name, module in nets.items():
        own = {k.removeprefix(f"nets/{name}/"): v for k, v in tensors.items() if k.startswith(f"nets/{name}/")}
        load_module(module, own, f"{run.checkpoint('last')} ({name})")
        module.to(device).eval().requires_grad_(False)
    found = scorers(run.recipe, nets, device, seed)
    return found, "" if found else "nothing judges real rows in this recipe"


def scorers(recipe: Recipe, nets: Mapping[str, nn.Module], device: torch.device, seed: int) -> dict[str, Scorer]:
    """By match: what networks in evaluation mode say of rows."""
    judged = dict.fromkeys(m for side in recipe.sides() for m in side.judges)
    return {match: _scorer(recipe, nets, match, device, seed) for match in judged}


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
    return score.double().flatten(1).mean(1).cpu() if score.ndim > 1 else score.double().cpu()
