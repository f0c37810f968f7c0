"""Training under differential privacy: gradients of single units, their cutting and noise, turns, whole runs."""

from __future__ import annotations

import importlib.util
import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

import rivalry
from rivalry.errors import RecipeError, RunError
from rivalry.games import LazyPlay, Poisson, Sample
from rivalry.nets import MLP, Discriminator, MLPTrunk
from rivalry.objectives import GAN, Hinge, Relativistic
from rivalry.parts import Objective, Penalty, Turn
from rivalry.penalties import GP, R1, R2, ApproximateR1
from rivalry.privacy import Ledger, Terms, epsilon_of, read_account
from rivalry.recipe import Private, Recipe, Side, Stage
from rivalry.streams import Draw
from rivalry.training import private
from rivalry.training.loop import Trainer, private_turns
from rivalry.training.loop import train as train_loop
from rivalry.training.private import SLACK, PrivateTurns, Unpaired, clipped_sum, cut_sum, noised, unit_gradients
from rivalry.training.state import State, build_state
from rivalry.training.step import losses, total
from rivalry.types import Batch, Match, Point
from tiny import CPU, ENGINE, POINTS, ring, trainer

needs_accountant = pytest.mark.skipif(
    importlib.util.find_spec("dp_accounting") is None, reason="dp-accounting is not installed"
)
TURN = Turn("discriminator", 0, 0, 0, Draw(0, ("t",)), {}, {}, 8)


def recipe(
    objective: Objective | None = None, penalties: tuple[Penalty, ...] = (R1(0.5), R2(0.5)), noise: float = 1.0,
    clip: float = 0.1, batch: int = 16,
) -> Recipe:  # fmt: skip
    d = Side(
        "discriminator", ("discriminator",), judges=("main",), penalties=penalties,
        private=Private(3.0, 1e-5, clip, noise),
    )  # fmt: skip
    g = Side("generator", ("generator",), fools=("main",))
    nets = {"generator": MLP((8,)), "discriminator": Discriminator(MLPTrunk((8, 8), residual=True))}
    return Recipe(
        "private", nets, Sample(latent=4), (Stage((d, g)),), objective or Relativistic(), sampler=Poisson(), batch=batch
    )


def judge() -> torch.nn.Module:
    torch.manual_seed(0)
    return recipe().nets["discriminator"].build(POINTS, Sample(latent=4).wiring(POINTS)).double()


def play(net: torch.nn.Module, real: Tensor, fake: Tensor) -> LazyPlay:
    return LazyPlay({"discriminator": net}, {"main": lambda: Match("discriminator", Point(real), Point(fake))})


def points(n: int = 9, seed: int = 0) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    real, fake = (torch.randn(n, 2, generator=g, dtype=torch.float64) for _ in range(2))
    return real, fake


def parameters(net: torch.nn.Module) -> dict[str, Tensor]:
    return {f"discriminator.{k}": p.detach() for k, p in net.named_parameters()}


CASES: tuple[tuple[Objective, tuple[Penalty, ...]], ...] = (
    (Relativistic(), (R1(0.5), R2(0.5))),
    (GAN(), (GP(10.0), R1(2.0, every=2))),
    (Hinge(), (ApproximateR1(1.0, sigma=0.1),)),
)


def drawn(n: int) -> Mapping[str, Tensor]:
    """What the penalties draw for n rows in this turn."""
    return {
        "gp": TURN.draw.at("gp", "main").uniform("between", n, 1),
        "approximate-r1": TURN.draw.at("approximate-r1", "main").normal("eps", n, 2),
    }


