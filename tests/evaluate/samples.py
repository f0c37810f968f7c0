"""A small world for the rulers: Gaussian blobs as pictures, a feature space, and models that fail in known ways."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rivalry.data import Dataset, ImageModality, load
from rivalry.data.stores import Resident
from rivalry.evaluate.features import Draw
from rivalry.streams import key
from rivalry.types import Spec

CLASSES = 4
SIDE = 6
MODALITY = ImageModality((1, SIDE, SIDE))


def _centres() -> Tensor:
    """[CLASSES, SIDE^2]: where the classes lie, in encoded values."""
    centres: Tensor = torch.randn(CLASSES, SIDE * SIDE, generator=torch.Generator().manual_seed(7)) * 0.3
    return centres


def blobs(n: int, seed: int, classes: tuple[int, ...] = tuple(range(CLASSES)), noise: float = 0.12) -> Tensor:
    """[n, 1, SIDE, SIDE] uint8: pictures of the classes in turn, no two alike."""
    own = torch.Generator().manual_seed(key(seed, "blobs"))
    which = torch.tensor(classes)[torch.arange(n) % len(classes)]
    x = _centres()[which] + noise * torch.randn(n, SIDE * SIDE, generator=own)
    return MODALITY.decode(x.unflatten(1, (1, SIDE, SIDE)))


def pictures(train: int = 600, held: int = 300) -> Dataset:
    raw = torch.cat([blobs(train, 1), blobs(held, 2)])
    labels = torch.cat([torch.arange(train) % CLASSES, torch.arange(held) % CLASSES])
    rows = torch.arange(train + held)
    sides = [Resident(raw, r, MODALITY.encode, labels[r]) for r in (rows[:train], rows[train:])]
    spec = Spec("image", (1, SIDE, SIDE), (-1.0, 1.0), tuple("abcd"))
    return Dataset("blobs", spec, MODALITY, sides[0], sides[1], "f00d" * 16)


@dataclass(frozen=True)
class Plain:
    """A feature space that shrinks pictures by a fixed map."""

    name: str = "local"
    sha: str = "51ab"
    resize: str = "6x6"
    width: int = 12

    def __call__(self, x: Tensor) -> Tensor:
        return x.flatten(1).float() @ self.map()

    def map(self) -> Tensor:
        own = torch.Generator().manual_seed(3)
        return torch.randn(SIDE * SIDE, self.width, generator=own) / SIDE


@dataclass(frozen=True)
class Nearest(Plain):
    """The same, which tells classes by the nearest centre."""

    def logits(self, features: Tensor) -> Tensor:
        return -torch.cdist(features, _centres() @ self.map())


def model(make: Callable[[int, int], Tensor]) -> Draw:
    """(n, seed) -> encoded samples from raw ones."""
    return lambda n, seed: MODALITY.encode(make(n, seed))


perfect = model(lambda n, seed: blobs(n, seed + 1000))
collapsed = model(lambda n, seed: blobs(n, seed, classes=(1,), noise=0.02))
noisy = model(lambda n, seed: blobs(n, seed, noise=0.5))


def copying(data: Dataset) -> Draw:
    """Training pictures, all but equal."""

    def draw(n: int, seed: int) -> Tensor:
        own = torch.Generator().manual_seed(seed)
        index = torch.randint(len(data.train), (n,), generator=own)
        x = data.train.batch(index, torch.device("cpu")).x
        copies: Tensor = x + 0.004 * torch.randn(x.shape, generator=own)
        return copies

    return draw


def ring(n: int = 2000) -> Dataset:
    from rivalry.data import ReadOptions

    return load("ring8", options=ReadOptions(limit=n))


def points(data: Dataset, angle_from: int = 0, modes: int = 8, sigma: float = 1.0, off: float = 0.0) -> Draw:
    """Ring samples of some of the modes, wider or narrower, `off` by so much of the radius."""

    def draw(n: int, seed: int) -> Tensor:
        own = torch.Generator().manual_seed(seed)
        assert data.truth is not None
        assert data.truth.modes is not None
        which = torch.randint(modes, (n,), generator=own) + angle_from
        noise = torch.randn(n, 2, generator=own, dtype=torch.float64) * data.truth.sigma * sigma
        return data.modality.encode((data.truth.modes[which] * (1 + off) + noise).float())

    return draw


