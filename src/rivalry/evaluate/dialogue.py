"""The judge of runs that reply: on held-out conversations, each interval by drawing conversations anew."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rivalry.data.base import Dataset
from rivalry.data.dialogue import DialogueModality
from rivalry.data.text_tokens import words_of
from rivalry.errors import RecipeError
from rivalry.evaluate import fresh
from rivalry.evaluate.features import Draw
from rivalry.evaluate.found import Reading
from rivalry.evaluate.judge import Judge, Looks
from rivalry.evaluate.rulers import METRICS, Ruler, Score
from rivalry.evaluate.scores import Scores
from rivalry.evaluate.target import Target
from rivalry.evaluate.text import jackknifed
from rivalry.extractors.sentences import LocalSentences
from rivalry.games.reply import Reply, judge_of_replies, judgeable, rating, reply_model, trimmed_left
from rivalry.games.text import trimmed
from rivalry.sampling import Sampler, picked
from rivalry.stats import ngrams
from rivalry.stats.clusters import bootstrap_ratio
from rivalry.stats.ngrams import Floats, Ints, Sentences
from rivalry.streams import key
from rivalry.types import PAD

LOOKS = Looks(gate=256, verdict=6000)
CANDIDATES = 10
RANKED = 1500
"""Contexts at most that candidates are ranked for."""
ROWS_READ = 60_000
ROWS = 64
"""Contexts at a time while ranking."""
HITS = {"hits1": 1, "hits3": 3, "hits1-critic": 1, "hits3-critic": 3}
"""Among how many of the best the true reply must be."""
LIKELY = ("perplexity", *HITS)
SPOKEN = ("distinct1", "distinct", "repetition", "length")
JUDGED = ("adversuc",)
ENOUGH = 5 * fresh.LEAST // 2
"""Held-out replies below which no judge can be trained afresh."""


@dataclass(frozen=True, eq=False)
class Asked:
    """N held-out rows: x [N, C + R], talk [N] the conversation of each, contexts and human replies in words."""

    x: Tensor
    talk: Ints
    contexts: list[str]
    human: list[str]

    def __len__(self) -> int:
        return len(self.human)


class DialogueJudge(Judge):
    """What it asks is the same for every run on the same data: the same held-out contexts, the same candidates, the same splits.

    Likelihood and ranks are measured where samples come from a Sampler, whose networks can be asked; all else of replies alone."""

    def __init__(
        self, dataset: Dataset, judged: bool, target: Target | None = None, seed: int = 0, device: torch.device | None = None,
        looks: Looks | None = None,
    ) -> None:  # fmt: skip
        """judged: whether there is a discriminator, whose ranks then keep the best checkpoint; else perplexity does."""
        if not isinstance(dataset.modality, DialogueModality):
            raise RecipeError(f"replies are measured on conversations, and {dataset.name} holds none")
        self.modality, self.judged = dataset.modality, judged
        super().__init__(dataset, _Words(), target, seed, device, looks or LOOKS, "hits1-critic" if judged else "perplexity")

    def known(self) -> tuple[str, ...]:
        own = LIKELY if self.judged else LIKELY[:3]
        learns = fresh.halves(self.asked(min(self.looks.verdict, len(self.dataset.held))).talk)
        enough = min(learns.sum(), (~learns).sum()) >= ENOUGH
        return (*own, *(JUDGED if enough else ()), *SPOKEN)

    def gate(self, draw_samples: Draw, step: int) -> Scores:
        n = min(self.looks.gate, len(self.dataset.held))
        return self._measured(draw_samples, n, (*LIKELY, *SPOKEN))

    def final(self, draw_samples: Draw, step: int, turn: int = 0, metrics: tuple[str, ...] | None = None) -> Scores:
        n = min(self.looks.verdict, len(self.dataset.held))
        return self._measured(draw_samples, n, metrics or self.known(), key(self.seed, "verdict", step, turn))

    @cached_property
    def _asked(self) -> dict[int, Asked]:
        return {}

    def asked(self, n: int) -> Asked:
        """The rows that `draw_samples` replies to where it is asked for n (see `rivalry.sampling.picked`)."""
        if n not in self._asked:
            batch = self.dataset.held.batch(picked(len(self.dataset.held), n, PLACE), torch.device("cpu"))
            contexts = [" ".join(text for _, text in turns) for turns in self.modality.turns(batch.x)]
            self._asked[n] = Asked(batch.x, batch.extra["talk"].numpy().astype(np.int64), contexts, self.modality.texts(batch.x))
        return self._asked[n]

    def _measured(self, draw_samples: Draw, n: int, metrics: tuple[str, ...], seed: int = 0) -> Scores:
        asked, sampler = self.asked(n), draw_samples if isinstance(draw_samples, Sampler) else None
        found, details = dict[str, Reading](), dict[str, Any]()
        if sampler is not None and set(metrics) & set(LIKELY):
            found["perplexity"] = likelihood(sampler, asked)
            found |= {m: share(v, asked.talk[: len(v)], HITS[m] / CANDIDATES) for m, v in ranked(sampler, asked).items()}
        if set(metrics) & {*SPOKEN, *JUDGED}:
            made = self.modality.texts(draw_samples(n, PLACE))
            found |= spoken(made, asked)
            if set(metrics) & set(JUDGED):
                found["adversuc"] = success(made, asked, seed, self.space)
                details["judge"] = self.controls(n)
        ruled = {m: Score(self._ruler(m, n, sampler), r.value, r.low, r.high, r.floor) for m, r in found.items()}
        return Scores({m: ruled[m] for m in METRICS if m in ruled and m in metrics}, details)

    def controls(self, n: int) -> Mapping[str, float]:
        """What the judge of AdverSuc does where the answer is known; see `rivalry.evaluate.fresh.controls`."""
        if n not in self._controls:
            asked = self.asked(n)
            self._controls[n] = fresh.controls(asked.contexts, asked.human, asked.talk, space=self.space)
        return self._controls[n]

    @cached_property
    def space(self) -> LocalSentences:
        """Which words go together in training conversations, the first ROWS_READ replies: what the judge of AdverSuc is told."""
        parts = [self.dataset.train.batch(p, torch.device("cpu")) for p in torch.arange(min(len(self.dataset.train), ROWS_READ)).split(4096)]
        talk = torch.cat([p.extra["talk"] for p in parts])
        lines = [line for p in parts for line in self.modality.texts(p.x)]
        told: dict[int, list[str]] = {}
        for number, line in zip(talk.tolist(), lines, strict=True):
            told.setdefault(number, []).append(line)
        return LocalSentences.fit([words_of(" ".join(said).lower()) for said in told.values()])

    @cached_property
    def _controls(self) -> dict[int, dict[str, float]]:
        return {}

    def _ruler(self, metric: str, n: int, sampler: Sampler | None) -> Ruler:
        game = sampler.game if sampler is not None else None
        drawing = f"temperature {game.temperature:g}, top-p {game.top_p:g}, best of {game.candidates}" if isinstance(game, Reply) else "none"
        if metric in LIKELY:
            return Ruler(metric, "tokens", _sha(self.modality), "none", min(n, RANKED) if metric != "perplexity" else n, n, "held-out", self.dataset.fingerprint)
        return Ruler(metric, "words", "identity", drawing, n, n, "held-out", self.dataset.fingerprint)


PLACE = key("dialogue", 0)


@dataclass(frozen=True)
class _Words:
    """Stands where a feature space is asked for: replies are measured as they are."""

    name: str = "words"
    sha: str = "identity"
    resize: str = "none"

    def __call__(self, x: Tensor) -> Tensor:
        return x.float()


def _sha(modality: DialogueModality) -> str:
    return hashlib.sha256(repr(modality.state()).encode()).hexdigest()


def nats(sampler: Sampler, asked: Asked) -> tuple[Floats, Floats]:
    """Of each human reply: (-log p in nats, tokens [N]), its end counted and padding not."""
    found = sampler.surprise(asked.x)
    assert found is not None
    counts: Floats = (asked.x[:, places_of(sampler) :] != PAD).sum(1).double().numpy()
    sums: Floats = found.double().sum(1).cpu().numpy()
    return sums, counts


def likelihood(sampler: Sampler, asked: Asked) -> Reading:
    """Perplexity per token of human replies."""
    found = bootstrap_ratio(*nats(sampler, asked), asked.talk)
    return Reading(*(math.exp(v) for v in (found.value, found.low, found.high)))


def places_of(sampler: Sampler) -> int:
    """Places of a context."""
    if not isinstance(sampler.game, Reply):
        raise RecipeError("only runs that reply can be asked how likely replies are")
    return reply_model(sampler.nets).context


@torch.inference_mode()
def ranked(sampler: Sampler, asked: Asked, most: int = RANKED) -> dict[str, Floats]:
    """Hits@1 and 3 of each of the first `most` rows: whether, of the human reply and nine human replies to other held-out contexts, the right one is rated best, or among the
    best three: by the mean of log p of its tokens and, where there is one, by the discriminator.  Ties count by chance, so that who ignores the context gets a tenth."""
    places = places_of(sampler)
    n = min(len(asked), most)
    other = candidates(asked.talk, n)
    context, replies = asked.x[:, :places], asked.x[:, places:]
    hits = {name: list[Floats]() for name in HITS if "discriminator" in sampler.nets or not name.endswith("-critic")}
    for part in torch.arange(n).split(ROWS):
        offered = torch.cat([part[:, None], other[part]], 1).flatten()
        whose = torch.arange(len(offered), device=sampler.device) // CANDIDATES
        tokens = trimmed(replies[offered].to(sampler.device))
        heard = trimmed_left(context[part].to(sampler.device))
        shown = judgeable(sampler.nets, heard, tokens, whose)
        mask = (tokens != PAD).float()
        ratings = {"": -(shown[1][..., -1] * mask).sum(1) / mask.sum(1)}
        if "discriminator" in sampler.nets:
            ratings["-critic"] = rating(judge_of_replies(sampler.nets), *shown)
        for name in hits:
            hits[name].append(_among(ratings[name[len("hits1") :]], HITS[name]))
    return {name: np.concatenate(parts) for name, parts in hits.items()}


def candidates(talk: Ints, n: int) -> Tensor:
    """[n, CANDIDATES - 1] rows of other conversations for each of the first n rows, the same for every run."""
    rng = np.random.default_rng(key("candidates") % (1 << 32))
    out = rng.integers(len(talk), size=(n, CANDIDATES - 1))
    for _ in range(100):
        own = talk[out] == talk[:n, None]
        if not own.any():
            break
        out[own] = rng.integers(len(talk), size=int(own.sum()))
    return torch.from_numpy(out)


def _among(rating: Tensor, best: int) -> Floats:
    """[n CANDIDATES] ratings, the right one first of each -> [n]: 1 where it is among the `best`, and where it is rated as others are, the chance that it is."""
    rated = rating.view(-1, CANDIDATES)
    better, alike = ((f(rated, rated[:, :1])).sum(1).double() for f in (torch.gt, torch.eq))
    found: Floats = ((best - better) / alike).clamp(0, 1).cpu().numpy()
    return found


def share(values: Floats, talk: Ints, floor: float | None = None) -> Reading:
    """The mean with an interval over conversations."""
    found = bootstrap_ratio(values, np.ones(len(values)), talk)
    return Reading(found.value, found.low, found.high, floor)


def spoken(made: list[str], asked: Asked) -> dict[str, Reading]:
    """Variety, repetition and length of replies; the floor is what people's replies to the same contexts have."""
    numbers: dict[str, int] = {}
    own, human = (Sentences.of([[numbers.setdefault(w, len(numbers)) for w in words_of(t)] for t in side]) for side in (made, asked.human))
    found = {name: _distinct(own, human, n) for name, n in (("distinct1", 1), ("distinct", 2))}
    again = [ngrams.repetition(side) for side in (own, human)]
    found["repetition"] = share(again[0], asked.talk, float(again[1].mean()))
    gap = jackknifed(len(own), ngrams.length_gap(own, human), lambda index: ngrams.length_gap(own.take(index), human))
    found["length"] = gap
    return found


def _distinct(own: Sentences, human: Sentences, n: int) -> Reading:
    return jackknifed(len(own), ngrams.distinct(own, n), lambda index: ngrams.distinct(own.take(index), n), ngrams.distinct(human, n))


def success(made: list[str], asked: Asked, seed: int, space: fresh.Space | None = None) -> Reading:
    """AdverSuc: 1 less the accuracy of a judge trained afresh; .5 where it cannot tell, 0 where it always can."""
    verdict = fresh.examined(asked.contexts, asked.human, made, asked.talk, seed % (1 << 31), space)
    return share(1 - verdict.right, verdict.talk, 0.5)
