"""What can be done to pictures: each task has a name, a fault to learn from, and words for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from rivalry.degrade.basic import Blur, Down, Dull, Grey, Jpeg, LowLight, Masked, Noise, Outline
from rivalry.degrade.realistic import Realistic
from rivalry.errors import UnknownName
from rivalry.parts import Degradation

Layout = Literal["patches", "pairs", "unpaired", "classes"]


@dataclass(frozen=True)
class Task:
    """name: as `--task` says it.  does: in words.  layout: how its data lie: 'patches' of good pictures, whose bad twins are
    made on the fly by the degradation; 'pairs' of pictures; two sets, 'unpaired'; or a folder for each of several sets, 'classes'.  adversarial: the default recipe has a
    discriminator, since what is missing must be invented; else pixels alone decide.  labelled: the first of two sets lies in a folder for
    each class."""

    name: str
    does: str
    layout: Layout = "patches"
    degradation: Degradation | None = None
    adversarial: bool = False
    labelled: bool = False


TASKS: Mapping[str, Task] = {
    t.name: t
    for t in (
        Task("super-resolution", "makes pictures 4 times as large a side", degradation=Down(4)),
        Task("super-resolution-x2", "makes pictures twice as large a side", degradation=Down(2)),
        Task("super-resolution-x3", "makes pictures 3 times as large a side", degradation=Down(3)),
        Task("denoise", "takes noise away (deviations up to 55 of 255, not to be named)", degradation=Noise()),
        Task("deblur", "sharpens what is out of focus or moved", degradation=Blur()),
        Task("jpeg", "takes away the blocks and rings of JPEG (quality 10 to 80)", degradation=Jpeg()),
        Task("restore", "mends blur, noise and JPEG together, as they come in the wild", degradation=Realistic(1), adversarial=True),
        Task("restore-x2", "mends blur, noise and JPEG, and makes twice as large a side", degradation=Realistic(2), adversarial=True),
        Task("restore-x4", "mends blur, noise and JPEG, and makes 4 times as large a side", degradation=Realistic(4), adversarial=True),
        Task("low-light", "lights up dark pictures", degradation=LowLight()),
        Task("contrast", "gives dull, hazy or wrongly exposed pictures their contrast", degradation=Dull()),
        Task("colourise", "gives grey pictures colours", degradation=Grey(), adversarial=True),
        Task("sketch", "paints outlines", degradation=Outline(), adversarial=True),
        Task("inpaint", "fills holes", degradation=Masked(), adversarial=True),
        Task("translate", "makes of each picture its partner, learned from pairs", "pairs", adversarial=True),
        Task("unpaired", "makes pictures of one kind out of those of another, without pairs", "unpaired", adversarial=True),
        Task("domains", "goes between several sets, each a sub-folder of its own", "classes", adversarial=True),
        Task("adapt", "learns to name pictures of one kind by labelled ones of another", "unpaired", adversarial=True, labelled=True),
    )
}


def task(name: str) -> Task:
    """The task of that name; UnknownName with the nearest one."""
    if name not in TASKS:
        raise UnknownName("task", name, TASKS)
    return TASKS[name]
