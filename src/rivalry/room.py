"""Whether what is asked for fits into memory: said before hours are spent, not by the kernel after them."""

from __future__ import annotations

import os

import torch

from rivalry.errors import RecipeError

COPIES = 3
"""Of all samples that stand in memory at once: the parts, the whole, and what is written of it."""


def memory(device: torch.device) -> int:
    """Bytes that the device has in all; 0 where that is not known."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not known on every system
        return 0


def check_room(n: int, each: int, device: torch.device) -> None:
    """RecipeError where n samples of so many bytes each are more than the device can hold."""
    whole = memory(device)
    if whole and COPIES * n * each > whole:
        raise RecipeError(
            f"{n:,} samples do not fit into the {whole / 1e9:,.0f} GB of memory here; ask for {whole // (COPIES * each):,} at most, and for more by other seeds"
        )
