"""UNIT and MUNIT between two styles of emoji, without pairs; equal names serve as truth (see translating.py for the pictures).

    python benchmarks/shared_codes.py --train munit-small        # 10 minutes; and --train unit-small
    python benchmarks/shared_codes.py --measure
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from common import WORK, keep, shared, table, threads
from torch import Tensor
from translating import _truth, emoji

import rivalry
from rivalry import stats
from rivalry.data import ReadOptions, load, sheets
from rivalry.extractors import extractor
from rivalry.run import Run
from rivalry.streams import Draw

FOLDER = WORK / "shared-codes"
ROWS = ("unit-small", "munit-small")
WEIGHTS = "squeezenet10_imagenet_decoded.npz"
DRAWS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", choices=ROWS)
    parser.add_argument("--budget", default="10m")
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    threads(given.threads)
    if given.train:
        rivalry.train(
            emoji(), recipe=given.train, budget=given.budget, run=str(FOLDER / given.train), options=ReadOptions(task="unpaired", channels=3), overwrite=True,
            tensorboard=False, weights=shared("w_squeezenet10_imagenet") / WEIGHTS,
        )  # fmt: skip
    if given.measure:
        measure()


def measure() -> None:
    """FD on SqueezeNet's features to held-out targets, L1 to the partner of the same name, and how far answers lie apart."""
    space = extractor(shared("w_squeezenet10_imagenet") / WEIGHTS)
    data = load(emoji(), options=ReadOptions(task="unpaired", channels=3))
    truth, inputs = _truth(data, "emoji", Path(emoji()))
    train = data.train.batch(torch.linspace(0, len(data.train) - 1, len(truth)).long(), torch.device("cpu")).x
    fixed = space(truth)
    rows = [_row("input, untouched", [inputs], truth, stats.frechet_from_features(space(inputs), fixed), ""),
            _row("real training targets", [train], truth, stats.frechet_from_features(space(train), fixed), "")]  # fmt: skip
    for name in ROWS:
        if not (FOLDER / name / "report.md").exists():
            continue
        run = Run.open(str(FOLDER / name))
        for which in ("best", "last") if run.step("best") != run.step("last") else ("last",):
            answers = [_made(run, which, inputs, draw) for draw in range(DRAWS if name.startswith("munit") else 1)]
            rows.append(_row(f"{name}, {which}", answers, truth, stats.frechet_from_features(space(answers[0]), fixed), str(run.settings["plan"]["steps"])))
        _sheet(FOLDER / f"{name}.png", inputs, *answers, truth)
    head = ("", "FD-SqueezeNet to held-out targets", "L1 to the partner (of 1)", "L1 between two answers", "pictures", "steps of 4")
    keep("shared_codes", "Translation through a shared code", table(head, rows))


def _row(label: str, answers: list[Tensor], truth: Tensor, fd: float, steps: str) -> tuple[str, ...]:
    apart = f"{float((answers[0] - answers[1]).abs().mean() / 2):.4f}" if len(answers) > 1 else ""
    far = "" if label.startswith("real") else f"{float((answers[0] - truth).abs().mean() / 2):.4f}"
    return label, f"{fd:.0f}", far, apart, str(len(truth)), steps


def _made(run: Run, which: str, inputs: Tensor, draw: int) -> Tensor:
    nets = run.networks(which)
    with torch.inference_mode():
        made = [run.recipe.game.change(nets, part, Draw(draw, ("measure", i))) for i, part in enumerate(inputs.split(32))]
    return torch.cat(made).clamp(-1, 1)


def _sheet(path: Path, *columns: Tensor) -> None:
    """Columns of 24 pictures: what was put in, each answer, the partner."""
    places = torch.linspace(0, len(columns[0]) - 1, 24).long()
    rows = torch.stack([c[places] for c in columns], 1).flatten(0, 1)
    sheets.save(sheets.grid(((rows + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy(), 2 * len(columns)), path)


if __name__ == "__main__":
    main()
