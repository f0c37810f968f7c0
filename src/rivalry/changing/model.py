"""A Changer as it is asked for one tile: with noise, with a mask, over eight views, with the picture's statistics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from rivalry.changing.changer import Changer
from rivalry.changing.whole import Statistics

LEAST = 16
"""Smaller pictures are padded to it for networks that halve: what is left of them could be too small to be normalised."""


def seen(x: Tensor, view: int) -> Tensor:
    """[n, c, h, w] turned by view % 4 quarters, mirrored first from 4 on."""
    return torch.rot90(x.flip(3) if view >= 4 else x, view % 4, (2, 3))


def unseen(x: Tensor, view: int) -> Tensor:
    """What `seen` did, undone."""
    back = torch.rot90(x, -(view % 4), (2, 3))
    return back.flip(3) if view >= 4 else back


@dataclass
class Model:
    """x [n, inputs, h, w] in [-1, 1], mask [n, 1, h, w] of 0 and 1 -> [n, outputs, scale h, scale w] in about [-1, 1].

    z: [1, latent], the same for all tiles of a picture; 0 without it.  views: it answers by the mean over these of a picture's symmetries
    (geometric self-ensemble, Timofte et al. 2016).  frozen: statistics to be used, one for each view; empty for none.
    is_global: does the network look at the whole picture?
    """

    changer: Changer
    z: Tensor | None = None
    views: tuple[int, ...] = (0,)
    frozen: list[Statistics] = field(default_factory=list)
    is_global: bool = False

    @torch.inference_mode()
    def __call__(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        given = self._given(x, mask)
        total: Tensor | None = None
        for i, view in enumerate(self.views):
            with self.frozen[i].using() if self.frozen else nullcontext():
                y = unseen(self._ask(seen(given, view)), view)
            total = y if total is None else total + y
        assert total is not None
        return (total / len(self.views)).cpu() if len(self.views) > 1 else total.cpu()

    @torch.inference_mode()
    def looks_at_the_whole(self) -> bool:
        """Does the network look at the whole picture?"""
        found = Statistics()
        probe = torch.zeros(1, self.changer.inputs, 16, 16)
        with found.taking():
            self._ask(self._given(probe, probe[:, :1] if self.changer.mask else None))
        return bool(found.taken)

    @torch.inference_mode()
    def freeze(self, x: Tensor, mask: Tensor | None = None) -> None:
        """Takes statistics of a picture [1, ...] for all that is asked from now on."""
        frozen = [Statistics() for _ in self.views]
        given = self._given(x, mask)
        for view, one in zip(self.views, frozen, strict=True):
            with one.taking():
                self._ask(seen(given, view))
        self.frozen = frozen

    @torch.inference_mode()
    def bytes_a_pixel(self) -> float:
        """Of the source, that a tile takes at the network's widest place: what goes into a module and what comes out."""
        widest, side = [0], max(64, 2 * self.changer.multiple)  # networks may grow what is smaller

        def note(module: torch.nn.Module, args: tuple[object, ...], out: object) -> None:
            held = sum(t.numel() for t in (*args, out) if isinstance(t, Tensor))
            widest[0] = max(widest[0], held)

        hooks = [m.register_forward_hook(note) for m in self.changer.net.modules()]
        try:
            probe = torch.zeros(1, self.changer.inputs, side, side)
            self._ask(self._given(probe, probe[:, :1] if self.changer.mask else None))
        finally:
            for hook in hooks:
                hook.remove()
        return 4 * widest[0] / side**2

    def _given(self, x: Tensor, mask: Tensor | None) -> Tensor:
        if mask is not None:
            x = torch.cat([x * (1 - mask), mask], 1)
        return x.to(self.changer.device)

    def _ask(self, x: Tensor) -> Tensor:
        h, w = x.shape[2:]
        if self.changer.multiple > 1 and min(h, w) < LEAST:
            x = F.pad(x, (0, max(0, LEAST - w), 0, max(0, LEAST - h)), mode="replicate")
        native = self.is_global and not self.frozen  # PyTorch's own norms are slow with channels last
        x = x.contiguous(memory_format=torch.contiguous_format if native else torch.channels_last)
        out: Tensor = self.changer.net(x, *self._noise(len(x)))
        return out[:, :, : h * self.changer.scale, : w * self.changer.scale]

    def _noise(self, n: int) -> Iterator[Tensor]:
        if self.changer.latent:
            z = torch.zeros(1, self.changer.latent) if self.z is None else self.z
            yield z.expand(n, -1).to(self.changer.device)
