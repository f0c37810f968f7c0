"""Pictures in files and folders, changed and written under the same names: `rivalry apply` for pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from rivalry.changing.changer import Changer
from rivalry.changing.kept import upright
from rivalry.changing.sheet import Closest, Sheet
from rivalry.changing.sink import Shape, fitting, format_of, open_sink, rows_of
from rivalry.changing.source import FileSource, open_picture
from rivalry.changing.tiles import PATCH, marked, prepared
from rivalry.changing.ways import Ways
from rivalry.data.containers import Folder
from rivalry.data.words import unread
from rivalry.errors import DataError, RecipeError
from rivalry.files import atomic

READ = (".png", ".jpg", ".jpeg", ".jpe", ".mpo", ".webp", ".tif", ".tiff", ".bmp", ".dib", ".gif", ".ppm", ".pgm", ".pbm",
        ".tga", ".jp2", ".avif", ".pcx")  # fmt: skip
OTHERWISE = ".png"
"""What pictures become whose own format is not written (GIF, JPEG 2000 ...)."""

Tick = Callable[[str, float], None]


@dataclass(frozen=True)
class Job:
    """name: as the user knows the picture; targets: one file for each draw; mask: '' for none."""

    name: str
    source: Path
    targets: tuple[Path, ...]
    mask: Path | None = None


@dataclass
class Changed:
    """written: the pictures; failed: (name, why) of those that could not be changed; notes: what else there is to say; sheet:
    where before and after are shown."""

    written: tuple[Path, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    where: str = ""
    sheet: Path | None = None

    def text(self) -> str:
        lines = [*self.notes, *(f"not changed: {why}" for _, why in self.failed)]
        n = len(self.written)
        together = f" in {self.where}" if Path(self.where) in self.written[0].parents else f", {self.written[0]} and so on"
        lines.append(str(self.written[0]) if n == 1 else f"{n} pictures{together}")
        return "\n".join([*lines, *([str(self.sheet)] if self.sheet else [])])


@dataclass
class Notes:
    """Sentences about pictures, each said once with the number of pictures it is about."""

    said: Counter[str] = field(default_factory=Counter)
    about: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, sentences: Sequence[str]) -> None:
        for sentence in filter(None, sentences):
            self.said[sentence] += 1
            self.about.setdefault(sentence, name)

    def lines(self) -> tuple[str, ...]:
        return tuple(f"{self.about[s] if n == 1 else f'{n} pictures'}: {s}" for s, n in self.said.items())


def apply_files(
    changer: Changer, source: Path, out: Path, ways: Ways | None = None, *, mask: Path | None = None, sheet: Path | None = None,
    overwrite: bool = False, tick: Tick = lambda what, share: None,
) -> Changed:  # fmt: skip
    """Changes a picture, or all pictures below a folder, and writes the results to `out`: a file or, for a folder, a folder
    that mirrors it.

    Bit depth, alpha, EXIF, colour profile and resolution are kept as far as the format of the result allows; pictures are
    written upright.  mask: a picture, or a folder that has one under each picture's name, white where holes are to be
    filled.  sheet: a .png that shows before and after.  Pictures that cannot be read are told of in `failed`.
    Raises DataError or RecipeError, before anything is written, for what cannot be done, and if no picture could be changed.
    """
    ways = ways or Ways()
    ways.check(changer)
    if changer.mask != (mask is not None):
        raise RecipeError(
            "the network of this run fills holes: say where they are with --mask" if changer.mask else
            "the network of this run fills no holes, so it has no use for --mask; leave it out"
        )  # fmt: skip
    jobs, passed_over = jobs_of(source, out, mask, ways.draws)
    _check_targets(jobs, sheet, overwrite)
    written, failed, notes, shown = list[Path](), list[tuple[str, str]](), Notes(), Sheet()
    for i, job in enumerate(jobs):
        said = job.name if len(jobs) == 1 else f"{job.name} ({i + 1} of {len(jobs)})"
        try:
            told = _change_file(changer, job, ways, shown if sheet else None, _part(tick, said, i, len(jobs)))
        except DataError as error:
            failed.append((job.name, str(error)))
            continue
        notes.add(job.name, told)
        written += job.targets
    if not written:
        raise DataError(failed[0][1] if len(failed) == 1 else f"none of {len(failed)} pictures could be changed; the first: {failed[0][1]}")
    if sheet:
        shown.write(sheet)
    return Changed(tuple(written), tuple(failed), (*filter(None, [passed_over]), *notes.lines()), str(out), sheet)


def _part(tick: Tick, name: str, number: int, count: int) -> Callable[[float], None]:
    return lambda share: tick(name, (number + share) / count)


def jobs_of(source: Path, out: Path, mask: Path | None, draws: int) -> tuple[list[Job], str]:
    """(what is to be done, with every path; what to say of pictures that are passed over, or ''); DataError where paths make no sense."""
    if source.is_dir():
        return _jobs_of_folder(source, out, mask, draws)
    if not source.exists():
        raise DataError(f"there is no picture or folder at {source}; check the path")
    target = out if not out.is_dir() and format_of(out) else None
    if target is None and out.suffix and not out.is_dir():
        raise DataError(f"pictures cannot be written as {out.suffix}; name a file ending in .png, .jpg, .tif or .webp, or a folder")
    if mask is not None and mask.is_dir():
        mask = _mask_for(mask, source.name)
    return [Job(source.name, source, _numbered(target or _named(out / source.name), draws), mask)], ""


def _jobs_of_folder(source: Path, out: Path, mask: Path | None, draws: int) -> tuple[list[Job], str]:
    if out.exists() and not out.is_dir():
        raise DataError(f"{out} is a file, and {source} is a folder of pictures; name a folder with -o")
    if mask is not None and not mask.is_dir():
        raise DataError(f"{source} is a folder, so --mask must be a folder with a mask for each of its pictures; {mask} is none")
    inner = out.resolve()
    entries = [e for e in Folder.open(source).entries if not (source / e.name).resolve().is_relative_to(inner)]
    names, passed_over = [e.name for e in entries if e.ending in READ], unread([e.name for e in entries])
    if inner == source.resolve():
        raise DataError(f"the results would overwrite the pictures in {source}; name another folder with -o")
    if not names:
        raise DataError(f"there are no pictures in {source}; {passed_over or 'known endings: ' + ', '.join(READ)}")
    targets = _targets(names, out)
    jobs = [Job(n, source / n, _numbered(targets[n], draws), None if mask is None else _mask_for(mask, n)) for n in names]
    return jobs, passed_over


def _targets(names: Sequence[str], out: Path) -> dict[str, Path]:
    """Where each result goes: a.gif becomes a.png or, where another picture's result is called that, a.gif.png."""
    usual = {name: _named(out / name) for name in names}
    wanted = Counter(usual.values())
    return {n: p if wanted[p] == 1 or p == out / n else p.with_name(PurePosixPath(n).name + OTHERWISE) for n, p in usual.items()}


