"""Few pictures: does augmentation keep the discriminator from learning its training set by heart, and G from copying?

    python benchmarks/few.py                                  # both sets, with augmentation and without, one thread
    python benchmarks/few.py --sets caltech --train auto      # one training, for running two side by side
    python benchmarks/few.py --seeds 3                        # three seeds of each, and their means
    python benchmarks/few.py --measure                        # the table of what has been trained

Sets: 400 Olivetti faces and 435 Caltech faces, 64 px, a fifth held out at random.
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from common import WORK, keep, shared, table, threads
from data_sets import ALL
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from rivalry import stats
from rivalry.auto import choose
from rivalry.data import Dataset, load
from rivalry.experiments import train_one
from rivalry.extractors import extractor
from rivalry.files import write_text
from rivalry.run import ROOT, Run
from rivalry.sampling import Sampler

WAYS = ("auto", "plain")
"""The automatic recipe, and the same without augmentation."""
SAMPLES = 500


def plain(dataset: Dataset, budget: str, folder: str) -> str:
    """The automatic recipe with its augmentation taken out, as a file."""
    recipe, _ = choose(dataset, budget, "cpu")
    path = ROOT / folder / "plain.toml"
    schedules = {k: v for k, v in recipe.schedules.items() if k != "augment"}
    recipe = replace(recipe, name="plain", augment=None, controllers=(), schedules=schedules)
    write_text(path, recipe.to_toml())
    return str(path)


def features(x: Tensor, space: str) -> Tensor:
    """[N, D]: nothing that was trained on these pictures."""
    if space == "pixels at 16 x 16":
        return adaptive_avg_pool2d(x.float(), 16).flatten(1)
    weights = shared("w_squeezenet10_imagenet") / "squeezenet10_imagenet_decoded.npz"
    pictures = x if x.shape[1] == 3 else x.expand(-1, 3, -1, -1)
    return extractor("squeezenet", weights)(pictures).float()


def measure(run: Run, dataset: Dataset) -> dict[str, Any]:
    """D's memory at the looks' first third and at the end; where the samples of the last step lie."""
    looks = [r["memory"] for r in run.metrics() if r.get("memory")]
    thirds = looks[: max(1, len(looks) // 3)], looks[-max(1, len(looks) // 3) :]

    def margin(of: list[dict[str, float]]) -> float:
        return statistics.mean(v["main.train"] - v["main.held"] for v in of)

    fd = [r["scores"]["fd"]["value"] for r in run.metrics() if "scores" in r]
    nets = run.networks("last", torch.device("cpu"))
    draw = Sampler(run.recipe.game, run.recipe.game.wiring(run.spec), nets, torch.device("cpu"))
    x, everything = draw(SAMPLES, 4242), [s.batch(torch.arange(len(s)), torch.device("cpu")).x for s in (dataset.train, dataset.held)]
    near = {
        space: stats.memorisation(*(features(part, space) for part in (x, *everything)))
        for space in ("pixels at 16 x 16", "SqueezeNet")
    }
    return {
        "margins": tuple(map(margin, thirds)),
        "memory": statistics.mean(v.get("main.memory", float("nan")) for v in thirds[1]),
        "fd": (fd[-1], min(fd)),
        "near": near,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", default="olivetti,caltech")
    parser.add_argument("--train", default="", help=f"this one only: {' or '.join(WAYS)}")
    parser.add_argument("--measure", action="store_true", help="measure what is there, train nothing")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--budget", default="10m")
    given = parser.parse_args()
    threads(1)
    rows: list[tuple[object, ...]] = []
    for name in given.sets.split(","):
        pictures = ALL[name]
        source, folder = pictures.ready(), str(WORK / f"few-{given.budget}" / name)
        dataset = load(source, options=pictures.options)
        for way in (given.train,) if given.train else WAYS:
            recipe, found = "auto" if way == "auto" else plain(dataset, given.budget, folder), []
            for seed in range(given.seeds):
                run = (
                    Run.open(ROOT / folder / f"{Path(recipe).stem}-seed{seed}")
                    if given.measure
                    else train_one(source, recipe, seed, given.budget, folder, pictures.options, "cpu")
                )
                if not given.train:
                    found.append(measure(run, dataset))
                    rows.append((pictures.title, way, seed, *row(found[-1])))
            if len(found) > 1:
                rows.append((pictures.title, way, "**mean**", *means(found)))
    if rows:
        report(rows, given)


def row(found: dict[str, Any]) -> tuple[object, ...]:
    cells: list[object] = ["{:.2f} to {:.2f}".format(*found["margins"]), f"{found['memory']:.2f}"]
    for near in found["near"].values():
        share = near.share
        cells.append(f"{share.value:.3f} ({share.low:.3f} to {share.high:.3f}), expected {near.expected:.3f}")
    return (*cells, "{:.3g}, best {:.3g}".format(*found["fd"]))


def means(found: list[dict[str, Any]]) -> tuple[object, ...]:
    """The cells of `row`, as means of seeds."""
    first, last = (statistics.mean(f["margins"][i] for f in found) for i in (0, 1))
    cells: list[object] = [f"{first:.2f} to {last:.2f}", f"{statistics.mean(f['memory'] for f in found):.2f}"]
    for space in found[0]["near"]:
        shares = [f["near"][space].share.value for f in found]
        cells.append(f"{statistics.mean(shares):.3f}, expected {found[0]['near'][space].expected:.3f}")
    last_fd, best_fd = (statistics.mean(f["fd"][i] for f in found) for i in (0, 1))
    return (*cells, f"{last_fd:.3g}, best {best_fd:.3g}")


def report(rows: list[tuple[object, ...]], given: argparse.Namespace) -> None:
    head = ("set", "recipe", "seed", "D's margin, train minus held-out, first third to last", "r_v at the end")
    head += ("share nearer to training: pixels at 16 x 16", "SqueezeNet", "FD-local, last")
    text = table(head, rows) + (
        f"\n\n`auto` is what `rivalry train DATA` plays, `plain` the same without augmentation; {given.budget} of wall time "
        "on one thread each. The margin is of mean logits on fixed rows; r_v = (train - held) / (train - fake) "
        "(Karras et al. 2020): 0 for a discriminator that generalises, 1 for one that takes held-out pictures for fakes. "
        f"Share of {SAMPLES} samples whose nearest real picture is a training picture, with a 99 % interval, against what a "
        "model that copies nothing is expected to have; in spaces that were not trained on these pictures."
    )
    keep("few", "Few pictures", text)


if __name__ == "__main__":
    main()
