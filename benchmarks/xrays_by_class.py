"""Chest X-rays by class (PneumoniaMNIST, 28 px): does a classifier learn from synthetic pictures what it learns from real ones?

    python benchmarks/xrays_by_class.py --train --seed 0      # the automatic recipe, 8 minutes
    python benchmarks/xrays_by_class.py --measure             # over the seeds that are there

The classifier is a small convolutional network of fixed settings, three seeds, judged by AUC on the official test part, which neither
it nor the GAN has seen; the validation part goes to neither.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from common import WORK, interval, keep, shared, table, threads
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import rivalry
from rivalry.data import load
from rivalry.stats import prdc

FOLDER = WORK / "xrays-by-class"
STEPS, BATCH = 1500, 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--budget", default="8m")
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    threads(given.threads)
    if given.train:
        rivalry.train(
            str(training_file()), budget=given.budget, seed=given.seed, run=str(FOLDER / f"seed{given.seed}"), overwrite=True, device="cpu", tensorboard=False
        )
    if given.measure:
        measure()


def parts() -> dict[str, tuple[Tensor, Tensor]]:
    """train and test: pictures [N, 1, 28, 28] in [-1, 1] and classes [N]."""
    with np.load(shared("img_pneumoniamnist") / "pneumoniamnist_varun_modified.npz") as file:
        return {
            side: (torch.from_numpy(file[f"{side}_images"]).float()[:, None] / 127.5 - 1, torch.from_numpy(file[f"{side}_labels"]).long().reshape(-1))
            for side in ("train", "test")
        }


def training_file() -> Path:
    """The training part alone, as rivalry reads it."""
    path = FOLDER / "train.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        x, label = parts()["train"]
        np.savez(path, images=((x[:, 0] + 1) * 127.5).round().to(torch.uint8).numpy(), labels=label.numpy())
    return path


def classifier(x: Tensor, label: Tensor, seed: int) -> nn.Module:
    """Trained on these pictures: three convolutions, mirrored never, classes weighed evenly."""
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(1, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.BatchNorm2d(32), nn.ReLU(),
        nn.Conv2d(32, 64, 3, 2, 1), nn.BatchNorm2d(64), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.3), nn.Linear(64, 2),
    )  # fmt: skip
    optimiser = torch.optim.AdamW(net.parameters(), 1e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    weight = 1 / torch.bincount(label, minlength=2).float()
    order = torch.multinomial(weight[label], STEPS * BATCH, replacement=True)
    for index in order.split(BATCH):
        loss = cross_entropy(net(x[index]), label[index])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return net.eval()


@torch.no_grad()
def auc(net: nn.Module, x: Tensor, label: Tensor) -> float:
    """Area under the ROC curve by ranks (Mann-Whitney), ties counted half."""
    score = (net(x) @ torch.tensor([-1.0, 1.0])).double()
    sick, well = score[label == 1], score[label == 0]
    gap = sick[:, None] - well[None]
    return float(((gap > 0).double() + 0.5 * (gap == 0).double()).mean())


def measure() -> None:
    found = parts()
    test, real = found["test"], found["train"]
    shares = torch.bincount(real[1], minlength=2)
    rows = []
    runs = sorted(FOLDER.glob("seed*/report.md"))
    per: dict[str, list[float]] = {"real": [auc(classifier(*real, s), *test) for s in range(3)]}
    recalls, precisions = list[float](), list[float]()
    space = None
    for page in runs:
        run = rivalry.load(page.parent)
        x, label = zip(*((run.sample(int(n), label=c, seed=100 + c), torch.full((int(n),), c)) for c, n in enumerate(shares)), strict=True)
        fake = torch.cat(x).float() / 127.5 - 1
        per[page.parent.name] = [auc(classifier(fake, torch.cat(label), s), *test) for s in range(3)]
        data = load(training_file())
        space = space or run._judge(data, None, None, 1, "cpu").extractor
        held = data.held.batch(torch.arange(len(data.held)), torch.device("cpu")).x
        seen = prdc(space(held), space(fake[torch.randperm(len(fake))[: len(held)]]), 5)
        floor = prdc(space(held), space(data.train.batch(torch.arange(len(held)), torch.device("cpu")).x), 5)
        recalls.append(seen.recall)
        precisions.append(seen.precision)
        rows.append((page.parent.name, interval(per[page.parent.name]), f"{seen.recall:.3f} (real: {floor.recall:.3f})", f"{seen.precision:.3f} (real: {floor.precision:.3f})"))
    head = ("trained on", "AUC on the official test part (3 classifiers)", "recall against held-out rows", "precision")
    keep("xrays_by_class", "Chest X-rays by class: synthetic pictures instead of real ones", table(head, [("real pictures", interval(per["real"]), "", ""), *rows]))


if __name__ == "__main__":
    main()
