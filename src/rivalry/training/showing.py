"""Pictures of changed pictures: what was put in, what was made of it, what it should be, side by side."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from rivalry.data import Dataset, sheets
from rivalry.data.image import ImageModality
from rivalry.errors import DataError
from rivalry.games.change import Untouched
from rivalry.sampling import Sampler, picked

FOLDER = "private/changed"
"""In a run: they show the user's own pictures, so they are for nobody else."""
SHOWN = 12


def write_changes(path: Path, sampler: Sampler, data: Dataset, seed: int, n: int = SHOWN) -> Path:
    """n held-out pictures, each as it is put in, as it is made, and (where there are pairs) as it should be."""
    modality = data.modality
    if not isinstance(modality, ImageModality):
        raise DataError(f"only pictures are changed, not {modality.kind}")
    n = min(n, len(data.held))
    before = replace(sampler, game=Untouched(sampler.game, data.spec.shape))(n, seed)
    columns = [before, sampler(n, seed)]
    if data.layout != "unpaired":
        columns.append(data.held.batch(picked(len(data.held), n, seed), sampler.device).x)
    rows = torch.stack([c.float().cpu() for c in columns], 1).flatten(0, 1)
    return sheets.save(sheets.grid(modality.shown(rows), len(columns) * (2 if n > 4 else 1)), path)
