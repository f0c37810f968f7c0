"""Differential privacy: accounting, noise, the ledger, and what is refused."""

from __future__ import annotations

import importlib.util
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from scipy import stats

from rivalry.controllers import ADA as ADAControl
from rivalry.controllers import PathMean
from rivalry.errors import RecipeError, RunError
from rivalry.games import IID, Invert, Poisson, Sample
from rivalry.nets import MLP, Discriminator, Encoder, MLPTrunk, TableNet
from rivalry.objectives import GAN, RelativisticAverage, TwoWay
from rivalry.parts import Turn
from rivalry.penalties import DRAGAN, GP, R1, LatentConsistency
from rivalry.privacy import (
    Ledger,
    Terms,
    agree_terms,
    epsilon_of,
    exclusions,
    guarantee,
    normal,
    privatised,
    read_account,
    sigma_for,
)
from rivalry.privacy.secure import SecureDraw, uniform
from rivalry.recipe import Private, Recipe, Side, set_value
from rivalry.schedules import Linear
from rivalry.streams import Draw
from rivalry.terms import L2
from rivalry.zoo import get
from tiny import POINTS, TABLE, people, ring, trainer

needs_accountant = pytest.mark.skipif(
    importlib.util.find_spec("dp_accounting") is None, reason="dp-accounting is not installed"
)
ADULT, DELTA = 32_561, 32_561**-1.1


# -- accounting -----------------------------------------------------------------------------------------------------


@needs_accountant
@pytest.mark.parametrize(("sigma", "published"), [(1.797, 1.0), (0.590, 10.0)])
def test_epsilon_agrees_with_published_values(sigma: float, published: float) -> None:
    """Adult, batches of 256, 3,000 steps (a PRV accountant, whose own error is .01): PLD rounds up, but less."""
    found = epsilon_of(sigma, DELTA, 256 / ADULT, 3000)
    assert 0.975 * published <= found <= published


@needs_accountant
def test_sigma_agrees_with_published_values_and_keeps_within_epsilon() -> None:
    sigma = sigma_for(1.0, DELTA, 256 / ADULT, 3000)
    assert sigma == pytest.approx(1.797, rel=0.02)
    assert 0.995 <= epsilon_of(sigma, DELTA, 256 / ADULT, 3000) <= 1.0


def gaussian_delta(epsilon: float, sigma: float) -> float:
    """Balle & Wang 2018, theorem 8, at sensitivity 1."""
    phi = stats.norm.cdf
    return float(phi(0.5 / sigma - epsilon * sigma) - math.exp(epsilon) * phi(-0.5 / sigma - epsilon * sigma))


@needs_accountant
@pytest.mark.parametrize(("sigma", "turns"), [(3.0, 1), (10.0, 25)])
def test_without_sampling_it_is_the_gaussian_mechanism(sigma: float, turns: int) -> None:
    """k turns with noise sigma are one with sigma / sqrt(k)."""
    found = epsilon_of(sigma, 1e-5, 1.0, turns)
    assert gaussian_delta(found, sigma / math.sqrt(turns)) == pytest.approx(1e-5, rel=0.01)
    assert gaussian_delta(found, sigma / math.sqrt(turns)) <= 1e-5


def test_nothing_costs_nothing_and_no_noise_costs_everything() -> None:
    assert epsilon_of(1.0, 1e-5, 0.1, 0) == 0
    assert epsilon_of(0.0, 1e-5, 0.1, 1) == math.inf


@needs_accountant
def test_terms_count_every_turn_and_refuse_a_delta_that_says_nothing() -> None:
    few = agree_terms(Private(3.0), 2000, 100, 50)
    many = agree_terms(Private(3.0), 2000, 100, 250)
    assert many.sigma > few.sigma
    assert (many.rate, many.delta) == (0.05, pytest.approx(2000**-1.1))
    for delta in (0.5, 0.01, 1 / 2000):
        with pytest.raises(RecipeError, match=r"no less than one over the 2,000 rows.*leave --dp-delta out for 0.00023"):
            agree_terms(Private(3.0, delta=delta), 2000, 100, 50)
    assert any("too large" in line for line in exclusions(replace(many, delta=0.01)))


