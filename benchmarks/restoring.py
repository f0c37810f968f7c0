"""Super-resolution x4 and denoising on the 400 grey natural images, measured on Set5 and Set14.

    python benchmarks/restoring.py --train sr            # by pixels alone, 10 minutes
    python benchmarks/restoring.py --train sr-gan        # goes on from it against a judge, 8 minutes
    python benchmarks/restoring.py --train denoise       # also: dncnn, of the same budget
    python benchmarks/restoring.py --train denoise-15    # for a deviation of 15 alone, a deeper network, 8,000 steps
    python benchmarks/restoring.py --measure             # the tables of what has been trained

Needs the development data, and for denoising's rival by hand scikit-image.
"""

from __future__ import annotations

import argparse
import io
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from common import WORK, keep, shared, table, threads
from PIL import Image
from torch import Tensor, nn

import rivalry
from rivalry.data import ReadOptions
from rivalry.degrade import Noise, task
from rivalry.degrade.resize import bicubic
from rivalry.extractors import Perceptual
from rivalry.run import Run
from rivalry.stats.pictures import luma, psnr, shaved, ssim
from rivalry.zoo import get
from rivalry.zoo.changing import house

SCALE = 4
FOLDER = WORK / "restoring"
BUDGETS = {"sr": "10m", "sr-gan": "8m", "denoise": "12m", "dncnn": "12m", "denoise-15": "8000steps"}
SIGMAS = (15, 25, 50)
Make = Callable[[Tensor], Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", choices=list(BUDGETS), help="train this one")
    parser.add_argument("--budget", default="")
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    threads(given.threads)
    if given.train:
        train(given.train, given.budget or BUDGETS[given.train])
    if given.measure:
        with torch.inference_mode():
            super_resolution()
            denoising()


def train(name: str, budget: str) -> None:
    """A contender's run in benchmarks/work/restoring."""
    data = str(shared("img_train400_gray") / "train400_gray.tar.xz")
    what = task("super-resolution" if name.startswith("sr") else "denoise")
    if name == "denoise-15":
        what = replace(what, degradation=Noise(15.0, 15.0))
    recipe = get("dncnn") if name == "dncnn" else house(what, name == "denoise-15", 1, 128)
    patch = {"sr": 128, "sr-gan": 96}.get(name, 64)
    if name == "dncnn":
        recipe = replace(recipe, batch=16)
    start = ""
    if name == "sr-gan":
        both = house(what, False, 1, 128, adversarial=True)
        recipe, start = replace(both, stages=both.stages[1:]), str(FOLDER / "sr")
    options = ReadOptions(task=what.name, patch=patch)
    weights = squeezenet() if name == "sr-gan" else None
    rivalry.train(
        data, recipe=recipe, budget=budget, run=str(FOLDER / name), start=start, options=options, overwrite=True, tensorboard=False, weights=weights
    )


def squeezenet() -> Path:
    """Weights that no loss uses."""
    return shared("w_squeezenet10_imagenet") / "squeezenet10_imagenet_decoded.npz"


def pictures() -> dict[str, dict[str, Tensor]]:
    """Set5 and Set14: name -> [1, 3, H, W] in [-1, 1], sides cut to multiples of 4."""
    found: dict[str, dict[str, Tensor]] = {"Set5": {}, "Set14": {}}
    with tarfile.open(shared("img_sr_set5_set14") / "set5_set14_color.tar") as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() else None
            if content is None:
                continue
            values = np.asarray(Image.open(io.BytesIO(content.read())).convert("RGB"), dtype=np.float32)
            h, w = (s // SCALE * SCALE for s in values.shape[:2])
            picture = torch.from_numpy(values[:h, :w].transpose(2, 0, 1).copy())[None] / 127.5 - 1
            found["Set14" if "Set14" in member.name else "Set5"][Path(member.name).stem] = picture
    return found


def rounded(x: Tensor) -> Tensor:
    return ((x.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1


def generator(name: str, which: str = "best") -> nn.Module | None:
    """The trained network, None where it is not there."""
    path = FOLDER / name
    return Run.open(str(path)).networks(which)["generator"] if (path / "report.md").exists() else None


def kinds(name: str) -> tuple[str, ...]:
    """The checkpoints that differ."""
    path = FOLDER / name
    if not (path / "report.md").exists():
        return ()
    run = Run.open(str(path))
    return ("best",) if run.step("best") == run.step("last") else ("best", "last")


def ensembled(net: Make) -> Make:
    """The mean over the eight ways a picture can lie (Timofte et al. 2016)."""

    def eight(x: Tensor) -> Tensor:
        total = torch.zeros(())
        for turns in range(4):
            for flip in (False, True):
                way = torch.rot90(x.flip(3) if flip else x, turns, (2, 3))
                back = torch.rot90(net(way), -turns, (2, 3))
                total = total + (back.flip(3) if flip else back)
        return total / 8

    return eight


def super_resolution() -> None:
    """PSNR and SSIM of luminance with a border of 4 left out, perceptual distance by SqueezeNet, which no loss used."""
    far = Perceptual.load(squeezenet())
    ways: dict[str, Make] = {"bicubic": lambda x: bicubic(x, (x.shape[2] * SCALE, x.shape[3] * SCALE))}
    for name, label in (("sr", "L1 stage"), ("sr-gan", "L1, then GAN")):
        for which in kinds(name):
            if (net := generator(name, which)) is not None:
                ways[f"{label}, {which}"] = net
    if (net := generator("sr")) is not None:
        ways["L1 stage, best, self-ensemble"] = ensembled(net)
    rows = []
    for label, way in ways.items():
        row: list[object] = [label]
        for pictures_ in pictures().values():
            found = [_super_resolved(way, x, far) for x in pictures_.values()]
            row += [f"{sum(v) / len(v):.{d}f}" for v, d in zip(zip(*found, strict=True), (2, 4, 4), strict=True)]
        rows.append(row)
    head = ("", "Set5 PSNR-Y", "SSIM", "perceptual", "Set14 PSNR-Y", "SSIM", "perceptual")
    keep("super_resolution", "Super-resolution x4 on Set5 and Set14", table(head, rows) + "\n\n" + _trained("sr", "sr-gan"))


def _super_resolved(way: Make, x: Tensor, far: Perceptual) -> tuple[float, float, float]:
    """(PSNR-Y, SSIM-Y, perceptual distance) for a colour picture: made smaller in colour, 8 bits; luminance is enlarged."""
    y = luma(x)
    small = luma(rounded(bicubic(x, (x.shape[2] // SCALE, x.shape[3] // SCALE))))
    made = rounded(way(small).float())
    a, b = shaved(made, SCALE), shaved(y, SCALE)
    return float(psnr(a, b)), float(ssim(a, b)), float(far(made, y))


def denoising() -> None:
    """PSNR of Set14's luminance under Gaussian noise that is neither clipped nor rounded."""
    ways: dict[str, Callable[[Tensor, float], Tensor]] = {"noisy": lambda x, sigma: x}
    try:
        from skimage.restoration import denoise_nl_means
    except ImportError:
        print("without scikit-image the line of non-local means is missing")
    else:

        def means(x: Tensor, sigma: float) -> Tensor:
            plain = ((x[0, 0] + 1) / 2).double().numpy()
            s = sigma / 255
            made = denoise_nl_means(plain, h=0.8 * s, sigma=s, fast_mode=True, patch_size=5, patch_distance=6)
            return torch.from_numpy(made)[None, None].float() * 2 - 1

        ways["non-local means (scikit-image, told sigma)"] = means
    for name, label in (("dncnn", "DnCNN, same budget"), ("denoise", "house-denoise")):
        for which in kinds(name):
            if (net := generator(name, which)) is not None:
                ways[f"{label}, {which}"] = lambda x, sigma, net=net: net(x)
    alone: dict[str, Callable[[Tensor, float], Tensor]] = {}
    for which in kinds("denoise-15"):
        if (net := generator("denoise-15", which)) is not None:
            alone[f"house-denoise for 15 alone, {which}"] = lambda x, sigma, net=net: net(x)
            alone[f"house-denoise for 15 alone, {which}, self-ensemble"] = lambda x, sigma, net=net: ensembled(net)(x)
    rows = [[label, *(_denoised(way, sigma) for sigma in SIGMAS)] for label, way in ways.items()]
    rows += [[label, _denoised(way, 15), *([""] * (len(SIGMAS) - 1))] for label, way in alone.items()]
    head = ("Set14, luminance, dB", *(f"sigma {s}" for s in SIGMAS))
    keep("denoising", "Denoising Set14", table(head, rows) + "\n\n" + "Where there is no line for the last checkpoint, the best is the last.\n\n" + _trained("denoise", "denoise-15", "dncnn"))


def _denoised(way: Callable[[Tensor, float], Tensor], sigma: int) -> str:
    """The mean PSNR over Set14, in dB; the same noise for every way."""
    values = []
    for i, x in enumerate(pictures()["Set14"].values()):
        y = luma(x)
        noise = torch.randn(y.shape, generator=torch.Generator().manual_seed(1000 * sigma + i))
        values.append(float(psnr(way(y + noise * (2 * sigma / 255), sigma).clamp(-1, 1).float(), y)))
    return f"{sum(values) / len(values):.2f}"


def _trained(*names: str) -> str:
    """What the runs say of themselves."""
    lines: list[str] = []
    for name in names:
        path = FOLDER / name
        if not (path / "report.md").exists():
            continue
        run = Run.open(str(path))
        s: Mapping[str, object] = run.settings["train"]
        plan, machine, records = run.settings["plan"], run.settings["machine"], run.metrics()
        lines.append(
            f"- {name}: {plan['steps']:,} steps of {run.recipe.batch}, budget {s['budget']} on {machine['threads']} thread(s) of {machine['cpu']}, precision "
            f"{s['precision']}, {records[-1]['seconds']:.0f} s of wall time, one seed."
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
