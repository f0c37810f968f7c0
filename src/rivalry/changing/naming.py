"""Pictures in files, named by the classifier that a run learned: `rivalry apply RUN PICTURES -o classes.csv`."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from torch import Tensor, nn

from rivalry.changing.files import READ, Tick
from rivalry.data import ImageModality, ReadOptions
from rivalry.data.containers import Content, Folder, Unreadable
from rivalry.data.pixels import Plan, decode, quiet
from rivalry.errors import DataError
from rivalry.files import write_text
from rivalry.parts import Game
from rivalry.run import Run

AT_ONCE = 64


@dataclass(frozen=True)
class Named:
    """names: of the files that could be read; classes, chances [N]: the likeliest and its probability; truths: the class that a file's
    folder is called after, -1 for none; failed: (name, why)."""

    where: Path
    names: tuple[str, ...]
    classes: Tensor
    chances: Tensor
    truths: Tensor
    failed: tuple[tuple[str, str], ...] = ()

    @property
    def known(self) -> int:
        """Files whose folder says what they are."""
        return int((self.truths >= 0).sum())

    @property
    def accuracy(self) -> float | None:
        """The share of those that are named as their folder."""
        told = self.truths >= 0
        return float((self.classes[told] == self.truths[told]).double().mean()) if self.known else None

    def text(self) -> str:
        lines = [f"not named: {name}: {why}" for name, why in self.failed]
        if self.accuracy is not None:
            hits = round(self.accuracy * self.known)
            lines.append(f"accuracy {self.accuracy:.4f}: {hits:,} of {self.known:,} pictures are named as the folder they lie in")
        return "\n".join([*lines, f"{len(self.names):,} pictures in {self.where}"])


def name_files(
    run: Run, modality: ImageModality, source: Path, out: Path, which: str, device: torch.device, overwrite: bool = False,
    tick: Tick = lambda what, share: None,
) -> Named:  # fmt: skip
    """Writes a CSV of file, class, probability, for a picture or all below a folder.

    Pictures are brought to the size that the run was trained on.  RecipeError for runs that learned no classes, DataError for what
    cannot be read; nothing is written then.
    """
    game, spec = run.recipe.game, run.spec
    nets = run.networks(which, device)
    game.logits(nets, torch.zeros(1, *spec.shape, device=device))  # says so where there are no classes
    if out.exists() and not overwrite:
        raise DataError(f"{out} is there already; say --overwrite, or name another file with -o")
    names, folder = _found(source)
    fit = ReadOptions.from_dict(run.settings["data"]["options"]).fit
    c, h, w = modality.shape
    plan, failed, logits, kept = Plan(h, w, c, modality.bits, fit), list[tuple[str, str]](), list[Tensor](), list[str]()
    for start in range(0, len(names), AT_ONCE):
        part = names[start : start + AT_ONCE]
        tick(part[-1], min(1.0, (start + AT_ONCE) / len(names)))
        with quiet():
            found = [decode(_content(folder / name), plan) for name in part]
        failed += [(n, d.reason) for n, d in zip(part, found, strict=True) if d.pixels is None]
        whole = [(n, d.pixels) for n, d in zip(part, found, strict=True) if d.pixels is not None]
        if whole:
            kept += [n for n, _ in whole]
            logits.append(_asked(game, nets, modality.encode(torch.from_numpy(np.stack([p for _, p in whole])).to(device))))
    if not kept:
        raise DataError(f"none of {len(names)} pictures in {source} can be read; the first: {failed[0][1]}")
    chances, classes = torch.cat(logits).softmax(1).max(1)
    truths = torch.tensor([_truth(source.name, n, spec.class_names) for n in kept])
    write_text(out, _csv(kept, [spec.class_names[i] for i in classes.tolist()], chances))
    return Named(out, tuple(kept), classes, chances, truths, tuple(failed))


@torch.inference_mode()
def _asked(game: Game, nets: Mapping[str, nn.Module], x: Tensor) -> Tensor:
    return game.logits(nets, x).float().cpu()


def _content(path: Path) -> Content:
    try:
        return path.read_bytes()
    except OSError as error:
        return Unreadable(error.strerror or str(error))


def _found(source: Path) -> tuple[list[str], Path]:
    """(names of pictures, the folder they are relative to)."""
    if source.is_dir():
        names = [e.name for e in Folder.open(source).entries if e.ending in READ]
        if not names:
            raise DataError(f"there are no pictures in {source}; known endings: {', '.join(READ)}")
        return names, source
    if not source.is_file():
        raise DataError(f"there is no picture or folder at {source}; check the path")
    return [source.name], source.parent


def _truth(folder: str, name: str, classes: Sequence[str]) -> int:
    """The class that the nearest folder around the file is called after, -1 for none."""
    around = (folder, *PurePosixPath(name).parts[:-1])
    return next((classes.index(f) for f in reversed(around) if f in classes), -1)


def _csv(names: Sequence[str], classes: Sequence[str], chances: Tensor) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("file", "class", "probability"))
    rows.writerows((n, c, f"{p:.4f}") for n, c, p in zip(names, classes, chances.tolist(), strict=True))
    return text.getvalue()
