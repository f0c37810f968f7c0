"""PATE-GAN: votes and their noise, what they cost, who sees what, and what a run folder holds of the teachers."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import rivalry
from rivalry import zoo
from rivalry.errors import RecipeError
from rivalry.files import read_tensors
from rivalry.games import IID, Partitioned, Pate
from rivalry.games.pate import fine_uniform, vote_chance
from rivalry.nets.teachers import Teachers
from rivalry.parts import Turn
from rivalry.privacy import Ledger, VoteTerms, agree_votes, privatised, read_account
from rivalry.privacy.accounting import epsilon_of_votes
from rivalry.privacy.secure import SecureDraw
from rivalry.recipe import Recipe, set_value
from rivalry.streams import Draw
from rivalry.terms import Taught, Voted
from rivalry.training.loop import Trainer, private_turns
from rivalry.training.private import Veiled
from rivalry.training.state import pack_model, pack_state, parted
from tiny import TABLE, Rows, people, trainer

pytest.importorskip("dp_accounting")
K = 5


def small(teachers: int = K) -> Recipe:
    recipe = replace(zoo.get("pate-gan-small"), batch=8, sampler=Partitioned(teachers))
    recipe = replace(recipe, nets={**recipe.nets, "teachers": Teachers(teachers, (8,))})
    return replace(recipe, game=Pate(latent=8, teachers=teachers))


# -- votes ---------------------------------------------------------------------------------------------------------


def test_a_vote_is_the_majority_of_a_count_with_laplace_noise() -> None:
    """float64: 1 - F(k / 2 - yes) of Laplace's distribution function; without noise the plain majority."""
    yes = torch.arange(12)
    noise = torch.distributions.Laplace(torch.tensor(0.0, dtype=torch.float64), 3.0)
    assert torch.allclose(vote_chance(yes, 11, 3.0), 1 - noise.cdf(5.5 - yes.double()), atol=1e-15)
    assert torch.equal(vote_chance(yes, 11, 0.0), (yes > 5.5).double())


def test_coins_are_tossed_finely() -> None:
    found = fine_uniform(SecureDraw(0), "votes", 40_000)
    assert float(found.min()) >= 0
    assert float(found.max()) < 1
    assert float(found.mean()) == pytest.approx(0.5, abs=0.01)
    assert torch.equal(found * 2.0**48, (found * 2.0**48).round())
    assert float(((found * 2**24) % 1).std()) == pytest.approx(1 / math.sqrt(12), abs=0.01)  # the low bits are drawn too


def test_teachers_charge_and_students_follow_cross_entropies() -> None:
    class Play:
        nets: dict[str, torch.nn.Module] = {}  # noqa: RUF012

        def match(self, name: str) -> None: ...
        def pair(self, name: str) -> tuple[Tensor, Tensor]:
            return PAIRS[name]

    g = torch.Generator().manual_seed(0)
    real, fake = torch.randn(2, 3, 4, generator=g, dtype=torch.float64)
    votes = torch.tensor([0.0, 1.0, 1.0, 0.0], dtype=torch.float64)
    PAIRS = {"teachers": (real, fake), "votes": (real[0], votes)}
    at = Turn("teachers", 0, 0, 0, Draw(0), {})
    plain = -(real.sigmoid().log() + (1 - fake.sigmoid()).log()).sum(0)
    assert torch.allclose(Taught()(Play(), at), plain, atol=1e-14)  # type: ignore[arg-type]
    p = real[0].sigmoid()
    plain = -(votes * p.log() + (1 - votes) * (1 - p).log())
    assert torch.allclose(Voted()(Play(), at), plain, atol=1e-14)  # type: ignore[arg-type]


def test_teachers_are_plain_networks_side_by_side() -> None:
    torch.manual_seed(0)
    bank = Teachers(3, (6,)).build(TABLE, Pate().wiring(TABLE)).double()
    x = torch.randn(3, 5, 7, dtype=torch.float64)
    w1, w2, b1, b2 = (p.detach() for p in (*bank.weights, *bank.biases))  # type: ignore[misc, union-attr]
    for i in range(3):
        h = x[i] @ w1[i] + b1[i]
        plain = (torch.where(h > 0, h, 0.2 * h) @ w2[i] + b2[i])[:, 0]
        assert torch.allclose(bank(x)[i], plain, atol=1e-14)
        assert torch.allclose(bank(x[:1])[i], bank(x[:1].expand(3, 5, 7))[i], atol=1e-14)


# -- what they cost --------------------------------------------------------------------------------------------------


def test_a_single_vote_costs_one_over_the_scale() -> None:
    assert epsilon_of_votes(10.0, 1e-9, 1) == pytest.approx(0.1, rel=1e-3)
    assert epsilon_of_votes(10.0, 1e-9, 0) == 0
    assert epsilon_of_votes(0.0, 1e-9, 1) == math.inf


