"""Exporting what was trained: networks that change pictures, and those that make pictures of noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from rivalry.changing.changer import Changer
from rivalry.changing.model import Model
from rivalry.errors import DataError
from rivalry.exporting.modules import FromNoise, FromNoiseAndLabel, of_changer
from rivalry.exporting.onnx_file import Exported, write_onnx
from rivalry.parts import Game
from rivalry.run import versions
from rivalry.sampling import Sampler
from rivalry.streams import Draw
from rivalry.types import Spec

SIZES = ((2, 24, 40), (1, 33, 50), (1, 64, 64), (3, 17, 96))
"""(n, height, width) of the pictures that a file is tried on."""
DRAWS = (3, 1, 4)
NO_SCANS: Mapping[str, object] = MappingProxyType({})


def checked_ending(out: Path) -> None:
    """DataError for files that are not named as ONNX files are."""
    if out.suffix.lower() != ".onnx":
        raise DataError(f"networks are exported to .onnx files, and {out.name} is none; name one with -o")


def export_changer(changer: Changer, out: Path, run: str = "", scans: Mapping[str, object] = NO_SCANS) -> Exported:
    """Writes a network that changes pictures: picture [n, c, height, width] in [-1, 1] (and mask, and noise, where it takes
    them) -> 'changed' [n, C, scale height, scale width].  n, height and width may be anything.

    The file's metadata say what it was trained for, scale, channels, range, and what tiles need (context, multiple, and
    whether it looks at the whole picture, so that tiles would show).  scans: what they say of windows, for networks that learned from
    scans (see `rivalry.changing.medical.told_of`).
    """
    checked_ending(out)
    changer = replace(changer, net=deepcopy(changer.net).cpu().float().eval(), device=torch.device("cpu"))
    module, names = of_changer(changer)
    moving = [{"picture": SPACE, "mask": SPACE, "noise": {0: "n"}}[name] for name in names]
    cases = [_case(changer, names, *size, seed=i) for i, size in enumerate(SIZES)]
    told = {
        "kind": "changes pictures", "task": changer.task, "inputs": changer.inputs, "outputs": changer.outputs, "scale": changer.scale,
        "context": changer.context, "multiple": changer.multiple, "latent": changer.latent, "mask": changer.mask,
        "keeps_colour": changer.keeps_colour, "whole_picture": Model(changer).looks_at_the_whole(), "range": [-1.0, 1.0], "run": run, "rivalry": versions()["rivalry"],
        **({"scans": dict(scans)} if scans else {}),
    }  # fmt: skip
    return write_onnx(module.eval(), names, cases, moving, "changed", told, out)


SPACE = {0: "n", 2: "height", 3: "width"}


def _case(changer: Changer, names: Sequence[str], n: int, height: int, width: int, seed: int) -> list[Tensor]:
    draw = Draw(seed, ("export",))
    made = {
        "picture": lambda: draw.uniform("picture", n, changer.inputs, height, width) * 2 - 1,
        "mask": lambda: (draw.uniform("mask", n, 1, height, width) < 0.3).float(),
        "noise": lambda: draw.normal("noise", n, changer.latent),
    }
    return [made[name]() for name in names]


def export_generator(sampler: Sampler, spec: Spec, out: Path, run: str = "") -> Exported:
    """Writes a network that makes pictures of noise: noise [n, latent] (and label [n] int64, where it was trained with labels)
    -> 'picture' [n, C, H, W] in [-1, 1].

    The file's metadata say what the noise is drawn from.  Raises DataError for other kinds of data than pictures.
    """
    checked_ending(out)
    if spec.kind != "image":
        raise DataError(f"only networks that make or change pictures are exported, and this run makes {spec.kind}; use: rivalry sample")
    nets = {name: deepcopy(net).cpu().float().eval() for name, net in sampler.nets.items()}
    wiring, labels = sampler.wiring, sampler.wiring.classes
    module = FromNoiseAndLabel(sampler.game, nets) if labels else FromNoise(sampler.game, nets)
    names = ("noise", "label") if labels else ("noise",)
    cases = list[list[Tensor]]()
    for i, n in enumerate(DRAWS):
        draw = Draw(i, ("export",))
        cases.append([draw.normal("noise", n, wiring.latent), *([draw.integers("label", labels, n)] if labels else [])])
    told = {
        "kind": "makes pictures", "latent": wiring.latent, "noise": _noise(sampler.game), "classes": list(spec.class_names) if labels else [],
        "outputs": spec.shape[0], "range": list(spec.range), "run": run, "rivalry": versions()["rivalry"],
    }  # fmt: skip
    return write_onnx(module.eval(), names, cases, [{0: "n"}] * len(names), "picture", told, out)


def _noise(game: Game) -> dict[str, Any]:
    """What the entries of the noise are drawn from, in order: `size` of the distribution times spread, `signs` of -1 or 1,
    one-hot `codes` of so many levels, `reals` uniform in [-1, 1]."""
    own = asdict(game)  # type: ignore[call-overload]
    return {
        "distribution": own.get("distribution", "normal"), "spread": own.get("spread", 1.0), "size": own["latent"], "signs": own.get("bits", 0),
        "codes": list(own.get("codes", ())), "reals": own.get("code_reals", 0),
    }  # fmt: skip
