"""The gate is cheap and kind, the verdict dear and strict."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from evaluate import samples
from rivalry.data import Dataset
from rivalry.errors import RecipeError
from rivalry.evaluate import Judge, Looks, Score, Scores, Target, Verdict
from rivalry.evaluate import judge as judge_module
from rivalry.evaluate.judge import may_hold
from rivalry.evaluate.reference import Reference
from rivalry.evaluate.rulers import Ruler
from rivalry.evaluate.target import Condition
from rivalry.extractors import PointsExtractor

LOOKS = Looks(gate=100, verdict=400)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return samples.pictures()


def make(data: Dataset, until: str, seed: int = 0) -> Judge:
    return Judge(data, samples.Nearest(), Target.parse(until) if until else None, seed, looks=LOOKS)


Measured = Callable[[int, int], float]


def scripted(monkeypatch: pytest.MonkeyPatch, fd: Measured) -> list[tuple[int, int]]:
    """Replaces measuring by fd(n, turn-th look); returns the (n, seed) of all looks, as they come."""
    looks: list[tuple[int, int]] = []

    def evaluate(
        draw: object, reference: Reference, n: int, seed: int, device: object = None, metrics: tuple[str, ...] = ()
    ) -> Scores:
        looks.append((n, seed))
        value = fd(n, len(looks) - 1)
        ruler = Ruler("fd", "local", "", "", n, 100, "held-out", "d")
        return Scores({"fd": Score(ruler, value, value - 1, value + 1, 2.0)})

    monkeypatch.setattr(judge_module, "evaluate", evaluate)
    return looks


def test_the_full_ruler_waits_for_the_gate(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = scripted(monkeypatch, lambda n, turn: 50.0)
    verdict = make(data, "fd<20").verdict(samples.perfect, 10)
    assert not verdict.met
    assert verdict.note == "not yet: FD-local 50 (49 to 51), wanted < 20"
    assert [n for n, _ in looks] == [100]


def test_a_gate_that_was_looked_at_is_not_looked_at_again(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = scripted(monkeypatch, lambda n, turn: 50.0)
    judge = make(data, "fd<20")
    judge.verdict(samples.perfect, 10, judge.gate(samples.perfect, 10))
    assert len(looks) == 1


def test_a_target_is_confirmed_twice_on_fresh_samples(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = scripted(monkeypatch, lambda n, turn: 10.0)
    verdict = make(data, "fd<20").verdict(samples.perfect, 10)
    assert verdict.met
    assert [n for n, _ in looks] == [100, 400, 400]
    assert len({seed for _, seed in looks}) == 3
    assert "measured 2 times" in verdict.note


@pytest.mark.parametrize(("values", "taken", "says"), [
    ((10.0, 25.0), 2, "by the full ruler"),
    ((10.0, 10.0, 25.0), 3, "on fresh samples (2 of 2)"),
])  # fmt: skip
def test_one_lucky_look_is_not_enough(
    data: Dataset, monkeypatch: pytest.MonkeyPatch, values: tuple[float, ...], taken: int, says: str
) -> None:
    looks = scripted(monkeypatch, lambda n, turn: values[turn])
    verdict = make(data, "fd<20").verdict(samples.perfect, 10)
    assert not verdict.met
    assert len(looks) == taken
    assert says in verdict.note
    assert verdict.scores["fd"].value == 25


def test_a_noisy_ruler_rarely_fools_the_judge(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model just short of the target, looked at 60 times: the luckiest single look would pass, two must agree."""
    own = torch.Generator().manual_seed(0)
    noise = torch.randn(1000, generator=own)
    scripted(monkeypatch, lambda n, turn: 21.5 + float(noise[turn]))
    judge = make(data, "fd<20")
    met = sum(judge.verdict(samples.perfect, step).met for step in range(60))
    assert bool((21.5 + noise[:60] < 20).any())
    assert met <= 1


def test_all_it_says_is_a_function_of_seed_step_and_model(data: Dataset) -> None:
    one, two = make(data, "fd<3x floor, coverage>.5"), make(data, "fd<3x floor, coverage>.5")
    for judge in (one, two):
        judge.gate(samples.noisy, 1)
    assert dict(one.gate(samples.perfect, 7)) == dict(two.gate(samples.perfect, 7))
    first, second = one.verdict(samples.perfect, 7), two.verdict(samples.perfect, 7)
    assert first.met
    assert first.note == second.note
    assert dict(first.scores) == dict(second.scores)
    assert one.gate(samples.perfect, 8)["fd"].value != one.gate(samples.perfect, 7)["fd"].value
    assert make(data, "", 1).gate(samples.perfect, 7)["fd"].value != one.gate(samples.perfect, 7)["fd"].value


