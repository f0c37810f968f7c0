"""Which rows make up batch number so-and-so: a pure function, so that resuming needs no memory."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from rivalry.streams import key


@lru_cache(maxsize=8)
def _permutation(n: int, epoch: int, seed: int) -> Tensor:
    own = torch.Generator().manual_seed(key(seed, "epoch", epoch))
    return torch.randperm(n, generator=own)


def batch_index(n: int, position: int, size: int, seed: int) -> Tensor:
    """[size] int64 row numbers below n: elements position*size + i of an endless sequence of epochs.

    Each epoch is a permutation of all n rows, so nothing is seen twice before everything was seen once; a batch
    may span epochs.  Depends on its arguments only.  Raises ValueError for n < 1, size < 1, position < 0.
    """
    if n < 1 or size < 1 or position < 0:
        raise ValueError(f"no batch of {size} rows at position {position} from {n} rows")
    start, parts, missing = position * size, [], size
    while missing:
        epoch, offset = divmod(start, n)
        part = _permutation(n, epoch, seed)[offset : offset + missing]
        parts.append(part)
        start, missing = start + len(part), missing - len(part)
    return torch.cat(parts)
