"""A picture for every task that changes pictures, on Noto emoji (Apache-2.0, so that they may be shown), trained by the commands that the docs tell.

    python benchmarks/gallery.py                          # trains what is missing, then measures and draws; half an hour on one core
    python benchmarks/gallery.py --train deblur           # one task alone, anew
    python benchmarks/gallery.py --measure                # docs/figures/task-NAME.png and the table of what has been trained

Emoji lie on white, 72 px.  Skin tones, genders and hair of one emoji are kin and stay on one side of the split; the pictures show the
first kin held back by the hash of their names, one of each, and nothing is picked.  Needs the development data.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from common import HERE, WORK, keep, shared, table, threads
from PIL import Image, ImageFilter
from torch import Tensor

from rivalry.changing.trained import changer_of
from rivalry.data import Dataset, ReadOptions, load, sheets
from rivalry.degrade import Outline, task
from rivalry.degrade.basic import Down
from rivalry.degrade.resize import bicubic
from rivalry.extractors import Perceptual
from rivalry.files import atomic
from rivalry.games.change import Change, Domains, Untouched
from rivalry.run import Run
from rivalry.sampling import Sampler, sampler_of
from rivalry.stats.pictures import psnr
from rivalry.streams import Draw

FOLDER = WORK / "gallery"
FIGURES = HERE.parent / "docs" / "figures"
LOOKS = ("colour", "flat", "lines")
HELD = 8
"""Every so many kin, by hash, are held back."""
SHOWN = 6
BUDGETS = {
    "super-resolution": "2m", "denoise": "2m", "deblur": "2m", "jpeg": "2m", "restore": "4m", "low-light": "2m", "contrast": "2m",
    "colourise": "3m", "inpaint": "3m", "sketch": "3m", "translate": "10m", "unpaired": "3m", "domains": "10m",
}  # fmt: skip
FOLDERS = {"translate": "emoji-pairs", "unpaired": "emoji-sets", "domains": "emoji-looks"}
"""What tasks learn from that have data of their own; the others learn from 'emoji'."""
ALIKE = {"1f468": "person", "1f469": "person", "1f9d1": "person", "1f466": "child", "1f467": "child", "1f9d2": "child"}
ASIDE = re.compile("1f3f[bcdef]|200d|fe0f|2640|2642|1f9b[0123]")
"""Code points that make another of the same: tones, joiners, genders, hair."""
SPACE = "emoji-space.safetensors"
DRAW = Draw(0, ("gallery",))


@dataclass(frozen=True)
class Shown:
    """Held-out pictures of a task, [N, 3, 72, 72] each, in the order of the hash of their kin; bicubic where they were made larger; other: (made,
    true) of a second kind, which is drawn and not measured."""

    before: Tensor
    after: Tensor
    truth: Tensor
    larger: Tensor | None = None
    other: tuple[Tensor, ...] = ()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", choices=list(BUDGETS), help="train this one anew, and nothing else")
    parser.add_argument("--budget", default="", help="instead of the task's own")
    parser.add_argument("--measure", action="store_true", help="measure and draw what has been trained, train nothing")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    threads(given.threads)
    for name in [given.train] if given.train else [] if given.measure else [n for n in BUDGETS if not trained(n)]:
        train(name, given.budget or BUDGETS[name])
    if not given.train:
        measure()


def trained(name: str) -> bool:
    return (FOLDER / "runs" / name / "report.md").exists()


def command(name: str, budget: str) -> list[str]:
    """As it is typed in the folder in which the emoji lie."""
    return ["rivalry", "train", f"{FOLDERS.get(name, 'emoji')}/", "--task", name, "--budget", budget, "--run", f"runs/{name}"]


def train(name: str, budget: str) -> None:
    prepared()
    # the rulers' feature space is trained once, by the first run with a judge: it takes as long as a run here
    if not (FOLDER / SPACE).exists():
        for kept in sorted((FOLDER / "runs").glob("*/private/*-extractor.safetensors"))[:1]:
            shutil.copyfile(kept, FOLDER / SPACE)
    weights = ["--weights", SPACE] if task(name).adversarial and (FOLDER / SPACE).exists() else []
    subprocess.run([sys.executable, "-m", *command(name, budget), *weights, "--overwrite", "--no-tensorboard"], cwd=FOLDER, check=True)


def kin(file: str) -> str:
    """What an emoji has in common with those that differ from it in tone, gender or hair."""
    points = Path(file).stem.removeprefix("emoji_u").split("_")
    return "_".join(ALIKE.get(p, p) for p in points if not ASIDE.fullmatch(p)) or points[0]


def order(file: str) -> str:
    return hashlib.sha256(kin(file).encode()).hexdigest()


def prepared() -> None:
    """emoji/train and test; emoji-pairs/train and test, each with input (five flat colours, without details) and target; emoji-sets/trainA and
    testA (in colour), trainB (outlines of other emoji) and testB (the outlines of testA); emoji-looks/colour, flat and lines, of other emoji each."""
    if (FOLDER / "emoji").exists() and (FOLDER / "emoji-looks").exists():
        return
    beginning = FOLDER / "unfinished"
    shutil.rmtree(beginning, ignore_errors=True)
    with tarfile.open(shared("img_noto_emoji72") / "noto_emoji_png72.tar.xz") as archive:
        for member in archive:
            content = archive.extractfile(member) if member.name.endswith(".png") else None
            if content is None:
                continue
            name = Path(member.name).name
            with Image.open(io.BytesIO(content.read())) as picture:
                full = picture.convert("RGBA")
            flat = Image.alpha_composite(Image.new("RGBA", full.size, (255, 255, 255, 255)), full).convert("RGB")
            rank = int(order(name), 16)
            side = "test" if rank % HELD == 0 else "train"
            rough = few_colours(flat)
            files = {f"emoji/{side}": flat, f"emoji-pairs/{side}/input": rough, f"emoji-pairs/{side}/target": flat}
            if side == "test":
                files |= {"emoji-sets/testA": flat, "emoji-sets/testB": outlines(flat)}
            elif rank // HELD % 2:
                files["emoji-sets/trainA"] = flat
            else:
                files["emoji-sets/trainB"] = outlines(flat)
            if side == "train":
                look = LOOKS[rank // HELD % len(LOOKS)]
                files[f"emoji-looks/{look}"] = look_of(flat, look)
            for folder, made in files.items():
                (beginning / folder).mkdir(parents=True, exist_ok=True)
                made.save(beginning / folder / name)
    for folder in ("emoji-pairs", "emoji-sets", "emoji-looks", "emoji"):  # the one that is looked for comes last
        shutil.rmtree(FOLDER / folder, ignore_errors=True)
        (beginning / folder).rename(FOLDER / folder)
    beginning.rmdir()


def outlines(picture: Image.Image) -> Image.Image:
    """One and the same pen for all."""
    lines = Outline(low=1.0, high=1.0)(tensor_of([np.asarray(picture)]), Draw(0, ("pen",)))
    return Image.fromarray(bytes_of(lines)[0, :, :, 0]).convert("RGB")


def few_colours(picture: Image.Image) -> Image.Image:
    """Five flat colours, without details."""
    return picture.filter(ImageFilter.MedianFilter(7)).quantize(5, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).convert("RGB")


def look_of(picture: Image.Image, look: str) -> Image.Image:
    return {"flat": few_colours, "lines": outlines}[look](picture) if look != "colour" else picture


def tensor_of(pictures: list[npt.NDArray[np.uint8]]) -> Tensor:
    """[N, 3, H, W] in [-1, 1] of pictures [H, W, 3]."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


