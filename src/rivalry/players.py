"""One's own modules in place of a recipe's networks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from weakref import WeakKeyDictionary

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from rivalry.types import Heads

_heard: WeakKeyDictionary[nn.Module, RemovableHandle] = WeakKeyDictionary()


def scoring(module: nn.Module) -> nn.Module:
    """The same module, which may answer with plain scores, [N] or [N, 1], where `Heads` are expected: what discriminators elsewhere do."""

    def named(_: nn.Module, given: object, said: Tensor | Heads) -> Heads:
        if isinstance(said, Mapping):
            return said
        return Heads(score=said.squeeze(1) if said.ndim == 2 and said.shape[1] == 1 else said)

    if module not in _heard:
        _heard[module] = module.register_forward_hook(named)
    return module


def as_they_were(modules: Iterable[nn.Module]) -> None:
    """Modules that `scoring` was given answer their owner as before."""
    for module in modules:
        if (handle := _heard.pop(module, None)) is not None:
            handle.remove()
