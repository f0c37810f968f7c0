"""Does the discriminator know the training rows by heart?  What it says of them, of held-out rows, and of fakes.

Karras et al. 2020 (arXiv:2006.06676), section 3: as long as it generalises, held-out rows score like training rows;
when they sink towards the fakes, it has overfitted, and the generator learns nothing more from it.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from rivalry.data import Dataset
from rivalry.modes import evaluating
from rivalry.parts import Turn
from rivalry.training.contest import packed
from rivalry.training.sources import FixedRows
from rivalry.training.state import State, draw_for
from rivalry.types import Batch, Point, per_example

ROWS = 256
LEAST = 32
"""With fewer held-out rows nothing is said."""


@torch.no_grad()
def remembering(state: State, data: Dataset, knobs: Mapping[str, float | Tensor] | None = None) -> dict[str, float]:
    """Mean scores '<match>.train', '<match>.held', '<match>.fake' of every judged match, and '<match>.memory', the
    paper's r_v = (train - held) / (train - fake): about 0 for a judge that generalises, 1 for one that takes what it
    has not seen for fake; left out where train scores are no higher than fakes'.

    knobs: the game is played with, as training plays it (those of controllers alone if left out).  The same rows and noise at each call; networks as for sampling (running statistics).  {} where fewer than LEAST
    rows are held out, and for games that judge nothing.
    """
    n = min(ROWS, len(data.held), len(data.train))
    if n < LEAST:
        return {}
    found: dict[str, float] = {}
    with evaluating(*state.nets.values()):
        for name in dict.fromkeys(m for side in state.recipe.sides() for m in side.judges):
            known, new = (_scores(state, rows, name, n, knobs or state.knobs) for rows in (_rows(data, "train", n, state), _rows(data, "held", n, state)))
            if "real" not in known or "fake" not in known:
                continue
            train, held, fake = known["real"], new["real"], known["fake"]
            found |= {f"{name}.train": train, f"{name}.held": held, f"{name}.fake": fake}
            if train > fake:
                found[f"{name}.memory"] = (train - held) / (train - fake)
    return found


def _rows(data: Dataset, split: str, n: int, state: State) -> Batch:
    store = data.train if split == "train" else data.held
    return store.batch(torch.linspace(0, len(store) - 1, n).long(), state.device)


def _scores(state: State, rows: Batch, name: str, n: int, knobs: Mapping[str, float | Tensor]) -> Mapping[str, float]:
    """Mean scores of a match played with these rows, 'real' and 'fake' where there are both."""
    turn = Turn("remembering", state.step, 0, 0, draw_for(state, "remembering"), dict(knobs), {}, n)
    match = state.recipe.game.play(state.nets, FixedRows(rows), turn).match(name)

    def mean(point: Point, mask: Tensor | None) -> float:
        at = packed(point, match.pack)
        heads: Mapping[str, Tensor] = state.nets[match.judge](at.x, *at.cond)
        return float(per_example(heads["score"], mask).mean())

    sides = (("real", match.real, match.real_mask), ("fake", match.fake, match.fake_mask))
    return {name: mean(point, mask) for name, point, mask in sides if point is not None}
