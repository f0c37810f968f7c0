"""Writing files so that a kill, or a full disk, never leaves half of one."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from rivalry.errors import DataError, RunError

FULL = {errno.ENOSPC, errno.EDQUOT}


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary file beside `path`, of the same ending; put in its place once the block is through.

    Raises RunError with the remedy if the disk is full or the folder cannot be written.
    """
    temporary = Path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".part-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o644)
        os.replace(temporary, path)
    except OSError as error:
        _remove(temporary)
        if error.errno in FULL:
            raise RunError(
                f"the disk is full: {path} was not written; free some space and try again (a training that was saved goes on with: rivalry resume RUN)"
            ) from error
        if isinstance(error, IsADirectoryError):
            raise RunError(f"{path} is a folder, and a file is to be written; name another, or a file in it") from error
        nowhere = isinstance(error, FileNotFoundError) and temporary == Path()  # as below /proc, where nothing can be put
        if nowhere or isinstance(error, PermissionError | NotADirectoryError | FileExistsError):
            raise RunError(
                f"cannot write {path} ({error.strerror}); choose a folder that is yours to write"
            ) from error
        raise
    except BaseException:
        _remove(temporary)
        raise


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        if path.name.startswith(".part-"):
            path.unlink()


def write_text(path: Path, text: str) -> None:
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def not_over(source: Path, out: Path, what: str) -> None:
    """DataError where what is to be written would take the place of what is read.  what: 'rewritten', as the sentence goes on."""
    if source.exists() and out.exists() and out.samefile(source):
        raise DataError(f"{out} is what is to be {what}; name another file with -o")


def copy(source: Path, target: Path) -> None:
    with atomic(target) as temporary:
        temporary.write_bytes(source.read_bytes())


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=1, sort_keys=True) + "\n")


def write_tensors(path: Path, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """A safetensors file with `meta` as JSON in its header."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    with atomic(path) as temporary:
        try:
            save_file(dict(tensors), temporary, metadata={"rivalry": json.dumps(meta)})
        except SafetensorError as error:
            if "No space left" in str(error) or "os error 28" in str(error):
                raise OSError(errno.ENOSPC, "No space left on device") from error
            raise


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(tensors, meta) of a file written by `write_tensors`; RunError if it is none, or broken, or a pickle."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise RunError(f"there is no checkpoint at {path}")
    with open(path, "rb") as file:
        head = file.read(2)
    if head in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        raise RunError(
            f"{path} is a pickled PyTorch file, which can run code when loaded, so it is refused; "
            "convert it to safetensors where you trust it"
        )
    try:
        with safe_open(path, framework="pt") as file:
            meta = json.loads((file.metadata() or {}).get("rivalry", "{}"))
            return {k: file.get_tensor(k) for k in file.keys()}, meta  # noqa: SIM118 - not a dict
    except (SafetensorError, json.JSONDecodeError, OSError) as error:
        raise RunError(
            f"{path} is no readable safetensors file ({error}); restore it or use another checkpoint"
        ) from error
