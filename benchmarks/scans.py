"""Scans: brain MRI to a map of tissue, and denoising a head CT with a map of how sure the network is.

    python benchmarks/scans.py --train tissue      # pixels alone, which invents least; 5 minutes
    python benchmarks/scans.py --train ct          # 5 minutes
    python benchmarks/scans.py --measure

Data: benchmarks/medical_data.py, fetched when first asked for.  Held back are blocks of neighbouring slices, ten slices away from
those that are learned; the second brain is another person's.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import medical_data as data
import numpy as np
import torch
from common import HERE, WORK, keep, table, threads
from PIL import Image
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

import rivalry
from rivalry.data import ReadOptions, sheets
from rivalry.degrade import task
from rivalry.files import atomic
from rivalry.run import Run
from rivalry.stats.pictures import psnr
from rivalry.zoo.changing import house

FOLDER = WORK / "scans"
LEVELS = {"grey matter": data.GREY, "white matter": data.WHITE}
WINDOW = (-1024.0, 1600.0)
SIGMAS = (25, 50)
FIGURE = HERE.parent / "docs" / "figures" / "scans.png"
SHOWN = (4, 20)
"""Of the held slices, those that are drawn."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", choices=("tissue", "ct"))
    parser.add_argument("--budget", default="5m")
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    threads(given.threads)
    if given.train:
        what = task("translate" if given.train == "tissue" else "denoise")
        recipe = house(what, False, 1, 96, adversarial=False)
        rivalry.train(
            str(pairs() / "train" if given.train == "tissue" else learned_ct()), recipe=recipe, budget=given.budget, run=str(FOLDER / given.train),
            options=ReadOptions(task=what.name, patch=96, channels=1), overwrite=True, tensorboard=False,
        )  # fmt: skip
    if given.measure:
        measure()


def pairs() -> Path:
    return data.tissue_pairs(data.PLACE / "tissue-pairs")


def learned_ct() -> Path:
    """The learned slices of the head CT as 16-bit pictures, all in one window."""
    folder = data.PLACE / "ct-learned"
    if not folder.exists():
        head = data.head_ct()
        partial = folder.with_name("ct-learned.partial")
        partial.mkdir(parents=True, exist_ok=True)
        for z in data.ct_block(head)[0]:
            Image.fromarray(((unit(head.ct[z]) + 1) / 2 * 65535).round().astype(np.uint16)).save(partial / f"{z:03d}.png")
        partial.rename(folder)
    return folder


def unit(hu: data.Array) -> data.Array:
    """Hounsfield units in the window -> [-1, 1]."""
    low, high = WINDOW
    clipped: data.Array = np.clip((hu.astype(np.float32) - low) / (high - low), 0, 1) * 2 - 1
    return clipped


def net_of(name: str) -> nn.Module | None:
    path = FOLDER / name
    return Run.open(str(path)).networks("best")["generator"] if (path / "report.md").exists() else None


def folder_of(side: str, kind: str) -> data.Array:
    return np.stack([np.asarray(Image.open(p)) for p in sorted((pairs() / side / kind).glob("*.png"))])


@torch.inference_mode()
def tissue(net: nn.Module, t1: data.Array) -> data.Array:
    """[N, H, W] T1 as shown -> the nearest of the tissue's levels."""
    x = torch.from_numpy(t1.astype(np.float32))[:, None] / 127.5 - 1
    made = ((_asked(net, x, 0, False)[:, 0] + 1) * 127.5).numpy()
    levels = np.array(sorted((0, data.BACKGROUND, *LEVELS.values())))
    found: data.Array = levels[np.abs(made[..., None] - levels).argmin(-1)]
    return found


def measure() -> None:
    mni = data.mni_brain()
    parts = []
    if (net := net_of("tissue")) is not None:
        held, second = folder_of("held", "tissue"), folder_of("second", "tissue")
        ways = {
            "nearest learned slice": (data.nearest_slice(mni), None),
            "three classes of brightness": (data.by_brightness(folder_of("held", "t1")), None),
            "house-translate, pixels alone": (tissue(net, folder_of("held", "t1")), tissue(net, folder_of("second", "t1"))),
        }
        rows = [
            (name, *(f"{data.dice(a, held, level):.3f}" for level in LEVELS.values()), *("" if b is None else f"{data.dice(b, second, level):.3f}" for level in LEVELS.values()))
            for name, (a, b) in ways.items()
        ]
        head = ("Dice", *(f"held block, {n}" for n in LEVELS), *(f"second brain, {n}" for n in LEVELS))
        drawn(net)
        parts.append(table(head, rows) + f"\n\n{_trained('tissue')} The second brain's tissue was drawn by nobody: it is three classes of brightness.")
    if (net := net_of("ct")) is not None:
        parts.append(ct(net))
    keep("scans", "Scans: tissue from MRI, and a quieter CT", "\n\n".join(parts))


