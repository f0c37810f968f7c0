"""Fashion-MNIST in ten minutes: the automatic recipe against published and small settings, one ruler for all.

    python benchmarks/fashion.py                                  # all, one after the other, on all cores
    python benchmarks/fashion.py --train dcgan --threads 1        # one contender, for running two side by side
    python benchmarks/fashion.py --measure                        # the table of what has been trained

Needs Debian's package dataset-fashion-mnist (or RIVALRY_DATA, see `rivalry data names`).
"""

from __future__ import annotations

import argparse

import torch
from common import WORK, interval, keep, shared, table, threads
from torch import Tensor

from rivalry import stats
from rivalry.data import load
from rivalry.experiments import Comparison, compare_recipes, finished, train_one
from rivalry.extractors import extractor
from rivalry.run import ROOT, Run
from rivalry.sampling import sampler_of

DATA = "fashion-mnist"
FEW = 1_000
"""Samples of the label-free ruler, whose network wants pictures of 227 px."""
CONTENDERS = "auto,dcgan,wgan-gp,dcgan-small,wgan-gp-small,acgan-small,projection-cgan-small,r3gan-small,vae-small"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contenders", default=CONTENDERS)
    parser.add_argument("--train", default="", help="train this one only")
    parser.add_argument("--measure", action="store_true", help="measure what is there, train nothing")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0, help="with --train")
    parser.add_argument("--budget", default="10m")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    threads(given.threads)
    folder = str(WORK / f"fashion-{given.budget}")
    if given.train:
        train_one(DATA, given.train, given.seed, given.budget, folder)
        return
    names = given.contenders.split(",")
    found = compare_recipes(
        DATA, names, range(given.seeds), given.budget, folder, device="cpu", only_trained=given.measure
    )
    report(found, given, label_free(names, given.seeds, folder))


def label_free(names: list[str], seeds: int, folder: str) -> str:
    """A second table, by features that never saw a label of these data: SqueezeNet's, of ImageNet."""
    space = extractor("squeezenet", shared("w_squeezenet10_imagenet") / "squeezenet10_imagenet_decoded.npz")
    data, cpu = load(DATA), torch.device("cpu")

    def features(x: Tensor) -> Tensor:
        return torch.cat([space(part.expand(-1, 3, -1, -1)).float() for part in x.split(100)])

    test = features(data.held.batch(torch.arange(FEW), cpu).x)
    floor = features(data.train.batch(torch.arange(FEW), cpu).x)
    rows: list[tuple[str, str, str]] = []
    for name in names:
        runs = [Run.open(path) for s in range(seeds) if finished(path := ROOT / folder / f"{name}-seed{s}")]
        scores = []
        for run in runs:
            nets = run.networks("best", cpu)
            made = features(sampler_of(run.recipe.game, run.recipe.game.wiring(run.spec), nets, cpu, data)(FEW, 4242))
            scores.append((stats.frechet_from_features(made, test), stats.prdc(test, made).coverage))
        if scores:
            rows.append((name, *(interval([s[k] for s in scores], digits) for k, digits in ((0, 0), (1, 3)))))
    rows.append(("real data (floor)", f"{stats.frechet_from_features(floor, test):.0f}", f"{stats.prdc(test, floor).coverage:.3f}"))
    return table(("contender", "FD-SqueezeNet", "coverage (SqueezeNet)"), rows) + (
        f"\n\nBy features of a SqueezeNet that was trained on ImageNet and saw no label of these data; {FEW:,} samples against as many test pictures."
    )


def report(found: Comparison, given: argparse.Namespace, free: str) -> None:
    head, *rows = found.table()
    text = table(head, rows) + (
        f"\n\nEach contender had a budget of {given.budget} of wall time on {given.threads} thread(s) per training, "
        f"up to {given.seeds} seed(s): {', '.join(f'{e.name} {len(e.seconds)}' for e in found.entries)}; intervals, where there is more than one seed, are over "
        "seeds. A budget is turned into steps before training, so seconds beyond it are of other work on the machine. Scores are of the best "
        "checkpoint by the cheap look, on 10,000 fresh samples against the 10,000 official test pictures, in the "
        "feature space of a classifier trained once on the training split (the same for all, hashed in the ruler)."
        " What flatters the automatic recipe: it uses the labels, which DCGAN and WGAN-GP do not; the ruler is a classifier's features; its settings were chosen by FD against these same test pictures, and the best checkpoint is picked on the held-out side too."
        f"\n\n{free}"
    )
    keep("fashion", "Fashion-MNIST at equal time", text)


if __name__ == "__main__":
    main()
