"""Exponential moving averages of networks, tensor by tensor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

Place = tuple[dict[str, Any], str]
"""A module's own register of its tensors, and the name of one."""
Pairs = list[tuple[Place, Place]]


class Averages:
    """Averaged networks beside the live ones.

    Where their tensors stand need not be looked up anew while no code of a module runs in between: the walk through the modules costs more
    than the sums.
    """

    def __init__(self) -> None:
        self._learned: list[Pairs] = []
        self._copied: list[Pairs] = []
        self._known = False

    def step(self, averages: Mapping[str, nn.Module], nets: Mapping[str, nn.Module], keep: float, same: bool) -> None:
        """Parameters: average * keep + live * (1 - keep); buffers (batch-norm statistics) are copied.

        same: the modules are those of the last step, and consist of what they did then.
        """
        if not same or not self._known:
            self._find(averages, nets)
        self._known = same
        with torch.no_grad():
            for pairs in self._learned:
                torch._foreach_lerp_(*_tensors(pairs), 1 - keep)
            for pairs in self._copied:
                torch._foreach_copy_(*_tensors(pairs))

    def _find(self, averages: Mapping[str, nn.Module], nets: Mapping[str, nn.Module]) -> None:
        self._learned, self._copied = [], []
        for name, average in averages.items():
            live = nets[name]
            if learned := list(zip(_places(average, False), _places(live, False), strict=True)):
                self._learned.append(learned)
            of_a_kind: dict[torch.dtype, Pairs] = {}  # of one type they are copied at once
            for pair in zip(_places(average, True), _places(live, True), strict=True):
                of_a_kind.setdefault(_tensor(pair[0]).dtype, []).append(pair)
            self._copied += of_a_kind.values()


def _places(net: nn.Module, buffers: bool) -> list[Place]:
    """Of its parameters or its buffers, each once, in their order."""
    found: dict[int, Place] = {}
    for module in net.modules():
        register: dict[str, Any] = module._buffers if buffers else module._parameters
        for name, tensor in register.items():
            if tensor is not None:
                found.setdefault(id(tensor), (register, name))
    return list(found.values())


def _tensor(place: Place) -> Tensor:
    found: Tensor = place[0][place[1]]
    return found


def _tensors(pairs: Pairs) -> tuple[list[Tensor], list[Tensor]]:
    return [mine[name] for (mine, name), _ in pairs], [theirs[name] for _, (theirs, name) in pairs]
