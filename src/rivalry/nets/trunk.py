"""What discriminators and encoders stand on: a trunk turns x into features; heads say something about them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor, nn

from rivalry.parts import Wiring
from rivalry.types import Heads, Spec


@dataclass
class Seen:
    """What a trunk saw: features [N, F]; local maps [N, C, h, w] if it has any; what it says by itself."""

    features: Tensor
    maps: Tensor | None = None
    said: Heads = field(default_factory=dict)


class TrunkModule(nn.Module, ABC):
    """forward(x [N, *shape]) -> Seen.  features: F.  maps: channels of the local maps, 0 if there are none.

    says: names of heads that the trunk fills itself (an autoencoder's energy is its score).
    """

    features: int
    maps: int = 0
    says: frozenset[str] = frozenset()

    @abstractmethod
    def forward(self, x: Tensor) -> Seen: ...

    def dense(self, inputs: int, outputs: int, bias: bool = True) -> nn.Module:
        """A linear layer for a head, made and initialised as the trunk's own."""
        return nn.Linear(inputs, outputs, bias)


class Trunk(ABC):
    """A trunk's settings.  `build` gets the Spec of what the trunk will see (packed examples and label planes
    already counted among its channels or columns), and must not count wiring.pack again."""

    KIND: ClassVar[str] = "trunk"

    @abstractmethod
    def build(self, spec: Spec, wiring: Wiring) -> TrunkModule: ...
