"""Changing DICOM series and NIfTI volumes by a network: slice by slice, in the window it was trained with, and back into units.

Geometry is kept, identity is removed unless it is asked for, and what was done is written beside the result.  A map of how
sure the network is of each pixel may be written too: the standard deviation over several draws of its noise, or over the
members of an ensemble.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rivalry.changing.changer import Changer
from rivalry.changing.model import seen, unseen
from rivalry.changing.tiles import change
from rivalry.changing.ways import Ways
from rivalry.data.image import ImageModality
from rivalry.data.medical import windows
from rivalry.data.medical.identity import UidMap
from rivalry.data.medical.parts import is_nifti
from rivalry.data.medical.volume import Files, Volume, find_volumes, read_volume
from rivalry.data.medical.windows import Window
from rivalry.data.medical.writing import check_free, stem, write_volume
from rivalry.data.sources import Array
from rivalry.data.words import count
from rivalry.degrade import TASKS
from rivalry.errors import DataError, RecipeError, RunError
from rivalry.sampling import Tick, silent

Change = Callable[[Tensor], Tensor]
"""[n, 1, h, w] in [-1, 1] -> the same shape, in about [-1, 1]; any h and w."""
BATCH = 8
SHARES = "the result's numbers are shares of the range of what it was made into, 0 to 1: units of one kind say nothing of another"
AROUND = 3
"""A handful of answers says little of the variance of one pixel; over its neighbours it follows the true error better
(docs/medical.md)."""
PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".gif", ".npy", ".npz", ".csv", ".dcm")
"""Endings by which somebody expects one file, where there will be a folder."""
PERCENTILES = "0.5% to 99.5% of the volume"


@dataclass(frozen=True)
class ChangedVolumes:
    """written: all files, in order; volumes: how many were changed; notes: what there is to say, naming nobody; left_out: 'name: why' of
    files, and sentences on volumes, that could not be read, for whoever has them: they are written nowhere."""

    written: tuple[Path, ...]
    volumes: int
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    def text(self) -> str:
        lines = [f"{count(self.volumes, 'volume')} changed, {count(len(self.written), 'file')} written", *self.notes]
        return "\n".join([*lines, *(f"left out: {what}" for what in self.left_out)])


@dataclass(frozen=True)
class Answer:
    """Of a volume: its new numbers [slices, h, w] in units, and the standard deviation of the draws, None without any."""

    values: Array
    deviation: Array | None = None


def changing_volumes(
    network: Change | Sequence[Change], path: Path, out: Path, modality: ImageModality, *, uncertainty_draws: int = 0,
    window: str | None = None, output: Window | None = None, keep_identity: bool = False, batch: int = BATCH, tick: Tick = silent,
) -> ChangedVolumes:  # fmt: skip
    """Changes the volumes of a file or a folder.

    network: one, or several as an ensemble: the result is their mean.  modality: of the data it was trained on, which
    says the window and the axis.  uncertainty_draws: ask it so many times (2 or more), take the mean, and write the
    standard deviation as a second volume; an ensemble writes it in any case.  window: instead of the trained one (see
    `medical.windows.parse`).  output: what [-1, 1] means in the result, where that is not the window of the input.  out: for
    one NIfTI file a name ending in .nii or .nii.gz, for one DICOM series a new folder, for several volumes a folder of them.
    Raises DataError for what cannot be read or written, RunError where a change is not of the same size.
    """
    members = _members(network, uncertainty_draws)
    return _changing(members, Asked(max(1, uncertainty_draws)), path, out, modality, window, output, keep_identity, batch, tick)


@dataclass(frozen=True)
class Asked:
    """How each network was asked: with so many draws of its noise, in so many turned and mirrored views."""

    draws: int = 1
    views: int = 1


def _changing(
    members: Sequence[Change], asked: Asked, path: Path, out: Path, modality: ImageModality, window: str | None, output: Window | None,
    keep_identity: bool, batch: int, tick: Tick,
) -> ChangedVolumes:  # fmt: skip
    if path.is_dir() and out.resolve().is_relative_to(path.resolve()):
        raise DataError(f"{out} lies in {path}, so its results would be taken for scans the next time; name a place outside with -o")
    found = find_volumes(path)
    names = _names(found, out, keep_identity)
    for place in names:  # all of them, before anything is computed
        check_free(place)
        if len(members) > 1:
            check_free(_beside(place))
    uids, written, notes, failed, clipped = UidMap(), list[Path](), dict.fromkeys(found.notes), list[str](), 0.0
    missing = list(found.left_out)
    for i, (files, place) in enumerate(zip(found.volumes, names, strict=True)):
        try:
            volume = read_volume(files, modality.axis or "axial")
            shown, why = window_of(volume, modality, window, str(files[0]) if len(files) == 1 else f"the series of {files[0]}")
        except DataError as error:
            failed.append(str(error))
            continue
        missing += volume.left_out
        told = _Told(tick, i, len(names))
        answer = changed(members, volume, shown, output or shown, batch, told)
        record = _record(volume, shown, why, members, asked)
        notes.update(dict.fromkeys([*volume.notes, *why, *_sure_note(answer)]))
        clipped = max(clipped, shown.clipped(volume.array))
        written += write_volume(volume, answer.values, place, keep_identity, uids=uids, record=record)
        if answer.deviation is not None:
            beside = _beside(place)
            written += write_volume(volume, answer.deviation, beside, keep_identity, uids=uids, role="uncertainty", record=record)
    if failed and len(failed) == len(names):
        raise DataError(failed[0])
    left = [f"{count(len(failed), 'volume')} of {len(names)} cannot be read and are left out; the first: {failed[0]}"] if failed else []
    left += [f"up to {clipped:.1%} of a volume's numbers lay outside of the window and were clipped to its ends"] if clipped else []
    return ChangedVolumes(tuple(written), len(names) - len(failed), (*left, *notes), (*missing, *failed))


def members_of(changer: Changer, ways: Ways) -> list[Change]:
    """A trained network as the members of an ensemble: one for each of its draws, and with `self_ensemble` one for each of
    the turned and mirrored views of a slice that training knew (test-time augmentation: Wang et al. 2019, doi:10.1016/j.neucom.2019.01.103).

    A draw has one noise for all slices, so that it is of one piece from slice to slice.  Slices go through in tiles, as
    pictures do.
    """
    alone = replace(ways, self_ensemble=False)

    def member(draw: int, view: int) -> Change:
        def change_all(x: Tensor) -> Tensor:
            turned = (seen(x, view) + 1) / 2
            return unseen(torch.stack([change(changer, frame, alone, draw=draw) for frame in turned]) * 2 - 1, view)

        return change_all

    return [member(k, view) for k in range(ways.draws) for view in (changer.views if ways.self_ensemble else (0,))]


def apply_scans(
    changer: Changer, modality: ImageModality, source: Path, out: Path, ways: Ways, *, window: str | None = None,
    keep_identity: bool = False, tick: Tick = silent,
) -> ChangedVolumes:  # fmt: skip
    """`rivalry apply` for DICOM and NIfTI: as `changing_volumes`, with the deviation of the draws, or of the views.
    Raises RecipeError for networks that volumes have no use for."""
    if ways.draws > 1 and not changer.latent:
        raise RecipeError(
            "the network of this run draws no noise, so every draw would be the same; for a map of how sure it is say --self-ensemble in place of "
            "--draws, or train a row that draws some (--recipe bicyclegan-small)"
        )
    if changer.inputs != 1 or changer.outputs != 1 or changer.scale != 1 or changer.mask:
        raise RecipeError("scans are changed by networks of one channel that keep the size and fill no holes; this run's is another")
    made = made_of(changer, modality)
    ways.check(changer)
    asked = Asked(ways.draws, len(changer.views) if ways.self_ensemble else 1)
    done = _changing(members_of(changer, ways), asked, source, out, modality, window, made, keep_identity, BATCH, tick)
    return done if made is None else replace(done, notes=(*done.notes, SHARES))


def made_of(changer: Changer, modality: ImageModality) -> Window | None:
    """What [-1, 1] means in the result: for translations between kinds whose volumes were each windowed by itself, 0 to 1 of the
    target's range; None: the numbers that went in."""
    layout = TASKS[changer.task].layout if changer.task in TASKS else ""
    return Window(0, 1) if modality.window == "volume" and layout in ("pairs", "unpaired") else None


