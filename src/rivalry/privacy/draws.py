"""Draws taken for a batch at once, and handed out to its rows one by one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from torch import Tensor

from rivalry.streams import Draw


@dataclass(frozen=True)
class Recorded(Draw):
    """Passes on what another one draws, and keeps it by its place."""

    inner: Draw = field(default_factory=lambda: Draw(0))
    kept: dict[str, Tensor] = field(default_factory=dict)

    def at(self, *place: str | int) -> Recorded:
        return replace(self, place=self.place + place, inner=self.inner.at(*place))

    def _keep(self, name: str, value: Tensor) -> Tensor:
        self.kept["/".join(map(str, (*self.place, name)))] = value
        return value

    def normal(self, name: str, n: int, *shape: int) -> Tensor:
        return self._keep(name, self.inner.normal(name, n, *shape))

    def uniform(self, name: str, n: int, *shape: int) -> Tensor:
        return self._keep(name, self.inner.uniform(name, n, *shape))

    def integers(self, name: str, high: int, n: int, *shape: int) -> Tensor:
        return self._keep(name, self.inner.integers(name, high, n, *shape))

    def permutation(self, name: str, n: int) -> Tensor:
        return self._keep(name, self.inner.permutation(name, n))


@dataclass(frozen=True)
class Replayed(Draw):
    """Gives what was kept, by its place, whatever its size."""

    kept: dict[str, Tensor] = field(default_factory=dict)

    def _kept(self, name: str) -> Tensor:
        return self.kept["/".join(map(str, (*self.place, name)))]

    def normal(self, name: str, n: int, *shape: int) -> Tensor:
        return self._kept(name)

    def uniform(self, name: str, n: int, *shape: int) -> Tensor:
        return self._kept(name)

    def integers(self, name: str, high: int, n: int, *shape: int) -> Tensor:
        return self._kept(name)
