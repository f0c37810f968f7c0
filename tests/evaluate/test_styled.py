"""The rulers of rewritten texts tell copies, collapse, noise and good work apart."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import numpy as np
import pytest
import torch

from data.moods import lines, turned
from rivalry.data.text_tokens import words_of
from rivalry.evaluate.style_ruler import StyleRuler
from rivalry.extractors.style_classifier import StyleClassifier
from rivalry.stats.translation import bleu, chrf, geometric_mean, tokenizer_for

KINDS = {"glad": 0, "sour": 1}


@pytest.fixture(scope="module")
def sets() -> dict[str, tuple[list[str], torch.Tensor]]:
    found = {}
    for side, part in (("train", slice(0, 500)), ("held", slice(500, 600))):
        rows = [(line, k) for mood, k in KINDS.items() for line in lines(mood, 600)[part]]
        found[side] = [r[0] for r in rows], torch.tensor([r[1] for r in rows])
    return found


@pytest.fixture(scope="module")
def ruler(sets: dict[str, tuple[list[str], torch.Tensor]]) -> StyleRuler:
    return StyleRuler.fit(*sets["train"], *sets["held"], 2)


Model = Callable[[str], str]


def noisy(line: str) -> str:
    words = line.split()
    random.Random(line).shuffle(words)
    return " ".join(words)


MODELS: dict[str, Model] = {
    "good": turned,
    "copies": lambda line: line,
    "collapsed": lambda line: "the food was great today ." if any(w in line for w in ("awful", "cold", "bland", "rude", "stale", "terrible")) else "the food was awful today .",
    "noisy": noisy,
}


def test_the_classifier_knows_held_out_lines_and_says_so(ruler: StyleRuler) -> None:
    assert ruler.accuracy > 98


@pytest.mark.parametrize("seed", [0, 1])
def test_a_classifier_is_a_function_of_its_lines_and_seed(seed: int, sets: dict[str, tuple[list[str], torch.Tensor]]) -> None:
    words = [words_of(line) for line in sets["train"][0][::10]]
    kinds = sets["train"][1][::10].tolist()
    one, two = (StyleClassifier.fit(words, kinds, 2, seed) for _ in range(2))
    assert torch.equal(one.logits(words), two.logits(words))
    assert one.sha == two.sha
    assert one.sha != StyleClassifier.fit(words, kinds, 2, seed + 1).sha
    assert one.logits([[]]).shape == (1, 2)


def test_only_good_work_is_good_by_all_measures(ruler: StyleRuler, sets: dict[str, tuple[list[str], torch.Tensor]]) -> None:
    source, kinds = sets["held"]
    wanted = 1 - kinds
    truth = [turned(line, 1) for line in source]
    found = {name: ruler.measured([model(line) for line in source], source, wanted, [truth]) for name, model in MODELS.items()}
    good, copied, collapsed, noise = (found[m] for m in ("good", "copies", "collapsed", "noisy"))
    assert good["style"] > 95
    assert copied["style"] < 5
    assert copied["kept"] == pytest.approx(100)
    assert copied["kept-chrf"] == pytest.approx(100)
    assert collapsed["style"] > 95
    assert collapsed["kept"] < 15, "style alone does not see collapse; what is left of the input does"
    assert noise["style"] < 20
    assert noise["kept"] < 40
    assert noise["style-perplexity"] > 3 * good["style-perplexity"]
    for other in (copied, collapsed, noise):
        assert good["transfer"] > 1.4 * other["transfer"]
        assert good["overall"] > 1.4 * other["overall"]
    assert good["style-perplexity"] < 1.5 * ruler.perplexity


def test_perplexity_is_that_of_the_style_wanted(ruler: StyleRuler, sets: dict[str, tuple[list[str], torch.Tensor]]) -> None:
    held, kinds = sets["held"]
    own, words = ruler.surprise(held, kinds)
    other, _ = ruler.surprise(held, 1 - kinds)
    assert own.sum() < 0.8 * other.sum()
    assert words.tolist() == [len(words_of(line)) + 1 for line in held]
    both = np.concatenate([ruler.surprise(held[:100], kinds[:100])[0], ruler.surprise(held[100:], kinds[100:])[0]])
    assert np.allclose(own, both)
    assert ruler.perplexity == pytest.approx(math.exp(own.sum() / words.sum()))


def test_bleu_and_chrf_are_those_of_sacrebleu_by_hand() -> None:
    # 4 of 5 words, 2 of 4 pairs, 1 of 3 triples, none of 2 quadruples: exponential smoothing makes that 1 / 4
    line, reference = ["the cat sat down ."], ["the cat sat there ."]
    precisions = (4 / 5, 2 / 4, 1 / 3, (1 / 2) / 2)
    assert bleu(line, reference) == pytest.approx(100 * math.exp(sum(map(math.log, precisions)) / 4))
    assert bleu(line, ["quite other words here ."], line) == pytest.approx(100)
    assert chrf(line, line) == pytest.approx(100)
    assert geometric_mean(2.0, 4.0, 8.0) == pytest.approx(4.0)
    assert geometric_mean(0.0, 9.0) == 0.0


def test_without_sacrebleu_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from rivalry.errors import MissingExtra

    monkeypatch.setitem(sys.modules, "sacrebleu.metrics", None)
    with pytest.raises(MissingExtra, match=r"rivalry\[text\]"):
        bleu(["a"], ["a"])


def test_texts_without_spaces_are_compared_by_their_characters() -> None:
    chinese, thai = ["这家饭店今天很好吃我们都喜欢", "服务员很热情价格也便宜"], ["ร้านอาหารนี้อร่อยมาก"]
    assert tokenizer_for(chinese) == "zh"
    assert tokenizer_for(thai) == "char"
    assert tokenizer_for(["これは寿司です"]) == "char"
    assert tokenizer_for(["the food was cold", "so was I", "na\u00efve"]) == "13a"
    assert bleu(chinese, chinese, tokenizer="zh") == pytest.approx(100)
    assert bleu(thai, thai, tokenizer="char") == pytest.approx(100)
    fitted = StyleRuler.fit(chinese * 20, torch.tensor([0, 1] * 20), chinese, torch.tensor([0, 1]), 2)
    assert fitted.measured(chinese, chinese, torch.tensor([1, 0]))["kept"] == pytest.approx(100)
