"""A second device without a second device: tensors that say they are elsewhere, and refuse to be mixed with those of the processor.

So what would break on a GPU breaks here.  Its numbers are computed on the processor.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "away"
MIXING = ("_to_copy", "copy_", "_local_scalar_dense", "is_pinned", "_pin_memory", "set_", "resize_")
"""Operations that go between devices."""
INDEXING = ("index.Tensor", "index_put_.default", "index_put.default", "_index_put_impl_.default", "_unsafe_index.Tensor")
"""Operations whose indices may stay on the processor."""
READ = ("_local_scalar_dense", "nonzero", "masked_select", "_unique", "unique_")
"""Operations whose result, or its size, the processor has to know."""
watching = False
"""Whether what would make the processor wait for a GPU, or the other way round, is an error."""


class Away(Tensor):
    """Stands for a tensor of the processor, `inner`."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> Away:
        return torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined, no-any-return]
            cls, inner.size(), strides=inner.stride(), storage_offset=inner.storage_offset(), dtype=inner.dtype, device=torch.device(NAME, 0),
            requires_grad=inner.requires_grad,
        )  # fmt: skip

    def __init__(self, inner: Tensor) -> None:
        self.inner = inner

    def tolist(self) -> Any:
        return self.inner.tolist()

    def numpy(self, *, force: bool = False) -> Any:
        raise TypeError(f"can't convert a tensor of the device {NAME!r} to numpy; copy it to the processor first")

    def __getitem__(self, index: Any) -> Tensor:
        return super().__getitem__(_listed(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        given = value if isinstance(value, Tensor) else torch.full((), value, dtype=self.dtype, device=self.device)
        super().__setitem__(_listed(index), given)

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return elsewhere(func, *args, **(kwargs or {}))


def _listed(index: Any) -> Any:
    """Lists of places as tensors: torch makes them by a backend's own code in C++."""
    parts = [torch.tensor(i) if isinstance(i, list) else i for i in (index if isinstance(index, tuple) else (index,))]
    return tuple(parts) if isinstance(index, tuple) else parts[0]


def _near(x: Any) -> Any:
    if isinstance(x, Away):
        return x.inner
    if isinstance(x, torch.device) and x.type == NAME:
        return torch.device("cpu")
    return x


def elsewhere(func: Any, *args: Any, **kwargs: Any) -> Any:
    """Does on the processor what was asked of the other device.  RuntimeError where tensors of both are mixed."""
    given = tree_flatten((args, kwargs))[0]
    aways = [x for x in given if isinstance(x, Away)]
    name = str(func).removeprefix("aten.")
    if watching and waits(name, args, kwargs):
        raise RuntimeError(f"the device is waited for in {func}")
    if not name.startswith(MIXING):
        looked = tree_flatten((args[0], args[2:]) if name in INDEXING else (args, kwargs))[0]
        near = [x for x in looked if isinstance(x, Tensor) and not isinstance(x, Away) and x.dim() > 0]
        if near and aways:
            raise RuntimeError(f"tensors of two devices are mixed in {func}: {[tuple(x.shape) for x in near]} is the processor's")
    asked = kwargs.get("device")
    there = (asked is not None and torch.device(asked).type == NAME) or (asked is None and bool(aways))
    own = [x for x in given if isinstance(x, Away)]
    out = func(*tree_map(_near, args), **tree_map(_near, kwargs))
    if name.split(".")[0].endswith("_"):
        return None if name.startswith("_foreach") else args[0]
    known = {id(x.inner): x for x in own}

    def far(x: Any) -> Any:
        return known.get(id(x), Away(x)) if isinstance(x, Tensor) and not isinstance(x, Away) else x

    return tree_map(far, out) if there else out


def waits(name: str, args: Any, kwargs: Any) -> bool:
    """As CUDA's own mode of debugging has it: values read back, copies between devices, masks and far lists as indices."""
    far = isinstance(args[0], Away)
    if name in INDEXING:
        found = [i for i in args[1] if i is not None]
        return any(i.dtype == torch.bool or (isinstance(i, Away) != far and i.dim() > 0) for i in found)
    if name.startswith("_to_copy"):
        to = kwargs.get("device")
        return to is not None and (torch.device(to).type == NAME) != far and not kwargs.get("non_blocking")
    if name.startswith("copy_"):
        return isinstance(args[1], Away) != far and not (len(args) > 2 and args[2])
    return far and name.startswith(READ)


def register() -> torch.device:
    """Makes the device known; once in a process, before anything of ours is imported."""
    _setup_privateuseone_for_python_backend(NAME)
    library = torch.library.Library("_", "IMPL")
    library.fallback(elsewhere, "PrivateUse1")
    register.library = library  # type: ignore[attr-defined]
    for name in ("tensor", "as_tensor"):  # these ask a backend's own code in C++
        setattr(torch, name, _made_near(getattr(torch, name)))
    torch.inference_mode = lambda mode=True: torch.no_grad() if mode else nullcontext()  # type: ignore[misc, assignment]
    return torch.device(NAME, 0)


def _made_near(make: Any) -> Any:
    def made(*args: Any, device: Any = None, **kwargs: Any) -> Tensor:
        found: Tensor = make(*args, **kwargs)
        return found if device is None else found.to(device)

    return made