def binomial(n: int, p: float) -> Tensor:
    k = torch.arange(n + 1, dtype=torch.float64)
    n_ = torch.tensor(float(n), dtype=torch.float64)
    logs = torch.lgamma(n_ + 1) - torch.lgamma(k + 1) - torch.lgamma(n_ - k + 1)
    return (logs + k * math.log(p) + (n_ - k) * math.log1p(-p)).exp()


def delta_of(n: int, p: float, q: float, epsilon: float) -> float:
    """Exactly: the delta at epsilon of n coins that fall by p on one data set and by q on its neighbour."""
    a, b = binomial(n, p), binomial(n, q)
    return float((a - math.exp(epsilon) * b).clamp_min(0).sum())


@pytest.mark.parametrize(("scale", "votes"), [(5.0, 50), (20.0, 1000)])
def test_the_epsilon_covers_the_worst_votes_exactly_computed(scale: float, votes: int) -> None:
    """All counts the same, and moved by one: the binomial distribution gives delta in closed form."""
    delta, k = 1e-5, 11
    epsilon = epsilon_of_votes(scale, delta, votes)
    for yes in range(k):
        p, q = vote_chance(torch.tensor([yes, yes + 1]), k, scale).tolist()
        assert delta_of(votes, p, q, epsilon) <= delta
        assert delta_of(votes, q, p, epsilon) <= delta


def test_the_epsilon_lies_below_the_moments_bound_of_the_paper() -> None:
    """Jordon et al. 2019, theorem 2 without the data: alpha(l) = l (l + 1) / (2 scale^2) a vote, epsilon = min over l of
    (sum alpha + log 1 / delta) / l; and above that of the optimum of one vote."""
    scale, votes, delta = 30.0, 2000, 1e-5
    bound = min((votes * order * (order + 1) / (2 * scale**2) + math.log(1 / delta)) / order for order in range(1, 200))
    assert 1 / scale < epsilon_of_votes(scale, delta, votes) < bound


def test_the_terms_keep_within_epsilon_and_votes_are_no_coin_flips() -> None:
    recipe = zoo.get("pate-gan-small")
    assert isinstance(recipe.game, Pate)
    terms = agree_votes(recipe.game, 29_305, recipe.batch, private_turns(recipe, recipe.steps))
    assert terms.each * terms.turns == 600 * 32
    assert 0.99 * 8 < terms.epsilon_after(terms.turns) <= 8
    assert terms.turned_over < 0.2
    exact = 1 - vote_chance(torch.tensor([terms.teachers]), terms.teachers, terms.scale).item()
    assert terms.turned_over == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize(
    ("game", "rows", "turns", "hint"),
    [
        (Pate(teachers=10, epsilon=1.0), 5000, 1000, "coin flips"),
        (Pate(teachers=200, scale=1.0), 5000, 1000, "need noise of scale"),
        (Pate(teachers=200), 300, 10, "less than two each"),
    ],
)
def test_what_cannot_be_kept_or_learned_is_refused(game: Pate, rows: int, turns: int, hint: str) -> None:
    with pytest.raises(RecipeError, match=hint):
        agree_votes(game, rows, 32, turns)


# -- who sees what ---------------------------------------------------------------------------------------------------


def taught(rows: Rows) -> Trainer:
    t = trainer(small(), TABLE, rows, 10)
    t.step()
    return t


