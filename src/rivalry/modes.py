"""Networks as they are used, without dropout's noise and with running statistics, for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(*nets: nn.Module) -> Iterator[None]:
    """Evaluation mode within the block; afterwards, also after an error, every module is in the mode it was in, parts that were
    frozen on purpose included."""
    learning = [m for net in nets for m in net.modules() if m.training]
    for net in nets:
        net.eval()
    try:
        yield
    finally:
        for m in learning:
            m.training = True
