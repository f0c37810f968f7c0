"""Reading weights that a user has: safetensors, npz, or PyTorch files without any code in them."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from rivalry.errors import WeightsError

State = dict[str, Tensor]


def read_state(path: str | Path) -> State:
    """The named tensors of a .safetensors, .npz or PyTorch file (by its ending), on the CPU.

    PyTorch files are opened with weights_only=True and npz without pickles, so nothing in them can run.
    WeightsError where the file is missing, damaged, or holds anything but tensors.
    """
    file = Path(path)
    if not file.is_file():
        raise WeightsError(f"there is no weights file at {file}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the pickle's protocol: the file is read or refused
            content = _content(file)
    except Exception as error:  # broken bytes lead the readers into errors of every kind
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(
            f"{file} cannot be read as weights ({reason}); give a safetensors file or a plain state_dict"
        ) from error
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not content:
        raise WeightsError(f"{file} holds no named tensors; give a plain state_dict")
    state = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    if len(state) != len(content):
        raise WeightsError(f"{file} holds more than named tensors; save the state_dict alone")
    return state


def _content(file: Path) -> object:
    if file.suffix == ".safetensors":
        return load_file(file)
    if file.suffix == ".npz":
        with np.load(file, allow_pickle=False) as arrays:
            return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except RuntimeError:
        raise
    except Exception as error:  # what other bytes mean to an unpickler, or its advice to let code run, helps nobody
        raise ValueError("it holds more than tensors, or is no file of PyTorch's") from error


def fingerprint(state: Mapping[str, Tensor]) -> str:
    """sha256 (64 hexadecimal digits) over names, types, shapes and bytes, in order of name.

    The same tensors have the same fingerprint in every file format and on every device.
    """
    digest = hashlib.sha256()
    for name, value in sorted(state.items()):
        digest.update(f"{name} {value.dtype} {list(value.shape)};".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def fitted(net: nn.Module, state: Mapping[str, Tensor], what: str, *, unused: tuple[str, ...] = ()) -> str:
    """Load `state` into `net` and return the fingerprint of what was loaded.

    Every parameter and statistic of the net must be there with its shape; entries that begin with one of `unused`, and
    batch norms' counters, may be there and are passed over.  WeightsError names what does not fit.
    """
    wanted = {name: value for name, value in net.state_dict().items() if not name.endswith("num_batches_tracked")}
    given = {
        name: value
        for name, value in state.items()
        if not name.startswith(unused) and not name.endswith("num_batches_tracked")
    }
    missing, extra = sorted(wanted.keys() - given.keys()), sorted(given.keys() - wanted.keys())
    unlike = sorted(n for n in wanted.keys() & given.keys() if wanted[n].shape != given[n].shape)
    for fault, names in (("lacks", missing), ("also holds", extra), ("has other shapes for", unlike)):
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise WeightsError(f"these are not weights of {what}: the file {fault} {', '.join(names[:3])}{more}")
    net.load_state_dict(given, strict=False)
    return fingerprint({name: given[name].to(wanted[name].dtype) for name in wanted})
