"""Puts a run that rewrites texts to use: lines in, lines of another style out."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import torch

from rivalry.data import Dataset, restore
from rivalry.data.text import TextModality
from rivalry.data.text_files import clean, every_line
from rivalry.data.text_tokens import SPECIALS
from rivalry.data.words import count, some
from rivalry.errors import DataError, RecipeError, UnknownName
from rivalry.evaluate import Looks, Scores
from rivalry.files import not_over, write_text
from rivalry.games.restyle import Restyling, restyled
from rivalry.run import Run as Folder
from rivalry.sampling import sampler_of
from rivalry.stats.translation import chrf
from rivalry.training.engine import Engine
from rivalry.training.session import reload_data
from rivalry.types import UNKNOWN


class Trained(Protocol):
    """What `rivalry.load` gives."""

    @property
    def folder(self) -> Folder: ...


SHOWN, WORST = 24, 1000
LONGEST = 10_000_000
"""Bytes of a file of lines at most."""


@dataclass(frozen=True)
class Restyled:
    """What was done to a file."""

    lines: int
    style: str
    out: Path

    def text(self) -> str:
        return f"{count(self.lines, 'line')} rewritten as {self.style!r} in {self.out}"


@dataclass(frozen=True)
class Stylist:
    """The network of a run with what words need.  strength: None for as much as each line needs.  RecipeError for runs that rewrite no texts."""

    folder: Folder
    which: str = "best"
    device: str = "auto"
    strength: float | None = None

    def __post_init__(self) -> None:
        self.game  # noqa: B018 - checked before anything is read

    @property
    def game(self) -> Restyling:
        """The run's game, changing as much as is asked for."""
        game = self.folder.recipe.game
        if not isinstance(game, Restyling):
            raise RecipeError(
                f"{self.folder.name} rewrites no texts, so it has no styles; --style is for runs on texts in two styles or more"
            )
        return replace(game, strength=self.strength)

    @property
    def styles(self) -> tuple[str, ...]:
        return self.folder.spec.class_names

    @property
    def modality(self) -> TextModality:
        data = self.folder.settings["data"]
        found = restore(data["kind"], data["state"])
        assert isinstance(found, TextModality)
        return found

    def number(self, style: str) -> int:
        """Of a style by its name, in any case; UnknownName with the nearest one."""
        known = {name.casefold(): i for i, name in enumerate(self.styles)}
        if style.casefold() not in known:
            raise UnknownName("style", style, self.styles)
        return known[style.casefold()]

    def rewrite(self, lines: Sequence[str], style: str) -> list[str]:
        """The lines in that style, blank ones as they are; one that is longer than any the run learned from goes piece by piece."""
        number, modality, engine = self.number(style), self.modality, Engine(self.device)
        most = modality.length - 1  # the end needs a place

        def tokens(text: str) -> int:
            return len(modality.coder.encode([text.rstrip()])[0])

        if self.strength == 0:
            return list(lines)
        spelled = [clean(line) for line in lines]
        lengths = [len(coded) for coded in modality.coder.encode(spelled)]
        parts = [(i, part) for i, line in enumerate(spelled) for part in (pieces(line, tokens, most) if lengths[i] > most else [line]) if part]
        out: list[list[str]] = [[] for _ in spelled]
        if parts:
            x = modality.tokens([part.rstrip() for _, part in parts]).to(engine.device)
            nets = self.folder.networks(self.which, engine.device)
            made = restyled(self.game, nets, x, torch.full((len(x),), number, device=engine.device))
            for (i, part), line in zip(parts, modality.texts(made), strict=True):
                out[i].append(named(line, modality.coder.unknown(part)) + part[len(part.rstrip()) :])
        return ["".join(line) for line in out]

    def rewrite_file(self, source: Path, style: str, out: Path) -> Restyled:
        """A line for each line of a text file.  DataError where it cannot be read, or is not to be written."""
        self.number(style)
        not_over(source, out, "rewritten")
        if out.suffix.lower() != ".txt":
            raise DataError(f"rewritten lines go into a text file, not {out.name}; name one ending in .txt")
        lines = lines_of(source)
        made = self.rewrite(lines, style)
        write_text(out, "".join(f"{line}\n" for line in made))
        return Restyled(len(made), self.styles[self.number(style)], out)


def named(line: str, unknown: Sequence[str]) -> str:
    """The line with the words that the tokenizer did not know put back, in their order; networks keep their places or drop them."""
    words = iter(unknown)
    return re.sub(re.escape(SPECIALS[UNKNOWN]), lambda found: next(words, found[0]), line)


CLAUSE = re.compile(r".+?(?:[.,;:!?]\s+|[。，、；：！？…]\s*|$)")


