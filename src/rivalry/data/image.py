"""Pictures: the modality 'image'."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from rivalry.data import changing, frames, image_files, image_look, layouts, reading, sheets, twins
from rivalry.data.base import Dataset, Plain
from rivalry.data.defences import refuse
from rivalry.data.inspection import Inspection
from rivalry.data.medical import look as scan_look
from rivalry.data.medical import reading as scans
from rivalry.data.medical import warning
from rivalry.data.medical.as_pictures import as_pictures
from rivalry.data.options import GENERATE, ReadOptions
from rivalry.data.reading import Pictures
from rivalry.data.rows import group_by_name
from rivalry.data.sources import Array, Arrays, Columns, Encoded, Scans, Source
from rivalry.data.split import split
from rivalry.data.stores import both
from rivalry.errors import DataError
from rivalry.types import Spec

AUGMENTS = ("translate", "cutout", "diffaugment", "ada")
EXTRACTORS = ("inception", "dinov2", "efficientnet-lite0", "squeezenet", "local")


@dataclass(frozen=True)
class ImageModality:
    """Pictures [C, H, W], C of 1 (grey), 3 (colour) or 4 (with alpha).

    Raw pictures are uint8 or uint16 between 0 and `high`; encoded ones float32 in [-1, 1].  A raw number stands for
    offset + scale * number, where the data came as arrays of other numbers.

    window: of medical images; 'fixed': raw numbers stand for the files' units as above; 'volume': 0 ... high are the darkest
    and brightest of each volume, by percentiles (`medical.windows.of_volume`); '' for other pictures.  axis: along which
    volumes were cut, '' where there are none.
    """

    shape: tuple[int, int, int] = (3, 32, 32)
    bits: int = 8
    high: int = 255
    offset: float = 0.0
    scale: float = 1.0
    window: str = ""
    axis: str = ""
    kind: ClassVar[str] = "image"

    def sniff(self, source: Source) -> bool:
        if isinstance(source, Encoded | Scans):
            return True
        if isinstance(source, Columns):
            numeric = all(c.dtype.kind == "f" for c in source.columns)
            return numeric and frames.flat_shape(len(source.columns)) is not None
        return isinstance(source, Arrays) and frames.looks_like_pictures(source.x)

    def read(self, source: Source, options: ReadOptions) -> Dataset:
        """Raises DataError when there are too few pictures, most are broken, or arrays have no shape of pictures."""
        refuse(options, "pictures", ("--dedupe",))
        decision = layouts.decide(source, options) if isinstance(source, Encoded | Scans) else layouts.Decision()
        if decision.task and options.reading > 4:
            refuse(options, "pictures that are to be changed", ())
        if isinstance(source, Encoded) and decision.task:
            return changing.read(source, options, self, decision)
        if isinstance(source, Scans) and decision.task:
            return _changed_scans(source, options, self, decision)
        if options.task is not None and not layouts.as_it_is(options):
            raise DataError(f"--task works on picture files, and {source.where} holds arrays; save them as PNG first")
        if options.patch is not None and options.task is not None:
            raise DataError(f"task {options.task!r} goes by whole pictures; leave --patch out (--size says how large they become)")
        if options.patch is not None:
            raise DataError("--patch goes with --task, which says what the squares are for, such as --task denoise; leave it out or add one")
        pictures = _gathered(source, options)
        pictures, told = twins.without_copies(pictures) if options.dedupe else (pictures, ())
        rows = group_by_name(pictures.rows.compact(), options.group)
        same = np.unique(pictures.digests, return_inverse=True)[1].reshape(-1)
        parts = split(rows, same, options, source.where)
        plan, scale = pictures.plan, pictures.scale
        modality = ImageModality(
            plan.shape, plan.bits, scale.high, scale.offset, scale.scale, pictures.window, pictures.axis
        )
        labels = None if rows.codes is None else torch.from_numpy(_scattered(rows.codes, pictures))
        places = torch.from_numpy(pictures.places)
        sides = places[parts.train], places[parts.held]
        train, held = both(pictures.data, sides, modality.encode, labels, pictures.streamed)
        notes = (*decision.notes, *pictures.notes, *rows.notes, *parts.notes)
        fingerprint = reading.content_hash(pictures, rows, parts.held, options)
        spec = Spec("image", plan.shape, (-1.0, 1.0), rows.classes)
        task = options.task if options.task not in (None, GENERATE) else ""
        if task and spec.classes < 2:
            raise DataError(f"--task {task} goes between classes of pictures, and {source.where} has none; put each kind into a sub-folder of its own")
        return Dataset(source.name, spec, modality, train, held, fingerprint, notes=notes, defences=told, task=task or "")

    def inspect(self, source: Source, options: ReadOptions) -> Inspection:
        if isinstance(source, Encoded | Scans):
            found = image_look.inspect_files(source, options) if isinstance(source, Encoded) else scan_look.inspect_scans(source, options)
            return replace(found, notes=(*found.notes, *layouts.decide(source, options).notes))
        return image_look.inspect_array(_as_array(source), options)

    def encode(self, raw: Tensor) -> Tensor:
        """[N, C, H, W] integers in 0 ... high -> float32 in [-1, 1]."""
        return raw.to(torch.float32).mul_(2 / self.high).sub_(1)

    def decode(self, x: Tensor) -> Tensor:
        """[N, C, H, W] floats, clamped to [-1, 1] -> uint8, or uint16 for 16-bit data; NaN becomes 0."""
        steps = x.detach().float().add(1).mul(self.high / 2).nan_to_num(0.0).round_().clamp_(0, self.high)
        return steps.to(torch.uint8 if self.bits == 8 else torch.uint16)

    def write(self, x: Tensor, out: Path, labels: Tensor | None = None, names: tuple[str, ...] = ()) -> list[Path]:
        """x [N, C, H, W] encoded, or raw integers.  A folder takes numbered PNGs (in one sub-folder per class where
        there are labels [N] with their names), .png .jpg .webp a sheet, .npz and .npy an array.  Nothing that is
        there is overwritten in a folder.  Beside scans a text warns that they are invented.  Raises DataError for other endings."""
        written = self._written(x, out, labels, names)
        if self.window:
            warning.write_beside(out)
        return written

    def _written(self, x: Tensor, out: Path, labels: Tensor | None, names: tuple[str, ...]) -> list[Path]:
        raw = (self.decode(x) if x.is_floating_point() else x).cpu()
        codes = None if labels is None else labels.cpu()
        ending = out.suffix.lower()
        if ending in (".png", ".jpg", ".jpeg", ".webp"):
            return [sheets.save(sheets.grid(self.shown(raw)), out)]
        if ending in (".npz", ".npy"):
            return [image_files.write_array(self._values(raw), out, codes, names)]
        if ending and not out.is_dir():
            raise DataError(
                f"pictures cannot be written as {out.name}; name a folder, or a file ending in .png, .npz or .npy"
            )
        return image_files.write_folder(_last(raw), out, codes, names)

    def preview(self, x: Tensor, path: Path, reference: Tensor | None = None) -> None:
        """A sheet of encoded pictures, beside a sheet of the reference if there is one."""
        picture = sheets.grid(self.shown(x))
        if reference is not None:
            picture = sheets.beside(picture, sheets.grid(self.shown(reference)))
        sheets.save(picture, path)

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """[N, C, H, W] twice -> [N]: root mean square difference, 0 to 2."""
        return (a.float() - b.float()).flatten(1).square().mean(1).sqrt()

    def rgb(self, x: Tensor) -> Tensor:
        """[N, C, H, W] encoded -> [N, 3, H, W] in [-1, 1]: grey repeated, what shows through white.  Differentiable;
        for feature extractors that want colour."""
        if x.shape[1] == 4:
            alpha = (x[:, 3:] + 1) / 2
            return x[:, :3] * alpha + (1 - alpha)
        return x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x

    def shown(self, x: Tensor) -> Array:
        """[N, C, H, W] encoded (or raw, if integers) -> [N, H, W, 3] uint8 for people to look at: grey repeated, 16
        bits brought to 8, what shows through white."""
        last = _last((self.decode(x) if x.is_floating_point() else x).cpu())
        if self.high != 255:
            last = np.round(last * (255 / self.high)).astype(np.uint8)
        return sheets.paper(last)

    def augments(self) -> tuple[str, ...]:
        """Those that leave no trace in what is learnt; flips do where left and right differ (digits, writing)."""
        return AUGMENTS

    def extractors(self) -> tuple[str, ...]:
        return EXTRACTORS

    def state(self) -> dict[str, object]:
        return {**asdict(self), "shape": list(self.shape)}

    def restored(self, state: Plain) -> ImageModality:
        values = dict(state)
        shape = values.pop("shape", self.shape)
        if not isinstance(shape, list | tuple) or len(shape) != 3:
            raise DataError(f"the state of pictures must name a shape [channels, height, width], not {shape!r}")
        return ImageModality(tuple(int(s) for s in shape), **values)  # type: ignore[arg-type]

    def _values(self, raw: Tensor) -> Array:
        """Raw pictures as [N, H, W] or [N, H, W, C], in the numbers the data came in."""
        last = _last(raw)
        flat = last[..., 0] if last.shape[3] == 1 else last
        if self.offset == 0 and self.scale == 1:
            return flat
        return (flat.astype(np.float64) * self.scale + self.offset).astype(np.float32)


def _last(raw: Tensor) -> Array:
    """[N, C, H, W] -> [N, H, W, C]."""
    return np.ascontiguousarray(raw.numpy().transpose(0, 2, 3, 1))


def _as_array(source: Source) -> Arrays:
    if isinstance(source, Columns):
        return Arrays(source.name, source.where, source.rows, np.stack(source.columns, 1))
    assert isinstance(source, Arrays)
    return source


def _gathered(source: Source, options: ReadOptions) -> Pictures:
    if isinstance(source, Encoded):
        return reading.from_files(source, options)
    if isinstance(source, Scans):
        return scans.from_scans(source, options)
    return frames.from_array(_as_array(source), options)


def _changed_scans(source: Scans, options: ReadOptions, modality: ImageModality, decision: layouts.Decision) -> Dataset:
    """Scans for a task: their slices are read as pictures are, and the modality remembers how they were shown."""
    shown = as_pictures(source, options)
    made = changing.read(shown.source, options, modality, decision)
    assert isinstance(made.modality, ImageModality)
    told = replace(made.modality, offset=shown.offset, scale=shown.scale, window=shown.window, axis=shown.axis)
    return replace(made, modality=told, notes=(*shown.notes, *made.notes))


def _scattered(codes: Array, pictures: Pictures) -> Array:
    """[N] classes of whole pictures -> [M] by their places in the data; -1 where there is no whole picture."""
    out = np.full(len(pictures.data), -1, dtype=np.int64)
    out[pictures.places] = codes
    return out
