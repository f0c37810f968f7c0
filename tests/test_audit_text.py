"""Audits of text: what copies lines is caught, what writes new ones is let pass; likelihoods and planted sentences."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

import rivalry
from data.prose import lines, sentence
from rivalry.audit import Audit, Setting, audit, memory_lines
from rivalry.audit.canaries import canaries
from rivalry.audit.discriminator import Asked
from rivalry.audit.lines import Lines, likelihood_by_words, over_reference
from rivalry.audit.texts import WordSpace
from rivalry.data import Dataset, ReadOptions, load
from rivalry.data.text import TextModality
from rivalry.errors import DataError
from rivalry.stats.ngrams import Sentences

CPU = torch.device("cpu")
OPTIONS = ReadOptions(holdout=0.4, tokens=40, vocabulary=400)


@pytest.fixture(scope="module")
def prose(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    path = tmp_path_factory.mktemp("prose") / "lines.txt"
    path.write_text("\n".join(lines(1500)))
    return load(path, options=OPTIONS)


def modality(data: Dataset) -> TextModality:
    assert isinstance(data.modality, TextModality)
    return data.modality


def training_lines(data: Dataset) -> list[str]:
    return modality(data).texts(data.train.raw(torch.arange(len(data.train))))


def writer(data: Dataset, write: Callable[[random.Random], str]) -> Callable[[int, int], Tensor]:
    def draw(n: int, seed: int) -> Tensor:
        chance = random.Random(seed)
        return modality(data).tokens([write(chance) for _ in range(n)])

    return draw


def attacked(data: Dataset, write: Callable[[random.Random], str], **settings: object) -> Audit:
    return audit(data, writer(data, write), "by hand", Setting(**{"n": 1500, **settings}))[0]  # type: ignore[arg-type]


def test_a_model_that_copies_lines_is_caught(prose: Dataset, tmp_path: Path) -> None:
    known = training_lines(prose)
    found = attacked(prose, lambda chance: chance.choice(known), private=tmp_path)
    assert found.outcome == "leaks"
    assert found.through_samples
    aucs = {a.name: a.auc.value for a in found.attacks}
    assert aucs["shared spans"] > 0.8
    assert aucs["GAN-Leaks, words"] > 0.8
    assert found.memory.exact > 0.99
    assert found.spans is not None
    assert found.spans.train > found.spans.held + 3
    assert found.spans.near > 0.6  # it looks in 600 of the 900 training lines, as many as are held out
    assert found.spans.near_held < 0.1
    assert any("run of words" in line[0] for line in memory_lines(found))
    pairs = list(csv.reader((tmp_path / "audit-pairs.csv").read_text().splitlines()))
    assert pairs[1][-1] == pairs[2][-1]
    spans = list(csv.DictReader((tmp_path / "audit-spans.csv").read_text().splitlines()))
    assert all(row["training line"] in known for row in spans)
    assert all(row["shared"] in row["sample"] for row in spans)


def test_small_changes_do_not_hide_a_copy(prose: Dataset) -> None:
    """Another case, another adjective."""
    known = training_lines(prose)

    def write(chance: random.Random) -> str:
        words = chance.choice(known).split()
        words[1] = chance.choice(("old", "small", "happy", "quiet"))
        return " ".join(words)

    found = attacked(prose, write)
    assert found.outcome == "leaks"
    assert found.spans is not None
    assert found.spans.near > found.spans.near_held + 0.3


def test_models_that_write_new_lines_pass(prose: Dataset) -> None:
    found = [attacked(prose, sentence, seed=seed) for seed in range(1, 6)]
    assert [f.outcome for f in found].count("nothing found") >= 4
    assert all(f.spans is not None and abs(f.spans.train - f.spans.held) < 0.3 for f in found)
    assert all(abs(f.attacks[0].auc.value - 0.5) < 0.1 for f in found)


def test_a_collapsed_model_that_repeats_one_training_line_is_named(prose: Dataset) -> None:
    """One row in a thousand is no membership attack's prey; that all samples are copies of it is said all the same."""
    line = training_lines(prose)[0]
    found = attacked(prose, lambda chance: line)
    assert found.memory.exact == 1.0
    assert any("equal to a training row" in said for said in found.verdict())