def pieces(line: str, tokens: Callable[[str], int], most: int) -> list[str]:
    """The line in pieces of at most so many tokens, which make it up again when put together: at punctuation, between words where there
    is none, and within words that are too long by themselves."""
    found = [""]
    for clause in CLAUSE.findall(line):
        for part in [clause] if tokens(clause) <= most else [w for word in re.findall(r"\S+\s*", clause) for w in _cut(word, tokens, most)]:
            if found[-1] and tokens(found[-1] + part) > most:
                found.append("")
            found[-1] += part
    return found


def _cut(word: str, tokens: Callable[[str], int], most: int) -> Iterator[str]:
    """A word in parts of at most so many tokens, a character at least."""
    while tokens(word) > most and len(word) > 1:
        at = max(1, bisect_right(range(1, len(word)), most, key=lambda n: tokens(word[:n])))
        yield word[:at]
        word = word[at:]
    yield word


def lines_of(source: Path) -> list[str]:
    """All lines of a text file, empty ones too, so that lines of both files agree."""
    if source.is_file() and source.stat().st_size > LONGEST:
        raise DataError(f"{source} is no text file of lines; name one with a sentence in each line")
    lines = every_line(source)
    if not any(line.strip() for line in lines):
        raise DataError(f"{source} holds no line of text; name a file with a sentence in each line")
    return lines


def restyle(
    run: Trained, lines: Sequence[str], style: str, *, strength: float | None = None, which: str = "best", device: str = "auto"
) -> list[str]:
    """Each line rewritten in the style, by a run trained on texts in that and other styles.  strength: None for as much as each line needs to be
    in the style; or the same for all, from 0, which changes nothing, over 1, as trained, to 2, of runs that edit.

    >>> restyle(rivalry.load("mood"), ["the food was cold"], "positive")  # doctest: +SKIP
    """
    if isinstance(lines, str):
        raise DataError("restyle takes a list of lines; put the one there is into a list")
    return Stylist(run.folder, which, device, strength).rewrite(lines, style)


def needed(folder: Folder) -> DataError:
    """What to say where a run that rewrites texts was not told the style."""
    return DataError(f"{folder.name} rewrites texts; say in which style with --style, one of {some(folder.spec.class_names, 20)}")


Example = tuple[str, str, str]
"""(the style wanted, the line, what was made of it)."""


@dataclass(frozen=True)
class Measured:
    """What a run scores on held-out lines; copied: what copying the input scores; accuracy: the classifier's own, in percent.

    examples: lines at random; missed: those that the classifier did not take for the style wanted; changed: those of which least is
    left (by chrF).  They quote the user's own held-out lines."""

    scores: Scores
    copied: Mapping[str, float]
    accuracy: float
    examples: tuple[Example, ...]
    missed: tuple[Example, ...]
    changed: tuple[Example, ...]

    def shown(self, most: int) -> dict[str, tuple[Example, ...]]:
        """Under titles for people."""
        titles = ("at random", "style missed", "least of the input left")
        return {t: part[:most] for t, part in zip(titles, (self.examples, self.missed, self.changed), strict=True) if part}

    def as_dict(self) -> dict[str, object]:
        return {
            **self.scores.as_dict(), "copied": dict(self.copied), "classifier": self.accuracy,
            "examples": [list(e) for e in self.examples], "missed": [list(e) for e in self.missed], "changed": [list(e) for e in self.changed],
        }  # fmt: skip


def measured(
    run: Trained, n: int | None = None, *, which: str = "best", seed: int = 1, device: str = "auto", data: Dataset | None = None
) -> Measured:
    """Rewrites held-out lines (n of them, 4,000 at most without it), each as much as it needs, as `restyle` does, and measures.  seed: of the classifier; the one that chose the
    checkpoint had 0."""
    from rivalry.evaluate.styled import LOOKS, StyledJudge

    folder, engine = run.folder, Engine(device)
    dataset = data if data is not None else reload_data(folder)
    looks = LOOKS if n is None else Looks(max(4, min(n, LOOKS.gate)), max(n, 4))
    judge = StyledJudge(dataset, None, seed, engine.device, looks, judging=seed)
    game, nets = Stylist(folder).game, folder.networks(which, engine.device)
    sampler = sampler_of(game, game.wiring(folder.spec), nets, engine.device, dataset)
    told = judge.rewritten(sampler, judge.looks.verdict)
    found, source, lines, wanted = judge.scored(told), told.source, told.lines, told.wanted
    hits, kept = judge.ruler.hits(lines, wanted).bool().tolist(), [chrf([a], [b]) for a, b in zip(lines[:WORST], source[:WORST], strict=True)]
    pairs = [(dataset.spec.class_names[w], a, b) for w, a, b in zip(wanted.tolist(), source, lines, strict=True)]
    details = found.details["styled"]
    return Measured(
        found, details["untouched"], details["classifier"], tuple(pairs[:SHOWN]), tuple(p for p, hit in zip(pairs, hits, strict=True) if not hit)[:SHOWN],
        tuple(pairs[i] for i in sorted(range(len(kept)), key=kept.__getitem__)[:SHOWN]),
    )  # fmt: skip