def bytes_of(x: Tensor) -> npt.NDArray[np.uint8]:
    """[N, C, H, W] in [-1, 1] -> [N, H, W, C] uint8."""
    return ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def held_back() -> list[str]:
    """Names in the order of the hash of their kin, without the one family that training has under another name."""
    known = {f.read_bytes() for f in (FOLDER / "emoji" / "train").glob("*.png")}
    return sorted((f.name for f in (FOLDER / "emoji" / "test").glob("*.png") if f.read_bytes() not in known), key=lambda f: (order(f), f))


def held(name: str) -> tuple[Dataset, Tensor, Tensor | None]:
    """(the data, truths [N, 3, 72, 72], what they are to be made from where the data have it), in the order of the hash of their kin."""
    folder = FOLDER / FOLDERS.get(name, "emoji")
    data = load(str(folder), options=ReadOptions(task=name))
    truth, source = {"translate": ("test/target", "test/input"), "unpaired": ("testB", "testA"), "domains": ("../emoji/test", "")}.get(name, ("test", ""))
    files = held_back()
    return data, read(folder / truth, files), read(folder / source, files) if source else None


def read(folder: Path, files: list[str]) -> Tensor:
    found = []
    for file in files:
        with Image.open(folder / file) as picture:
            found.append(np.asarray(picture.convert("RGB")))
    return tensor_of(found)


