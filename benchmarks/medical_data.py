"""Real scans for the benchmarks, from packages: brain MRI with tissue maps, a second head, a head CT with its bone.

    python benchmarks/medical_data.py            # fetches, checks and describes them; writes results/medical_data.md

Packages are downloaded by pip and apt-get into benchmarks/work/medical, not installed, when a benchmark asks for them.
"""

from __future__ import annotations

import hashlib
import plistlib
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from common import WORK, keep, table
from PIL import Image

from rivalry.data.medical import windows
from rivalry.data.medical.volume import read_volume

PLACE = WORK / "medical"
ICBM, COLIN, CRANIUM = "nilearn", "mricron-data", "invesalius-examples"
MNI = "nilearn/datasets/data/mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"
TEMPLATES = "usr/share/mricron/templates/ch2bet.nii.gz"
PROJECT = "usr/share/doc/invesalius-examples/examples/Cranium.inv3"
SHA256 = {
    MNI.format("t1"): "421a10e872fd6cadae7f61d358dffbcc1795a497d61ee76c5dda2503e1a1e9e6",
    MNI.format("gm"): "97a5ca69bd24db37a9cb7b32525e1733a209af904129bf1cd36da06d24243bed",
    MNI.format("wm"): "382d92812de4744f9c86c7a0e4f680dc317a0a50e4da1f0153618a6798c7b7db",
    TEMPLATES: "592a2d20abdf36eefcb540ca8958428040edffc1bc1a18ba1dcfbabac77c5dd1",
    PROJECT: "3b34f11f7c4f557f4c65cd6543c412a2f6ceb0cfecfd9c41184420e02d9b7e2a",
}
"""Of the files used, so that a new version of a package is noticed."""
FIELD = (224, 192)
"""All brains are cut or padded to this size: two sides that halve five times."""
HELD, GAP = range(85, 115), 10
"""Axial slices of the MNI brain that are held back, and slices on either side that nobody uses."""
BACKGROUND, GREY, WHITE = 0, 128, 255
"""Grey levels of a tissue picture."""
Array = npt.NDArray[np.generic]


@dataclass(frozen=True)
class Brain:
    """t1: [slices, 224, 192] uint8; tissue: likewise, of BACKGROUND (and fluid), GREY, WHITE."""

    t1: npt.NDArray[np.uint8]
    tissue: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Head:
    """ct: [108, 256, 256] int16 Hounsfield units; bone: likewise, bool; spacing: mm between slices, rows, columns; nifti: the
    same as a file."""

    ct: npt.NDArray[np.int16]
    bone: npt.NDArray[np.bool_]
    spacing: tuple[float, float, float]
    nifti: Path


def _run(command: list[str], folder: Path, what: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        sys.exit(f"{what} cannot be fetched ({' '.join(command)}): {' '.join(last)}")


def fetch(package: str) -> Path:
    """The folder with the files of a package that are used here; downloaded and checked if they are not there yet."""
    done = PLACE / package
    if not done.exists():
        partial = PLACE / f"{package}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        if package == ICBM:
            _run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "nilearn>=0.14,<0.15", "-d", "."], partial, package)
            with zipfile.ZipFile(next(partial.glob("*.whl"))) as wheel:
                for member in SHA256:
                    if member in wheel.namelist():
                        wheel.extract(member, partial)
        else:
            _run(["apt-get", "-o", "APT::Sandbox::User=root", "download", package], partial, package)
            _run(["dpkg-deb", "-x", next(partial.glob("*.deb")).name, "."], partial, package)
        partial.rename(done)
    for name, expected in SHA256.items():
        path = done / name
        if path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            sys.exit(f"{path} is not the file that the benchmarks were made with; remove {done} to fetch it again")
    return done


def fitted(frames: Array, field: tuple[int, int] = FIELD) -> Array:
    """[n, h, w] cut or padded with 0 to the field, middle on middle."""
    out = np.zeros((len(frames), *field), frames.dtype)
    into, of = zip(*(_middle(have, want) for have, want in zip(frames.shape[1:], field, strict=True)), strict=True)
    out[:, into[0], into[1]] = frames[:, of[0], of[1]]
    return out


def _middle(have: int, want: int) -> tuple[slice, slice]:
    size, into, of = min(have, want), max(0, want - have) // 2, max(0, have - want) // 2
    return slice(into, into + size), slice(of, of + size)