@needs_accountant
def test_terms_refuse_too_few_rows_and_a_noise_that_spends_more() -> None:
    with pytest.raises(RecipeError, match="too few"):
        agree_terms(Private(3.0), 120, 100, 50)
    with pytest.raises(RecipeError, match="leave noise at 0"):
        agree_terms(Private(0.5, noise=0.6), 2000, 100, 50)
    assert agree_terms(Private(8.0, noise=5.0), 2000, 100, 50).sigma == 5.0


@pytest.mark.parametrize("settings", [{"epsilon": 0.0}, {"epsilon": -1.0}, {"epsilon": math.inf}, {"delta": 1.0}, {"clip": 0.0}, {"noise": -1.0}])
def test_settings_that_make_no_sense_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(RecipeError):
        Private(**settings)


# -- noise and sampling ---------------------------------------------------------------------------------------------


def test_noise_is_normal() -> None:
    """Kolmogorov-Smirnov and four moments at a fixed count; a sound source fails once in some ten thousand runs."""
    x = normal(200_000)
    assert x.dtype == torch.float64
    assert stats.kstest(x.numpy(), "norm").pvalue > 1e-5
    for power, moment, spread in ((1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)):
        assert abs(float((x**power).mean()) - moment) < 4.5 * math.sqrt(spread / len(x)), power
    assert abs(float((x[:-1] * x[1:]).mean())) < 4.5 / math.sqrt(len(x))


def test_uniforms_lie_inside_and_two_draws_differ() -> None:
    u = uniform(100_000)
    assert 0 < float(u.min()) < float(u.max()) < 1
    assert stats.kstest(u.numpy(), "uniform").pvalue > 1e-5
    assert not torch.equal(normal(8), normal(8))


def test_a_secure_draw_never_repeats_itself() -> None:
    draw = SecureDraw.like(Draw(0, ("turn",)))
    for a, b in ((draw.normal("z", 5, 2), draw.normal("z", 5, 2)), (draw.uniform("u", 5), draw.uniform("u", 5))):
        assert a.shape == b.shape
        assert not torch.equal(a, b)
    assert SecureDraw.like(draw).seed != draw.seed
    assert draw.at("deeper").normal("z", 3).dtype == torch.float32
    assert sorted(draw.permutation("p", 50).tolist()) == list(range(50))
    counts = torch.bincount(draw.integers("i", 4, 40_000), minlength=4)
    assert stats.chisquare(counts.numpy()).pvalue > 1e-5


def poisson(rows: int, batch: int) -> torch.Tensor:
    return Poisson().index("real", rows, Turn("d", 0, 0, 0, Draw(0), {}, {}, batch))


def test_poisson_draws_every_row_on_its_own() -> None:
    """Counts are binomial, every row as often as every other, pairs no more often than chance, and empty batches occur."""
    rounds, rows, batch = 4000, 50, 5
    drawn = torch.zeros(rounds, rows)
    for i in range(rounds):
        index = poisson(rows, batch)
        assert torch.equal(index, index.unique())
        drawn[i, index] = 1
    counts, q = drawn.sum(1), batch / rows
    assert float(counts.mean()) == pytest.approx(batch, abs=4.5 * math.sqrt(rows * q * (1 - q) / rounds))
    assert float(counts.var()) == pytest.approx(rows * q * (1 - q), rel=0.12)
    assert int((counts == 0).sum()) > 0
    per_row = drawn.mean(0)
    assert float((per_row - q).abs().max()) < 5 * math.sqrt(q * (1 - q) / rounds)
    together = (drawn[:, 0] * drawn[:, 1]).mean()
    assert float(together) == pytest.approx(q * q, abs=4.5 * math.sqrt(q * q / rounds))


def test_poisson_with_a_batch_of_all_rows_takes_all() -> None:
    assert poisson(7, 7).tolist() == list(range(7))


# -- the ledger -----------------------------------------------------------------------------------------------------

TERMS = Terms(3.0, 1e-5, 1.1, 1.0, 0.01, 1000, 10_000, 100)


