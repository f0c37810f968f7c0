"""Statistics over a whole picture, taken once and kept for all its tiles.

Instance norm, group norm, pooling to one pixel and means over height and width see all of a picture; over a tile they would
say something else in every tile, and seams would show.  Here they are found as calls, in the order that the network makes
them, so it does not matter which module makes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

Doing = Literal["taking", "using"]
Call = tuple[Sequence[Any], Mapping[str, Any]]
SPACE = (2, 3)


@dataclass
class Statistics:
    """What was taken of a picture: for each call a (mean, variance) or a (mean,), in order."""

    taken: list[tuple[Tensor, ...]] = field(default_factory=list)

    def taking(self) -> Whole:
        """A context in which calls take their statistics anew."""
        self.taken.clear()
        return Whole(self, "taking")

    def using(self) -> Whole:
        """A context in which calls use what was taken."""
        return Whole(self, "using")


class Whole(TorchFunctionMode):
    """Stands between a network and the functions that look at the whole picture."""

    def __init__(self, statistics: Statistics, doing: Doing) -> None:
        super().__init__()
        self.statistics, self.doing, self.at = statistics, doing, 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        answer = ANSWERS.get(func)
        if answer is None or not (args and isinstance(args[0], Tensor) and args[0].dim() == 4):
            return func(*args, **kwargs)
        return answer(self, func, (args, kwargs))

    def __enter__(self) -> Whole:
        self.at = 0
        super().__enter__()
        return self

    def known(self, take: Callable[[], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        if self.doing == "taking":
            self.statistics.taken.append(take())
        self.at += 1
        return self.statistics.taken[self.at - 1]


def _instance_norm(whole: Whole, func: Callable[..., Any], call: Call) -> Tensor:
    """instance_norm(input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)."""
    given = _named(call, ("input", "running_mean", "running_var", "weight", "bias", "use_input_stats", "momentum", "eps"))
    if not given.get("use_input_stats", True):
        return func(*call[0], **call[1])  # type: ignore[no-any-return]
    return _normed(whole, given["input"], given["input"].shape[1], given)


def _group_norm(whole: Whole, func: Callable[..., Any], call: Call) -> Tensor:
    """group_norm(input, num_groups, weight, bias, eps)."""
    given = _named(call, ("input", "num_groups", "weight", "bias", "eps"))
    return _normed(whole, given["input"], given["num_groups"], given)


def _normed(whole: Whole, x: Tensor, groups: int, given: Mapping[str, Any]) -> Tensor:
    n, c, h, w = x.shape
    grouped = x.reshape(n, groups, c // groups, h, w)

    def take() -> tuple[Tensor, ...]:
        variance, mean = torch.var_mean(grouped, (0, 2, 3, 4), correction=0, keepdim=True)
        return mean, variance

    mean, variance = whole.known(take)
    gain = (variance + given.get("eps", 1e-5)).rsqrt()
    shift = -mean * gain
    gain, shift = (v.expand(1, groups, c // groups, 1, 1).reshape(1, c, 1, 1) for v in (gain, shift))
    weight, bias = given.get("weight"), given.get("bias")
    if weight is not None:
        gain, shift = gain * weight.view(1, c, 1, 1), shift * weight.view(1, c, 1, 1)
    if bias is not None:
        shift = shift + bias.view(1, c, 1, 1)
    return torch.addcmul(shift, x, gain)


def _pool(whole: Whole, func: Callable[..., Any], call: Call) -> Tensor:
    """adaptive_avg_pool2d(input, output_size), to one pixel."""
    given = _named(call, ("input", "output_size"))
    size = given["output_size"]
    if (size if isinstance(size, int) else tuple(size)) not in (1, (1, 1)):
        return func(*call[0], **call[1])  # type: ignore[no-any-return]
    return _mean(whole, given["input"], keep=True)


def _means(whole: Whole, func: Callable[..., Any], call: Call) -> Tensor:
    """mean(input, dim, keepdim) over height and width."""
    given = _named(call, ("input", "dim", "keepdim"))
    dims = given.get("dim")
    if not isinstance(dims, tuple | list) or {d % 4 for d in dims} != {*SPACE}:
        return func(*call[0], **call[1])  # type: ignore[no-any-return]
    return _mean(whole, given["input"], keep=bool(given.get("keepdim", False)))


def _mean(whole: Whole, x: Tensor, keep: bool) -> Tensor:
    (mean,) = whole.known(lambda: (x.mean((0, *SPACE)),))
    spread = mean.expand(len(x), -1)
    return spread[..., None, None] if keep else spread


def _named(call: Call, names: Sequence[str]) -> dict[str, Any]:
    args, kwargs = call
    return {**dict(zip(names, args, strict=False)), **kwargs}


ANSWERS: dict[Callable[..., Any], Callable[[Whole, Callable[..., Any], Call], Tensor]] = {
    F.instance_norm: _instance_norm,
    F.group_norm: _group_norm,
    F.adaptive_avg_pool2d: _pool,
    torch.mean: _means,
    Tensor.mean: _means,
}