def shown(name: str) -> Shown:
    """What the run that is kept as the best makes of all held-out emoji."""
    run = Run.open(str(FOLDER / "runs" / name))
    data, truth, source = held(name)
    game = run.recipe.game
    if isinstance(game, Domains):
        return looks(run, truth)
    sampler: Sampler = sampler_of(game, game.wiring(run.spec), run.networks("best"), torch.device("cpu"), data)
    nothing = Untouched(game, run.spec.shape)
    before, after = list[Tensor](), list[Tensor]()
    larger = list[Tensor]()
    for i, part in enumerate(truth.split(32)):
        draw = DRAW.at(str(i))
        if source is not None:
            given = source[32 * i : 32 * i + 32]
        else:
            assert isinstance(game, Change)
            assert game.degradation is not None
            given = game.degradation(part, draw)
        with torch.inference_mode():
            after.append(sampler.game.change(sampler.nets, given, draw).clamp(-1, 1))
        if isinstance(game, Change) and isinstance(game.degradation, Down):
            larger.append(bicubic(given, tuple(part.shape[2:])).clamp(-1, 1))
            given = given.repeat_interleave(game.degradation.scale, 2).repeat_interleave(game.degradation.scale, 3)
        before.append(nothing.change({}, given, draw).clamp(-1, 1))
    return Shown(torch.cat(before), torch.cat(after), truth, torch.cat(larger) if larger else None)


def looks(run: Run, colour: Tensor) -> Shown:
    """Emoji in colour, and what the run makes of them in the other looks."""
    kinds = list[Tensor]()
    for look in ("lines", "flat"):
        net = changer_of(run, "best", torch.device("cpu"), label=list(run.spec.class_names).index(look)).net
        with torch.inference_mode():
            made = torch.cat([net(part).float().clamp(-1, 1) for part in colour.split(32)])
        kinds += [made, tensor_of([np.asarray(look_of(Image.fromarray(x), look)) for x in bytes_of(colour)])]
    return Shown(colour, kinds[0], kinds[1], other=tuple(kinds[2:]))


def first() -> list[int]:
    """The first of each kin, as many as are shown."""
    found = dict[str, int]()
    for i, file in enumerate(held_back()):
        found.setdefault(kin(file), i)
    return list(found.values())[:SHOWN]


def measure() -> None:
    """PSNR and the perceptual distance by SqueezeNet, which no run has seen, of all held-out emoji beside doing nothing."""
    far = Perceptual.load(shared("w_squeezenet10_imagenet") / "squeezenet10_imagenet_decoded.npz")
    rows, notes = [], []
    for name in BUDGETS:
        if not trained(name):
            continue
        found = shown(name)
        lines = [x for x in (found.before, found.larger, found.after, found.truth, *found.other) if x is not None]
        index = first()
        drawn(torch.cat([x[index] for x in lines]), FIGURES / f"task-{name}.png")
        plain = found.before if found.larger is None else found.larger
        scores = [_scores(x, found.truth, far) for x in (plain, found.after)]
        run = Run.open(str(FOLDER / "runs" / name))
        plan, spent = run.settings["plan"], run.metrics()[-1]["seconds"]
        rows.append((f"`{name}`", *(f"{a:.2f} → {b:.2f}" if i == 0 else f"{a:.3f} → {b:.3f}" for i, (a, b) in enumerate(zip(*scores, strict=True))),
                     f"{plan['steps']:,} of {run.recipe.batch}", f"{spent:.0f}", len(found.truth)))  # fmt: skip
        notes.append("    " + shlex.join(command(name, run.settings["train"]["budget"])))
    head = ("task", "PSNR, nothing done → made", "perceptual distance", "steps", "seconds", "held-out emoji")
    words = (
        "Nothing done: what was put in, of smaller pictures their bicubic enlargement. One thread, seed 0, the best checkpoint by the run's own looks; "
        f"skin tones, genders and hair of one emoji on one side of the split. The first {SHOWN} kin held back, by hash, are drawn in docs/figures/task-NAME.png."
    )
    by = f"Trained by, in benchmarks/work/gallery (runs with a judge also with `--weights {SPACE}`, the rulers' feature space, which the first of them trained):"
    keep("gallery", "Every task on emoji", table(head, rows) + f"\n\n{words}\n\n{by}\n\n" + "\n".join(notes))


def drawn(pictures: Tensor, path: Path) -> None:
    """A sheet of SHOWN columns in 256 colours, which is half the size of a file in all of them."""
    with atomic(path) as beside:
        Image.fromarray(sheets.grid(bytes_of(pictures), SHOWN)).quantize(256, dither=Image.Dither.NONE).save(beside, "PNG", optimize=True)


def _scores(x: Tensor, truth: Tensor, far: Perceptual) -> tuple[float, float]:
    with torch.inference_mode():
        distance = torch.cat([far(a, b) for a, b in zip(x.split(32), truth.split(32), strict=True)])
    return float(psnr(x, truth).mean()), float(distance.mean())


if __name__ == "__main__":
    main()
