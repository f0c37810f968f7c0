"""The automatic recipe on unlike picture sets, against three fixed recipes at equal time.

    python benchmarks/sets.py                                       # all, one after the other, one thread each
    python benchmarks/sets.py --sets emoji --train auto --seed 1    # one training, for running two side by side
    python benchmarks/sets.py --measure                             # the table of what has been trained
    python benchmarks/sets.py --measure --sets olivetti --foreign   # besides, by SqueezeNet, which no picture of these sets has trained
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from math import nan
from statistics import mean

from common import WORK, interval, keep, shared, table, threads
from data_sets import ALL

import rivalry
from rivalry.data import load
from rivalry.experiments import Comparison, compare_recipes, finished, train_one
from rivalry.run import ROOT

SIX = "digits,fashion,cifar10,olivetti,emoji,xrays"
FIXED = ("dcgan-small", "wgan-gp-small", "diffaugment-gan-small")
BUDGETS = {"digits": "3m", "fashion": "3m", "xrays": "3m"}
"""Small grey pictures need less; the others have five minutes."""
ALONE = ("automobiles", "people")
"""Sets on which only the automatic recipe is trained, to be looked at."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", default=f"{SIX},{','.join(ALONE)}")
    parser.add_argument("--train", default="", help="train this contender only, with --seed")
    parser.add_argument("--measure", action="store_true", help="measure what is there, train nothing")
    parser.add_argument("--seed", type=int, default=0, help="of --train")
    parser.add_argument("--seeds", type=int, default=3, help="so many, from 0 on")
    parser.add_argument("--budget", default="", help="instead of the sets' own")
    parser.add_argument("--foreign", action="store_true", help="measure by a network trained on other pictures too")
    given = parser.parse_args()
    threads(1)
    found: dict[str, Comparison] = {}
    foreign: list[tuple[object, ...]] = []
    for name in given.sets.split(","):
        pictures = ALL[name]
        budget = given.budget or BUDGETS.get(name, "5m")
        source, folder = pictures.ready(), str(WORK / f"sets-{budget}" / name)
        contenders = ("auto",) if name in ALONE else ("auto", *FIXED)
        if given.train:
            train_one(source, given.train, given.seed, budget, folder, pictures.options, "cpu")
            continue
        found[name] = compare_recipes(
            source, contenders, range(given.seeds), budget, folder, pictures.options, "cpu", only_trained=given.measure
        )  # fmt: skip
        if given.foreign:
            foreign.append(by_squeezenet(name, folder, found[name], given.seeds))
    if found:
        report(found, foreign, given)


def by_squeezenet(name: str, folder: str, found: Comparison, seeds: int) -> tuple[object, ...]:
    """A row: FD by SqueezeNet's features of each contender's best checkpoint, the floor, and that of auto over the best fixed one."""
    weights = shared("w_squeezenet10_imagenet") / "squeezenet10_imagenet_decoded.npz"
    data, fd, floor = load(ALL[name].ready(), options=ALL[name].options), dict[str, list[float]](), float("nan")
    runs = [(e.name, ROOT / folder / f"{e.name}-seed{seed}") for e in found.entries for seed in range(seeds)]
    for contender, run in runs:
        if finished(run):
            score = rivalry.load(run).evaluate(weights=weights, data=data, device="cpu")["fd"]
            fd.setdefault(contender, []).append(score.value)
            floor = score.floor or floor
    return ALL[name].title, *(interval(fd[c], 0) if c in fd else "" for c in ("auto", *FIXED)), f"{floor:.0f}", against(fd)


def against(fd: Mapping[str, Sequence[float]]) -> float:
    """The mean of auto over seeds, over the least mean of a fixed recipe."""
    return mean(fd["auto"]) / min((mean(v) for c, v in fd.items() if c != "auto"), default=nan) if "auto" in fd else nan


def report(found: dict[str, Comparison], foreign: Sequence[tuple[object, ...]], given: argparse.Namespace) -> None:
    head = ("set", "minutes", "auto", *FIXED, "floor", "auto / best fixed", "coverage of auto", "best fixed coverage")
    rows = []
    for name, comparison in found.items():
        by_name = {e.name: e for e in comparison.entries}
        there = [by_name[c] for c in ("auto", *FIXED) if c in by_name]
        fd = {e.name: e.scores["fd"] for e in there}
        cover = {e.name: mean(e.scores["coverage"]) for e in there}
        fixed = max((v for c, v in cover.items() if c != "auto"), default=nan)
        minutes = ", ".join(f"{mean(e.seconds) / 60:.1f}" for e in there)
        cells = (interval(fd[c], 2) + (f" ({len(fd[c])})" if len(fd[c]) < given.seeds else "") if c in fd else "" for c in ("auto", *FIXED))
        rows.append((ALL[name].title, minutes, *cells, comparison.floors["fd"], against(fd), cover.get("auto", nan), fixed))
    text = table(head, rows) + (
        f"\n\nFréchet distances, lower is better; equal budgets of wall time on one thread (minutes: what they came "
        f"to, contender by contender; a budget is turned into steps before training, so a load that changes shows), {given.seeds} seeds (a number in brackets where fewer were trained), means with the 95 % interval over seeds; two trainings side by side on a machine of two cores; best checkpoint by the cheap look. Each "
        "set has its own ruler (features of a network trained on its training split; pixels at 8 x 8 places where "
        "there are too few), so compare along rows only."
    )
    if foreign:
        text += (
            "\n\nThe same checkpoints by FD-SqueezeNet (512 features, trained on ImageNet), which a network taught by a few hundred pictures cannot be:\n\n"
            + table(("set", "auto", *FIXED, "floor", "auto / best fixed"), foreign)
        )
    keep("sets", "The automatic recipe on unlike sets", text)


if __name__ == "__main__":
    main()