@pytest.mark.parametrize(("objective", "penalties"), CASES, ids=lambda v: type(v).__name__)
def test_gradients_of_units_equal_a_loop_in_float64(
    objective: Objective, penalties: tuple[Penalty, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop is written out: `autograd.grad` of the closed-form charge of one pair at a time."""
    net, (real, fake) = judge(), points()
    r = recipe(objective, penalties)
    (side,) = r.private_sides()
    monkeypatch.setattr(private, "FLOATS", 4 * sum(p.numel() for p in net.parameters()))  # chunks of 4, 4 and 1
    chunks = list(unit_gradients(r, side, play(net, real, fake), TURN, parameters(net)))
    assert [len(next(iter(c.values()))) for c in chunks] == [4, 4, 1]
    found = {k: torch.cat([c[k] for c in chunks]) for k in chunks[0]}
    draws = drawn(len(real))
    for i in range(len(real)):
        charge = written_out(net, real[i], fake[i], objective, {k: v[i] for k, v in draws.items()})
        own = dict(net.named_parameters())
        slopes = torch.autograd.grad(charge, list(own.values()), allow_unused=True)
        for name, slope in zip(own, slopes, strict=True):
            expected = torch.zeros_like(own[name]) if slope is None else slope
            torch.testing.assert_close(found[f"discriminator.{name}"][i], expected, msg=f"{name} of unit {i}")


def written_out(net: torch.nn.Module, x: Tensor, y: Tensor, objective: Objective, draw: Mapping[str, Tensor]) -> Tensor:
    """What one pair is charged by the three cases, by their equations."""

    def score(at: Tensor) -> Tensor:
        return net(at[None])["score"][0]

    def slope(at: Tensor) -> Tensor:
        at = at.detach().requires_grad_()
        return torch.autograd.grad(score(at), at, create_graph=True)[0]

    if isinstance(objective, Relativistic):
        fit = torch.log1p((score(y) - score(x)).exp())
        return fit + 0.25 * slope(x).square().sum() + 0.25 * slope(y).square().sum()
    if isinstance(objective, GAN):
        fit = torch.log1p((-score(x)).exp()) + torch.log1p(score(y).exp())
        between = x + draw["gp"].double() * (y - x)
        return fit + 10 * (slope(between).norm() - 1) ** 2 + 2 * slope(x).square().sum()  # R1: 2 x 2 / 2, every other
    fit = (1 - score(x)).clamp_min(0) + (1 + score(y)).clamp_min(0)
    moved = x + 0.1 * draw["approximate-r1"].double()
    return fit + 0.5 * ((score(moved) - score(x)) / 0.1) ** 2


@pytest.mark.parametrize(("objective", "penalties"), CASES, ids=lambda v: type(v).__name__)
def test_with_a_wide_clip_the_mean_is_that_of_an_ordinary_turn(
    objective: Objective, penalties: tuple[Penalty, ...]
) -> None:
    net, (real, fake) = judge(), points()
    r = recipe(objective, penalties)
    (side,) = r.private_sides()
    sums = clipped_sum(r, side, play(net, real, fake), TURN, parameters(net), 1e9)
    loss = total(losses(r, side, play(net, real, fake), replace(TURN, notes={}), {"discriminator": True}))
    own = dict(net.named_parameters())
    plain = torch.autograd.grad(loss, list(own.values()), allow_unused=True)
    for name, slope in zip(own, plain, strict=True):
        expected = torch.zeros_like(own[name]) if slope is None else slope
        torch.testing.assert_close(sums[f"discriminator.{name}"] / len(real), expected, rtol=1e-6, atol=1e-9)


def norm(slopes: Mapping[str, Tensor]) -> float:
    return math.sqrt(sum(float(v.double().square().sum()) for v in slopes.values()))


def test_every_unit_is_cut_and_small_ones_are_left_alone() -> None:
    g = torch.Generator().manual_seed(0)
    scale = torch.logspace(-4, 6, 40)
    slopes = {"a": torch.randn(40, 30, 4, generator=g) * scale[:, None, None], "b": torch.randn(40, 5, generator=g) * scale[:, None]}
    for i in range(40):
        one = {k: v[i : i + 1] for k, v in slopes.items()}
        before, after = norm(one), norm(found := cut_sum(one, 0.7))
        assert after <= 0.7
        assert after == pytest.approx(min(before, 0.7 * SLACK), rel=1e-5)
        for k, v in found.items():
            torch.testing.assert_close(v, one[k][0] * (after / before))
    together = cut_sum(slopes, 0.7)
    for k in slopes:
        torch.testing.assert_close(together[k], torch.stack([cut_sum({j: v[i : i + 1] for j, v in slopes.items()}, 0.7)[k] for i in range(40)]).sum(0))


def test_a_unit_whose_gradient_is_no_number_counts_as_zero() -> None:
    slopes = {"a": torch.tensor([[3.0, 4.0], [math.nan, 0.0], [math.inf, 1.0], [0.0, 0.0]])}
    torch.testing.assert_close(cut_sum(slopes, 1.0)["a"], torch.tensor([0.6, 0.8]), rtol=1e-4, atol=0)


def test_one_row_more_or_less_moves_the_sum_by_the_clip_at_most() -> None:
    """The canary, in small: whatever is planted, an outlier of 1e6 or another row of the data, the sum before noise
    moves by no more than the clip, and an outlier moves it that far."""
    net, (real, fake) = judge(), points(12)
    r = recipe(GAN(), (R1(0.5),))
    (side,) = r.private_sides()
    at = parameters(net)
    for clip in (0.01, 1.0):
        without = clipped_sum(r, side, play(net, real, fake), TURN, at, clip)
        for planted in (torch.full((1, 2), 1e6), torch.zeros(1, 2), real[:1], torch.full((1, 2), math.nan)):
            x, y = torch.cat([real, planted.double()]), torch.cat([fake, fake[:1]])
            with_it = clipped_sum(r, side, play(net, x, y), TURN, at, clip)
            moved = norm({k: with_it[k] - without[k] for k in at})
            assert moved <= clip
            if float(planted.max()) == 1e6:
                assert moved == pytest.approx(clip, rel=1e-4)


def test_noise_has_the_size_of_noise_times_clip_and_the_sum_is_divided_by_the_expected_batch() -> None:
    sums = {"a": torch.full((300, 100), 64.0, dtype=torch.float64), "b": torch.zeros(20_000, dtype=torch.float64)}
    settings = Private(3.0, 1e-5, clip=0.5, noise=4.0)
    found = noised(sums, settings, 32)
    assert {k: v.dtype for k, v in found.items()} == {"a": torch.float32, "b": torch.float32}
    noise = torch.cat([(found["a"] - 2.0).flatten(), found["b"]]).double()
    spread = 4.0 * 0.5 / 32
    assert float(noise.mean()) == pytest.approx(0, abs=4.5 * spread / math.sqrt(len(noise)))
    assert float(noise.std()) == pytest.approx(spread, rel=4.5 / math.sqrt(2 * len(noise)))
    torch.testing.assert_close(noised(sums, replace(settings, noise=0.0), 32)["a"], torch.full((300, 100), 2.0))


# -- turns ----------------------------------------------------------------------------------------------------------


def gradients(rows: int, batch: int, noise: float, clip: float = 0.1) -> dict[str, Tensor]:
    """What one private turn over so many rows leaves for the optimiser."""
    t = trainer(recipe(noise=noise, batch=batch, clip=clip), POINTS, ring(rows), 3)
    assert t.secret is not None
    (side,) = t.recipe.private_sides()
    t.secret.take(side, replace(TURN, batch=batch))
    return {k: p.grad for k, p in t.state.nets["discriminator"].named_parameters() if p.grad is not None}


def test_an_empty_batch_takes_a_step_of_noise_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Poisson, "index", lambda self, stream, rows, turn: torch.zeros(0, dtype=torch.long))
    assert norm(gradients(64, 16, noise=0.0)) == 0
    found = gradients(64, 16, noise=2.0, clip=1.0)
    count = sum(v.numel() for v in found.values())
    assert norm(found) == pytest.approx(2.0 / 16 * math.sqrt(count), rel=5 / math.sqrt(2 * count))
    t = trainer(recipe(), POINTS, ring(64), 3)
    before = [p.clone() for p in t.state.nets["discriminator"].parameters()]
    t.step()
    assert all(not torch.equal(a, b) for a, b in zip(before, t.state.nets["discriminator"].parameters(), strict=True))


def test_a_turn_divides_by_the_expected_batch_not_by_the_drawn_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under a tiny clip every unit has norm C: n drawn rows give n C / 16 at most, and a single one just that."""
    for n in (1, 5, 40):
        monkeypatch.setattr(Poisson, "index", lambda self, stream, rows, turn, n=n: torch.arange(n))
        found = gradients(64, 16, noise=0.0, clip=1e-9)
        assert norm(found) <= n * 1e-9 / 16
        if n == 1:
            assert norm(found) == pytest.approx(1e-9 / 16, rel=1e-3)


def test_two_turns_differ_in_rows_and_noise() -> None:
    one, two = (gradients(64, 16, noise=0.0) for _ in range(2))
    assert any(not torch.equal(one[k], two[k]) for k in one)


def test_several_turns_per_step_are_counted_and_paid_for(tmp_path: Path) -> None:
    """Five critic turns a step: 10 steps are 50 turns, and a budget of 12 turns pays for two steps."""
    one = recipe().stages[0]
    five = replace(recipe(), stages=(replace(one, sides=(replace(one.sides[0], turns=5), one.sides[1])),))
    assert private_turns(five, 10) == 50
    assert private_turns(replace(five, stages=(*five.stages, Stage((one.sides[1],), "rest", 1.0))), 10) == 25
    ledger = Ledger.create(tmp_path / "privacy.jsonl", Terms(3.0, 1e-5, 1.0, 0.1, 0.04, 12, 400, 16))
    t = Trainer(build_state(five, POINTS, 0, CPU), ring(400), 10, ENGINE, ledger)
    assert train_loop(t, Silent()) == "budget"
    assert (t.state.step, ledger.paid) == (2, 10)


class Silent:
    """A Watcher with nothing to say."""

    def after_step(self, state: State) -> str:
        return ""


def test_nothing_of_real_rows_is_noted_and_other_sides_get_none() -> None:
    t = trainer(recipe(), POINTS, ring(400), 3)
    t.step()
    assert set(t.state.sums) == {"discriminator.gradient", "generator.loss", "generator.main.fake", "generator.gradient"}
    veiled = t.source.batch("real", replace(TURN, batch=5))
    assert isinstance(veiled, Batch)
    assert bool(veiled.x.isnan().all())
    assert veiled.label is None


def test_the_generator_s_half_minds_no_shift_and_no_real_rows() -> None:
    """softplus(-(f - mean f)), slope -sigmoid(mean f - f) at each fake, the mean taken for a constant."""
    fake = torch.tensor([0.3, -1.0, 2.2], dtype=torch.float64, requires_grad=True)
    on_real, loss = Unpaired(Relativistic()).generator(None, fake, {})
    assert on_real is None
    gap = fake.detach().mean() - fake.detach()
    torch.testing.assert_close(loss.detach(), torch.log1p(gap.exp()))
    torch.testing.assert_close(torch.autograd.grad(loss.sum(), fake)[0], -torch.sigmoid(gap))
    torch.testing.assert_close(Unpaired(Relativistic()).generator(None, fake + 7, {})[1], loss)
    torch.testing.assert_close(Unpaired(GAN()).generator(None, fake, {})[1], GAN().generator(None, fake, {})[1])


# -- runs -----------------------------------------------------------------------------------------------------------


def quiet(line: str) -> None:
    pass


def train(tmp: Path, name: str, budget: str = "40steps", **more: object) -> rivalry.Run:
    settings = ("generator.sizes=[8]", "discriminator.trunk.sizes=[8]", "batch=32")
    return rivalry.train(
        "ring8", recipe="house-points-small", budget=budget, run=str(tmp / name), settings=settings, device="cpu",
        options=rivalry.ReadOptions(limit=2000), tensorboard=False, say=quiet, **{"dp_epsilon": 3.0, **more},
    )  # fmt: skip


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> rivalry.Run:
    return train(tmp_path_factory.mktemp("runs"), "straight")


@needs_accountant
def test_a_run_keeps_its_promise_and_tells_of_it(straight: rivalry.Run) -> None:
    run = straight
    found = read_account(run.path)
    assert found is not None
    terms, account = found
    assert (terms.turns, account.turns, terms.batch) == (40, 40, 32)
    assert terms.rate == 32 / terms.rows
    assert account.epsilon == epsilon_of(terms.sigma, terms.delta, terms.rate, 40)
    assert 2.9 < account.epsilon <= 3.0
    (side,) = run.recipe.private_sides()
    assert side.private == Private(3.0, terms.delta, terms.clip, terms.sigma)
    end = run.folder.events()[-1]["sentence"]
    report, card = ((run.path / name).read_text() for name in ("report.md", "model-card.md"))
    for text in (end, report, card):
        assert f"{account.epsilon:.4g}" in text
    for text in (report, card):
        for words in ("Preparation", "held-out rows", "Poisson", "40 of 40", "dp-accounting", "number of rows"):
            assert words in text, words
    assert "No privacy guarantee" not in card
    assert not (run.path / "checkpoints/best").exists()
    assert run.sample(5, device="cpu").shape == (5, 2)
    noted = {k for r in run.folder.metrics() for k in r.get("notes", {})}
    assert noted == {"discriminator.gradient", "generator.loss", "generator.main.fake", "generator.gradient"}
    assert not any("memory" in r for r in run.folder.metrics())


@needs_accountant
def test_steps_lost_in_a_crash_are_charged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between charge and step, and again: what was paid stays paid, and the run ends early by as much."""
    class Killed(BaseException):
        pass

    take, taken = PrivateTurns.take, [0]

    def until(self: PrivateTurns, side: Side, turn: Turn) -> None:
        if self.ledger is not None:
            taken[0] += 1
            if taken[0] == 33:
                self.ledger.spend()
                raise Killed
        take(self, side, turn)

    with monkeypatch.context() as patch:
        patch.setattr(PrivateTurns, "take", until)
        with pytest.raises(Killed):
            train(tmp_path, "broken")
    broken = rivalry.load(tmp_path / "broken")
    path = broken.path / "privacy.jsonl"
    assert Ledger.open(path).paid == 33
    _, meta = broken.folder.state("last")
    begun = int(meta["step"])
    assert begun <= 32
    with path.open("a") as file:
        file.write('{"kind": "paid", "turns": 1, "to')
    done = broken.resume(device="cpu", say=quiet)
    assert done.ended == "budget"
    assert Ledger.open(path).paid == 40
    assert done.folder.state("last")[1]["step"] == begun + 7
    found = read_account(done.path)
    assert found is not None
    assert found[1].epsilon <= 3.0
    totals = [r["total"] for r in map(json.loads, (s for s in path.read_text().splitlines() if s.endswith("}"))) if r["kind"] == "paid"]
    assert totals == list(range(1, 41))
    again = done.resume(device="cpu", say=quiet)  # nothing is left to spend, so nothing is taken
    assert again.folder.state("last")[1]["step"] == begun + 7


@needs_accountant
def test_a_ledger_of_other_terms_is_refused(straight: rivalry.Run, tmp_path: Path) -> None:
    shutil.copytree(straight.path, tmp_path / "swapped")
    run = rivalry.load(tmp_path / "swapped")
    path = run.path / "privacy.jsonl"
    text = path.read_text()
    path.write_text(text.replace('"clip": 1.0', '"clip": 0.5'))
    with pytest.raises(RunError, match="tell of different"):
        run.resume(device="cpu", say=quiet)
    path.unlink()
    with pytest.raises(RunError, match="does not tell"):
        run.resume(device="cpu", say=quiet)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"until": "swd<0.1"}, "--budget instead"),
        ({"dp_epsilon": 0.0}, "above 0"),
        ({"dp_epsilon": -2.0}, "above 0"),
        ({"dp_epsilon": None, "dp_delta": 1e-5}, "goes with --dp-epsilon"),
    ],
)
def test_what_cannot_be_promised_is_refused_and_leaves_nothing(
    tmp_path: Path, more: dict[str, object], words: str
) -> None:
    with pytest.raises(RecipeError, match=words):
        train(tmp_path, "never", **more)
    assert not (tmp_path / "never").exists()