def test_one_row_reaches_one_teacher_only() -> None:
    """The same seed, one row replaced: all other teachers are equal bit for bit."""
    one, other = people(50), people(50)
    other.x[12] = 0.9
    first, second = (taught(rows).state.nets["teachers"] for rows in (one, other))
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        same = [torch.equal(a[i], b[i]) for i in range(K)]
        assert [i for i in range(K) if not same[i]] in ([], [12 % K])
    assert any(not torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_parts_are_disjoint_and_of_one_size() -> None:
    turns = [Turn("teachers", 0, 0, i, Draw(0), {}, {}, 4) for i in range(40)]
    index = torch.cat([Partitioned(K).index("parts", 52, t).view(K, 4) for t in turns], 1)
    assert all(bool((index[i] % K == i).all()) for i in range(K))
    assert sorted(set(index.flatten().tolist())) == list(range(50))  # two are left over
    with pytest.raises(RecipeError, match="shared out"):
        Partitioned(K).index("parts", 3, turns[0])


def test_only_teachers_see_rows_and_only_votes_are_paid_for(tmp_path: Path) -> None:
    terms = VoteTerms(8.0, 1e-5, 10.0, K, 8, 3, 50)
    t = Trainer(trainer(small(), TABLE, people(50), 10).state, people(50), 10, taught(people(50)).engine,
                Ledger.create(tmp_path / "privacy.jsonl", terms))  # fmt: skip
    assert t.guard is not None
    by_name = {s.name: s for s in t.recipe.sides()}
    turn = Turn("x", 0, 0, 0, Draw(0), {}, {}, 8)
    for name, side in by_name.items():
        source, at = t.guard.admitted(side, turn)
        assert isinstance(source, Veiled) == (name != "teachers")
        assert isinstance(at.draw, SecureDraw) == (name == "student")
    assert t.ledger is not None
    assert t.ledger.affords(2)
    assert not t.ledger.affords(3)


def test_what_teachers_are_charged_is_not_noted() -> None:
    t = taught(people(50))
    assert {name.split(".")[0] for name in t.state.sums} == {"student", "generator"}


def test_teachers_stay_out_of_what_is_handed_on() -> None:
    state = taught(people(50)).state
    tensors, _ = pack_state(state)
    shown, hidden = parted(state, tensors)
    assert set(shown) | set(hidden) == set(tensors)
    assert not any("teachers" in k for k in (*shown, *pack_model(state)))
    assert {k.split("/")[0] for k in hidden} == {"nets", "optimisers"}
    assert all("teachers" in k for k in hidden)


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"sampler": IID()}, "rows of its own"),
        ({"sampler": Partitioned(4)}, "rows of its own"),
        ({"accumulate": 2}, "micro-batches"),
        ({"ema": replace(small().ema, modules=("teachers",))}, "average of the teachers"),
        ({"game": Pate(latent=8, teachers=4)}, "4 teachers"),
    ],
)
def test_what_the_accounting_does_not_know_is_refused(change: dict[str, object], hint: str) -> None:
    with pytest.raises(RecipeError, match=hint):
        trainer(replace(small(), **change), TABLE, people(50), 3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "value", "hint"),
    [
        ("teachers.clip_gradient", "1.0", "learn of one another"),
        ("student.unroll", "1", "more parts"),
        ("generator.terms", '[{part = "teachers"}]', "votes and the student only"),
        ("generator.penalties", '[{part = "r1", match = "student"}]', "more parts"),
        ("stages.0.together", "true", "together"),
    ],
)
def test_sides_that_would_learn_more_are_refused(path: str, value: str, hint: str) -> None:
    with pytest.raises(RecipeError, match=hint):
        trainer(set_value(small(), path, value), TABLE, people(50), 3)


def test_another_epsilon_goes_into_the_game() -> None:
    recipe, why = privatised(small(), 2.0, 1e-6)
    assert isinstance(recipe.game, Pate)
    assert (recipe.game.epsilon, recipe.game.delta) == (2.0, 1e-6)
    assert "votes" in why[0]


# -- end to end ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> rivalry.Run:
    g = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("data") / "wards.csv"
    with path.open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["ward", "age"])
        rows.writerows(["ABC"[int(g.integers(3))], int(g.integers(20, 90))] for _ in range(500))
    settings = ["batch=8", "game.teachers=100", "sampler.parts=100", "nets.teachers.count=100", "nets.teachers.sizes=[4]"]
    return rivalry.train(
        path, recipe="pate-gan-small", budget="20steps", run=str(path.parent / "run"), settings=settings, device="cpu",
        tensorboard=False, dp_epsilon=4.0, say=lambda line: None,
    )  # fmt: skip


def test_a_run_pays_for_its_votes_and_says_what_it_promises(private: rivalry.Run) -> None:
    found = read_account(private.path)
    assert found is not None
    terms, account = found
    assert isinstance(terms, VoteTerms)
    assert (terms.teachers, terms.each, terms.turns) == (100, 8, 20)
    assert 0.9 * 4 < account.epsilon <= 4
    game = private.recipe.game
    assert isinstance(game, Pate)
    assert game.scale == terms.scale
    for name in ("report.md", "model-card.md"):
        text = (private.path / name).read_text()
        assert "100 teachers" in text
        assert "never" in text
    assert private.sample(20).shape == (20, 2)
    assert not (private.path / "checkpoints" / "best").exists()


def test_no_teacher_leaves_private(private: rivalry.Run) -> None:
    for path in private.path.rglob("*.safetensors"):
        told = any("teachers" in k for k in read_tensors(path)[0])
        assert told == ("private" in path.parts), path
    assert "teachers." not in (private.path / "metrics.jsonl").read_text()


def test_a_private_run_goes_on_and_pays_again(private: rivalry.Run, tmp_path: Path) -> None:
    tensors, meta = private.folder.state("last")
    assert any(k.startswith("nets/teachers/") for k in tensors)
    assert meta["step"] == 20
    lines = (private.path / "privacy.jsonl").read_text()
    again = private.resume(device="cpu", say=lambda line: None)  # its budget is spent: not a step more
    assert again.folder.state("last")[1]["step"] == 20
    assert (private.path / "privacy.jsonl").read_text().startswith(lines)
