"""What an audit compares: real rows, samples as the user is handed them, and the spaces both are seen in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from rivalry.audit.pictures import GradientSpace, NetworkSpace, PixelSpace
from rivalry.audit.sides import Sides, hashed
from rivalry.audit.tables import TableSpace
from rivalry.audit.texts import SentenceSpace, WordSpace
from rivalry.data.base import Dataset, Store
from rivalry.data.dialogue import DialogueModality
from rivalry.data.image import ImageModality
from rivalry.data.text import TextModality
from rivalry.errors import DataError, Diverged
from rivalry.evaluate.records import Layout
from rivalry.evaluate.tabular import kinds
from rivalry.extractors import extractor
from rivalry.extractors.minilm import MiniLM
from rivalry.stats import near
from rivalry.streams import key

CPU = torch.device("cpu")
BLOCK = 256
"""Samples drawn at a time, block b with a key of the seed and b: any of them can be made again."""
PART = 512
"""Pictures that are looked at at a time."""

Tick = Callable[[str, float], None]
"""Told what is being done, and how much of it is, in [0, 1]."""


class Space(Protocol):
    """Rows as `Material` reads them -> [n, D] points whose distances are compared.

    forms: of candidates, everything that counts as the same row.
    """

    @property
    def name(self) -> str: ...
    def plain(self, x: Tensor) -> Tensor: ...
    def forms(self, x: Tensor) -> list[Tensor]: ...


class Seen(NamedTuple):
    """Samples as points [n, D] in each space, their hashes [n], and raw [n, ...] where they are no pictures."""

    points: list[Tensor]
    hashes: Tensor
    raw: Tensor | None


@dataclass(frozen=True)
class Material:
    """Rows are raw [n, C] float64 for tables, records and points, tokens [n, T] for text and conversations, encoded pictures [n, C, H, W] as their files
    hold them."""

    dataset: Dataset
    draw: Callable[[int, int], Tensor]
    seed: int

    @property
    def pictures(self) -> ImageModality | None:
        modality = self.dataset.modality
        return modality if isinstance(modality, ImageModality) else None

    @property
    def lines(self) -> TextModality | DialogueModality | None:
        modality = self.dataset.modality
        return modality if isinstance(modality, TextModality | DialogueModality) else None

    def said(self, raw: Tensor) -> Tensor:
        """Of raw rows, what the model makes: of conversations the reply, not what is replied to."""
        return raw[:, self.dataset.spec.context :] if self.dataset.spec.context else raw

    @property
    def cells(self) -> bool:
        """Whether a row is made of columns, each with a meaning of its own."""
        return self.pictures is None and self.lines is None

    @property
    def kinds(self) -> tuple[str, ...]:
        """'number' or 'category' of each column of a table, and of each column of each visit; points are numbers."""
        if self.dataset.spec.visits:
            return Layout.of(self.dataset.spec).raw_kinds
        return kinds(self.dataset.spec) or ("number",) * self.dataset.spec.shape[0]

    def real(self, store: Store, index: Tensor) -> Tensor:
        if self.pictures is not None:
            return store.batch(index, CPU).x
        return self._exact(store.raw(index).cpu())

    def block(self, number: int) -> Tensor:
        """The samples of a block.  Raises Diverged if one is NaN or infinite."""
        x = self.draw(BLOCK, key(self.seed, "audit", number)).cpu()
        if not bool(torch.isfinite(x).all()):
            raise Diverged("the model makes NaN or infinite samples; audit an earlier checkpoint")
        return self._handed(x)

    def _handed(self, x: Tensor) -> Tensor:
        """Encoded samples as the user is handed them, and as `real` reads rows."""
        raw = self.dataset.modality.decode(x)
        return self._exact(raw) if self.pictures is None else self.dataset.modality.encode(raw)

    def _exact(self, raw: Tensor) -> Tensor:
        return raw.double() if self.cells else raw

    def samples(self, index: Tensor) -> Tensor:
        """The samples of these numbers, made again."""
        blocks = {b: self.block(b) for b in (index // BLOCK).unique().tolist()}
        return torch.stack([blocks[i // BLOCK][i % BLOCK] for i in index.tolist()])

    def seen(self, spaces: Sequence[Space], n: int, tick: Tick) -> Seen:
        """n samples; see `Seen`."""
        parts: list[list[Tensor]] = [[] for _ in spaces]
        raw, hashes = list[Tensor](), list[Tensor]()
        for number in range(-(-n // BLOCK)):
            x = self.block(number)[: n - number * BLOCK]
            for space, found in zip(spaces, parts, strict=True):
                found.append(space.plain(x))
            hashes.append(hashed(self.said(x) if self.pictures is None else self.pictures.decode(x)))
            if self.pictures is None:
                raw.append(x)
            tick("drawing samples", min(1.0, (number + 1) * BLOCK / n))
        return Seen([torch.cat(p) for p in parts], torch.cat(hashes), torch.cat(raw) if raw else None)

    def seen_of(self, space: Space, x: Tensor) -> Tensor:
        """Encoded samples [n, *shape] as points of a space, as the user would be handed them."""
        return space.plain(self._handed(x.cpu()))

    def nearest(self, space: Space, store: Store, index: Tensor, points: Tensor) -> Tensor:
        """[n]: distances of real rows, in whichever form is nearest, to the nearest of the points [M, D]."""
        parts = index.split(PART)
        return torch.cat([near(space.forms(self.real(store, part)), points).distance[:, 0] for part in parts])

    def plain(self, space: Space, store: Store, index: Tensor) -> Tensor:
        """Real rows as points of a space."""
        return torch.cat([space.plain(self.real(store, part)) for part in index.split(PART)])

    def spaces(self, sides: Sides, weights: Path | None, device: torch.device) -> list[Space]:
        """Ranks and levels for tables; words for text, and sentences if `weights` are MiniLM's; small pixels and gradients for
        pictures, or the network of `weights` in their place.  DataError for weights that saw the rows that are attacked."""
        if self.pictures is not None:
            return [PixelSpace(self.pictures), self._features(self.pictures, weights, device)]
        if self.lines is not None:
            return self._worded(self.lines, sides, weights)
        if weights is not None:
            raise DataError(f"rows of tables are compared as they are; leave the weights {weights} out")
        pool = [self.real(self.dataset.train, sides.members), self.real(self.dataset.held, sides.others)]
        return [TableSpace.of(self.kinds, torch.cat(pool))]

    def _worded(self, modality: TextModality | DialogueModality, sides: Sides, weights: Path | None) -> list[Space]:
        if weights is not None and str(weights) != "minilm":
            raise DataError(f"lines of text are compared by their words and, with --weights minilm, by MiniLM-L6; leave {weights} out")
        pool = torch.cat([self.real(self.dataset.train, sides.members), self.real(self.dataset.held, sides.others)])
        words = WordSpace.of(modality, pool)
        return [words] if weights is None else [words, SentenceSpace(modality.texts, MiniLM.installed())]

    def _features(self, modality: ImageModality, weights: Path | None, device: torch.device) -> Space:
        if weights is None:
            return GradientSpace(modality)
        network = extractor(weights, device=device)
        if network.name == "local":
            raise DataError(
                f"{weights} was trained on the rows that are attacked, so it would find them by itself; "
                "give weights of other pictures, or none"
            )
        return NetworkSpace(network)