def test_likelihood_tells_where_it_is_asked(prose: Dataset) -> None:
    """A model that finds its training lines likelier leaks, but not by its samples."""

    def knows(store: object, index: Tensor) -> Tensor:
        g = torch.Generator().manual_seed(0)
        return torch.randn(len(index), generator=g).double() + (1.0 if store is prose.train else 0.0)

    found = attacked(prose, sentence, asked=Asked(likelihood=knows))
    assert found.outcome == "leaks"
    assert not found.through_samples
    assert {"likelihood", "likelihood over a reference"} <= {a.name for a in found.attacks}
    assert "checkpoints" in " ".join(found.verdict())


def test_a_model_that_is_the_reference_is_no_likelier_than_it_however_words_are_cut() -> None:
    """Scorers speak of tokens, the reference of words; a line has the same probability either way."""
    known, words = Sentences.of([[0, 1, 2], [0, 1, 2], [0, 1, 3]]), Sentences.of([[0, 1, 2], [3, 2], [1]])
    lines = Lines(known, words, words, known, 4)
    base = likelihood_by_words(words, known, 4)
    for tokens in (torch.tensor([4, 3, 2]), torch.tensor([9, 5, 7])):
        said = base * torch.tensor([4.0, 3.0, 2.0]).double() / tokens
        torch.testing.assert_close(over_reference(said, tokens, words, lines), torch.zeros(3).double())


def test_what_everyone_says_is_taken_off_a_likelihood() -> None:
    """Per word, a model of counts of the reference: a line of its usual words is likelier than one of others."""
    reference = Sentences.of([[0, 1, 2], [0, 1, 2], [0, 1, 3]])
    usual, other = likelihood_by_words(Sentences.of([[0, 1, 2], [3, 2, 0]]), reference, 4).tolist()
    assert usual > other


def test_words_lie_near_in_any_case_and_far_from_others(prose: Dataset) -> None:
    text = modality(prose)
    space = WordSpace.of(text, prose.train.raw(torch.arange(500)))
    a, b, c, d = space.plain(text.tokens([
        "the old dog sees a small cat by the river .", "The OLD dog sees a small cat by the river .",
        "the old dog sees a small cat by the road .", "the brave farmer avoids a lonely horse on the hill .",
    ]))  # fmt: skip
    torch.testing.assert_close(a, b)
    assert float((a - c).norm()) < 0.7 * float((a - d).norm())
    torch.testing.assert_close(space.plain(text.tokens(["a ."])).norm(dim=1), torch.ones(1))


def test_canaries_are_sentences_nobody_has(prose: Dataset) -> None:
    x = canaries(prose, 40, 0)
    assert x.shape == (40, *prose.spec.shape)
    assert x.dtype == torch.int64
    assert len(x.unique(dim=0)) == 40
    assert not set(modality(prose).texts(x)) & set(training_lines(prose))


def test_other_weights_than_sentences_are_refused(prose: Dataset) -> None:
    with pytest.raises(DataError, match="minilm"):
        attacked(prose, sentence, weights=Path("resnet.npz"))


@pytest.mark.slow
def test_an_overfitted_language_model_is_caught_and_its_canaries_are_found(tmp_path: Path) -> None:
    """200 lines learned by heart: likelihood tells, and so does what it writes."""
    (tmp_path / "few.txt").write_text("\n".join(lines(400)))
    run = rivalry.train(
        str(tmp_path / "few.txt"), recipe="mle-small", budget="1200steps", run=str(tmp_path / "run"), tensorboard=False, device="cpu",
        settings=("generator.width=256", "generator.dropout=0.0", "batch=64"), options=ReadOptions(holdout=0.5), say=lambda line: None,
    )  # fmt: skip
    found = run.audit(1500, canaries=60, device="cpu", which="last")
    assert found.outcome == "leaks"
    aucs = {a.name: a.auc.value for a in found.attacks}
    assert aucs["likelihood"] > 0.9
    assert found.canaries is not None
    assert found.canaries.epsilon > 1.0
    page = (run.path / "audit.md").read_text()
    assert "likelihood" in page
    assert not any(line in page for line in lines(400))
