"""Arrays: npz and npy files, and NumPy arrays, tensors and torch data sets handed over in Python."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterable, Sized
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import IterableDataset, TensorDataset

from rivalry.data.idx import joined
from rivalry.data.progress import track
from rivalry.data.sources import Array, Arrays
from rivalry.data.words import some
from rivalry.errors import DataError

TRAIN_X = ("x_train", "train_x", "train_images", "images_train", "x_tr", "train_data", "train")
TEST_X = ("x_test", "test_x", "test_images", "images_test", "x_te", "test_data", "test")
VALID_X = ("x_val", "val_x", "val_images", "x_valid", "valid_images", "val")
PLAIN_X = ("x", "images", "image", "data", "imgs", "faces", "pictures", "points", "samples", "arr_0")
TRAIN_Y = ("y_train", "train_y", "train_labels", "labels_train", "y_tr")
TEST_Y = ("y_test", "test_y", "test_labels", "labels_test", "y_te")
PLAIN_Y = ("y", "labels", "label", "target", "targets", "classes", "arr_1")
NPY, NPZ = b"\x93NUMPY", b"PK"
SAFE = "Python objects, and unpickling those can run code; save plain numbers instead"


def read_npy(file: Path | bytes, where: str) -> Arrays:
    """One array; a file on disk is memory-mapped, not read."""
    _expect(file, where, NPY, "npy")
    try:
        if isinstance(file, Path):
            x: Array = np.load(file, mmap_mode="r", allow_pickle=False)
        else:
            x = np.load(io.BytesIO(file), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise _unreadable(where, error) from error
    return joined(Path(where).stem, where, [numeric(x, where)], [None])


def read_npz(file: Path | bytes, where: str) -> Arrays:
    """Pictures or points with their labels and their official split, found by the usual names of the arrays."""
    _expect(file, where, NPZ, "npz")
    try:
        opened = file.open("rb") if isinstance(file, Path) else io.BytesIO(file)
        with opened as stream, np.load(stream, allow_pickle=False) as found:
            return _from_keys(found, where)
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
        raise _unreadable(where, error) from error


def _expect(file: Path | bytes, where: str, magic: bytes, ending: str) -> None:
    """Raises DataError if the file does not begin as it should."""
    try:
        head = file[:6] if isinstance(file, bytes) else _head(file)
    except OSError as error:
        raise _unreadable(where, error) from error
    if not head.startswith(magic):
        raise DataError(
            f"{where} is no {ending} file (it does not begin like one); save it with numpy, or mend its name"
        )


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(6)


def _unreadable(where: str, error: Exception) -> DataError:
    if any(word in str(error) for word in ("pickle", "Object arrays", "Python objects")):
        return DataError(f"{where} holds {SAFE}")
    return DataError(f"{where} cannot be read ({error or type(error).__name__}); save it again with numpy")


def _from_keys(found: np.lib.npyio.NpzFile, where: str) -> Arrays:
    keys = {k.lower(): k for k in found.files}

    def pick(*candidates: str) -> Array | None:
        return next((found[keys[c]] for c in candidates if c in keys), None)

    name = Path(where).stem
    train, test = pick(*TRAIN_X), pick(*TEST_X)
    valid = pick(*VALID_X) if test is None else None
    if train is not None and (test is not None or valid is not None):
        labels = [pick(*TRAIN_Y), pick(*TEST_Y) if test is not None else pick("y_val", "val_labels", "y_valid")]
        held = test if test is not None else valid
        assert held is not None
        source = joined(name, where, [numeric(train, where), numeric(held, where)], labels, _class_names(found))
        aside = [k for k in VALID_X if k in keys] if test is not None else []
        note = f"the array {aside[0]!r} is left aside" if aside else ""
        return Arrays(source.name, where, source.rows.noted(note), source.x)
    x = train if train is not None else pick(*PLAIN_X)
    if x is None:
        large = [k for k in found.files if found[k].ndim >= 2]
        if len(large) != 1:
            raise DataError(
                f"{where} holds the arrays {some(found.files, 8) or 'nothing'}, and which are the data is not clear; "
                "name them x and y (or x_train, y_train, x_test, y_test)"
            )
        x = found[large[0]]
    return joined(name, where, [numeric(x, where)], [pick(*PLAIN_Y, *TRAIN_Y)], _class_names(found))


def _class_names(found: np.lib.npyio.NpzFile) -> tuple[str, ...]:
    names = found["class_names"] if "class_names" in found.files else np.zeros(0, dtype=str)
    return tuple(names.tolist()) if names.ndim == 1 and names.dtype.kind == "U" else ()


def numeric(x: Array, where: str) -> Array:
    if x.dtype.kind not in "biuf" or x.ndim < 2:
        raise DataError(
            f"{where} has rows of {x.dtype}{list(x.shape)}, which are neither pictures nor points; "
            "give numbers of shape [rows, columns], [rows, height, width] or [rows, height, width, channels]"
        )
    return x


def from_array(x: Array | Tensor, labels: object = None) -> Arrays:
    """Rows from Python: a NumPy array or tensor [N, ...], and labels [N] if there are any."""
    where = "the array" if isinstance(x, np.ndarray) else "the tensor"
    own = None if labels is None else _to_numpy(labels)
    return joined("array", where, [numeric(_to_numpy(x), where)], [own])


def _to_numpy(x: object) -> Array:
    if isinstance(x, Tensor):
        x = x.detach().cpu()
        return (x.float() if x.dtype in (torch.bfloat16, torch.float16) else x).numpy()
    return np.asarray(x)


def from_torch(data: TorchDataset[object], limit: int | None) -> Arrays:
    """A torch data set of items x or (x, y), each x a tensor, array or PIL picture of one shape.

    Every item is read once, so random transforms are frozen as they fall.
    """
    if isinstance(data, TensorDataset):
        x, *rest = data.tensors
        return from_array(x, rest[0] if rest else None)
    xs, ys = list[Array](), list[object]()
    for item in track(_items(data, limit), "reading items"):
        pair = item if isinstance(item, tuple | list) else (item,)
        xs.append(np.asarray(pair[0]) if isinstance(pair[0], Image.Image) else _to_numpy(pair[0]))
        if len(pair) > 1:
            ys.append(pair[1].item() if isinstance(pair[1], Tensor) and pair[1].numel() == 1 else pair[1])
    return _stacked(xs, ys, type(data).__name__)


def _items(data: TorchDataset[object], limit: int | None) -> Iterable[object]:
    if isinstance(data, IterableDataset):
        for i, item in enumerate(data):
            if i == limit:
                return
            yield item
        return
    if not isinstance(data, Sized):
        raise DataError(f"the data set {type(data).__name__} has no length; give it __len__, or make it iterable")
    for i in range(len(data)):
        yield data[i]


def _stacked(xs: list[Array], ys: list[object], name: str) -> Arrays:
    where = f"the data set {name}"
    if not xs:
        raise DataError(f"{where} has no items; give it some")
    shapes = {(x.shape, x.dtype.str) for x in xs}
    if len(shapes) > 1:
        kinds = some([f"{d}{list(s)}" for s, d in sorted(shapes, key=str)])
        raise DataError(f"the items of {where} differ in shape or type ({kinds}); resize them alike")
    source = joined(name, where, [numeric(np.stack(xs), where)], [np.asarray(ys) if len(ys) == len(xs) else None])
    return source
