"""Where decoded pictures live: in memory, or in a file in the cache folder that is mapped into memory.

The folder is $RIVALRY_CACHE, else ~/.cache/rivalry.  An entry is a folder named by a hash of the files' names,
sizes and times and of the options, so it is found again without decoding; it is made beside its place and moved
there when it is whole.  Only its owner can read it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rivalry.data.sources import Array
from rivalry.data.words import human_bytes
from rivalry.errors import DataError

VERSION = 1
TORCH = {"uint8": torch.uint8, "uint16": torch.uint16, "float32": torch.float32}
Meta = dict[str, Any]


@dataclass(frozen=True)
class Kept:
    """Decoded rows: data [N, ...], mapped from a file if `mapped`; digests [N] of 16 bytes; meta, whatever was
    found out on the way, as JSON says it."""

    data: Tensor
    digests: Array
    meta: Meta
    mapped: bool


def cache_folder() -> Path:
    own = os.environ.get("RIVALRY_CACHE")
    return Path(own).expanduser() if own else Path.home() / ".cache" / "rivalry"


def entry_path(*identity: str) -> Path:
    """Where the decoded data of this identity are kept, if they are."""
    digest = hashlib.sha256("\x1f".join((str(VERSION), *identity)).encode()).hexdigest()
    return cache_folder() / digest[:32]


def find(path: Path, resident_bytes: int) -> Kept | None:
    """The entry, None if there is none or it is not whole; mapped if it is larger than `resident_bytes`."""
    try:
        meta = json.loads((path / "meta.json").read_text())
        shape, dtype = tuple(meta["shape"]), str(meta["dtype"])
        digests = np.load(path / "digests.npy", allow_pickle=False)
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        if (path / "rows.bin").stat().st_size != size or len(digests) != shape[0]:
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    flat = torch.from_file(str(path / "rows.bin"), shared=False, size=int(np.prod(shape)), dtype=TORCH[dtype])
    data = flat.reshape(shape)
    mapped = size > resident_bytes
    return Kept(data if mapped else data.clone(), digests, dict(meta["found"]), mapped)


def _reserve(path: Path, size: int) -> None:
    """Makes a file of that size whose blocks are really there: writing to a map on a full disk would kill the process."""
    with path.open("wb") as file:
        file.truncate(size)
        if sys.platform == "linux":
            try:
                os.posix_fallocate(file.fileno(), 0, size)
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise


class Shelf:
    """Room for N rows that are being decoded, in memory or in a file: fill `rows`, then `finish`.

    Use as a context manager: what is not finished leaves nothing behind.
    """

    def __init__(self, path: Path | None, shape: tuple[int, ...], dtype: np.dtype[np.uint8 | np.uint16]) -> None:
        self._path, self._beside = path, Path()
        self.rows: Array
        if path is None:
            self.rows = np.zeros(shape, dtype)
            return
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            free = shutil.disk_usage(path.parent).free
            if free < size:
                raise OSError(f"{human_bytes(size)} are needed and {human_bytes(free)} free")
            self._beside = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
            _reserve(self._beside / "rows.bin", size)
            self.rows = np.memmap(self._beside / "rows.bin", dtype, "r+", shape=shape)
        except OSError as error:
            self.close()
            reason = error.strerror or str(error)
            raise DataError(
                f"decoded data cannot be kept in {path.parent}: {reason}; "
                "free some space or name another folder in RIVALRY_CACHE"
            ) from error

    def __enter__(self) -> Shelf:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Removes what was not finished."""
        if self._beside.name:
            shutil.rmtree(self._beside, ignore_errors=True)

    def finish(self, digests: Array, meta: Meta, resident_bytes: int) -> Kept:
        """The rows as they will be used; what was written to a file is put in its place."""
        if self._path is None:
            return Kept(torch.from_numpy(self.rows), digests, meta, False)
        self._describe(digests, meta)
        if find(self._path, 0) is None:  # else another process was faster
            shutil.rmtree(self._path, ignore_errors=True)
            with contextlib.suppress(OSError):
                os.replace(self._beside, self._path)
        kept = find(self._path, resident_bytes)
        if kept is None:
            raise DataError(f"the decoded data in {self._path} are damaged; remove that folder and run again")
        return kept

    def _describe(self, digests: Array, meta: Meta) -> None:
        assert isinstance(self.rows, np.memmap)
        self.rows.flush()
        shape = {"shape": list(self.rows.shape), "dtype": self.rows.dtype.name}
        np.save(self._beside / "digests.npy", digests)
        (self._beside / "meta.json").write_text(json.dumps({**shape, "found": meta}))