def test_the_ledger_pays_before_and_a_crash_costs_what_was_paid(tmp_path: Path) -> None:
    path = tmp_path / "privacy.jsonl"
    ledger = Ledger.create(path, TERMS)
    for _ in range(7):
        ledger.spend()
    assert ledger.block == 5
    again = Ledger.open(path)  # killed: turns 8 to 10 are paid for, whether they were taken or not
    assert again.terms == TERMS
    assert again.paid == 10
    assert again.affords(990)
    assert not again.affords(991)


def test_a_line_cut_short_is_passed_over_and_later_lines_count(tmp_path: Path) -> None:
    path = tmp_path / "privacy.jsonl"
    ledger = Ledger.create(path, TERMS)
    for _ in range(10):
        ledger.spend()
    path.write_bytes(path.read_bytes()[:-9])  # the second payment never reached the disk, so its turns were not taken
    again = Ledger.open(path)
    assert again.paid == 5
    again.spend()
    assert Ledger.open(path).paid == 10
    assert len(path.read_text().splitlines()) == 4


def test_the_ledger_stops_at_the_budget(tmp_path: Path) -> None:
    ledger = Ledger.create(tmp_path / "privacy.jsonl", replace(TERMS, turns=3))
    for _ in range(3):
        assert ledger.affords(1)
        ledger.spend()
    assert not ledger.affords(1)
    with pytest.raises(RunError, match="is spent"):
        ledger.spend()


def test_a_ledger_is_neither_begun_twice_nor_done_without(tmp_path: Path) -> None:
    path = tmp_path / "privacy.jsonl"
    with pytest.raises(RunError, match="does not tell"):
        Ledger.open(path)
    Ledger.create(path, TERMS)
    with pytest.raises(RunError, match="cannot be unsaid"):
        Ledger.create(path, TERMS)
    path.write_text("{}\n")
    with pytest.raises(RunError, match="does not tell"):
        Ledger.open(path)


@needs_accountant
def test_what_is_said_is_what_the_accountant_says(tmp_path: Path) -> None:
    assert read_account(tmp_path) is None
    ledger = Ledger.create(tmp_path / "privacy.jsonl", TERMS)
    for _ in range(12):
        ledger.spend()
    account = ledger.settle()
    expected = epsilon_of(1.1, 1e-5, 0.01, 15)
    assert (account.epsilon, account.turns) == (expected, 15)
    assert read_account(tmp_path) == (TERMS, account)
    text = " ".join(guarantee(TERMS, account))
    for words in (f"{expected:.4g}", "1e-05", "15 of 1000", "dp-accounting", "Poisson", "there in one and missing"):
        assert words in text, words
    assert json.loads((tmp_path / "privacy.jsonl").read_text().splitlines()[-1])["kind"] == "account"


# -- recipes --------------------------------------------------------------------------------------------------------


def base() -> Recipe:
    """A duel on points, private but for what a test changes."""
    whole, _ = privatised(get("house-points-small"), 3.0)
    whole = replace(
        whole,
        nets={"generator": MLP((8,)), "discriminator": Discriminator(MLPTrunk((8, 8)))},
        batch=16,
        schedules={},
    )
    return with_d(whole, private=Private(3.0, 1e-5, 1.0, 1.0))


def with_d(recipe: Recipe, **changes: object) -> Recipe:
    stage = recipe.stages[0]
    sides = tuple(replace(s, **changes) if s.judges else s for s in stage.sides)  # type: ignore[arg-type]
    return replace(recipe, stages=(replace(stage, sides=sides),))


def with_g(recipe: Recipe, **changes: object) -> Recipe:
    stage = recipe.stages[0]
    sides = tuple(s if s.judges else replace(s, **changes) for s in stage.sides)  # type: ignore[arg-type]
    return replace(recipe, stages=(replace(stage, sides=sides),))


