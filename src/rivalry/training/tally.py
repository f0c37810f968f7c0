"""Running sums of what steps note."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from rivalry.training.state import State


class Noted(dict[str, Tensor]):
    """Notes that are the entries of one tensor, `whole` [n], which the next step of the kind overwrites."""

    def __init__(self, names: Sequence[str], whole: Tensor) -> None:
        super().__init__(zip(names, whole.unbind(), strict=True))
        self.names, self.whole = tuple(names), whole

    def kept(self) -> dict[str, Tensor]:
        """The notes, to keep."""
        return dict(zip(self.names, self.whole.clone().unbind(), strict=True))


class Tally:
    """Adds notes to a state's sums; notes that are one tensor at once, to sums that are one tensor, too."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._names: tuple[str, ...] = ()
        self._whole: Tensor | None = None

    def add(self, state: State, notes: Mapping[str, Tensor]) -> None:
        for name in notes:
            state.counts[name] = state.counts.get(name, 0) + 1
        if not isinstance(notes, Noted):
            self._whole = None
            _add(state.sums, notes)
        elif self._whole is not None and self._sums is state.sums and self._names == notes.names:
            self._whole.add_(notes.whole)
        else:
            _add(state.sums, notes.kept())
            self._whole = torch.stack([state.sums[name] for name in notes.names])
            self._sums, self._names = state.sums, notes.names
            state.sums.update(zip(notes.names, self._whole.unbind(), strict=True))


def _add(sums: dict[str, Tensor], notes: Mapping[str, Tensor]) -> None:
    known = [name for name in notes if name in sums]
    if known:
        sums.update(zip(known, torch._foreach_add([sums[n] for n in known], [notes[n] for n in known]), strict=True))
    for name, value in notes.items():
        sums.setdefault(name, value)
