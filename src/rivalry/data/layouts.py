"""How pictures lie that may be changed into one another: good ones alone, pairs, or two sets; and what that asks for.

Layouts of pairs: two folders whose files have equal names; files with both halves side by side.  Of two sets: trainA and
trainB, with testA and testB held back where they are there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np

from rivalry.data.options import GENERATE, ReadOptions
from rivalry.data.pixels import Look, Plan, decode, look, quiet
from rivalry.data.rows import TEST, TRAIN, VALID, Rows, classify
from rivalry.data.sources import Array, Encoded, Scans
from rivalry.data.words import count, some
from rivalry.degrade import TASKS, Masked, task
from rivalry.errors import DataError

SIDES = {
    ("a", "b"), ("traina", "trainb"), ("input", "target"), ("source", "target"), ("low", "high"), ("lr", "hr"), ("noisy", "clean"),
    ("blur", "sharp"), ("blurred", "sharp"), ("dark", "light"), ("before", "after"), ("photo", "map"), ("damaged", "good"),
}  # fmt: skip
"""Names of two folders that say by themselves that one is made into the other."""
KINDS = ("patches", "pairs", "unpaired")
"""Layouts in which something is put in, and something comes out."""
OFFICIAL = TRAIN | TEST | VALID
"""Folders that are parts of a split, whatever their files are called."""
TRAINS, TESTS = ("traina", "trainb"), ("testa", "testb")
GLANCE = 16
"""Pictures that are looked at to tell whether they are halves side by side."""
JUMP = 0.99
"""Halves of two pictures meet where neighbouring columns differ more than this share of all neighbours do ..."""
MOST_OF = 0.75
"""... in this share of the pictures: chance does so in a hundredth."""
SCALES = (2, 3, 4)


@dataclass(frozen=True)
class Layout:
    """How the files lie.  kind: as a Task's layout.  target: numbers of what is made; source: of what it is made from, in the
    same order for pairs, () for patches and for files with both halves.  names: of the two kinds.  scale: how many times as large
    a side the target is."""

    kind: str
    target: tuple[int, ...]
    source: tuple[int, ...] = ()
    halves: bool = False
    names: tuple[str, str] = ("source", "target")
    classes: tuple[str, ...] = ()
    codes: tuple[int, ...] = ()
    scale: int = 1


@dataclass(frozen=True)
class Decision:
    """What is to be done with pictures.  task: its name, '' where they are learned as they are.  notes: why, or what else could be.
    secret: files may be called after people, so no note names them."""

    task: str = ""
    notes: tuple[str, ...] = ()
    secret: bool = False


@dataclass(frozen=True)
class Sides:
    """Two folders.  first, second: of what each holds, its name within the folder (without ending) -> its row; names: of the two, what
    is made from first where the names say it, else by the alphabet."""

    names: tuple[str, str]
    first: dict[str, int]
    second: dict[str, int]
    rows: tuple[tuple[int, ...], tuple[int, ...]]

    @property
    def equal(self) -> bool:
        """Have most files a partner of the same name?"""
        return len(self.first.keys() & self.second.keys()) * 2 > max(len(self.first), len(self.second))

    @property
    def named(self) -> bool:
        """Do the names say that one is made into the other?  Lower-case letters are as likely to be classes."""
        return set(self.names) == {"A", "B"} or {n.lower() for n in self.names} in [set(pair) for pair in SIDES if len(pair[0]) > 1]

    @property
    def words(self) -> str:
        return f"{self.names[0]!r} and {self.names[1]!r}"


def decide(source: Encoded | Scans, options: ReadOptions) -> Decision:
    """The task that was named; without one, that which the layout asks for, with a note that says so.  A look at a few pictures is
    taken only where they lie in no two folders."""
    secret = isinstance(source, Scans)
    return replace(_decided(source, options, secret), secret=secret)


def _decided(source: Encoded | Scans, options: ReadOptions, secret: bool) -> Decision:
    sides = two_sides(source.rows, options)
    if options.task is not None:
        name = "" if as_it_is(options) else task(options.task).name
        return Decision(name, _against(name, sides, secret))
    if sides is not None and sides.named:
        back = f"to learn pictures as they are: --task {GENERATE}"
        if sides.equal:
            return Decision("translate", (f"no task is named, and the folders {sides.words} hold files of equal names: they are pairs (--task translate); {back}",))
        if {n.lower() for n in sides.names} == set(TRAINS):
            return Decision("unpaired", (f"no task is named, and the folders {sides.words} are two sets without pairs (--task unpaired); {back}",))
        return Decision("", (f"the folders {sides.words} are taken as classes, since their files have no equal names; for two sets without pairs say --task unpaired",))
    if sides is not None and sides.equal:
        which = "two folders" if secret else f"the folders {sides.words}"
        return Decision("", (f"{which} hold files of equal names and are taken as they are; if one is to be made into the other, say --task translate",))
    # sub-folders that are classes say what is to be learned
    seams = options.reading > 1 and isinstance(source, Encoded) and source.rows.codes is None
    return _halves(source) if seams else Decision()


def as_it_is(options: ReadOptions) -> bool:
    """Are pictures read as they are, and sub-folders as classes, because that was asked for?"""
    return options.task == GENERATE or (options.task is not None and task(options.task).layout == "classes")


def _against(name: str, sides: Sides | None, secret: bool) -> tuple[str, ...]:
    """What to say where the task that was named leaves something of the layout unused.  DataError where what is spoilt would be taken for good."""
    if not name or sides is None:
        return ()
    called = {n.lower() for n in sides.names}
    if TASKS[name].layout == "patches" and sides.named and not sides.equal and called not in ({"a", "b"}, set(TRAINS)):
        raise DataError(
            f"the folders {sides.words} are called as pairs are, but their files have no equal names, so that those to be mended would be learned as good "
            "ones; give the two files of a pair one name, or name the folder of good pictures alone"
        )
    if not sides.equal:
        return ()
    kind, words = TASKS[name].layout, "two folders" if secret and not sides.named else sides.words
    if kind == "unpaired" and not TASKS[name].labelled:
        return (f"the files of {words} have equal names, which --task {name} does not look at; --task translate learns from the pairs",)
    if kind == "patches" and not sides.named:
        return (f"all of {words} are taken as good pictures, though their files have equal names; for pairs say --task translate",)
    return ()


def _halves(source: Encoded | Scans) -> Decision:
    """Are all pictures twice as wide as high, and do two pictures meet in the middle?"""
    n = len(source.rows)
    chosen = sorted({round(i * (n - 1) / (GLANCE - 1)) for i in range(GLANCE)}) if n else []
    seen = list[float]()
    with quiet():
        for _, content in source.stream(chosen):
            found = look(content)
            if found.reason:
                continue
            if found.width != 2 * found.height:
                return Decision()
            pixels = decode(content, Plan(found.height, found.width, 1)).pixels
            if pixels is not None:
                seen.append(_jump(pixels[0]))
    if len(seen) < 4:
        return Decision()
    shape = "no task is named, and pictures are twice as wide as high"
    if np.mean([share >= JUMP for share in seen]) >= MOST_OF:
        return Decision("translate", (f"{shape} with a seam in the middle: both halves of a pair (--task translate); to learn them as they are: --task {GENERATE}",))
    return Decision("", (f"{shape}; if they are both halves of a pair side by side, say --task translate",))


def _jump(picture: Array) -> float:
    """[h, 2 h] -> the share of neighbouring columns that differ less than those in the middle."""
    steps = np.abs(np.diff(picture.astype(np.float64), axis=1)).mean(0)
    return float((steps < steps[len(steps) // 2]).mean() + 1 / len(steps))


def two_sides(rows: Rows, options: ReadOptions) -> Sides | None:
    """The two folders that rows lie in: those where their paths first part, or those right around the files (of reading 1 these
    alone); testA counts to trainA, testB to trainB.  Where there are both, those that are pairs.  None where there are no two."""
    parts = [PurePosixPath(name).parts for name in rows.names]
    if not parts or min(map(len, parts)) < 2:
        return None
    depth = next((i for i in range(min(map(len, parts)) - 1) if len({p[i] for p in parts}) > 1), None)
    if options.reading < 2:
        return _sides(parts, -2, by_stem=True)
    found = [side for at in (depth, -2) if at is not None and (side := _sides(parts, at)) is not None]
    return max(found, key=lambda s: (s.named and s.equal, s.equal), default=None)


def _sides(parts: Sequence[tuple[str, ...]], at: int, by_stem: bool = False) -> Sides | None:
    """by_stem: files are partners by their own names alone, and any two folders will do, as runs of reading 1 had it."""
    files: dict[str, dict[str, int]] = {}
    rows: dict[str, list[int]] = {}
    for i, path in enumerate(parts):
        folder, test = path[at], path[at].lower() in TESTS
        rest = (*path[:at], *path[at + 1 : -1], PurePosixPath(path[-1]).stem) if at != -2 else (*path[:-2], PurePosixPath(path[-1]).stem)
        side = f"train{folder[4:]}" if test else folder
        files.setdefault(side, {})[rest[-1] if by_stem else "/".join(("test", *rest) if test else rest)] = i
        rows.setdefault(side, []).append(i)
    if len(files) != 2 or (not by_stem and all(name.lower() in OFFICIAL for name in files)):
        return None
    one, two = sorted(files, key=lambda n: (n.lower() in {to for _, to in SIDES}, n))
    return Sides((one, two), files[one], files[two], (tuple(rows[one]), tuple(rows[two])))


def officially_held(rows: Rows) -> Rows:
    """Files in testA and testB are held back."""
    held = np.array([any(p.lower() in TESTS for p in PurePosixPath(n).parts[:-1]) for n in rows.names], dtype=bool)
    return replace(rows, held=held) if held.any() else rows


def layout_of(source: Encoded, wanted: str, looks: Sequence[Look], options: ReadOptions) -> tuple[str, Layout]:
    """(the task, how the files lie for it); DataError where they do not fit it.  Of pairs that nobody named a task for, and of which
    one is 2, 3 or 4 times as large, the task is super-resolution."""
    kind = TASKS[wanted].layout
    everything = tuple(range(len(source.rows)))
    sides = two_sides(source.rows, options)
    if kind == "patches":
        if options.reading < 2 or sides is None or not (sides.named and sides.equal):
            return wanted, Layout(kind, everything)
        if isinstance(TASKS[wanted].degradation, Masked):
            raise DataError(
                f"--task {wanted} makes its own bad twins of good pictures, and the folders {sides.words} of {source.where} are pairs; name the folder "
                "of good ones alone, or say --task translate"
            )
        return wanted, _scaled(source, _pairs(source, sides), wanted, looks, options)[1]
    if TASKS[wanted].labelled:
        return wanted, _labelled(source)
    if kind == "unpaired":
        if sides is None:
            raise DataError(f"--task unpaired takes a folder with two sub-folders, such as trainA and trainB; {source.where} has others")
        return wanted, Layout(kind, sides.rows[1], sides.rows[0], names=sides.names)
    if sides is not None:
        return _scaled(source, _pairs(source, sides), wanted, looks, options)
    wide = [found for found in looks if not found.reason]
    if wide and all(found.width == 2 * found.height for found in wide):
        return wanted, Layout(kind, everything, halves=True, names=("left", "right"))
    raise DataError(
        f"pairs are two sub-folders whose files have equal names, or files twice as wide as high with both side by side; {source.where} has neither"
    )


def scale_of(name: str) -> int:
    """How many times as large a side the task makes pictures."""
    damage = TASKS[name].degradation
    if damage is None:
        return 1
    side = 24
    return side // damage.shape((3, side, side))[1]


def enlarging(scale: int) -> str:
    """The task that enlarges so many times."""
    return next(name for name in TASKS if name.startswith("super-resolution") and scale_of(name) == scale)


def _scaled(source: Encoded, layout: Layout, wanted: str, looks: Sequence[Look], options: ReadOptions) -> tuple[str, Layout]:
    """Pairs of one scale, and the task that goes with it."""
    whole = [(looks[t], looks[s]) for t, s in zip(layout.target, layout.source, strict=True) if not (looks[t].reason or looks[s].reason)]
    ratios = {t.height / s.height for t, s in whole} | {t.width / s.width for t, s in whole}
    ratio = ratios.pop() if len(ratios) == 1 else 0.0  # 0: of several sizes, which is told of when they are decoded
    scale = int(ratio) if ratio in SCALES else 1
    if options.size is not None:  # all of them will be of that size
        if scale_of(wanted) > 1:
            raise DataError(f"--size brings both of a pair to one size, and --task {wanted} enlarges; leave --size out")
        return wanted, layout
    if scale_of(wanted) == scale:
        return wanted, replace(layout, scale=scale)
    names = f"{layout.names[1]!r} of {source.where}"
    if wanted == "translate":
        if options.task is None:
            return enlarging(scale), replace(layout, scale=scale)
        raise DataError(f"the pictures in {names} are {scale} times as large a side as their partners; say --task {enlarging(scale)}, or bring them to one size with --size")
    if scale > 1:
        raise DataError(f"the pictures in {names} are {scale} times as large a side as their partners, which is not what --task {wanted} learns; say --task {enlarging(scale)}")
    if ratio != 1:
        return wanted, layout
    raise DataError(f"the pictures in {names} are as large as their partners, and --task {wanted} enlarges; say --task translate, or name the folder of good ones alone")


def _labelled(source: Encoded) -> Layout:
    """Two sets, trainA (with testA) and trainB (with testB), the first with a sub-folder for each class; those of the other, if it has
    any, are not looked at."""
    sets: dict[str, list[int]] = {"a": [], "b": []}
    labels: list[str] = []
    for i, name in enumerate(source.rows.names):
        folders = PurePosixPath(name).parts[:-1]
        at = next((k for k, f in enumerate(folders) if f.lower() in (*TRAINS, *TESTS)), None)
        if at is None:
            continue
        which = folders[at].lower()[-1]
        sets[which].append(i)
        if which == "a":
            labels.append(folders[at + 1] if len(folders) > at + 1 else "")
    if not sets["a"] or not sets["b"]:
        raise DataError(f"--task adapt takes a folder with trainA, which has a sub-folder for each class, and trainB; {source.where} has others")
    if lost := labels.count(""):
        raise DataError(f"{count(lost, 'picture')} of trainA in {source.where} lie beside its sub-folders, so nobody knows their class; give each class a sub-folder")
    codes, classes, unused = classify(np.array(labels))
    if codes is None or len(classes) < 2:
        raise DataError(f"--task adapt learns classes from the sub-folders of trainA, and {source.where} has one ({unused or classes[0]!r}); give each class a sub-folder")
    return Layout("unpaired", tuple(sets["b"]), tuple(sets["a"]), names=("trainA", "trainB"), classes=classes, codes=tuple(codes.tolist()))


def _pairs(source: Encoded, sides: Sides) -> Layout:
    one, two = sides.first, sides.second
    both = sorted(one.keys() & two.keys())
    alone = sorted(one.keys() ^ two.keys())
    if not both:
        raise DataError(
            f"no file of {sides.names[0]!r} has a partner of the same name in {sides.names[1]!r} (for example {some(alone[:2])}); rename them, or say --task unpaired"
        )
    if len(alone) > len(both):
        raise DataError(f"{count(len(alone), 'file')} of {source.where} have no partner, for example {some(alone, 2)}; rename them, or say --task unpaired")
    return Layout("pairs", tuple(two[n] for n in both), tuple(one[n] for n in both), names=sides.names)