def told_of(changer: Changer, modality: ImageModality) -> dict[str, object]:
    """What an exported file says of the scans it is for, {} for other pictures: from what to what numbers become -1 to 1 (where the
    window is one for all; by which percentiles of the volume where it is not), along which axis volumes were cut, and what -1 to 1 is
    in the result: the same numbers again, or 0 to 1."""
    if not modality.window:
        return {}
    fixed = _fixed(modality)
    shown: dict[str, object] = {"percentiles": list(windows.TAILS)} if fixed is None else {"low": fixed.low, "high": fixed.high}
    return {"window": modality.window, **shown, "axis": modality.axis, "result": "units" if made_of(changer, modality) is None else "shares"}


def _fixed(modality: ImageModality) -> Window | None:
    """The one window for all that the run was trained with."""
    return Window(modality.offset, modality.offset + modality.scale * modality.high) if modality.window == "fixed" else None


def changed(
    members: Sequence[Change], volume: Volume, shown: Window, output: Window, batch: int = BATCH, tick: Callable[[float], None] = lambda _: None
) -> Answer:
    """The mean over members, and their standard deviation if there are several; in the units of `output`."""
    several = len(members) > 1
    values = np.empty(volume.array.shape, np.float32)
    deviation = np.empty(volume.array.shape, np.float32) if several else None
    for start in range(0, len(values), batch):
        part = slice(start, start + batch)
        mean, spread = _asked(members, _seen(volume, shown, part))
        values[part] = output.decoded(-mean if volume.inverted else mean)
        if deviation is not None:
            deviation[part] = spread * (output.high - output.low) / 2
        tick(min(1.0, (start + batch) / len(values)))
    return Answer(values, deviation)


