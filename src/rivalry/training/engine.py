"""Devices, precision and several processes: Lightning Fabric, with networks left raw.

Wrapped modules do not survive `torch.func.grad`, so gradients are averaged by hand after backward.
"""

from __future__ import annotations

import ctypes
import logging
import os
import platform
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Literal

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from rivalry.errors import RecipeError

logging.getLogger("lightning_fabric").setLevel(logging.ERROR)
Precision = Literal["32-true", "bf16-mixed"]


def is_main_process() -> bool:
    """Whether this is the only process, or the first of several."""
    return int(os.environ.get("RANK", "0")) == 0


MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1
"""glibc's names for two settings of its allocator (malloc.h)."""


def keep_freed_memory() -> None:
    """Lets glibc's allocator keep what a step frees for the next one.  By default it hands large tensors back to the
    kernel, and every step pays page faults to get them again: 4 to 5 % of a step on one core (docs/lab/speed.md).
    Does nothing on other C libraries, nor where the user has set the allocator himself."""
    if platform.libc_ver()[0] != "glibc" or any(name.startswith("MALLOC_") for name in os.environ):
        return
    libc = ctypes.CDLL(None)
    for setting in (MMAP_THRESHOLD, TRIM_THRESHOLD):
        libc.mallopt(setting, 2**30)


class Engine:
    """One process of a training; `world` of them share each batch.

    device: 'auto', 'cpu', 'cuda', 'mps'.  precision: 'auto' (bfloat16 autocast on a GPU that has it and on a CPU with instructions
    for it (AVX512-BF16, and AMX, which comes with it), for forward and backward; parameters stay float32), 'float32' or 'bfloat16'.
    """

    def __init__(self, device: str = "auto", precision: str = "float32") -> None:
        world = int(os.environ.get("WORLD_SIZE", "1"))
        local = int(os.environ.get("LOCAL_WORLD_SIZE", str(world)))
        self.precision = self._precision(device, precision)
        accelerator = {"cuda": "gpu"}.get(device, device)
        try:
            self.fabric = Fabric(
                accelerator=accelerator,
                devices=local,
                num_nodes=max(1, world // max(local, 1)),
                strategy="ddp" if world > 1 else "auto",
                precision=self.precision,
            )
            self.fabric.launch()
        except (RuntimeError, ValueError) as error:
            raise RecipeError(f"device {device!r} is not available here ({error}); try --device cpu") from error
        self.device: torch.device = self.fabric.device
        if self.device.type == "cpu":
            keep_freed_memory()
        self.world: int = self.fabric.world_size
        self.rank: int = self.fabric.global_rank

    @staticmethod
    def _precision(device: str, precision: str) -> Precision:
        if precision not in ("auto", "float32", "bfloat16"):
            raise RecipeError(f"precision must be auto, float32 or bfloat16, not {precision!r}")
        gpu = device in ("auto", "cuda") and torch.cuda.is_available()
        fast = torch.cuda.is_bf16_supported(including_emulation=False) if gpu else torch.cpu._is_avx512_bf16_supported()
        return "bf16-mixed" if precision == "bfloat16" or (precision == "auto" and fast) else "32-true"

    @property
    def main(self) -> bool:
        return self.rank == 0

    def autocast(self) -> AbstractContextManager[None]:
        context: AbstractContextManager[None] = self.fabric.autocast()
        return context

    def _reduce(self, value: Tensor, how: str) -> Tensor:
        reduced = self.fabric.all_reduce(value, reduce_op=how)
        assert isinstance(reduced, Tensor)
        return reduced

    def average(self, parameters: Iterable[nn.Parameter]) -> None:
        """Gradients averaged over processes, in one message."""
        if self.world == 1:
            return
        grads = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.flatten() for g in grads])
        mean = self._reduce(flat, "mean")
        for g, piece in zip(grads, mean.split([g.numel() for g in grads]), strict=True):
            g.copy_(piece.view_as(g))

    def average_notes(self, notes: dict[str, Tensor]) -> dict[str, Tensor]:
        """Notes averaged over processes, so that controllers turn the same way everywhere."""
        if self.world == 1 or not notes:
            return notes
        names = sorted(notes)
        mean = self._reduce(torch.stack([notes[n].float() for n in names]), "mean")
        return dict(zip(names, mean.unbind(), strict=True))

    def gather(self, x: Tensor) -> Tensor:
        """[world * n, ...] of [n, ...] in each process, in the order of their ranks."""
        if self.world == 1:
            return x
        found = self.fabric.all_gather(x)
        assert isinstance(found, Tensor)
        return found.reshape(-1, *x.shape[1:])

    def any(self, value: bool) -> bool:
        """Whether it is true in any process."""
        if self.world == 1:
            return value
        flag = torch.tensor(float(value), device=self.device)
        return bool(self._reduce(flag, "sum").item() > 0)

    def agree(self, values: list[float]) -> list[float]:
        """The main process's numbers, in all of them."""
        if self.world == 1:
            return values
        return [float(v) for v in self.fabric.broadcast(values, src=0)]

    def tell(self, word: str) -> str:
        """The main process's word, in all of them."""
        return word if self.world == 1 else str(self.fabric.broadcast(word, src=0))

    def barrier(self) -> None:
        if self.world > 1:
            self.fabric.barrier()
