"""Audits of conversations: who replies with training replies is caught, who finds new words is let pass."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

import rivalry
from data.prose import sentence
from rivalry.audit import Audit, Setting, audit
from rivalry.audit.discriminator import of_networks
from rivalry.audit.sides import Sides
from rivalry.data import Dataset, ReadOptions, load
from rivalry.data.dialogue import DialogueModality
from rivalry.data.talk_rows import ReplyRows
from rivalry.errors import RecipeError
from rivalry.parts import Wiring
from rivalry.types import EOS, PAD
from rivalry.zoo import get

OPTIONS = ReadOptions(holdout=0.4, vocabulary=400, context=40, tokens=40)
CPU = torch.device("cpu")


def write(path: Path, n: int, turns: int = 3) -> Path:
    chance = random.Random(0)
    path.write_text("".join(json.dumps({"turns": [sentence(chance) for _ in range(turns)]}) + "\n" for _ in range(n)))
    return path


@pytest.fixture(scope="module")
def talks(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load(write(tmp_path_factory.mktemp("talks") / "talks.jsonl", 900), options=OPTIONS)


def replier(data: Dataset, write: Callable[[random.Random], str]) -> Callable[[int, int], Tensor]:
    """Replies that `write` gives, to contexts of either side."""
    modality = data.modality
    assert isinstance(modality, DialogueModality)
    assert isinstance(data.train, ReplyRows)
    assert isinstance(data.held, ReplyRows)
    both = data.train.beside(data.held)

    def draw(n: int, seed: int) -> Tensor:
        chance = random.Random(seed)
        rows = both.raw(torch.tensor([chance.randrange(len(both)) for _ in range(n)]))
        said = [[*modality.coder.encode([write(chance)])[0], EOS][: modality.reply] for _ in range(n)]
        rows[:, modality.context :] = torch.tensor([[*s, *[PAD] * (modality.reply - len(s))] for s in said])
        return rows

    return draw


def attacked(data: Dataset, write: Callable[[random.Random], str], **settings: object) -> Audit:
    return audit(data, replier(data, write), "by hand", Setting(**{"n": 1500, **settings}))[0]  # type: ignore[arg-type]


def test_replies_learned_by_heart_are_caught(talks: Dataset, tmp_path: Path) -> None:
    assert isinstance(talks.modality, DialogueModality)
    known = talks.modality.texts(talks.train.raw(torch.arange(len(talks.train))))
    found = attacked(talks, lambda chance: chance.choice(known), private=tmp_path)
    assert found.outcome == "leaks"
    assert found.memory.copies > 0.9
    assert found.spans is not None
    assert found.spans.near > 0.6 > 0.1 > found.spans.near_held  # as many training as held-out rows are looked at: two thirds
    pairs = (tmp_path / "audit-pairs.csv").read_text()
    assert any(line in pairs for line in known)


def test_new_replies_pass(talks: Dataset) -> None:
    assert attacked(talks, sentence).outcome != "leaks"


def test_replies_equal_to_one_of_the_training_count_as_copies_whatever_they_reply_to(talks: Dataset) -> None:
    assert isinstance(talks.modality, DialogueModality)
    one = talks.modality.texts(talks.train.raw(torch.tensor([0])))[0]
    assert attacked(talks, lambda _: one).memory.exact > 0.99


def test_a_conversation_is_attacked_once(talks: Dataset) -> None:
    sides = Sides.choose(talks, 10_000, 0)
    for store, index in ((talks.train, (sides.members, sides.trained)), (talks.held, (sides.others, sides.known))):
        assert isinstance(store, ReplyRows)
        for part in index:
            assert len(store.talk[part].unique()) == len(part)
    assert len(sides.distinct[0]) > 1.9 * len(talks.train.talk.unique())  # type: ignore[attr-defined]


def test_a_likelihood_is_of_the_reply_alone(talks: Dataset) -> None:
    """Of the mean over the tokens of the reply, not diluted by what is replied to."""
    recipe = get("dialogue-mle-small")
    torch.manual_seed(0)
    nets = {name: net.build(talks.spec, Wiring()).eval() for name, net in recipe.nets.items()}
    scorer = of_networks(recipe, nets, CPU, 0, talks.spec.context).likelihood
    assert scorer is not None
    index = torch.arange(4)
    x = talks.train.raw(index)
    surprise = recipe.game.surprise(nets, x)
    assert surprise is not None
    tokens = (x[:, talks.spec.context :] != PAD).sum(1)
    assert torch.allclose(scorer(talks.train, index), -(surprise.double().sum(1) / tokens), atol=1e-6)


def test_an_audit_of_a_dialogue_run_by_command_and_what_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "talks.jsonl", 200)
    run = rivalry.train(
        "talks.jsonl", recipe="dialogue-small", budget="6steps", run="talks", settings=("batch=8",), options=OPTIONS, tensorboard=False,
        device="cpu", say=lambda _: None,
    )  # fmt: skip
    found = run.audit(300, device="cpu")
    names = {a.name for a in found.attacks}
    assert {"shared spans", "likelihood", "LOGAN white box, main"} <= names
    assert "conversation" in (run.path / "audit.md").read_text()
    with pytest.raises(RecipeError, match="--shadows and --canaries"):
        run.audit(300, device="cpu", canaries=20)


@pytest.mark.slow
def test_conversations_learned_by_heart_are_caught(tmp_path: Path) -> None:
    write(tmp_path / "talks.jsonl", 240, 2)
    run = rivalry.train(
        str(tmp_path / "talks.jsonl"), recipe="dialogue-mle-small", budget="1500steps", run=str(tmp_path / "run"), tensorboard=False, device="cpu",
        settings=("generator.dropout=0.0", "batch=32"), options=ReadOptions(holdout=0.5, vocabulary=400, context=40, tokens=40), say=lambda _: None,
    )  # fmt: skip
    found = run.audit(1500, device="cpu", which="last")
    assert found.outcome == "leaks"
    assert {a.name: a.auc.value for a in found.attacks}["likelihood"] > 0.9
