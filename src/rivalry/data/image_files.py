"""Pictures to files: numbered PNGs in folders, and arrays."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from rivalry.data import png16
from rivalry.data.progress import threaded, track
from rivalry.data.sources import Array
from rivalry.errors import DataError
from rivalry.files import atomic


def class_folder(name: str) -> str:
    """A class's name as a folder's: no separators, nothing hidden, never empty."""
    plain = re.sub(r"[^\w .+()-]+", "_", name).strip(" .")
    return plain or "_"


def class_folders(names: tuple[str, ...]) -> tuple[str, ...]:
    """Folder names, numbered where two classes would share one."""
    plain = [class_folder(n) for n in names]
    return tuple(p if plain.count(p) == 1 else f"{i}_{p}" for i, p in enumerate(plain))


def write_array(values: Array, out: Path, labels: Tensor | None, names: tuple[str, ...]) -> Path:
    """values [N, ...] as .npy, or as .npz with x, y (if there are labels) and class_names: what `load` reads."""
    with atomic(out) as beside:
        if out.suffix.lower() == ".npy":
            np.save(beside, values)
        elif labels is None:
            np.savez_compressed(beside, x=values)
        else:
            np.savez_compressed(beside, x=values, y=labels.numpy(), class_names=np.array(names, dtype=np.str_))
    return out


def write_folder(pictures: Array, out: Path, labels: Tensor | None, names: tuple[str, ...]) -> list[Path]:
    """pictures [N, H, W, C] uint8 or uint16 as 000000.png ..., in class folders where there are labels [N].

    A new folder appears whole or not at all.  Raises DataError rather than overwrite a picture that is there.
    """
    paths = _paths(len(pictures), labels, names)
    taken = [p for p in paths if (out / p).exists()]
    if taken:
        raise DataError(f"{out} already holds {taken[0].as_posix()}; name another folder, or empty that one")
    fresh = not out.exists()
    target = out.with_name(f".part-{out.name}-{os.getpid()}") if fresh else out
    try:
        _write_all(pictures, [target / p for p in paths])
        if fresh:
            os.replace(target, out)
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"{out} cannot be written: {reason}; free some space or name another place") from error
    finally:
        if fresh:
            shutil.rmtree(target, ignore_errors=True)
    return [out / p for p in paths]


def _paths(n: int, labels: Tensor | None, names: tuple[str, ...]) -> list[Path]:
    digits = max(6, len(str(n)))
    files = [f"{i:0{digits}d}.png" for i in range(n)]
    if labels is None:
        return [Path(f) for f in files]
    folders = class_folders(names)
    own = [folders[k] if k < len(folders) else str(k) for k in labels.tolist()]
    return [Path(folder) / f for folder, f in zip(own, files, strict=True)]


def _write_all(pictures: Array, paths: list[Path]) -> None:
    for folder in {p.parent for p in paths}:
        folder.mkdir(parents=True, exist_ok=True)
    write: Callable[[int], None] = lambda i: write_png(pictures[i], paths[i])  # noqa: E731
    for _ in track(threaded(write, range(len(paths))), "writing pictures", len(paths)):
        pass


def write_png(picture: Array, path: Path) -> None:
    """[H, W, C] uint8 or uint16 as a PNG of the same depth, atomically."""
    with atomic(path) as beside, beside.open("wb") as stream:
        if picture.dtype == np.uint16:
            png16.write(picture, stream)
        else:
            Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture).save(stream, "PNG")
