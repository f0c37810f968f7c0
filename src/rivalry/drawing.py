"""Samples as they were asked for: of a class, under conditions, by shares of levels, none of them near a training row."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from rivalry.audit.rejecting import Guard, guarded
from rivalry.data import Modality
from rivalry.data.asking import Asked, asked, asked_of_patients
from rivalry.data.conditions import levels_asked
from rivalry.data.image import ImageModality
from rivalry.data.records import RecordModality
from rivalry.data.table import TableModality
from rivalry.data.text import TextModality
from rivalry.errors import DataError, RecipeError
from rivalry.games import Text
from rivalry.sampling import Sampler, Tick, counting, filled, silent, steered
from rivalry.streams import generator


@dataclass(frozen=True)
class Wish:
    """label: a class for all samples, None for the data's shares.  asked: conditions, constraints and balance of a table's
    rows.  guard: what keeps samples away from training rows."""

    label: int | None = None
    truncation: float = 1.0
    asked: Asked = field(default_factory=Asked)
    guard: Guard | None = None


@dataclass(frozen=True)
class Decoding:
    """How text is drawn token by token: temperature (0: the likeliest), top_p (see `rivalry.nets.language.chosen`), and what
    every text begins with."""

    temperature: float = 1.0
    top_p: float = 1.0
    prompt: str = ""

    def of(self, sampler: Sampler, modality: Modality) -> Sampler:
        """The sampler, drawing so.  RecipeError where it makes no text, DataError for a prompt that is too long."""
        if self == Decoding():
            return sampler
        if not isinstance(modality, TextModality) or not isinstance(sampler.game, Text):
            raise RecipeError("temperature, top-p and a prompt are for runs that make text; leave them out")
        prompt = modality.prompt(self.prompt) if self.prompt else ()
        return replace(sampler, game=replace(sampler.game, temperature=self.temperature, top_p=self.top_p, prompt=prompt))


AS_TRAINED = Decoding()


def text_modality(modality: Modality) -> TextModality:
    """The modality itself; RecipeError where it is none of text."""
    if not isinstance(modality, TextModality):
        raise RecipeError(f"the run was trained on {modality.kind} data and makes no text; ask for `sample`")
    return modality


def write_walk(modality: Modality, x: Tensor, out: Path) -> list[Path]:
    """A walk between latents as a film (.gif), or by the ending of `out`."""
    from rivalry.pictures import film

    if out.suffix.lower() != ".gif":
        return modality.write(x, out)
    if not isinstance(modality, ImageModality):
        raise DataError("a film needs pictures; for points give a .png")
    return [film(modality.shown(x), out)]


def wanted(modality: Modality, where: str = "", balance: str = "") -> Asked:
    """What is asked of rows, in words; DataError where they are no rows of a table, nor patients."""
    if isinstance(modality, TableModality):
        return asked(modality, where, balance)
    if isinstance(modality, RecordModality):
        return asked_of_patients(modality, where, balance)
    if where or balance:
        raise DataError("conditions and balance are for tables and patient records; pictures of one class are chosen with --label")
    return Asked()


def own_form(modality: Modality, x: Tensor) -> Tensor:
    """Samples as `drawn` gives them, in the data's own form: float64 rows of tables and records are."""
    return x if isinstance(modality, TableModality | RecordModality) and x.dtype == torch.float64 else modality.decode(x)


def drawn(
    modality: Modality, sampler: Sampler, n: int, seed: int, wish: Wish, tick: Tick = silent
) -> tuple[Tensor, Tensor | None]:
    """([n, ...] as `modality.write` takes them: raw rows where something is asked of rows or patients, else encoded; labels)."""
    if isinstance(modality, TableModality | RecordModality) and wish.asked:
        return _rows(modality, sampler, n, seed, wish, tick), None
    if wish.truncation != 1 and isinstance(sampler.game, Text):
        raise RecipeError("truncation moves a latent, and text is drawn token by token; use --temperature or --top-p")
    if wish.guard is not None:
        return guarded(counting(sampler, n, tick), wish.guard, n, seed, wish.label, wish.truncation)
    x, labels = counting(sampler, n, tick).draw(n, seed, wish.label, wish.truncation)
    return x.cpu(), labels


def _rows(modality: TableModality | RecordModality, sampler: Sampler, n: int, seed: int, wish: Wish, tick: Tick) -> Tensor:
    """[n, C] raw rows (or records [n, R]) that are wanted; of several groups in random order."""
    if n < 1:
        raise RecipeError(f"the number of samples must be at least 1, not {n}")
    steer, guard = _steered(modality, sampler, wish.asked), wish.guard

    def draw(m: int, s: int) -> Tensor:
        return modality.decode(steer.draw(m, s, wish.label, wish.truncation)[0].cpu())

    def group(raw: Tensor) -> Tensor:
        found = wish.asked.group(raw)
        return found if guard is None else torch.where(guard.keep_raw(raw), found, -1)

    rows = filled(draw, group, wish.asked.counts(n), seed, tick)
    if wish.asked.balance is None:
        return rows
    return rows[torch.randperm(n, generator=generator(torch.device("cpu"), seed, "balance"))]


def _steered(modality: TableModality | RecordModality, sampler: Sampler, what: Asked) -> Sampler:
    """Asks for a wanted level, where the game can be asked and columns are encoded as they are."""
    if not isinstance(modality, TableModality) or modality.plan is not None:
        return sampler
    return steered(sampler, modality.blocks, levels_asked(what.conditions, modality.learned))
