"""The picture sets of the benchmarks, made ready once under work/sets: folders or arrays that `rivalry` reads."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from common import WORK, shared
from PIL import Image

from rivalry.data import ReadOptions

SETS = WORK / "sets"


@dataclass(frozen=True)
class Pictures:
    """source: what `rivalry` is given; make: prepares it where it is missing."""

    title: str
    source: str
    options: ReadOptions = field(default_factory=ReadOptions)
    make: Callable[[Path], None] | None = None

    def ready(self) -> str:
        """The source, prepared; a half-made folder is never taken for a whole one."""
        path = Path(self.source)
        if self.make is not None and not path.exists():
            partial = path.with_name(path.name + ".partial")
            partial.mkdir(parents=True, exist_ok=True)
            self.make(partial)
            partial.rename(path)
        return self.source


def unpack(folder: str, name: str, keep: Callable[[str], str]) -> Callable[[Path], None]:
    """Writes the files of a shared archive to where `keep` says ('' leaves one out)."""

    def make(target: Path) -> None:
        with tarfile.open(shared(folder) / name) as archive:
            for member in archive:
                place = keep(member.name.removeprefix("./")) if member.isfile() else ""
                source = archive.extractfile(member) if place else None
                if source is not None:
                    (target / place).parent.mkdir(parents=True, exist_ok=True)
                    (target / place).write_bytes(source.read())

    return make


def olivetti(by_person: bool) -> Callable[[Path], None]:
    def make(target: Path) -> None:
        from scipy.io import loadmat

        faces = loadmat(shared("img_olivetti") / "olivettifaces.mat")["faces"].T.reshape(-1, 64, 64)
        for i, face in enumerate(faces):
            person, shot = divmod(i, 10)
            place = target / (f"person{person:02d}/{shot}.png" if by_person else f"{person:02d}-{shot}.png")
            place.parent.mkdir(exist_ok=True)
            Image.fromarray(np.ascontiguousarray(face.T)).save(place)

    return make


def caltech(target: Path) -> None:
    """The faces, their middle square at 64 px: the heads stand in it."""
    with tarfile.open(shared("img_caltech101_subset") / "caltech101_7classes.tar.xz") as archive:
        for member in archive:
            source = archive.extractfile(member) if member.name.startswith("./Faces_easy/image") else None
            if source is None:
                continue
            picture = Image.open(io.BytesIO(source.read())).convert("RGB")
            side = min(picture.size)
            left, top = (picture.width - side) // 2, (picture.height - side) // 2
            square = picture.crop((left, top, left + side, top + side)).resize((64, 64), Image.Resampling.LANCZOS)
            square.save(target / (Path(member.name).stem + ".png"))


def xrays(target: Path) -> None:
    """As folders of PNG by class; the array's own train and val parts together, its test part kept for the rulers."""
    with np.load(shared("img_pneumoniamnist") / "pneumoniamnist_varun_modified.npz", allow_pickle=False) as found:
        for part, side in (("train", "train"), ("val", "train"), ("test", "test")):
            for i, (x, y) in enumerate(zip(found[f"{part}_images"], found[f"{part}_labels"].ravel(), strict=True)):
                place = target / side / ("normal", "pneumonia")[int(y)] / f"{part}{i:05d}.png"
                place.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(x).save(place)


CIFAR = Pictures(
    "CIFAR-10 (as JPEG)",
    str(SETS / "cifar10"),
    ReadOptions(cache=True),
    unpack("img_cifar10_jpeg", "cifar10_jpeg.tar.xz", lambda name: name),
)
ALL: dict[str, Pictures] = {
    "digits": Pictures("mnist-5k", "mnist-5k"),
    "fashion": Pictures("Fashion-MNIST", "fashion-mnist"),
    "cifar10": CIFAR,
    "olivetti": Pictures("Olivetti faces 64 px", str(SETS / "olivetti"), make=olivetti(by_person=False)),
    "emoji": Pictures(
        "emoji 64 px",
        str(SETS / "emoji"),
        ReadOptions(size=64, cache=True),
        unpack("img_noto_emoji72", "noto_emoji_png72.tar.xz", lambda name: Path(name).name),
    ),
    "xrays": Pictures("chest X-rays 28 px", str(SETS / "xrays"), make=xrays),
    "automobiles": Pictures(
        "CIFAR-10 automobiles", CIFAR.source, ReadOptions(only=("automobile",), cache=True), CIFAR.make
    ),
    "people": Pictures("Olivetti faces by person", str(SETS / "olivetti-people"), make=olivetti(by_person=True)),
    "strangers": Pictures(
        "Olivetti faces 64 px, whole people held out",
        str(SETS / "olivetti"),
        ReadOptions(group=r"^(\d\d)-"),
        olivetti(by_person=False),
    ),
    "caltech": Pictures("Caltech faces 64 px", str(SETS / "caltech"), make=caltech),
}
"""By the name that benchmarks use."""
