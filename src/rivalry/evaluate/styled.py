"""The judge of runs that rewrite texts: is it the style wanted, and what is left of what was put in?  Beside copying the input."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rivalry import stats
from rivalry.data.base import Dataset
from rivalry.data.text import TextModality
from rivalry.errors import RecipeError
from rivalry.evaluate.extractor import Pixels
from rivalry.evaluate.features import Draw
from rivalry.evaluate.found import Reading
from rivalry.evaluate.judge import Judge, Looks
from rivalry.evaluate.rulers import CONFIDENCE, METRICS, Ruler, Score
from rivalry.evaluate.scores import Scores
from rivalry.evaluate.style_ruler import StyleRuler, ruler_of
from rivalry.evaluate.target import Target
from rivalry.evaluate.text import jackknifed
from rivalry.games.restyle import restyled
from rivalry.sampling import Sampler, picked
from rivalry.stats.ngrams import Ints
from rivalry.stats.translation import chrf, geometric_mean, version
from rivalry.streams import key

STYLED = ("transfer", "style", "kept", "kept-chrf", "style-perplexity")
LOOKS = Looks(gate=1000, verdict=4000, confirm=1)


@dataclass(frozen=True, eq=False)
class Rewritten:
    """Lines as they are, what was made of them, the styles wanted [n]."""

    source: list[str]
    lines: list[str]
    wanted: Tensor


class StyledJudge(Judge):
    """Rewrites held-out lines in another style, the same lines in the same styles at every look.

    The best checkpoint is that of the best `transfer`.  judging: the seed of the classifier, the same for all runs.  details: what copying the input scores
    ('untouched'), and the classifier's own accuracy.
    """

    def __init__(
        self, dataset: Dataset, target: Target | None = None, seed: int = 0, device: torch.device | None = None, looks: Looks | None = None,
        judging: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(dataset, Pixels(), target, seed, device, looks or LOOKS, "transfer")
        self.judging = judging

    def known(self) -> tuple[str, ...]:
        return STYLED

    @cached_property
    def ruler(self) -> StyleRuler:
        return ruler_of(self.dataset, self.judging)

    @cached_property
    def _untouched(self) -> dict[int, dict[str, float]]:
        """What copying so many lines scores: the same at every look."""
        return {}

    def gate(self, draw_samples: Draw, step: int) -> Scores:
        return self.scored(self.rewritten(draw_samples, self.looks.gate))

    def final(self, draw_samples: Draw, step: int, turn: int = 0, metrics: tuple[str, ...] | None = None) -> Scores:
        return self.scored(self.rewritten(draw_samples, self.looks.verdict))

    def passes(self, scores: Scores) -> bool:
        return self.target is not None and not self.target.missed(scores)

    def rewritten(self, sampler: Draw, most: int) -> Rewritten:
        """Held-out lines, each in another style, the same at every call."""
        modality, held = self.dataset.modality, self.dataset.held
        if not isinstance(sampler, Sampler) or not isinstance(modality, TextModality) or held.labels is None:
            raise RecipeError("rewritten texts are measured of runs that rewrite texts; train one on texts of two styles or more")
        index = picked(len(held), min(most, len(held)), key("styled", 0))
        styles = self.dataset.spec.classes
        wanted = (held.labels[index] + 1 + index % (styles - 1)) % styles
        tokens = held.raw(index)
        made = restyled(sampler.game, sampler.nets, tokens.to(sampler.device), wanted.to(sampler.device)).cpu()
        return Rewritten(modality.texts(tokens), modality.texts(made), wanted)

    def scored(self, told: Rewritten) -> Scores:
        """The scores of lines that `rewritten` gave."""
        n = len(told.lines)
        found = {m: self._score(m, r, n) for m, r in _readings(self.ruler, told).items()}
        if n not in self._untouched:
            self._untouched[n] = self.ruler.measured(told.source, told.source, told.wanted)
        details: dict[str, Any] = {"untouched": self._untouched[n], "classifier": self.ruler.accuracy}
        return Scores({m: found[m] for m in METRICS if m in found}, {"styled": details})

    def _score(self, name: str, reading: Reading, n: int) -> Score:
        space, sha = {
            "style": ("words and pairs", self.ruler.classifier.sha),
            "transfer": ("words and pairs", f"{self.ruler.classifier.sha}, sacrebleu {version()}"),
            "style-perplexity": ("n-grams", "Witten-Bell"),
        }.get(name, ("sacrebleu", version()))
        ruler = Ruler(name, space, sha, self.ruler.tokenizer, n, n, "held-out", self.dataset.fingerprint)
        return Score(ruler, reading.value, reading.low, reading.high, reading.floor)


def _readings(ruler: StyleRuler, told: Rewritten) -> dict[str, Reading]:
    """All measures with their intervals; sentences are what scatters."""
    lines, source, wanted = told.lines, told.source, told.wanted
    n, hits = len(lines), ruler.hits(lines, wanted)
    share = stats.wilson(float(hits.sum()), n, CONFIDENCE)
    style = Reading(100 * share.value, 100 * share.low, 100 * share.high, ruler.accuracy)
    everything = np.arange(n)
    kept = _remembered(lambda index: _of(ruler.bleu, lines, source, index))  # for itself and within `transfer`
    sums, counts = ruler.surprise(lines, wanted)

    def perplexity(index: Ints) -> float:
        return math.exp(float(sums[index].sum() / counts[index].sum()))

    def both(index: Ints) -> float:
        return geometric_mean(100 * float(hits[torch.from_numpy(index)].mean()), kept(index))

    return {
        "transfer": jackknifed(n, both(everything), both),
        "style": style,
        "kept": jackknifed(n, kept(everything), kept),
        "kept-chrf": jackknifed(n, chrf(lines, source), lambda index: _of(chrf, lines, source, index)),
        "style-perplexity": jackknifed(n, perplexity(everything), perplexity, ruler.perplexity),
    }


def _of(how: Callable[..., float], lines: Sequence[str], source: Sequence[str], index: Ints) -> float:
    return how([lines[i] for i in index], [source[i] for i in index])


def _remembered(how: Callable[[Ints], float]) -> Callable[[Ints], float]:
    known: dict[bytes, float] = {}

    def of(index: Ints) -> float:
        place = index.tobytes()
        if place not in known:
            known[place] = how(index)
        return known[place]

    return of
