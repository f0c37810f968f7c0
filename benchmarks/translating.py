"""Translation: aerial photos to maps and line drawings to colour from pairs, one style of emoji to another without pairs.

    python benchmarks/translating.py --train maps        # also: colouring, lines, emoji; 12 minutes each
    python benchmarks/translating.py --measure

colouring: OpenMoji's line drawings to its coloured ones, from pairs; lines: the other way round, without pairs; emoji: Google's to
Twitter's, without pairs.  Needs the development data for maps and the ruler, npm for the emoji (packages openmoji, emoji-datasource-google
and -twitter, fetched once) and, for OpenMoji, resvg-py by hand.
"""

from __future__ import annotations

import argparse
import io
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import torch
from common import WORK, keep, shared, table, threads
from PIL import Image
from torch import Tensor

import rivalry
from rivalry import stats
from rivalry.data import Dataset, ReadOptions, load, sheets
from rivalry.extractors import extractor
from rivalry.run import Run
from rivalry.sampling import Sampler, sampler_of
from rivalry.streams import Draw

FOLDER = WORK / "translating"
BUDGETS = {"maps": "12m", "colouring": "12m", "lines": "12m", "emoji": "12m"}
HELD = 8
"""Every so many emoji are held back."""
TONES = re.compile("1F3F[B-F]")
"""Skin tones: such emoji differ from others in little, and would be on both sides of the split."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", choices=list(BUDGETS))
    parser.add_argument("--budget", default="")
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    threads(given.threads)
    if given.train:
        source, options = read(given.train)
        weights = shared("w_squeezenet10_imagenet") / "squeezenet10_imagenet_decoded.npz"
        rivalry.train(
            source, budget=given.budget or BUDGETS[given.train], run=str(FOLDER / given.train), options=options, overwrite=True, tensorboard=False, weights=weights,
        )  # fmt: skip
    if given.measure:
        measure()


def read(name: str) -> tuple[str, ReadOptions]:
    """What is trained on, and how it is read."""
    if name == "maps":
        return str(shared("img_maps_pairs256") / "maps_train400_512x256.tar.xz"), ReadOptions(task="translate", patch=128, holdout=0.1)
    if name == "colouring":
        return str(openmoji() / "pairs"), ReadOptions(task="translate", channels=3, holdout=1 / HELD)
    return str(openmoji() / "unpaired" if name == "lines" else emoji()), ReadOptions(task="unpaired", channels=3)


def emoji() -> Path:
    """trainA, testA (Google's), trainB, testB (Twitter's): on white, 64 px; testA and testB have the same names, and trainB
    none of testA's."""
    folder = WORK / "emoji"
    if (folder / "testB").exists():
        return folder
    packages = WORK / "npm"
    packages.mkdir(parents=True, exist_ok=True)
    names = {"A": "google", "B": "twitter"}
    subprocess.run(["npm", "pack", *(f"emoji-datasource-{n}" for n in names.values())], cwd=packages, check=True, capture_output=True)
    found = {side: _unpacked(next(packages.glob(f"emoji-datasource-{name}-*.tgz")), name) for side, name in names.items()}
    both = sorted(set(found["A"]) & set(found["B"]))
    beginning = WORK / "emoji-unfinished"
    shutil.rmtree(beginning, ignore_errors=True)
    for i, name in enumerate(both):
        for side, pictures in found.items():
            out = beginning / f"{'test' if i % HELD == 0 else 'train'}{side}"
            out.mkdir(parents=True, exist_ok=True)
            (out / name).write_bytes(pictures[name])
    beginning.rename(folder)
    return folder


def openmoji() -> Path:
    """unpaired/trainA, testA (in colour), trainB, testB (lines), and pairs/lines, pairs/painted: on white, 64 px, without skin tones."""
    folder = WORK / "openmoji"
    if (folder / "pairs").exists():
        return folder
    import resvg_py

    packages = WORK / "npm"
    packages.mkdir(parents=True, exist_ok=True)
    subprocess.run(["npm", "pack", "openmoji"], cwd=packages, check=True, capture_output=True)
    drawn: dict[str, dict[str, str]] = {"color": {}, "black": {}}
    with tarfile.open(next(packages.glob("openmoji-*.tgz"))) as archive:
        for member in archive:
            _, side, *_ = (*member.name.split("/"), "")
            if side in drawn and member.name.endswith(".svg") and not TONES.search(member.name):
                content = archive.extractfile(member)
                assert content is not None
                drawn[side][Path(member.name).stem] = content.read().decode()
    beginning = WORK / "openmoji-unfinished"
    shutil.rmtree(beginning, ignore_errors=True)
    for i, name in enumerate(sorted(set(drawn["color"]) & set(drawn["black"]))):
        part = "test" if i % HELD == 0 else "train"
        for side, own, pair in (("A", "color", "painted"), ("B", "black", "lines")):
            with Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=drawn[own][name], width=64, height=64)))) as picture:
                full = picture.convert("RGBA")
            flat = Image.alpha_composite(Image.new("RGBA", full.size, (255, 255, 255, 255)), full).convert("RGB")
            for out in (beginning / "unpaired" / f"{part}{side}", beginning / "pairs" / pair):
                out.mkdir(parents=True, exist_ok=True)
                flat.save(out / f"{name}.png")
    beginning.rename(folder)
    return folder


