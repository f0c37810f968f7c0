"""Planted failures are found within 500 steps, healthy trainings are left in peace."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from rivalry.health import Diagnosis, Limits, Monitor, Vitals, vitals
from rivalry.health.rules import RULES

N = 128
Fakes = Callable[[Tensor, int], Tensor]


# -- one pulse --------------------------------------------------------------------------------------------------------


def test_equal_sets_read_as_equal() -> None:
    x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    v = vitals(5, x, x, {})
    assert (v.step, v.spread, v.near, v.coverage, v.middle, v.gap, v.value) == (5, 1, 1, 1, 1, None, None)
    assert v.distance == pytest.approx(-2 / 200, rel=1e-6)  # distances across count the diagonal, those within do not


def test_readings_against_closed_forms() -> None:
    x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    wide = vitals(0, 2 * x, x, {})
    assert wide.spread == pytest.approx(2)
    assert wide.near == pytest.approx(2)
    point = vitals(0, x[:1].expand(200, 3), x, {})
    assert (point.spread, point.near) == (0, 0)
    assert 0 < point.distance < 3
    assert point.coverage < 0.1
    far = vitals(0, x + torch.tensor([100.0, 0, 0]), x, {})
    assert far.distance == pytest.approx(2 * 100 / float(torch.pdist(x).mean()), rel=0.03)
    assert math.hypot(*far.centre) > 5


def test_notes_are_read_by_their_endings() -> None:
    x = torch.zeros(8, 2)
    notes = {"d1.main.real": 3.0, "d1.main.fake": 1.0, "d2.main.real": 2.0, "d2.main.fake": 2.0,
             "generator.main.fake": 9.0, "d1.main.value": -1.0, "d1.loss": 5.0, "d1.gradient": 3.0,
             "generator.gradient": 0.5}  # fmt: skip
    v = vitals(0, x, x, notes)
    assert (v.gap, v.value, v.gradient) == (1.0, -1.0, 0.5)


def test_large_pictures_are_averaged_down_and_ends_are_counted() -> None:
    own = torch.Generator().manual_seed(0)
    real = torch.rand(64, 3, 96, 64, generator=own) * 2 - 1
    v = vitals(0, real.sign(), real, {})
    assert v.middle == 0
    assert vitals(0, real, real, {}).middle == 1
    assert vitals(0, real.sign(), real.sign(), {}).middle == 1, "black-and-white data have no middle"


# -- imitations of trainings --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Course:
    """An imitation of a training: fakes go from a blob of a tenth of the width, beside the data, to the data.

    tau: steps to come 63 % of the way; rough: noise on how far it has come; shrink: part of the width it never
    reaches; swing: how much the centre sways about the data.
    """

    seed: int
    picture: bool
    tau: float
    rough: float = 0.05
    shrink: float = 0.1
    sway: float = 0.05

    def real(self) -> Tensor:
        own = torch.Generator().manual_seed(self.seed)
        if self.picture:
            return (torch.randn(N, 1, 8, 8, generator=own) + 0.5).tanh()
        angle = torch.randint(8, (N,), generator=own) * (math.pi / 4)
        return torch.stack([angle.cos(), angle.sin()], 1) * 1.4 + 0.02 * torch.randn(N, 2, generator=own)

    def fakes(self, step: int) -> Tensor:
        own = torch.Generator().manual_seed(self.seed * 100_003 + step)
        way = 1 - math.exp(-step / self.tau) + self.rough * float(torch.randn((), generator=own))
        way = min(max(way, 0.1), 1.0)
        aim = replace(self, seed=self.seed + 7).real()
        sway = self.sway * math.sin(step / 150) + 0.8 * (1 - way)
        return way * (1 - self.shrink) * aim + sway + 0.05 * torch.randn(aim.shape, generator=own)


def courses(count: int) -> Iterator[Course]:
    own = torch.Generator().manual_seed(3)
    for seed in range(count):
        slow, rough, shrink, sway = torch.rand(4, generator=own).tolist()
        yield Course(seed, seed % 2 == 1, 80 + 700 * slow, 0.1 * rough, 0.3 * shrink, 0.15 * sway)


def keep_first(share: float) -> Fakes:
    """Only the modes (pictures: the values) that come first are left; what was elsewhere moves there."""

    def change(x: Tensor, step: int) -> Tensor:
        if x.dim() == 4:
            return x[: max(1, int(share * 8))].repeat_interleave(math.ceil(len(x) / max(1, int(share * 8))), 0)[: len(x)]
        left = x[torch.atan2(x[:, 1], x[:, 0]).abs() < math.pi * share]
        return left[torch.arange(len(x)) % len(left)] + 0.02 * torch.randn(x.shape, generator=torch.Generator().manual_seed(step))

    return change


def tiny_noise(x: Tensor, step: int, scale: float) -> Tensor:
    return scale * torch.randn(x.shape, generator=torch.Generator().manual_seed(step))


FAILURES: dict[str, Fakes] = {
    "one point": lambda x, step: x[:1].expand_as(x).clone(),
    "one point that wanders": lambda x, step: x[step // 100 % 9].expand_as(x) + tiny_noise(x, step, 0.01),
    "five points": lambda x, step: x[torch.arange(len(x)) % 5] + tiny_noise(x, step, 0.001),
    "the mean": lambda x, step: x.mean(0, keepdim=True).expand_as(x) + tiny_noise(x, step, 0.01),
    "a third of the modes": keep_first(0.34),
    "NaN": lambda x, step: x * math.nan,
    "explosion": lambda x, step: x * 30 + 5,
    "drift": lambda x, step: x + 1.5,
    "extremes": lambda x, step: (x * 1e4).clamp(-1, 1) if x.dim() == 4 else x.sign() * 9,
    "constant": lambda x, step: torch.full_like(x, -1.0),
}


def follow(course: Course, steps: int, change: Fakes | None = None, onset: int = 0, every: int = 100) -> Iterator[Diagnosis]:
    monitor, real = Monitor(), course.real()
    for step in range(every, steps + 1, every):
        fakes = course.fakes(step)
        if change is not None and step > onset:
            fakes = change(fakes, step)
        yield monitor.pulse(step, fakes, real, {"d.main.real": 1.0, "d.main.fake": -1.0, "d.main.value": -0.6})


@pytest.mark.parametrize("every", [50, 100])
def test_healthy_courses_are_left_in_peace(every: int) -> None:
    found = [[d for d in follow(c, 3000, every=every) if d.kind != "healthy"] for c in courses(20)]
    false = [d[0].sentence for d in found if d]
    assert len(false) <= 1, false


LATE = {"five points", "a third of the modes", "drift"}
"""What was never reached cannot be told from an early generator by these: they are planted late only."""


@pytest.mark.parametrize(("name", "onset"), [(n, o) for n in FAILURES for o in (0, 1500) if o or n not in LATE])
def test_planted_failures_are_found_within_500_steps(name: str, onset: int) -> None:
    hits = 0
    for course in courses(10):
        course = replace(course, tau=min(course.tau, 400))
        found = [d for d in follow(course, onset + 500, FAILURES[name], onset) if d.kind != "healthy"]
        assert not found or found[0].since_step > onset
        hits += bool(found)
    assert hits >= 9, f"{hits} of 10"


def test_findings_are_said_in_words() -> None:
    course = Course(0, False, 200)
    found = [d for d in follow(course, 2000, FAILURES["one point"], 1500) if d.kind != "healthy"]
    first = found[0]
    assert (first.kind, first.since_step, first.good_step) == ("collapse", 1600, 1500)
    assert "since step 1600: the samples have become alike: their mean distance is 0% of the real one" in first.sentence
    assert "likely" in first.sentence
    assert "the remedy" in first.sentence
    assert first.evidence["spread"] == 0
    assert [d.news for d in found] == [True] + [False] * (len(found) - 1)
    assert not first.fatal


def test_a_jolt_is_believed_at_once_and_is_not_fatal() -> None:
    """Gradients 12 times the usual, seen once, and samples twice as far away: what a rate x100 leaves behind."""
    monitor, quiet = Monitor(), [{}] * 6
    found = [monitor.observe(v) for v in readings(*quiet, {"gradient": 24.0, "distance": 0.04}, {"distance": 0.04})]
    assert [d.kind for d in found] == ["healthy"] * 6 + ["divergence", "healthy"]
    assert not found[6].fatal
    assert "a step was far too large: the generator's gradients are 24" in found[6].sentence
    assert kinds(*quiet, {"gradient": 24.0}) == ["healthy"] * 7, "loud, and no further away"
    assert kinds(*quiet, {"distance": 0.04}) == ["healthy"] * 7, "further away, and not loud"
    arrived: dict[str, object] = {"distance": -0.002}
    assert kinds(*[arrived] * 6, {"gradient": 24.0, "distance": 0.01}) == ["healthy"] * 7, "near zero every distance is many times"
    assert kinds({}, {}, {"gradient": 24.0, "distance": 0.04}) == ["healthy"] * 3, "too early to know what is usual"


# -- memory -----------------------------------------------------------------------------------------------------------

GOOD = Vitals(0, 0.95, 0.9, 0.9, 0.02, 1.0, (0.0,) * 8, 1.0, -1.0, 2.0)


def readings(*changes: Mapping[str, object], every: int = 100) -> Iterator[Vitals]:
    """Healthy, but a moving centre; each dict changes one pulse."""
    for i, change in enumerate(changes, start=1):
        yield replace(GOOD, step=i * every, centre=(0.1 * i,) * 8, **change)  # type: ignore[arg-type]


def kinds(*changes: Mapping[str, object], every: int = 100) -> list[str]:
    monitor = Monitor()
    return [monitor.observe(v).kind for v in readings(*changes, every=every)]


DIP: dict[str, object] = {"spread": 0.1}


def test_one_bad_pulse_is_not_enough() -> None:
    assert kinds({}, {}, DIP, {}, {}, DIP, {}) == ["healthy"] * 7
    assert kinds({}, {}, DIP, DIP, {})[2:] == ["healthy", "collapse", "healthy"]


def test_frequent_pulses_must_agree_over_as_many_steps() -> None:
    found = kinds({}, {}, *[DIP] * 12, every=10)
    assert found[:12] == ["healthy"] * 12
    assert found[12] == "collapse"


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"spread": 0.3}, "collapse"),
        ({"near": 0.1}, "collapse"),
        ({"coverage": 0.5, "distance": 0.06}, "collapse"),
        ({"coverage": 0.3}, "healthy"),
        ({"distance": 2.5}, "divergence"),
        ({"distance": 0.3}, "divergence"),
        ({"gap": 500.0}, "divergence"),
        ({"gradient": 0.01, "distance": 0.15}, "saturation"),
        ({"gradient": 0.01}, "healthy"),
        ({"gap": -500.0}, "divergence"),
        ({"gap": -3.0, "distance": 0.21}, "divergence"),
        ({"middle": 0.05}, "saturation"),
        ({"spread": 0.45, "near": 0.25, "coverage": 0.6, "distance": 0.2, "gap": 40.0, "middle": 0.3}, "healthy"),
    ],
)
def test_each_rule_speaks_for_itself(change: dict[str, object], kind: str) -> None:
    assert kinds({}, {}, {}, {}, change, change)[-1] == kind


def test_a_generator_that_stands_still_far_away() -> None:
    monitor = Monitor()
    there = replace(GOOD, distance=0.5, spread=0.2, near=0.2)
    found = [monitor.observe(replace(there, step=s)).kind for s in range(100, 500, 100)]
    assert found == ["healthy", "healthy", "saturation", "saturation"]
    near = Monitor()
    assert {near.observe(replace(GOOD, step=s)).kind for s in range(100, 900, 100)} == {"healthy"}, "it has arrived"


def test_a_discriminator_that_is_certain() -> None:
    sure: dict[str, object] = {"value": -0.001, "distance": 0.5, "spread": 0.4}
    assert kinds(*[sure] * 6) == ["healthy"] * 4 + ["saturation"] * 2
    learning = [{**sure, "distance": 0.9 * 0.9**i} for i in range(8)]
    assert set(kinds(*learning)) == {"healthy"}
    arrived: dict[str, object] = {**sure, "distance": 0.05}
    assert set(kinds(*[arrived] * 8)) == {"healthy"}


def test_swinging_without_progress() -> None:
    to, fro = {"distance": 0.9}, {"distance": 0.45}
    swinging = [to, to, fro, fro] * 6
    assert kinds(*swinging)[-1] == "oscillation"
    better = [{"distance": d["distance"] * 0.97**i} for i, d in enumerate(swinging)]
    assert "oscillation" not in kinds(*better)


def test_what_never_came_to_life() -> None:
    dead: dict[str, object] = {"spread": 0.02, "near": 0.02, "coverage": 0.0, "distance": 0.9}
    assert kinds(*[dead] * 6) == ["healthy"] * 4 + ["collapse"] * 2
    slow = [{**dead, "spread": 0.02 * i, "near": 0.02 * i} for i in range(1, 9)]
    assert set(kinds(*slow)) == {"healthy"}


def test_not_a_number_speaks_at_once() -> None:
    x = torch.randn(16, 2, generator=torch.Generator().manual_seed(0))
    monitor = Monitor()
    assert monitor.pulse(100, x, x, {}).kind == "healthy"
    for found in (
        monitor.pulse(200, x, x, {"d.loss": math.inf}),
        monitor.pulse(200, x * math.nan, x, {}),
        monitor.pulse(200, x, x, {}, finite=False),
        monitor.diverged(200, "d.loss"),
    ):
        assert (found.kind, found.since_step, found.good_step, found.fatal) == ("divergence", 200, 100, True)
        assert "NaN or infinite" in found.sentence
    assert monitor.pulse(300, x[:4], x, {}).kind == "healthy", "too few rows to say"


def test_memory_goes_through_json_and_goes_on_bit_by_bit() -> None:
    course = Course(1, True, 300)
    whole, real = Monitor(), course.real()
    change = FAILURES["five points"]
    expected: list[Diagnosis] = []
    for cut in (0, 300, 1200, 1300):
        part = Monitor()
        expected, found, whole = [], [], Monitor()
        for step in range(100, 1601, 100):
            fakes = course.fakes(step) if step <= 1000 else change(course.fakes(step), step)
            expected.append(whole.pulse(step, fakes, real, {}))
            if step == cut + 100:
                text = json.dumps(part.state(), allow_nan=False)
                part = Monitor()
                part.restore(json.loads(text))
            found.append(part.pulse(step, fakes, real, {}))
        assert found == expected
        assert part.state() == whole.state()
    assert expected[-1].kind == "collapse"


def test_after_going_back_it_starts_to_count_again() -> None:
    monitor = Monitor()
    for v in readings({}, {}, {}, DIP):
        monitor.observe(v)
    assert monitor.suspicious
    monitor.forgive(300)
    assert not monitor.suspicious
    later = [replace(GOOD, step=400, spread=0.1), replace(GOOD, step=500, spread=0.1)]
    assert [monitor.observe(v).kind for v in later] == ["healthy", "collapse"], "what was reached is remembered"
    monitor.restore({})
    assert monitor.state() == Monitor().state()


def test_every_rule_can_put_itself_into_words() -> None:
    from rivalry.health.rules import Past

    past = Past(100, [GOOD], 0.9, 0.9, 0.9, 0.1, 3.0)
    for rule in RULES.values():
        words = rule.seen.format(v=GOOD, past=past, at=Limits())
        assert "{" not in words