def _named(path: Path) -> Path:
    return path if format_of(path) else path.with_suffix(OTHERWISE)


def _numbered(path: Path, draws: int) -> tuple[Path, ...]:
    return (path,) if draws == 1 else tuple(path.with_name(f"{path.stem}-{i + 1}{path.suffix}") for i in range(draws))


def _mask_for(folder: Path, name: str) -> Path:
    """The mask under a picture's name, with the same or another ending."""
    plain = PurePosixPath(name)
    same = [folder / name, *(folder / plain.with_suffix(ending) for ending in READ)]
    found = next((path for path in same if path.is_file()), None)
    if found is None:
        raise DataError(f"{folder} has no mask for {name}; it should be at {folder / plain.with_suffix('.png')}")
    return found


def _check_targets(jobs: Sequence[Job], sheet: Path | None, overwrite: bool) -> None:
    targets = [t for job in jobs for t in job.targets] + ([sheet] if sheet else [])
    if sheet is not None and sheet.suffix.lower() != ".png":
        raise DataError(f"a sheet is a .png, not {sheet.name}")
    if twice := next((t for t, n in Counter(targets).items() if n > 1), None):
        raise DataError(f"two pictures would be written to {twice}; rename one of them")
    sources = {p.resolve() for job in jobs for p in (job.source, job.mask) if p is not None}
    if over := next((t for t in targets if t.resolve() in sources), None):
        raise DataError(f"{over} would be overwritten, and it is what was given; name another place with -o")
    if there := next((t for t in targets if t.exists()), None):
        if there.is_dir():
            raise DataError(f"{there} is a folder; move it out of the way, or name another place with -o")
        if not overwrite:
            raise DataError(f"{there} is there already; say --overwrite, or name another place with -o")


def _change_file(changer: Changer, job: Job, ways: Ways, sheet: Sheet | None, tick: Callable[[float], None]) -> list[str]:
    """Notes on one picture, once it is written."""
    source = open_picture(job.source)
    mask = None if job.mask is None else open_picture(job.mask)
    if mask is not None and (mask.height, mask.width) != (source.height, source.width):
        raise DataError(
            f"the mask {job.mask} is {mask.width}x{mask.height} pixels, and the picture {job.source} is {source.width}x{source.height}; "
            "make the mask as large as the picture"
        )
    closest, notes, blank = Closest(), list(source.notes), ""
    if mask is not None and not any(bool(marked(mask, top, min(mask.height, top + PATCH)).any()) for top in range(0, mask.height, PATCH)):
        blank = "its mask is white nowhere, so nothing was filled; holes are white on black"
    for draw, target in enumerate(job.targets):
        whole = prepared(source, changer, ways, draw, mask)
        colours, alpha = whole.channels.makes
        shape = Shape(source.height * changer.scale, source.width * changer.scale, colours, alpha, source.bits)
        shaped = fitting(shape, format_of(target))
        kept = source.kept if colours == source.colours else replace(source.kept, icc=b"")
        kept = replace(kept, exif=upright(kept.exif, shape.width, shape.height))
        with atomic(target) as beside, beside.open("wb") as stream:
            sink = open_sink(stream, shaped, format_of(target), kept, ways.quality, not source.lossy)
            seen = closest.seen if sheet is not None and draw == 0 else None
            for band in whole.bands(lambda share, draw=draw: tick((draw + share) / len(job.targets)), seen):  # type: ignore[misc]
                sink.write(rows_of(shape, band.numpy(), shaped))
            sink.close()
        notes = [*source.notes, blank, whole.channels.note(), *_lost(shape, shaped, target)]
    if sheet is not None:
        sheet.add(job.name, source, closest)
    return notes


def _lost(shape: Shape, shaped: Shape, target: Path) -> list[str]:
    """What the format could not hold."""
    lost = list[str]()
    if shape.alpha and not shaped.alpha:
        lost.append(f"{target.suffix} holds no alpha, so what is transparent became white; .png and .tif hold it")
    if shape.bits > shaped.bits:
        lost.append(f"{target.suffix} holds 8 bits, so 16 became 8; .png and .tif hold 16")
    return lost


__all__ = ["Changed", "FileSource", "apply_files", "jobs_of"]
