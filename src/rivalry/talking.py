"""Talking with a run: replies to what was said, the best rated of several candidates."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from rivalry.data import Modality
from rivalry.data.dialogue import DialogueModality
from rivalry.data.talks import joined, turns_in
from rivalry.data.text_files import clean, every_line
from rivalry.errors import DataError, RecipeError
from rivalry.files import not_over, write_text
from rivalry.games.reply import Reply, reply_model, trimmed_left
from rivalry.games.text import trimmed
from rivalry.modes import evaluating
from rivalry.privacy.quota import spend
from rivalry.run import Run
from rivalry.sampling import Sampler, Tick, silent
from rivalry.streams import Draw

AT_ONCE = 32
"""Contexts of a file that are replied to at a time."""
MOST = 64
"""Candidates at most."""


@dataclass(frozen=True)
class Talking:
    """How replies are drawn.  candidates: so many are drawn and the best rated is given; None: 10 where there is a discriminator to
    rate them, else 1 (likelihood alone would pick what fits everywhere).  temperature, top_p: as for text.  seed: the same seed and
    the same history give the same reply; of a file's contexts, at the same place in the file.  RecipeError for what makes no sense."""

    candidates: int | None = None
    temperature: float = 0.8
    top_p: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if self.candidates is not None and not 1 <= self.candidates <= MOST:
            raise RecipeError(f"candidates must be between 1 and {MOST}, not {self.candidates}")


@dataclass(frozen=True)
class Answer:
    """The reply that is given, and all candidates with their ratings, the best first."""

    text: str
    candidates: tuple[tuple[str, float], ...]


@dataclass(frozen=True, eq=False)
class Talker:
    """Who replies.  nets, game: of the run.  spend: told how many replies are about to be handed out."""

    game: Reply
    nets: Mapping[str, nn.Module]
    modality: DialogueModality
    device: torch.device
    talking: Talking
    spend: Callable[[int], None] = lambda n: None

    @property
    def each(self) -> int:
        usual = 10 if "discriminator" in self.nets else 1
        return self.talking.candidates or usual

    def answer(self, history: Sequence[str]) -> Answer:
        """To one who spoke last in `history`, the oldest turn first, speakers in turns.  DataError where nothing was said."""
        return self.answers([history])[0]

    def answers(self, histories: Sequence[Sequence[str]], tick: Tick = silent) -> list[Answer]:
        """To each of several histories."""
        contexts = self.modality.contexts(histories)
        game = replace(self.game, temperature=self.talking.temperature, top_p=self.talking.top_p)  # refuses what makes no sense before it counts
        self.spend(len(histories))
        found: list[Answer] = []
        with torch.inference_mode(), evaluating(*self.nets.values()):
            for i in range(0, len(histories), AT_ONCE):
                part = contexts[i : i + AT_ONCE].to(self.device)
                found += self._answers(game, part, Draw(self.talking.seed, ("talk", len(histories[i]), i), self.device))
                tick("replying", min(1.0, (i + AT_ONCE) / len(histories)))
        return found

    def _answers(self, game: Reply, contexts: Tensor, draw: Draw) -> list[Answer]:
        heard, k = trimmed_left(contexts), self.each
        tokens = trimmed(game.drawn(reply_model(self.nets), heard, draw, k))
        whose = torch.arange(len(tokens), device=self.device) // k
        rating = game.rated(self.nets, heard, tokens, whose).cpu().tolist()
        texts = self.modality.texts(tokens)
        return [_best(list(zip(texts[i : i + k], rating[i : i + k], strict=True))) for i in range(0, len(texts), k)]


def _best(rated: list[tuple[str, float]]) -> Answer:
    """One that says something goes before one that says nothing; the same reply twice is one candidate."""
    ordered = sorted(dict(rated).items(), key=lambda pair: (not pair[0], -pair[1]))
    return Answer(ordered[0][0], tuple(ordered))


def talker_of(run: Run, modality: Modality, sampler: Sampler, talking: Talking | None = None) -> Talker:
    """RecipeError for a run that was not trained on conversations."""
    if not isinstance(sampler.game, Reply) or not isinstance(modality, DialogueModality):
        raise RecipeError(f"{run.name} was trained on {modality.kind} data and does not reply; train on conversations (docs/dialogue.md)")
    return Talker(sampler.game, sampler.nets, modality, sampler.device, talking or Talking(), lambda n: spend(run, n))


@dataclass
class Conversation:
    """What was said so far, and who replies."""

    who: Talker
    history: list[str] = field(default_factory=list)

    def say(self, line: str) -> str | None:
        """The reply to a line, which both then stand in the history; None where the line says nothing."""
        said = clean(line)
        if not said:
            return None
        answer = self.who.answer([*self.history, said])
        self.history += [said, answer.text]
        return answer.text

    def reset(self) -> None:
        self.history.clear()


def contexts_of(path: Path) -> list[list[str]]:
    """What a file asks to be replied to: .jsonl, a list of turns a line (or an object with one); else text, a context a line, its turns
    parted by tabs.  DataError for what cannot be read and for empty files."""
    found: list[list[str]] = []
    for number, line in enumerate(every_line(path), 1):
        if not line.strip():
            continue
        turns = _json_turns(line, f"{path}, line {number}") if path.suffix.lower() in (".jsonl", ".ndjson") else line.split("\t")
        found.append([t for t in map(clean, turns) if t])
        if not found[-1]:
            raise DataError(f"{path}, line {number} says nothing, so there is nothing to reply to; leave it out")
    if not found:
        raise DataError(f"{path} is empty; put what is to be replied to into it, a context in each line")
    return found


def _json_turns(line: str, where: str) -> list[str]:
    try:
        turns = joined(turns_in(json.loads(line)))
    except ValueError as error:
        raise DataError(f"{where}: {error}; each line must hold a list of turns") from error
    return [text for _, text in turns]


def reply_to_file(who: Talker, source: Path, out: Path, tick: Tick = silent) -> int:
    """Replies to all contexts of `source` into `out`: .txt (a reply a line) or .jsonl (turns, reply, candidates).  Returns how many."""
    ending = out.suffix.lower()
    not_over(source, out, "replied to")
    if ending not in (".txt", ".jsonl"):
        raise DataError(f"replies cannot be written as {out.name}; name a file ending in .txt or .jsonl")
    histories = contexts_of(source)
    answers = who.answers(histories, tick)
    if ending == ".txt":
        write_text(out, "".join(f"{a.text}\n" for a in answers))
    else:
        rows = (
            {"turns": turns, "reply": a.text, "candidates": [{"text": t, "rating": round(r, 4)} for t, r in a.candidates]}
            for turns, a in zip(histories, answers, strict=True)
        )
        write_text(out, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return len(answers)