@torch.inference_mode()
def drawn(net: nn.Module) -> None:
    """docs/figures/scans.png: of some held slices T1, the map made (mean of two mirrored views), the true one, how much they differ, and the views' spread.
    The brain is the mean of 152 people, and may be shown (ICBM 152 2009a, McConnell Brain Imaging Centre)."""
    t1, true = (torch.from_numpy(folder_of("held", kind)[list(SHOWN)].astype(np.float32))[:, None] / 127.5 - 1 for kind in ("t1", "tissue"))
    views = torch.stack([_asked(net, t1, 0, flip) for flip in (False, True)])
    made = views.mean(0)
    spread, error = avg_pool2d(views.var(0), 3, 1, 1).sqrt(), (made - true).abs()
    rows = torch.stack([t1, made, true, error - 1, spread * 10 - 1], 1).flatten(0, 1)[..., 16:-16, 16:-16]
    grey = ((rows.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).repeat(1, 1, 1, 3).numpy()
    with atomic(FIGURE) as beside:
        Image.fromarray(sheets.grid(grey, 5)).quantize(64, dither=Image.Dither.NONE).save(beside, "PNG", optimize=True)


@torch.inference_mode()
def ct(net: nn.Module) -> str:
    head = data.head_ct()
    _, held = data.ct_block(head)
    x = torch.from_numpy(unit(head.ct[held]))[:, None]
    inside = torch.from_numpy(head.ct[held] > -500)[:, None]
    rows = []
    for sigma in SIGMAS:
        noisy = x + torch.randn(x.shape, generator=torch.Generator().manual_seed(sigma)) * (2 * sigma / 255)
        views = torch.stack([_asked(net, noisy, turns, flip) for turns in range(4) for flip in (False, True)])
        made, one = views.mean(0), views[0]
        sure = avg_pool2d(views.var(0), 3, 1, 1).sqrt()
        error = (made - x).abs()
        rho = spearmanr(sure[inside].numpy(), error[inside].numpy()).statistic
        rows.append((sigma, *(f"{float(psnr(p.clamp(-1, 1), x).mean()):.2f}" for p in (noisy, one, made)), f"{rho:.3f}"))
        if sigma == SIGMAS[0]:
            shown = torch.stack([noisy[11], made[11], x[11], (error[11] * 6 - 1), (sure[11] * 20 - 1)])
            sheets.save(sheets.grid(((shown.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).expand(-1, -1, -1, 3).numpy(), 5), FOLDER / "ct.png")
    head_ = ("CT, noise of 255 levels over -1024 to 1600 HU", "noisy, dB", "house-denoise", "mean of 8 views", "Spearman of their spread with the true error, inside the head")
    return table(head_, rows) + f"\n\n{_trained('ct')} The spread is the root of the variance over the eight views, averaged over 3x3 pixels; {len(held)} held slices."


@torch.inference_mode()
def _asked(net: nn.Module, x: Tensor, turns: int, flip: bool) -> Tensor:
    """[N, 1, H, W] -> what the network makes of a turned or mirrored view, turned back."""
    way = torch.rot90(x.flip(3) if flip else x, turns, (2, 3))
    made = torch.cat([net(part) for part in way.split(4)])
    back = torch.rot90(made, -turns, (2, 3))
    return back.flip(3) if flip else back


def _trained(name: str) -> str:
    run = Run.open(str(FOLDER / name))
    s, plan, machine = run.settings["train"], run.settings["plan"], run.settings["machine"]
    return (
        f"{name}: {plan['steps']:,} steps of {run.recipe.batch}, budget {s['budget']} on {machine['threads']} thread(s) of {machine['cpu']}, "
        f"{run.metrics()[-1]['seconds']:.0f} s of wall time, one seed."
    )


if __name__ == "__main__":
    main()
