"""Options that several commands share."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from rivalry.data.options import ReadOptions
from rivalry.errors import DataError, RecipeError

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class PlacePath(click.Path):
    """A path; the empty word, which would stand for the folder one is in, is none."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("the path is empty", param, ctx)
        return super().convert(value, param, ctx)


def _size(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, int] | int | None:
    """'64' or '64x48' (height x width)."""
    if value is None:
        return None
    parts = value.lower().split("x")
    if not all(p.isdecimal() for p in parts) or len(parts) > 2:
        raise DataError(f"--size must be a number or HEIGHTxWIDTH, not {value!r}")
    numbers = [int(p) for p in parts]
    return numbers[0] if len(numbers) == 1 else (numbers[0], numbers[1])


def strength(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """A number, or 'auto': None, as usual."""
    if value is None or value == "auto":
        return None
    try:
        return float(value)
    except ValueError:
        raise DataError(f"--strength must be a number, or auto, not {value!r}") from None


READING: tuple[Decorator, ...] = (
    click.option("--size", callback=_size, help="Resize pictures to N or HEIGHTxWIDTH pixels."),
    click.option("--fit", type=click.Choice(["crop", "pad", "stretch"]), default="crop", show_default=True,
                 help="How pictures of other proportions are fitted in."),
    click.option("--channels", type=click.Choice(["1", "3", "4"]), help="1 grey, 3 colour, 4 colour with alpha."),
    click.option("--labels", type=PlacePath(), help="CSV with the columns file and label."),
    click.option("--group", help="Keep rows of one group on one side of the split: a column, 'folder', or a regex."),
    click.option("--columns", help="Comma-separated columns of a table to use."),
    click.option("--kind", type=click.Choice(["points", "table", "records", "text", "dialogue"]), help="What to take a table as."),
    click.option("--tokenizer", type=click.Choice(["bpe", "words"]), default="bpe", help="Of text: byte pairs, or whole words."),
    click.option("--vocabulary", type=int, help="Of text: at most so many tokens."),
    click.option("--tokens", type=int, help="Of text: cut lines after so many tokens."),
    click.option("--context", type=int, help="Of dialogue: tokens of what is replied to (48); --tokens is of replies (32)."),
    click.option("--key", help="Column that names patients: their rows become records, with visits in time."),
    click.option("--time", help="Column that says when a visit was (found by itself where only one can be it)."),
    click.option("--schema", type=PlacePath(), help="TOML file on what a table's columns mean."),
    click.option("--constraint", "constraints", multiple=True, metavar="TEXT",
                 help="What holds in every row of a table (of records: for every patient and visit), e.g. 'discharge>=admission'; 'proposed': what the data suggest."),
    click.option("--task", metavar="TASK", help="Change pictures instead of making them: denoise, super-resolution, deblur, jpeg, restore, low-light, contrast, "
                 "colourise, sketch, inpaint, translate (pairs), unpaired (two sets), domains (several) ...; generate: make new ones, whatever the folders look like. Without it the layout decides, and a note says so."),
    click.option("--patch", type=int, help="Side of the squares that are cut out of pictures for a task."),
    click.option("--only", help="Comma-separated classes to keep."),
    click.option("--holdout", type=float, help="Share of rows kept back for measuring (a tenth; up to a fifth of few)."),
    click.option("--limit", type=int, help="Use at most so many rows."),
    click.option("--window", metavar="CENTRE,WIDTH",
                 help="What medical images show: centre,width, lung, bone, brain, soft, full, or volume (each by its percentiles)."),
    click.option("--axis", type=click.Choice(["axial", "coronal", "sagittal"]), help="How NIfTI volumes are cut (axial)."),
    click.option("--spacing", type=float, metavar="MM", help="Bring the pixels of medical images to so many mm."),
    click.option("--labels-from", metavar="TAG", help="Classes by a DICOM tag, such as Modality or BodyPartExamined."),
)  # fmt: skip


def reading(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options on how data are read."""
    for option in reversed(READING):
        command = option(command)
    return command


def _clip(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[float, float] | None:
    """'.5,99.5': percent of the rows."""
    if value is None:
        return None
    try:
        low, high = (float(part.strip().removesuffix("%")) / 100 for part in value.split(","))
    except ValueError as error:
        raise DataError(f"--clip takes two percentages such as .5,99.5, not {value!r}") from error
    return low, high


DEFENCES: tuple[Decorator, ...] = (
    click.option("--dedupe", is_flag=True, help="Leave out rows that repeat another, or nearly do."),
    click.option("--k-anonymous", type=int, metavar="K",
                 help="Merge levels of a table's columns that fewer than K training rows have."),
    click.option("--quasi", metavar="COLUMNS",
                 help="Comma-separated columns whose combinations are made coarser until K training rows have each."),
    click.option("--clip", callback=_clip, is_flag=False, flag_value=".5,99.5", metavar="LOW,HIGH",
                 help="Bring extreme numbers to these percentiles of the training rows, rounded; .5,99.5 without a value."),
)  # fmt: skip


def defending(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the defences that rows are given before anybody learns from them."""
    for option in reversed(DEFENCES):
        command = option(command)
    return command


def read_options(given: dict[str, Any], seed: int = 0) -> ReadOptions:
    """The ReadOptions of a command's parameters."""

    def words(key: str) -> tuple[str, ...]:
        return tuple(w.strip() for w in (given.get(key) or "").split(",") if w.strip())

    return ReadOptions(
        size=given["size"],
        fit=given["fit"],
        channels=int(given["channels"]) if given["channels"] else None,
        labels=given["labels"],
        group=given["group"],
        columns=words("columns"),
        only=words("only"),
        holdout=given["holdout"],
        limit=given["limit"],
        kind=given["kind"],
        schema=given["schema"],
        constraints=tuple(given["constraints"]),
        key=given["key"],
        time=given["time"],
        window=given["window"],
        axis=given["axis"],
        spacing=given["spacing"],
        labels_from=given["labels_from"],
        task=given["task"],
        patch=given["patch"],
        tokenizer=given["tokenizer"],
        vocabulary=given["vocabulary"],
        tokens=given["tokens"],
        context=given["context"],
        seed=seed,
        dedupe=given.get("dedupe", False),
        k_anonymous=given.get("k_anonymous"),
        quasi=words("quasi"),
        clip=given.get("clip"),
    )


def _finite(value: object) -> object:
    """With None for NaN and the infinities, which JSON does not have."""
    if isinstance(value, Mapping):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def echo_json(value: object, ascii_only: bool = True) -> None:
    """Prints plain values as JSON."""
    click.echo(json.dumps(_finite(value), indent=1, default=str, ensure_ascii=ascii_only, allow_nan=False))


def as_json(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --json: the result as JSON on stdout."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")(command)


def device(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), default="auto",
                        show_default=True, help="Where to compute.")(command)  # fmt: skip


def refuse(why: str, names: Collection[str] = (), but: Collection[str] = ()) -> None:
    """RecipeError that names an option which was typed and has no use: one of `names`, or any but those of `but`."""
    context = click.get_current_context()
    for option in context.command.params:
        if option.name is None or not isinstance(option, click.Option) or context.get_parameter_source(option.name) is not ParameterSource.COMMANDLINE:
            continue
        if option.name in names or (but and option.name not in but):
            raise RecipeError(f"{option.opts[-1]} {why}; leave it out")