def mni_brain() -> Brain:
    """The mean brain of 152 people (ICBM 2009a), skull removed, with its mean tissue maps; axial slices of 1 mm."""
    folder = fetch(ICBM)
    t1, gm, wm = (fitted(read_volume(folder / MNI.format(k)).array) for k in ("t1", "gm", "wm"))
    rest = 255 - np.minimum(255, gm.astype(np.int32) + wm)
    winner = np.stack([rest, gm, wm]).argmax(0)
    return Brain(t1.astype(np.uint8), np.array([BACKGROUND, GREY, WHITE], np.uint8)[winner])


def colin_brain() -> Brain:
    """One man's brain (Colin 27), skull removed.  Nobody drew its tissue: it is told by three classes of brightness, which is
    what `by_brightness` finds, so Dice against it is against that rule and not against an anatomist."""
    t1 = fitted(read_volume(fetch(COLIN) / TEMPLATES).array)
    return Brain(t1.astype(np.uint8), by_brightness(t1))


def by_brightness(t1: Array) -> npt.NDArray[np.uint8]:
    """Fluid, grey and white matter by k-means of the brightness of all that is not background (Lloyd 1982, one dimension)."""
    values = t1[t1 > 0].astype(np.float64)
    centres = np.percentile(values, [5, 40, 85])
    for _ in range(100):
        classes = np.abs(values[:, None] - centres).argmin(1)
        moved = np.array([values[classes == k].mean() for k in range(3)])
        if np.abs(moved - centres).max() < 1e-6:
            break
        centres = moved
    edges = (centres[1:] + centres[:-1]) / 2
    return np.array([BACKGROUND, GREY, WHITE], np.uint8)[np.digitize(t1, edges)]


def dice(a: Array, b: Array, level: int) -> float:
    """2 |A and B| / (|A| + |B|) of the pixels of that level."""
    both, sizes = ((a == level) & (b == level)).sum(), (a == level).sum() + (b == level).sum()
    return float(2 * both / sizes) if sizes else 1.0


def shown(t1: Array) -> npt.NDArray[np.uint8]:
    """By the volume's own percentiles, as training shows MRI: two scanners' brightness becomes alike."""
    window = windows.of_volume(windows.sample(t1))
    assert window is not None
    return np.round(window.unit(t1) * 255).astype(np.uint8)


def learned_slices(brain: Brain) -> list[int]:
    """Those with a brain in them, away from the held block."""
    near = range(HELD.start - GAP, HELD.stop + GAP)
    return [z for z in range(len(brain.t1)) if z not in near and (brain.tissue[z] > 0).mean() > 0.02]


def nearest_slice(brain: Brain) -> npt.NDArray[np.uint8]:
    """The baseline: for each held slice the tissue of the nearest slice that was learned."""
    learned = np.array(learned_slices(brain))
    return brain.tissue[[learned[np.abs(learned - z).argmin()] for z in HELD]]


def tissue_pairs(folder: Path) -> Path:
    """folder/{train,held,second}/{t1,tissue}/NNN.png: equal names are pairs.  held: the block; second: Colin's slices."""
    if folder.exists():
        return folder
    partial = folder.with_name(folder.name + ".partial")
    mni, colin = mni_brain(), colin_brain()
    filled = [z for z in range(len(colin.t1)) if (colin.tissue[z] > 0).mean() > 0.02]
    for side, brain, places in (("train", mni, learned_slices(mni)), ("held", mni, HELD), ("second", colin, filled)):
        for kind, frames in (("t1", shown(brain.t1)), ("tissue", brain.tissue)):
            (partial / side / kind).mkdir(parents=True, exist_ok=True)
            for z in places:
                Image.fromarray(frames[z]).save(partial / side / kind / f"{z:03d}.png")
    partial.rename(folder)
    return folder


def head_ct() -> Head:
    """A head CT of InVesalius' examples: 108 axial slices from the jaw to the vertex, Hounsfield units in 12 bits."""
    import nibabel

    folder = fetch(CRANIUM)
    with tarfile.open(folder / PROJECT) as project:
        files = {Path(m.name).name: m for m in project.getmembers()}

        def content(name: str) -> bytes:
            stream = project.extractfile(files[name])
            assert stream is not None
            return stream.read()

        about = plistlib.loads(content("main.plist"))
        shape = tuple(about["matrix"]["shape"])
        stored = np.frombuffer(content("matrix.dat"), np.int16).reshape(shape)
        mask = np.frombuffer(content("mask_0.dat"), np.uint8).reshape([n + 1 for n in shape])[1:, 1:, 1:]
    ct, bone = np.ascontiguousarray(stored[:, ::-1]), np.ascontiguousarray(mask[:, ::-1] > 127)  # stored with the face down
    across, down, between = (float(s) for s in about["spacing"])
    nifti = PLACE / "head-ct.nii.gz"
    if not nifti.exists():
        xyz = stored.transpose(2, 1, 0)  # x runs to the left, y to the front, z up
        nibabel.save(nibabel.Nifti1Image(xyz, np.diag([-across, down, between, 1.0])), nifti)
    return Head(ct, bone, (between, down, across), nifti)