def _unpacked(package: Path, name: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with tarfile.open(package) as archive:
        for member in archive:
            if member.isfile() and f"img/{name}/64/" in member.name:
                content = archive.extractfile(member)
                assert content is not None
                found[Path(member.name).name] = content.read()
    return found


def measure() -> None:
    """FD on SqueezeNet's features between what is made and held-out targets, and L1 to the true partner; beside the input itself."""
    space = extractor(shared("w_squeezenet10_imagenet") / "squeezenet10_imagenet_decoded.npz")
    rows = []
    for name in BUDGETS:
        path = FOLDER / name
        if not (path / "report.md").exists():
            continue
        run = Run.open(str(path))
        source, options = read(name)
        data = load(source, options=options)
        truth, inputs = _truth(data, name, Path(source))
        train = data.train.batch(torch.linspace(0, len(data.train) - 1, 4 * len(truth)).long(), torch.device("cpu")).x
        ways = {"input, untouched": inputs, "mean of the targets": train.mean(0, keepdim=True).expand_as(truth), "real training targets": train[::4]}
        for which in ("best", "last"):
            ways[f"{run.recipe.name}, {which}"] = _made(run, which, data, inputs)
        fixed = space(truth)
        for label, x in ways.items():
            fd = stats.frechet_from_features(space(x), fixed)
            far = f"{float((x - truth).abs().mean() / 2):.4f}" if len(x) == len(truth) else ""
            rows.append((name, label, f"{fd:.1f}", far, len(x), len(truth)))
        _sheet(FOLDER / f"{name}.png", inputs, ways[f"{run.recipe.name}, best"], truth)
    head = ("data", "", "FD-SqueezeNet to held-out targets", "L1 to the partner (of 1)", "pictures", "targets")
    notes = [f"- {n}: {_trained(FOLDER / n)}" for n in BUDGETS if (FOLDER / n / "report.md").exists()]
    keep("translating", "Translation of pairs and without pairs", table(head, rows) + "\n\n" + "\n".join(notes))


def _truth(data: Dataset, name: str, source: Path) -> tuple[Tensor, Tensor]:
    """(held-out targets, what they are made from), pair by pair."""
    if name in ("maps", "colouring"):
        batch = data.held.batch(torch.arange(len(data.held)), torch.device("cpu"))
        return batch.x, batch.extra["source"]
    names = sorted(p.name for p in (source / "testA").glob("*.png"))

    def read(side: str) -> Tensor:
        found = []
        for n in names:
            with Image.open(source / side / n) as picture:
                full = picture.convert("RGBA")
                paper = Image.new("RGBA", full.size, (255, 255, 255, 255))
                found.append(np.asarray(Image.alpha_composite(paper, full).convert("RGB").resize((64, 64), Image.Resampling.BICUBIC)))
        return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2).float() / 127.5 - 1

    return read("testB"), read("testA")


def _made(run: Run, which: str, data: Dataset, inputs: Tensor) -> Tensor:
    nets = run.networks(which)
    sampler: Sampler = sampler_of(run.recipe.game, run.recipe.game.wiring(run.spec), nets, torch.device("cpu"), data)
    with torch.inference_mode():
        return torch.cat([sampler.game.change(nets, part, Draw(0, ("measure", i))) for i, part in enumerate(inputs.split(32))]).clamp(-1, 1)


def _sheet(path: Path, *columns: Tensor) -> None:
    rows = torch.stack([c[:24] for c in columns], 1).flatten(0, 1)
    sheets.save(sheets.grid(((rows + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy(), 12), path)


def _trained(path: Path) -> str:
    run = Run.open(str(path))
    s, plan, machine = run.settings["train"], run.settings["plan"], run.settings["machine"]
    return (
        f"{run.settings['data']['train']} places, {plan['steps']:,} steps of {run.recipe.batch}, budget {s['budget']} on {machine['threads']} thread(s) of "
        f"{machine['cpu']}, precision {s['precision']}, {run.metrics()[-1]['seconds']:.0f} s of wall time, one seed."
    )


if __name__ == "__main__":
    main()