def test_a_private_recipe_is_written_and_read_without_loss() -> None:
    recipe, why = privatised(get("house-table"), 2.5, 1e-6)
    assert Recipe.from_toml(recipe.to_toml()) == recipe
    (side,) = recipe.private_sides()
    assert (side.name, side.private) == ("discriminator", Private(2.5, 1e-6))
    assert recipe.sampler == Poisson()
    assert "stands in" in " ".join(why)
    assert set_value(recipe, "discriminator.private.clip", "0.3").private_sides()[0].private == Private(2.5, 1e-6, 0.3)
    assert "private" not in get("house-table").to_toml()


BATCHED = Discriminator(MLPTrunk((8,), norm="batch"))
REFUSED = {
    "batch norm": (lambda r: replace(r, nets={**r.nets, "discriminator": BATCHED}), "'discriminator' has layers"),
    "batch norm of fakes": (lambda r: replace(r, nets={**r.nets, "generator": MLP((8,), norm="batch")}), "'generator' has layers"),
    "packing": (lambda r: replace(r, game=Sample(latent=8, pack=2)), "packing joins 2"),
    "objective": (lambda r: replace(r, objective=RelativisticAverage()), "'relativistic-average'"),
    "penalty": (lambda r: with_d(r, penalties=(DRAGAN(),)), "'dragan'"),
    "penalty on pairs": (lambda r: with_d(r, penalties=(LatentConsistency(),)), "'latent-neighbour'"),
    "term": (lambda r: with_d(r, terms=(L2("latent-neighbour"),)), "'l2'"),
    "controller": (lambda r: replace(r, controllers=(ADAControl(),)), "'ada'"),
    "sampler": (lambda r: replace(r, sampler=IID()), "'iid'"),
    "unroll": (lambda r: with_d(r, unroll=2), "whole batches"),
    "schedule": (lambda r: replace(r, schedules={"batch": Linear(16, 32)}), "'batch'"),
    "together": (lambda r: replace(r, stages=(replace(r.stages[0], together=True),)), "share rows"),
    "generator charged on real rows": (lambda r: with_g(r, penalties=(GP(),)), "depends on real rows"),
    "unrolled generator": (lambda r: with_g(r, unroll=1), "depends on real rows"),
    "second judge": (
        lambda r: replace(r, stages=(replace(r.stages[0], sides=(*r.stages[0].sides, Side("spy", ("generator",), judges=("main",)))),)),
        "'spy' judges real rows",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_would_break_the_guarantee_is_refused_by_name(what: str) -> None:
    change, words = REFUSED[what]

    def begin() -> None:
        trainer(change(base()), POINTS, ring(400), 3).step()

    with pytest.raises(RecipeError, match="not under differential privacy") as caught:
        begin()
    assert words in str(caught.value)


def test_labels_of_real_rows_are_refused() -> None:
    recipe = replace(base(), game=Sample(latent=8, conditional=True))
    with pytest.raises(RecipeError, match="labels"):
        trainer(recipe, replace(POINTS, class_names=("a", "b")), ring(400), 3)


def test_an_encoder_of_real_rows_is_refused() -> None:
    """BiGAN's judge sees E(x) beside x, and the encoder learns from it."""
    nets = {"generator": MLP((8,)), "encoder": Encoder(MLPTrunk((8,))), "discriminator": base().nets["discriminator"]}
    open_ = replace(base(), game=Invert(latent=8), objective=TwoWay(), nets=nets)
    recipe = with_g(open_, modules=("generator", "encoder"))
    with pytest.raises(RecipeError, match="codes of an encoder"):
        trainer(recipe, POINTS, ring(400), 3)


def test_what_does_no_harm_is_let_through() -> None:
    plain = base()
    fine = (
        plain,
        replace(plain, objective=GAN()),
        with_d(plain, penalties=(R1(), GP())),
        replace(plain, controllers=(PathMean(),)),
    )
    for recipe in fine:
        trainer(recipe, POINTS, ring(400), 3).step()
    house, _ = privatised(get("house-table-small"), 3.0)
    nets = {"generator": TableNet((8,)), "discriminator": Discriminator(MLPTrunk((8,)))}
    trainer(with_d(replace(house, nets=nets, batch=16), private=Private(noise=1.0)), TABLE, people(200), 3).step()
