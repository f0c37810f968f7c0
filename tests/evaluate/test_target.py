"""Targets and budgets as users write them."""

from __future__ import annotations

import pytest

from rivalry.errors import RecipeError, UnknownName
from rivalry.evaluate.rulers import Ruler, Score
from rivalry.evaluate.target import Budget, Condition, Target


def scores(floor: float | None = 2.0, **values: float) -> dict[str, Score]:
    ruler = {k: Ruler(k, "local", "ab", "28", 100, 100, "held", "d") for k in values}
    return {k: Score(ruler[k], v, v, v, floor) for k, v in values.items()}


@pytest.mark.parametrize(
    ("text", "conditions"),
    [
        ("fd<20", [Condition("fd", "<", 20.0)]),
        (" FD <= 2e1 ", [Condition("fd", "<=", 20.0)]),
        ("fd<20, coverage>.5, copies<.01", [
            Condition("fd", "<", 20.0), Condition("coverage", ">", 0.5), Condition("copies", "<", 0.01)]),
        ("copies<1%", [Condition("copies", "<", 0.01)]),
        ("fd<3x floor", [Condition("fd", "<", 3.0, True)]),
        ("fd < 1.5 × the floor;kl<.01", [Condition("fd", "<", 1.5, True), Condition("kl", "<", 0.01)]),
        ("fd<3xfloor and recall>=.4", [Condition("fd", "<", 3.0, True), Condition("recall", ">=", 0.4)]),
        ("coverage>.9x floor", [Condition("coverage", ">", 0.9, True)]),
        ("modes>=25,hq>.98,swd<.1,kid<1e-3,density>.8,precision>.7", [
            Condition("modes", ">=", 25.0), Condition("hq", ">", 0.98), Condition("swd", "<", 0.1),
            Condition("kid", "<", 1e-3), Condition("density", ">", 0.8), Condition("precision", ">", 0.7)]),
    ],
)  # fmt: skip
def test_targets_parse_and_print_back(text: str, conditions: list[Condition]) -> None:
    target = Target.parse(text)
    assert list(target.conditions) == conditions
    assert Target.parse(str(target)) == target
    assert (target.goal, target.guards) == (conditions[0], tuple(conditions[1:]))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        (" , ", "empty"),
        ("fd", "not understood"),
        ("fd<", "not understood"),
        ("fd=20", "not understood"),
        ("fd<twenty", "not understood"),
        ("fd<20x", "not understood"),
        ("20>fd", "not understood"),
        ("fd<nan", "not understood"),
        ("fd<20 coverage>.5", "not understood"),
        ("fd>20", "wrong way"),
        ("coverage<.5", "write coverage>0.5"),
        ("fd<20, fd<10", "twice"),
        ("fd<0x floor", "never hold"),
        ("coverage>1.5x floor", "below 1"),
        ("variance<1", "best at 1"),
        ("kid<3x floor", "about 0"),
        ("copies<2x floor", "about 0"),
    ],
)
def test_nonsense_is_refused_with_a_remedy(text: str, says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        Target.parse(text)


@pytest.mark.parametrize(("text", "near"), [("fid<20", "fd"), ("coverge>.5", "coverage"), ("copys<.1", "copies")])
def test_unknown_metrics_suggest_the_nearest(text: str, near: str) -> None:
    with pytest.raises(UnknownName, match=f"did you mean '{near}'"):
        Target.parse(text)


def test_a_target_is_met_when_all_conditions_hold() -> None:
    target = Target.parse("fd<3x floor, coverage>.5")
    assert target.met(scores(fd=5.9, coverage=0.6))
    assert not target.met(scores(fd=6.0, coverage=0.6))
    assert not target.met(scores(fd=5.9, coverage=0.5))
    assert not target.met(scores(fd=float("nan"), coverage=0.6))
    assert Target.parse("fd<=3x floor").met(scores(fd=6.0))
    assert Target.parse("modes>=8").met(scores(modes=8.0))
    (missed,) = target.missed(scores(fd=7.0, coverage=0.6))
    assert missed == "FD-local 7 (7 to 7), wanted < 6 (3x the floor 2)"


def test_what_cannot_be_measured_is_said() -> None:
    with pytest.raises(RecipeError, match="modes>7 cannot be measured on these data; what can be: fd"):
        Target.parse("modes>7").met(scores(fd=1.0))
    with pytest.raises(RecipeError, match="no floor here"):
        Target.parse("fd<3x floor").met(scores(fd=1.0, floor=None))


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("10m", Budget(seconds=600)),
        ("40s", Budget(seconds=40)),
        ("2h", Budget(seconds=7200)),
        ("1h30m", Budget(seconds=5400)),
        (".5h", Budget(seconds=1800)),
        ("10 min", Budget(seconds=600)),
        ("500steps", Budget(steps=500)),
        ("1 step", Budget(steps=1)),
        ("20ksteps", Budget(steps=20_000)),
        ("4096samples", Budget(samples=4096)),
        ("25kimg", Budget(samples=25_000)),
        ("10m, 5000steps", Budget(seconds=600, steps=5000)),
    ],
)
def test_budgets_parse_and_print_back(text: str, budget: Budget) -> None:
    assert Budget.parse(text) == budget
    assert Budget.parse(str(budget)) == budget


@pytest.mark.parametrize(
    "text",
    ["", "10", "m", "ten minutes", "10x", "-5m", "0m", "0steps", "1.5steps", "10m soon", "5steps6steps", "1e999s",
     "5M"],
)
def test_nonsense_budgets_are_refused(text: str) -> None:
    with pytest.raises(RecipeError, match="budget"):
        Budget.parse(text)


def test_no_budget_is_no_limit() -> None:
    assert (Budget().seconds, Budget().steps, Budget().samples) == (None, None, None)
    with pytest.raises(RecipeError, match="above 0"):
        Budget(steps=0)
