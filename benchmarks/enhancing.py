"""Low light, holes and lost colours on Caltech-101's photos (CC BY 4.0), each beside the simple ways.

    python benchmarks/enhancing.py --train low-light      # also: inpaint, colourise; 6 minutes each
    python benchmarks/enhancing.py --measure              # of more squares: --squares 240

Needs the development data, and scikit-image by hand for the simple ways.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from common import WORK, keep, shared, table, threads
from torch import Tensor

import rivalry
from rivalry import stats
from rivalry.changing.trained import nearer
from rivalry.data import ReadOptions, load, sheets
from rivalry.degrade import task
from rivalry.extractors import Perceptual, extractor
from rivalry.run import PIXELS, Run
from rivalry.sampling import picked
from rivalry.stats.pictures import psnr
from rivalry.streams import Draw

FOLDER = WORK / "enhancing"
TASKS = ("low-light", "inpaint", "colourise")
SHOWN = 3
Picture = npt.NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", choices=TASKS)
    parser.add_argument("--budget", default="6m")
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--squares", type=int, default=60, help="held-out squares to measure on")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    threads(given.threads)
    if given.train:
        rivalry.train(
            source(), budget=given.budget, run=str(FOLDER / given.train), options=options(given.train), overwrite=True, tensorboard=False,
            weights=weights() if task(given.train).adversarial else None,
        )  # fmt: skip
    if given.measure:
        measure(given.squares)


def source() -> str:
    return str(shared("img_caltech101_subset") / "caltech101_7classes.tar.xz")


def weights():  # type: ignore[no-untyped-def]
    """Of SqueezeNet, which no loss uses."""
    return shared("w_squeezenet10_imagenet") / "squeezenet10_imagenet_decoded.npz"


def options(name: str) -> ReadOptions:
    return ReadOptions(task=name, patch=96, channels=3, size=128)


def simple(name: str) -> dict[str, Callable[[Picture, Picture], Picture]]:
    """Ways without learning: (source [H, W, c] in 0..1, mask [H, W]) -> [H, W, 3]."""
    from skimage.exposure import equalize_adapthist, equalize_hist
    from skimage.restoration import inpaint_biharmonic

    if name == "low-light":
        return {
            "histogram equalisation": lambda x, m: np.stack([equalize_hist(x[..., i]) for i in range(3)], 2),
            "adaptive equalisation (CLAHE)": lambda x, m: equalize_adapthist(x),
            "gamma 2.2, then brought to mean .45": lambda x, m: np.clip(x ** (1 / 2.2) * 0.45 / max((x ** (1 / 2.2)).mean(), 1e-3), 0, 1),
        }
    if name == "inpaint":
        return {"biharmonic fill": lambda x, m: inpaint_biharmonic(x[..., :3], m > 0.5, channel_axis=2)}
    return {}


def measure(squares: int) -> None:
    """On held-out squares: PSNR, perceptual distance, FD on SqueezeNet's features (few pictures: compare within a task only)."""
    space, far = extractor(weights()), Perceptual.load(weights())
    rows, shown = [], list[Tensor]()
    for name in TASKS:
        path = FOLDER / name
        if not (path / "report.md").exists():
            continue
        run = Run.open(str(path))
        data = load(source(), options=options(name))
        index = picked(len(data.held), min(squares, len(data.held)), 0)
        batch = data.held.batch(index, torch.device("cpu"))
        game, truth = run.recipe.game, batch.x
        given = game.source(batch, Draw(0, ("measure",)))
        plain = given[:, :3] if given.shape[1] >= 3 else given.expand(-1, 3, -1, -1)
        ways: dict[str, Tensor] = {"untouched": plain}
        for label, way in simple(name).items():
            made = [way(((g[:3] + 1) / 2).permute(1, 2, 0).double().numpy(), g[-1].double().numpy()) for g in given]
            ways[label] = torch.from_numpy(np.stack(made)).permute(0, 3, 1, 2).float() * 2 - 1
            if name == "inpaint":
                ways[label] = torch.where(given[:, 3:] > 0.5, ways[label], plain)
        kinds = [(which, 1.0) for which in ("best", "last")]
        if run.checkpoint(PIXELS).exists():
            kinds += [("last", 0.5), ("last", 0.0)]
        for which, perception in kinds:
            nets = run.networks(which)
            if perception < 1:
                nearer(nets["generator"], run, torch.device("cpu"), perception)
            with torch.inference_mode():
                parts = [game.change(nets, part, Draw(0, ("measure", i))) for i, part in enumerate(given.split(32))]
            ways[f"{run.recipe.name}, {which}" + (f", --perception {perception:g}" if perception < 1 else "")] = torch.cat(parts).clamp(-1, 1)
        fixed = space(truth)
        for label, x in ways.items():
            with torch.inference_mode():
                distance = torch.cat([far(a, b) for a, b in zip(x.split(25), truth.split(25), strict=True)])
            fd = stats.frechet_from_features(space(x), fixed)
            rows.append((name, label, f"{float(psnr(x, truth).mean()):.2f}", f"{float(distance.mean()):.3f}", f"{fd:.1f}"))
        shown.append(torch.stack([ways["untouched"][:SHOWN], ways[f"{run.recipe.name}, best"][:SHOWN], truth[:SHOWN]], 1).flatten(0, 1))
    if shown:
        _sheet(torch.cat(shown))
    trained = [f"- {t}: {_trained(Run.open(str(FOLDER / t)))}" for t in TASKS if (FOLDER / t / "report.md").exists()]
    head = ("task", "", "PSNR", "perceptual distance", "FD-SqueezeNet")
    keep("enhancing", "Low light, holes, lost colours", table(head, rows) + f"\n\n{squares} held-out squares of 96 pixels.\n" + "\n".join(trained))


def _sheet(rows: Tensor) -> None:
    """tasks.png beside the runs: a line for each task, in turn what was put in, what came out, and the truth.  It shows other people's
    photographs, so it is no part of the repository."""
    pictures = ((rows.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    sheets.save(sheets.grid(pictures, 3 * SHOWN), FOLDER / "tasks.png")


def _trained(run: Run) -> str:
    s, plan, machine = run.settings["train"], run.settings["plan"], run.settings["machine"]
    return (
        f"{plan['steps']:,} steps of {run.recipe.batch}, budget {s['budget']} on {machine['threads']} thread(s) of {machine['cpu']}, precision "
        f"{s['precision']}, {run.metrics()[-1]['seconds']:.0f} s of wall time, one seed."
    )


if __name__ == "__main__":
    main()