def ct_block(head: Head) -> tuple[list[int], list[int]]:
    """(learned, held) slices: a fifth of them in the middle is held back, with a gap of GAP on either side."""
    n = len(head.ct)
    first, stop = round(n * 0.4), round(n * 0.6)
    return [z for z in range(n) if not first - GAP <= z < stop + GAP], list(range(first, stop))


def _sheet(mni: Brain, colin: Brain, head: Head) -> None:
    """A look at all of them, in the work folder."""
    soft = (np.clip((head.ct[[20, 45, 70, 90]].astype(np.float64) + 160) / 400, 0, 1) * 255).astype(np.uint8)
    rows = [np.hstack(list(soft[:, 16:240, 32:224])), np.hstack(list(head.bone[[20, 45, 70, 90], 16:240, 32:224] * np.uint8(255)))]
    rows += [np.hstack([frames[z] for z in (40, 70, 100, 130)]) for b in (mni, colin) for frames in (shown(b.t1), b.tissue)]
    Image.fromarray(np.vstack(rows)).save(PLACE / "look.png")


def white(brain: Brain) -> float:
    """Mean brightness of white matter, as shown."""
    return float(shown(brain.t1)[brain.tissue == WHITE].mean())


def main() -> None:
    mni, colin, head = mni_brain(), colin_brain(), head_ct()
    assert np.array_equal(read_volume(head.nifti).array, head.ct), "the NIfTI file of the CT is not turned as its array is"
    _sheet(mni, colin, head)
    learned, (ct_learned, ct_held) = learned_slices(mni), ct_block(head)
    rows = [
        (name, "x".join(map(str, a.shape)), a.dtype, f"{a.min()} to {a.max()}", where)
        for name, a, where in (
            ("MNI T1", mni.t1, f"PyPI `{ICBM}`"), ("MNI tissue", mni.tissue, f"PyPI `{ICBM}`"), ("Colin T1", colin.t1, f"Debian `{COLIN}`"),
            ("Colin tissue (by brightness)", colin.tissue, "k-means"), ("head CT (HU)", head.ct, f"Debian `{CRANIUM}`"),
            ("head CT, bone", head.bone.astype(np.uint8), f"Debian `{CRANIUM}`, above 226 HU"),
        )
    ]  # fmt: skip
    nearest, truth = nearest_slice(mni), mni.tissue[list(HELD)]
    rule = by_brightness(mni.t1)[list(HELD)]
    scores = [(name, dice(p, truth, GREY), dice(p, truth, WHITE)) for name, p in (("nearest learned slice", nearest), ("three classes of brightness", rule))]
    pairs = tissue_pairs(PLACE / "tissue-pairs")
    counts = {side: len(list((pairs / side / "t1").iterdir())) for side in ("train", "held", "second")}
    text = (
        table(("what", "slices x height x width", "type", "range", "from"), rows)
        + f"\n\nMRI: {len(learned)} slices learned, {len(HELD)} held back ({HELD.start} to {HELD.stop - 1}), {GAP} on either side unused. "
        f"Pairs in {pairs.name}: {counts}. Dice of what needs no learning, on the held block:\n\n"
        + table(("baseline", "grey matter", "white matter"), scores)
        + f"\n\nCT: spacing {head.spacing[0]:g} x {head.spacing[1]:g} x {head.spacing[2]:g} mm, {len(ct_learned)} slices learned, "
        f"{len(ct_held)} held back. The MNI brain is a mean of 152 people, so it is smoother than anybody's; both brains come without skull and in 8 bits. "
        f"Colin's tissue was drawn by nobody: Dice against it is against a rule of brightness. Windowed by percentiles, white matter "
        f"is at {white(mni):.0f} of 255 in MNI and at {white(colin):.0f} in Colin."
    )
    keep("medical_data", "Scans for the benchmarks", text)


if __name__ == "__main__":
    main()