def test_runs_of_different_seeds_share_their_ruler(data: Dataset) -> None:
    one, two = (make(data, "", seed).gate(samples.perfect, 7)["fd"] for seed in (0, 1))
    assert one.ruler.id == two.ruler.id


def test_guards_guard(data: Dataset) -> None:
    copying = samples.copying(data)
    assert make(data, "fd<3x floor").verdict(copying, 0).met
    verdict = make(data, "fd<3x floor, copies<.01").verdict(copying, 0)
    assert not verdict.met
    assert "copies" in verdict.note
    collapsed = make(data, "precision>.5, coverage>.8").verdict(samples.collapsed, 0)
    assert not collapsed.met
    assert collapsed.note.startswith("not yet: coverage")


def test_without_a_target_nothing_is_met(data: Dataset) -> None:
    judge = make(data, "")
    verdict = judge.verdict(samples.perfect, 0)
    assert (verdict.met, verdict.note) == (False, "no target was set")
    assert isinstance(verdict, Verdict)
    assert not judge.passes(verdict.scores)


def test_the_gate_spares_the_costly_and_names_what_the_target_names(data: Dataset) -> None:
    assert set(make(data, "copies<.01").gate_metrics) == {
        "fd", "kid", "precision", "recall", "density", "coverage", "missing", "kl",
    }  # fmt: skip
    final = make(data, "").final(samples.perfect, 0)
    assert {"copies", "memorisation"} <= set(final)
    assert final["fd"].ruler.samples == 400


def test_a_target_that_cannot_be_measured_is_refused_at_the_start(data: Dataset) -> None:
    with pytest.raises(RecipeError, match="modes>7 cannot be measured on blobs"):
        make(data, "modes>7")


@pytest.mark.parametrize(("gate", "verdict", "confirm"), [(3, 100, 2), (200, 100, 2), (100, 100, 0)])
def test_looks_must_make_sense(gate: int, verdict: int, confirm: int) -> None:
    with pytest.raises(RecipeError, match="looks need"):
        Looks(gate, verdict, confirm)


def test_the_headline_tells_good_from_bad(data: Dataset) -> None:
    judge = make(data, "")
    good, bad = judge.gate(samples.perfect, 0), judge.gate(samples.noisy, 0)
    assert judge.headline == "fd"
    assert good["fd"].better_than(bad["fd"])


@pytest.mark.parametrize(
    ("metric", "condition", "value", "floor", "holds"),
    [
        ("fd", Condition("fd", "<", 20.0), 24.0, 5.0, True),  # 23 at the kind end, 18 without the bias
        ("fd", Condition("fd", "<", 20.0), 27.0, 5.0, False),
        ("fd", Condition("fd", "<", 3.0, True), 15.5, 5.0, True),
        ("fd", Condition("fd", "<", 3.0, True), 16.5, 5.0, False),
        ("coverage", Condition("coverage", ">", 0.5), -0.52, 0.97, True),
        ("coverage", Condition("coverage", ">", 0.5), -0.54, 0.97, False),
        ("kid", Condition("kid", "<", 0.1), 1.05, -0.1, True),  # a negative floor is no bias
        ("modes", Condition("modes", ">=", 8.0), 7.0, 8.0, True),
        ("modes", Condition("modes", ">=", 8.0), 6.9, 8.0, False),
        ("fd", Condition("fd", "<", 20.0), math.nan, 5.0, False),
    ],
)
def test_the_gate_is_kind(metric: str, condition: Condition, value: float, floor: float, holds: bool) -> None:
    ruler = Ruler(metric, "local", "", "", 100, 100, "held-out", "d")
    assert may_hold(condition, Score(ruler, value, value - 1, value + 1, floor)) is holds


def test_the_gate_passes_what_the_full_ruler_passes(data: Dataset) -> None:
    """Few samples make FD larger: a model that meets the target at 400 must not be stopped at 100."""
    full = make(data, "").final(samples.perfect, 0)["fd"].value
    judge = make(data, f"fd<{full * 1.3}")
    passed = [judge.passes(judge.gate(samples.perfect, step)) for step in range(20)]
    assert all(passed)


def test_points_are_judged_by_what_is_known_of_them() -> None:
    data = samples.ring()
    judge = Judge(data, PointsExtractor(2), Target.parse("modes>=8, hq>.95, kl<.02"))
    assert judge.headline == "swd"
    assert judge.looks == Looks(1000, 2500)
    assert judge.verdict(samples.points(data), 0).met
    lost: Callable[[int, int], Tensor] = samples.points(data, modes=7)
    assert not judge.verdict(lost, 0).met
    assert {"modes", "hq", "variance", "swd"} <= set(judge.gate(samples.points(data), 0))
