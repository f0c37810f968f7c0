"""Rulers of dialogue: who repeats, says the same to everybody, or replies to something else gets the scores one expects."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from data.conversations import replies, write
from rivalry.data import Dataset, ReadOptions, load
from rivalry.data.dialogue import DialogueModality
from rivalry.errors import DataError, RecipeError
from rivalry.evaluate import Looks, Target, fresh, judge_of
from rivalry.evaluate.dialogue import CANDIDATES, DialogueJudge, _among, candidates, ranked
from rivalry.games import Reply
from rivalry.nets import ReplyJudge, ReplyLM
from rivalry.nets.replying import ReplyLanguageModel, ThoughtJudge
from rivalry.parts import Wiring
from rivalry.sampling import sampler_of
from rivalry.stats.clusters import bootstrap_ratio
from rivalry.types import PAD

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    path = write(tmp_path_factory.mktemp("talk") / "talk.jsonl", 300)
    return load(path, options=ReadOptions(tokenizer="words", context=24, tokens=12, holdout=0.5, vocabulary=400))


@pytest.fixture(scope="module")
def judge(dataset: Dataset) -> DialogueJudge:
    return DialogueJudge(dataset, False, looks=Looks(gate=60, verdict=400))


def said(dataset: Dataset, judge: DialogueJudge, texts: list[str]) -> Tensor:
    modality = dataset.modality
    assert isinstance(modality, DialogueModality)
    x = judge.asked(len(texts)).x
    return torch.cat([x[:, : modality.context], replies(modality, texts)], 1)


def scores(dataset: Dataset, judge: DialogueJudge, kind: str) -> dict[str, float]:
    """Of one who is no model: replies to the contexts that the judge asks about."""
    n = min(400, len(dataset.held))
    asked = judge.asked(n)
    last = [c.split(" .")[-2 if c.endswith(".") else -1] for c in asked.contexts]
    texts = {
        "human": asked.human,
        "parrot": [(t.strip() or "?") for t in last],
        "generic": ["yes , i do ."] * n,
        "displaced": [asked.human[i] for i in fresh.displaced(asked.talk).tolist()],
    }[kind]
    made = said(dataset, judge, texts)
    found = judge.final(lambda m, seed: made, 0)
    return {k: s.value for k, s in found.items()} | {f"{k} floor": s.floor for k, s in found.items() if s.floor is not None}


def test_people_fool_the_judge_as_often_as_not_and_others_do_not(dataset: Dataset, judge: DialogueJudge) -> None:
    human, parrot, generic, displaced = (scores(dataset, judge, kind) for kind in ("human", "parrot", "generic", "displaced"))
    assert human["adversuc"] == pytest.approx(0.5, abs=0.1)
    assert parrot["adversuc"] < 0.2
    assert generic["adversuc"] < 0.1
    assert displaced["adversuc"] < 0.4, "it reads the context: what was said elsewhere gives itself away"
    assert generic["distinct"] < 0.1 * human["distinct"]
    assert human["distinct"] == pytest.approx(human["distinct floor"])
    assert human["length"] == pytest.approx(0)
    assert generic["length"] > 0.5
    assert displaced["distinct"] == pytest.approx(human["distinct"], rel=0.15)
    assert human["repetition"] == pytest.approx(human["repetition floor"])


def test_the_judges_own_accuracy_is_told(judge: DialogueJudge, dataset: Dataset) -> None:
    made = said(dataset, judge, judge.asked(400).human)
    details = judge.final(lambda n, seed: made, 0).details["judge"]
    assert details["same"] == pytest.approx(0.5, abs=0.12)
    assert details["misplaced"] > 0.6


def networks(dataset: Dataset, judge: nn.Module | None) -> dict[str, nn.Module]:
    torch.manual_seed(0)
    nets = {"generator": ReplyLM(16, 1, 2, 0.0).build(dataset.spec, Wiring())}
    return nets if judge is None else {**nets, "discriminator": judge}


class Blind(ThoughtJudge):
    """Rates replies without a look at the context: 'length' or 'nothing'."""

    def __init__(self, what: str) -> None:
        super().__init__(30, 16, 8, 0.0, True)
        self.what = what

    def forward(self, tokens: Tensor, thoughts: Tensor, reply: Tensor, context: Tensor) -> dict[str, Tensor]:
        score = (tokens * torch.arange(1, tokens.shape[1] + 1)).sum(1).double()
        return {"score": score if self.what == "reply" else torch.zeros(len(tokens))}

    def fitting(self, reply: Tensor, context: Tensor) -> Tensor:
        return torch.zeros(len(reply))


class Knowing(Blind):
    """Rates a reply by whether it names what the last question is about, the word before its mark."""

    def fitting(self, reply: Tensor, context: Tensor) -> Tensor:
        return (reply == context[:, -4:-3]).all(2).any(1).float()


def hits(dataset: Dataset, judge: DialogueJudge, one: nn.Module) -> float:
    nets = networks(dataset, one)
    sampler = sampler_of(Reply(), Wiring(), nets, CPU, dataset)
    return float(ranked(sampler, judge.asked(400))["hits1-critic"].mean())


def test_who_ignores_the_context_gets_a_tenth(dataset: Dataset, judge: DialogueJudge) -> None:
    assert hits(dataset, judge, Blind("nothing")) == pytest.approx(1 / CANDIDATES), "ties are shared"
    assert hits(dataset, judge, Blind("reply")) == pytest.approx(1 / CANDIDATES, abs=0.05)
    assert hits(dataset, judge, Knowing("nothing")) > 0.3


def test_hits_at_three_are_of_the_three_best_and_ties_count_by_chance(dataset: Dataset, judge: DialogueJudge) -> None:
    """By hand: two rated above the true reply, or it among five alike of which two are above, or seven above."""
    rows = torch.tensor([
        [5.0, 9, 8, 1, 1, 1, 1, 1, 1, 1], [5.0, 9, 8, 5, 5, 5, 5, 1, 1, 1], [5.0, 9, 9, 9, 9, 9, 9, 9, 1, 1], [5.0] * 10, [9.0] + [5.0] * 9,
    ])  # fmt: skip
    assert _among(rows.flatten(), 3).tolist() == pytest.approx([1, 1 / 5, 0, 3 / 10, 1])
    assert _among(rows.flatten(), 1).tolist() == pytest.approx([0, 0, 0, 1 / 10, 1])
    sampler = sampler_of(Reply(), Wiring(), networks(dataset, Blind("nothing")), CPU, dataset)
    found = ranked(sampler, judge.asked(400))
    assert float(found["hits3-critic"].mean()) == pytest.approx(3 / CANDIDATES)
    assert bool((found["hits3"] >= found["hits1"]).all())


def test_candidates_come_from_other_conversations() -> None:
    talk = np.repeat(np.arange(12), 5).astype(np.int64)
    found = candidates(talk, 40)
    assert found.shape == (40, CANDIDATES - 1)
    assert bool((talk[found.numpy()] != talk[:40, None]).all())
    assert torch.equal(found, candidates(talk, 40))


def test_perplexity_is_per_token_and_not_averaged_over_padding(dataset: Dataset, judge: DialogueJudge) -> None:
    """A bug of others: NLL averaged over padding.  A model that knows nothing has the size of what it may say, whatever the lengths."""
    nets = networks(dataset, None)
    model = nets["generator"]
    assert isinstance(model, ReplyLanguageModel)
    with torch.no_grad():
        model.embed.weight.zero_()
        model.bias.zero_()
    sampler = sampler_of(Reply(), Wiring(), nets, CPU, dataset)
    found = judge.gate(sampler, 0)
    assert found["perplexity"].value == pytest.approx(dataset.spec.vocabulary - 2, rel=1e-4)
    assert found["perplexity"].low <= found["perplexity"].value <= found["perplexity"].high
    nets = networks(dataset, None)
    sampler, x = sampler_of(Reply(), Wiring(), nets, CPU, dataset), judge.asked(60).x
    own = nets["generator"]
    assert isinstance(own, ReplyLanguageModel)
    with torch.no_grad():
        nll = own.surprise_of(x[:, :24], x[:, 24:])
    assert judge.gate(sampler, 0)["perplexity"].value == pytest.approx(math.exp(float(nll.sum() / (x[:, 24:] != PAD).sum())), rel=1e-5)


def test_intervals_draw_conversations_anew() -> None:
    rng = np.random.default_rng(0)
    talk = np.repeat(np.arange(200), 10).astype(np.int64)
    values = np.repeat(rng.random(200) < 0.3, 10).astype(np.float64)  # all of a conversation alike
    found = bootstrap_ratio(values, np.ones(2000), talk)
    share = values.reshape(200, 10)[:, 0]
    half = 1.96 * share.std() / math.sqrt(200)
    assert found.value == pytest.approx(values.mean())
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.1)
    apart = bootstrap_ratio(values, np.ones(2000), np.arange(2000))
    assert found.high - found.low > 2.5 * (apart.high - apart.low)
    with pytest.raises(DataError, match="at least two"):
        bootstrap_ratio(values, np.ones(2000), np.zeros(2000, dtype=np.int64))


def test_a_judge_learns_from_conversations_that_it_is_not_asked_about(judge: DialogueJudge) -> None:
    asked = judge.asked(400)
    learns = fresh.halves(asked.talk)
    assert not set(asked.talk[learns].tolist()) & set(asked.talk[~learns].tolist())
    moved = fresh.displaced(asked.talk)
    assert sorted(moved.tolist()) == list(range(len(moved)))
    assert bool((asked.talk[moved] != asked.talk).all())
    assert bool((learns[moved] == learns).all())
    with pytest.raises(DataError, match="learns from at least"):
        fresh.examined(["a"] * 20, ["b"] * 20, ["c"] * 20, np.arange(20))


def test_a_judge_is_offered_only_where_it_has_enough_on_either_side(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", 60)
    long, short = ([f"turn {i} of it" for i in range(n)] for n in (400, 30))
    (tmp_path / "valid.jsonl").write_text("".join(json.dumps({"turns": t}) + "\n" for t in (long, short)))
    found = DialogueJudge(load(tmp_path, options=ReadOptions(tokenizer="words")), False, looks=Looks(gate=60, verdict=400))
    assert len(found.dataset.held) > 400
    assert "adversuc" not in found.known()


def test_a_judge_hears_when_words_are_out_of_order() -> None:
    draw = random.Random(0)
    human = [f"the {draw.choice('abc')} cat sees a {draw.choice('def')} dog" for _ in range(300)]
    mixed = [" ".join(draw.sample(t.split(), 7)) for t in human]
    talk = np.arange(300) // 3
    assert fresh.examined(["hello"] * 300, human, mixed, talk).accuracy > 0.9


def test_the_run_of_conversations_gets_their_judge(dataset: Dataset, tmp_path: Path) -> None:
    from rivalry import zoo

    few = Looks(gate=60, verdict=80)
    own = judge_of(zoo.get("dialogue-small"), dataset, Target.parse("perplexity<90"), None, 0, CPU, tmp_path, few)
    with pytest.raises(RecipeError, match="adversuc"):
        judge_of(zoo.get("dialogue-small"), dataset, Target.parse("adversuc>.2"), None, 0, CPU, tmp_path, few)
    assert "adversuc" in judge_of(zoo.get("dialogue-small"), dataset, None, None, 0, CPU, tmp_path).known()
    assert own.headline == "hits1-critic"
    assert judge_of(zoo.get("dialogue-mle-small"), dataset, None, None, 0, CPU, tmp_path).headline == "perplexity"
    with pytest.raises(RecipeError):
        judge_of(zoo.get("dialogue-mle-small"), dataset, Target.parse("hits1-critic>.2"), None, 0, CPU, tmp_path)
    nets: Mapping[str, nn.Module] = networks(dataset, ReplyJudge(16, 8).build(dataset.spec, Wiring()))
    sampler = sampler_of(Reply(), Wiring(), nets, CPU, dataset)
    found = own.final(sampler, 0, metrics=("distinct", "perplexity"))
    assert set(found) == {"distinct", "perplexity"}
    assert found["distinct"].ruler.resize == "temperature 1, top-p 1, best of 1"
