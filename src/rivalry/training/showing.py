"""Pictures of changed pictures, and lists of rewritten texts: what was put in, what was made of it, what it should be, side by side."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from rivalry.data import Dataset, sheets
from rivalry.data.image import ImageModality
from rivalry.data.text import TextModality
from rivalry.errors import DataError
from rivalry.files import write_text
from rivalry.games.change import Untouched
from rivalry.sampling import Sampler, picked, sampler_of, settle
from rivalry.stats.pictures import psnr
from rivalry.training.state import State

FOLDER = "private/changed"
"""In a run: they show the user's own pictures, so they are for nobody else."""
SHOWN, WORST, SEARCHED = 12, 8, 256
LINES = 64
PREVIEW, CLOUD = 64, 1000
TRUE = ("patches", "pairs")
"""Layouts whose pictures come with what they should become."""


def averaged(state: State, data: Dataset) -> Sampler:
    """Samples of averaged weights, which are ready once they are settled."""
    return sampler_of(state.recipe.game, state.wiring, {**state.nets, **state.ema}, state.device, data)


def live(state: State, data: Dataset) -> Sampler:
    """Samples of the weights that are trained."""
    return sampler_of(state.recipe.game, state.wiring, state.nets, state.device, data)


def settle_averages(state: State, data: Dataset) -> None:
    """Makes averaged weights ready to be sampled from or kept; what changes rows sees training ones for it."""
    sampler = sampler_of(state.recipe.game, state.wiring, state.ema, state.device, data)
    settle(replace(sampler, rows=data.train) if sampler.rows is not None else sampler, state.seed)


def write_preview(path: Path, sampler: Sampler, data: Dataset, seed: int) -> Path:
    """What a training shows of itself on its way: samples (of points and tables more than of pictures and texts), beside points of a known
    density; of games that change things, held-out rows changed.  Returns where it is: of text in a .txt beside `path`.

    Pictures speak for themselves, and other real rows stay in private/."""
    if sampler.game.changes:
        return write_changes(path, sampler, data, seed)
    few = data.spec.kind in ("image", "tokens")
    known = None
    if data.truth is not None:
        known = data.held.batch(torch.arange(min(CLOUD, len(data.held))), sampler.device).x
    data.modality.preview(sampler(PREVIEW if few else CLOUD, seed), path, known)
    return path.with_suffix(".txt") if data.spec.kind == "tokens" else path


def write_changes(path: Path, sampler: Sampler, data: Dataset, seed: int) -> Path:
    """Held-out pictures, each as it is put in, as it is made, and (where that is known) as it should be; texts as they are and as
    they were rewritten."""
    if isinstance(data.modality, TextModality):
        return _write_texts(path.with_suffix(".txt"), data.modality, sampler, data, seed)
    return _write(path, _columns(sampler, data, seed, min(SHOWN, len(data.held))), data)


def write_worst(path: Path, sampler: Sampler, data: Dataset, seed: int) -> Path | None:
    """Those of SEARCHED held-out pictures that came out worst, by PSNR; None where nobody knows what they should be."""
    if data.layout not in TRUE:
        return None
    columns = _columns(sampler, data, seed, min(SEARCHED, len(data.held)))
    worst = psnr(columns[1].clamp(-1, 1), columns[2]).argsort()[:WORST]
    return _write(path, [c[worst] for c in columns], data)


def _write_texts(path: Path, modality: TextModality, sampler: Sampler, data: Dataset, seed: int) -> Path:
    n = min(LINES, len(data.held))
    made = sampler(n, seed)
    before = data.held.raw(picked(len(data.held), n, seed))
    pairs = zip(modality.texts(before), modality.texts(made), strict=True)
    write_text(path, "".join(f"{a}\n  -> {b}\n" for a, b in pairs))
    return path


def _columns(sampler: Sampler, data: Dataset, seed: int, n: int) -> list[Tensor]:
    before = replace(sampler, game=Untouched(sampler.game, data.spec.shape))(n, seed)
    columns = [before, sampler(n, seed)]
    if data.layout in TRUE:
        columns.append(data.held.batch(picked(len(data.held), n, seed), sampler.device).x)
    return columns


def _write(path: Path, columns: list[Tensor], data: Dataset) -> Path:
    modality = data.modality
    if not isinstance(modality, ImageModality):
        raise DataError(f"only pictures are changed, not {modality.kind}")
    rows = torch.stack([c.float().cpu() for c in columns], 1).flatten(0, 1)
    return sheets.save(sheets.grid(modality.shown(rows), len(columns) * (2 if len(columns[0]) > 4 else 1)), path)
