"""Pictures that repeat another, or nearly do, are left out: the same after flipping, brightening or saving anew."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from rivalry.data.likeness import ALIKE, ROWS, Thumbs, signatures, thumbs_of
from rivalry.data.progress import track
from rivalry.data.reading import Pictures
from rivalry.data.rows import Ints
from rivalry.data.words import count


def without_copies(pictures: Pictures) -> tuple[Pictures, tuple[str, ...]]:
    """The first of each kind; copies are equal in every pixel, near copies look alike (`likeness.signatures`), flipped or
    not.  Of an official split training keeps its own.  Work: N^2 products of 480 numbers, in blocks."""
    n, rows = len(pictures.places), pictures.rows
    order = np.arange(n) if rows.held is None else np.argsort(rows.held, kind="stable")
    kinds = np.unique(pictures.digests, return_inverse=True)[1].reshape(-1)
    left = order[np.sort(np.unique(kinds[order], return_index=True)[1])]
    parts = [
        thumbs_of(pictures.data[torch.from_numpy(pictures.places[left[i : i + ROWS]])].numpy(), pictures.scale.high)
        for i in range(0, len(left), ROWS)
    ]
    near = near_copies(np.concatenate(parts))
    keep = np.sort(np.delete(left, near))
    told = f"--dedupe: {count(n - len(left), 'picture')} that repeat another and {len(near):,} that nearly do were left out"
    taken = replace(pictures, places=pictures.places[keep], rows=rows.take(keep), digests=pictures.digests[keep])
    return (taken if len(keep) < n else pictures), (told,)


def near_copies(thumbs: Thumbs) -> Ints:
    """Numbers [m] of the thumbs [N, 16, 16] that look like an earlier one, or like its mirror image."""
    signs, flipped = signatures(thumbs), signatures(thumbs[:, :, ::-1])
    copies = np.zeros(len(signs), dtype=bool)
    for start in track(range(0, len(signs), ROWS), "looking for near copies", -(-len(signs) // ROWS)):
        stop = min(start + ROWS, len(signs))
        alike = (signs[start:stop] @ signs[:stop].T >= ALIKE) | (flipped[start:stop] @ signs[:stop].T >= ALIKE)
        earlier = torch.arange(stop)[None] < torch.arange(start, stop)[:, None]
        copies[start:stop] = (alike & earlier).any(1).numpy()
    return np.flatnonzero(copies)