def _seen(volume: Volume, shown: Window, part: slice) -> Tensor:
    """Slices [n, 1, h, w] as the network was shown them."""
    x = torch.from_numpy(shown.encoded(volume.array[part]))[:, None]
    return -x if volume.inverted else x


@torch.inference_mode()
def _asked(members: Sequence[Change], x: Tensor) -> tuple[Array, Array]:
    """Mean and standard deviation [n, h, w] of the members' answers, clamped to [-1, 1]; Welford's sums, so that memory does
    not grow with their number.  Variances are averaged over AROUND x AROUND pixels."""
    mean, squares = torch.zeros_like(x, dtype=torch.float64), torch.zeros_like(x, dtype=torch.float64)
    for k, member in enumerate(members, 1):
        y = member(x)
        if y.shape != x.shape:
            raise RunError(f"slices of {list(x.shape[2:])} became {list(y.shape[1:])}; volumes need a network that keeps one channel and the size")
        y = y.to("cpu", torch.float64).clamp(-1, 1)
        if not bool(y.isfinite().all()):
            raise RunError("the network gave NaN or infinity; nothing was written")
        step = y - mean
        mean += step / k
        squares += step * (y - mean)
    spread = F.avg_pool2d(squares / max(1, len(members) - 1), AROUND, 1, AROUND // 2, count_include_pad=False).sqrt()
    return mean[:, 0].float().numpy(), spread[:, 0].float().numpy()


def window_of(volume: Volume, modality: ImageModality, asked: str | None = None, name: str = "a volume") -> tuple[Window, list[str]]:
    """What the volume is shown by, and what there is to say of that."""
    if asked is not None and (own := windows.parse(asked)) is not None:
        return own, [f"window {own.words()}, as was asked"]
    if asked is None and (fixed := _fixed(modality)) is not None:
        odd = f"the network was trained with one window for all, as for CT, and a volume is {volume.modality}" if volume.modality not in ("CT", "") else ""
        return fixed, [odd] if odd else []
    found = windows.of_volume(windows.sample(volume.array))
    if found is None:
        raise DataError(f"{name} is of one value; there is nothing to change in it")
    untrained = asked is None and modality.window == ""
    strange = "the network was trained on other pictures than scans: each volume is shown by its own percentiles" if untrained else ""
    return found, [strange] if strange else []


def _sure_note(answer: Answer) -> list[str]:
    if answer.deviation is None or answer.deviation.any():
        return []
    return ["all answers agree to the last bit: the network uses no noise, so its uncertainty is not known; ask for views (--self-ensemble), or train several"]


def _members(network: Change | Sequence[Change], draws: int) -> list[Change]:
    if draws == 1 or draws < 0:
        raise DataError(f"an uncertainty map needs 2 draws or more, not {draws}; 8 is usual")
    every = [network] if callable(network) else list(network)
    return every * draws if draws else every


def _record(volume: Volume, shown: Window, why: Sequence[str], members: Sequence[Change], asked: Asked) -> dict[str, object]:
    return {
        "window": {"low": shown.low, "high": shown.high, "by": PERCENTILES if shown.name == windows.VOLUME else "training or request"},
        "clipped_share": round(shown.clipped(volume.array), 6),
        "axis": volume.axis or "as stored",
        "draws": asked.draws,
        "views": asked.views,
        "answers_averaged": len(members),
        "uncertainty": f"standard deviation over the answers (variance averaged over {AROUND} x {AROUND} pixels), in the numbers of the result" if len(members) > 1 else "none",
        "remarks": list(why),
    }


def _names(found: Files, out: Path, keep_identity: bool) -> list[Path]:
    """Where each volume goes.  Files may be called after people, so several volumes are numbered unless identity is kept."""
    if out.suffix.lower() in PICTURES and not out.is_dir():
        raise DataError(f"scans are not written as {out.suffix}: name a new folder for a DICOM series, or a file ending in .nii or .nii.gz for a NIfTI volume")
    single = len(found.volumes) == 1
    first = found.volumes[0][0]
    if single and (not is_nifti(first.name) or out.name.lower().endswith((".nii", ".nii.gz"))):
        return [out]
    if out.is_file() or out.name.lower().endswith((".nii", ".nii.gz")):
        raise DataError(f"{out} cannot take {count(len(found.volumes), 'volume')}; name a folder")
    names = [f"volume-{i + 1:04d}" for i in range(len(found.volumes))]
    if keep_identity:
        names = [f"{n}-{stem(files[0])}" if is_nifti(files[0].name) else n for n, files in zip(names, found.volumes, strict=True)]
    return [out / (f"{n}.nii.gz" if is_nifti(files[0].name) else n) for n, files in zip(names, found.volumes, strict=True)]


def _beside(place: Path) -> Path:
    """'brain.nii.gz' -> 'brain-uncertainty.nii.gz', 'series' -> 'series-uncertainty'."""
    if not is_nifti(place.name):
        return place.with_name(f"{place.name}-uncertainty")
    plain = stem(place)
    return place.with_name(f"{plain}-uncertainty{place.name.removeprefix(plain)}")


@dataclass(frozen=True)
class _Told:
    """A share of one volume as a share of all."""

    tick: Tick
    done: int
    total: int

    def __call__(self, share: float) -> None:
        self.tick("changing volumes", (self.done + share) / self.total)
