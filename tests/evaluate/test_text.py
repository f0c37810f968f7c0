"""Rulers of text see through a model that has collapsed, one that is noisy, and one that copies."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from data.prose import lines, sentence
from rivalry import zoo
from rivalry.data import Dataset, ReadOptions, load
from rivalry.data.text import TextModality
from rivalry.errors import WeightsError
from rivalry.evaluate import Judge, Looks, Scores, choose_extractor, judge_of
from rivalry.evaluate.text import jackknifed, mean_reading, ratio_reading
from rivalry.evaluate.text_space import TextSpace
from rivalry.stats.ngrams import Sentences

N = 400


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    path = tmp_path_factory.mktemp("prose") / "lines.txt"
    path.write_text("\n".join(lines(3000)))
    return load(path, options=ReadOptions(holdout=0.2, tokens=40, vocabulary=600))


@pytest.fixture(scope="module")
def judge(data: Dataset) -> Judge:
    return Judge(data, choose_extractor(data), None, 0, looks=Looks(gate=N, verdict=N))


def drawn(data: Dataset, make: Callable[[random.Random], str]) -> Callable[[int, int], Tensor]:
    assert isinstance(data.modality, TextModality)
    modality = data.modality
    return lambda n, seed: modality.tokens([make(draw) for draw in [random.Random(seed)] for _ in range(n)])


def noisy(draw: random.Random) -> str:
    words = sentence(draw).split()
    for i in range(len(words)):
        if draw.random() < 0.3:
            words[i] = draw.choice(("the", "mill", "sees", "old", "by"))
    return " ".join(words)


@pytest.fixture(scope="module")
def models(data: Dataset, judge: Judge) -> dict[str, Scores]:
    few = lines(3, seed=9)
    train = data.modality.texts(data.train.raw(torch.arange(len(data.train))))  # type: ignore[attr-defined]
    makers: dict[str, Callable[[random.Random], str]] = {
        "good": sentence,
        "collapsed": lambda draw: draw.choice(few),
        "noisy": noisy,
        "copying": lambda draw: draw.choice(train),
    }
    return {name: judge.final(drawn(data, make), 0) for name, make in makers.items()}


def test_a_good_model_is_near_every_floor(models: dict[str, Scores]) -> None:
    for name in ("lm", "lm-held", "reverse", "bleu4", "selfbleu4", "distinct", "frontier"):
        score = models["good"][name]
        assert score.floor is not None
        assert score.value == pytest.approx(score.floor, rel=0.12), name
        assert score.low <= score.value <= score.high
    assert models["good"]["verbatim"].value < 0.2


def test_a_collapsed_model_writes_well_and_always_the_same(models: dict[str, Scores]) -> None:
    good, bad = models["good"], models["collapsed"]
    assert bad["selfbleu4"].value > 0.99 > good["selfbleu4"].high
    assert bad["reverse"].low > good["reverse"].high + 0.3
    assert bad["distinct"].high < good["distinct"].low / 3
    assert bad["frontier"].high < 0.5 < good["frontier"].low
    assert bad["fd"].low > 3 * good["fd"].high
    assert bad["lm"].value < good["lm"].value + 0.5, "quality alone does not show it"


def test_a_noisy_model_varies_and_writes_badly(models: dict[str, Scores]) -> None:
    good, bad = models["good"], models["noisy"]
    assert bad["lm"].low > good["lm"].high + 0.3
    assert bad["bleu4"].high < good["bleu4"].low - 0.1
    assert bad["selfbleu4"].high < good["selfbleu4"].low
    assert bad["repetition"].low > good["repetition"].high


def test_a_copying_model_is_seen_by_what_it_shares_only(models: dict[str, Scores]) -> None:
    good, bad = models["good"], models["copying"]
    assert bad["verbatim"].low > 0.95
    assert bad["verbatim"].floor is not None
    assert bad["verbatim"].floor < 0.2
    assert bad["span"].low > good["span"].high + 2
    assert abs(bad["bleu4"].value - good["bleu4"].value) < 0.05
    assert abs(bad["frontier"].value - good["frontier"].value) < 0.05


def test_copies_please_the_model_of_training_lines_and_not_that_of_held_out_ones(models: dict[str, Scores]) -> None:
    good, bad = models["good"], models["copying"]
    assert bad["lm"].high < good["lm"].low
    assert bad["lm-held"].value == pytest.approx(bad["lm-held"].floor, rel=0.05)
    assert models["noisy"]["lm-held"].low > good["lm-held"].high + 0.3


def name(draw: random.Random) -> str:
    return "".join(draw.choice("bdfgklmnprst") + draw.choice("aeiou") for _ in range(4))


def test_words_that_nobody_wrote_are_no_credit(tmp_path: Path) -> None:
    """Every line has a name of its own, so held-out lines are full of words that training lines lack, as gibberish is."""
    path, draw = tmp_path / "names.txt", random.Random(5)
    path.write_text("\n".join(f"{line} {name(draw)}" for line in lines(1500)))
    data = load(path, options=ReadOptions(holdout=0.2, tokens=60, vocabulary=300))
    judge = Judge(data, choose_extractor(data), None, 0, looks=Looks(gate=200, verdict=200))
    metrics = ("lm", "lm-held", "reverse")
    good = judge.final(drawn(data, lambda d: f"{sentence(d)} {name(d)}"), 0, metrics=metrics)
    bad = judge.final(drawn(data, lambda d: " ".join(name(d) for _ in range(8))), 0, metrics=metrics)
    for metric in metrics:
        assert bad[metric].low > good[metric].high + 1, metric
    assert good["lm-held"].value == pytest.approx(good["lm-held"].floor, rel=0.12)


@dataclass(frozen=True)
class Knows:
    """Draws good texts, and finds every token as likely as one in e^2."""

    draw: Callable[[int, int], Tensor]

    def __call__(self, n: int, seed: int) -> Tensor:
        return self.draw(n, seed)

    def surprise(self, x: Tensor) -> Tensor:
        return 2.0 * (x != 0)


def test_likelihood_is_told_where_it_is_known(data: Dataset, judge: Judge, models: dict[str, Scores]) -> None:
    assert "nll" not in models["good"]
    scores = judge.final(Knows(drawn(data, sentence)), 0, metrics=("nll",))
    assert scores["nll"].value == pytest.approx(2)
    assert scores["nll"].low == pytest.approx(2)


def test_the_look_is_cheap_and_has_the_headline(data: Dataset, judge: Judge) -> None:
    names = judge.gate_metrics
    assert {"fd", "lm", "reverse", "nll"} <= set(names)
    assert not {"span", "verbatim"} & set(names)
    assert judge.headline == "fd"
    assert Judge(data, judge.extractor, headline="nll").headline == "nll"


def test_readings_of_means_ratios_and_jackknives() -> None:
    import numpy as np

    values = np.array([1.0, 2, 3, 4])
    assert mean_reading(values).value == 2.5
    assert mean_reading(values).high - 2.5 == pytest.approx(3.182 * np.std(values, ddof=1) / 2, rel=2e-3)
    equal = ratio_reading(2 * values, values)
    assert (equal.low, equal.value, equal.high) == pytest.approx((2, 2, 2))
    # of a mean over ten groups of equal rows the jackknife is the usual error of ten
    found = jackknifed(20, 4.5, lambda index: float((np.arange(20) % 10)[index].mean()))
    assert found.high - found.value == pytest.approx(2.262 * np.std(np.arange(10), ddof=1) / np.sqrt(10), rel=1e-3)


def test_words_are_numbered_once_and_unknown_ones_are_one(judge: Judge) -> None:
    space = judge.extractor
    assert isinstance(space, TextSpace)
    limited = space.limited(Sentences.of([[0, space.known + 5, space.known + 9]]))
    assert limited.words.tolist() == [0, space.known, space.known]


def test_weights_of_no_text_space_are_refused(data: Dataset) -> None:
    with pytest.raises(WeightsError, match="with --weights minilm"):
        choose_extractor(data, Path("inception.pt"))


@pytest.mark.parametrize(
    ("row", "headline"),
    [("mle-small", "nll"), ("count-energy-small", "nll"), ("thought-energy-small", "nll"), ("residual-energy-distilled-small", "fd"), ("seqgan-small", "fd"), ("token-gan-small", "fd")],
)
def test_who_learns_by_likelihood_alone_is_kept_by_it(row: str, headline: str, data: Dataset, tmp_path: Path) -> None:
    """A discriminator that only chooses raises FD, so by FD a checkpoint from before it would be kept."""
    assert judge_of(zoo.get(row), data, None, None, 0, torch.device("cpu"), tmp_path).headline == headline
