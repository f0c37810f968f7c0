"""Models that fail in known ways, and the scores that must tell."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from evaluate import samples
from rivalry import stats
from rivalry.data import Dataset
from rivalry.errors import DataError, Diverged, RecipeError, RulerMismatch, UnknownName
from rivalry.evaluate import Reference, Scores, available, evaluate
from rivalry.evaluate import features as features_module
from rivalry.evaluate.measures import divergence
from rivalry.extractors import PointsExtractor

CPU = torch.device("cpu")
N = 600


@pytest.fixture(scope="module")
def data() -> Dataset:
    return samples.pictures()


@pytest.fixture(scope="module")
def reference(data: Dataset) -> Reference:
    return Reference.build(data, samples.Nearest(), N)


@pytest.fixture(scope="module")
def good(reference: Reference) -> Scores:
    return evaluate(samples.perfect, reference, N, 0)


def test_a_perfect_model_scores_at_the_floor(good: Scores) -> None:
    assert set(good) == {
        "fd", "kid", "precision", "recall", "density", "coverage", "copies", "memorisation", "missing", "kl",
    }  # fmt: skip
    for name, score in good.items():
        assert score.low <= score.value <= score.high, name
        assert score.floor is not None, name
        if name not in ("missing", "memorisation"):
            assert score.low - 0.35 * abs(score.floor) <= score.floor <= score.high + 0.35 * abs(score.floor), name
    assert good["memorisation"].low < good["memorisation"].floor < good["memorisation"].high
    assert good["fd"].times_floor == pytest.approx(1, abs=0.4)
    assert good["copies"].value < 0.01
    assert good["missing"].value == good["missing"].floor == 0  # not the 1e-200 that so many samples leave
    assert not good.details["memorisation"]["flagged"]
    assert good.details["classes"]["names"] == list("abcd")
    assert sum(good.details["classes"]["samples"]) == pytest.approx(1)


def test_collapse_shows_in_recall_coverage_and_classes(reference: Reference, good: Scores) -> None:
    bad = evaluate(samples.collapsed, reference, N, 0)
    assert bad["recall"].value < 0.1
    assert bad["coverage"].value < 0.3
    assert bad["precision"].value > 0.9
    assert bad["missing"].value == 3
    assert bad["kl"].value == pytest.approx(math.log(4), abs=0.05)
    assert bad["fd"] > good["fd"]


def test_noise_shows_in_precision_and_density(reference: Reference) -> None:
    bad = evaluate(samples.noisy, reference, N, 0)
    assert bad["precision"].value < 0.2
    assert bad["density"].value < 0.2
    assert bad["recall"].value > 0.9
    assert bad["missing"].value == 0


def test_copies_are_found(data: Dataset, reference: Reference) -> None:
    bad = evaluate(samples.copying(data), reference, N, 0)
    assert bad["copies"].low > 0.9
    assert bad["memorisation"].low > 0.95
    assert bad.details["memorisation"]["flagged"]
    assert bad["fd"].times_floor is not None
    assert bad["fd"].times_floor < 1.5, "copies look perfect to a Fréchet distance"


def test_the_share_of_copies_is_estimated(data: Dataset, reference: Reference) -> None:
    copying = samples.copying(data)

    def draw(n: int, seed: int) -> Tensor:
        k = n // 5
        return torch.cat([copying(k, seed), samples.perfect(n - k, seed)])

    score = evaluate(draw, reference, N, 0, metrics=("copies",))["copies"]
    assert score.low < 0.2 < score.high
    assert score.value == pytest.approx(0.2, abs=0.04)
    assert score.floor == 0


def test_the_values_are_those_of_the_statistics(reference: Reference) -> None:
    scores = evaluate(samples.perfect, reference, N, 5)
    x = features_module.of_samples(samples.perfect, samples.Nearest(), N, 5, CPU, points=False).values
    y = reference.held.values
    assert scores["fd"].value == pytest.approx(stats.frechet_from_features(x, y), rel=1e-9)
    assert scores["kid"].value == stats.kernel_distance(x, y).value
    expected = stats.prdc(y, x, 5)
    for name in ("precision", "recall", "density", "coverage"):
        assert scores[name].value == getattr(expected, name)
        real = stats.prdc(y, reference.train.values[:N], 5)
        assert scores[name].floor == getattr(real, name)
    ruler = scores["fd"].ruler
    assert (ruler.samples, ruler.reference, ruler.data) == (N, 300, "f00d" * 16)


def test_an_evaluation_depends_on_its_seed_only(reference: Reference) -> None:
    first, again, other = (evaluate(samples.perfect, reference, 300, seed, metrics=("fd",)) for seed in (0, 0, 1))
    assert first["fd"] == again["fd"]
    assert first["fd"].value != other["fd"].value
    rebuilt = evaluate(samples.perfect, Reference.build(samples.pictures(), samples.Nearest(), N), 300, 0)
    assert rebuilt["fd"] == first["fd"]


def test_the_global_random_state_plays_no_part(reference: Reference) -> None:
    torch.manual_seed(1)
    first = evaluate(samples.perfect, reference, 300, 0)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert dict(evaluate(samples.perfect, reference, 300, 0)) == dict(first)
    assert torch.equal(before, torch.get_rng_state())


def test_samples_are_drawn_once_in_blocks(reference: Reference) -> None:
    calls: list[tuple[int, int]] = []

    def draw(n: int, seed: int) -> Tensor:
        calls.append((n, seed))
        return samples.perfect(n, seed)

    evaluate(draw, reference, 600, 3)
    assert [n for n, _ in calls] == [256, 256, 88]
    longer = list(calls)
    calls.clear()
    evaluate(draw, reference, 300, 3)
    assert calls[0] == longer[0], "a shorter evaluation sees the first samples of a longer one"
    assert len({seed for _, seed in longer}) == 3


def test_features_do_not_depend_on_how_rows_are_cut(
    data: Dataset, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features_module, "BLOCK", 37)
    other = Reference.build(data, samples.Nearest(), N)
    torch.testing.assert_close(other.held.values, reference.held.values, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(other.train.values, reference.train.values, rtol=1e-6, atol=1e-6)


def test_rulers_of_different_counts_refuse_to_be_compared(reference: Reference) -> None:
    few, many = (evaluate(samples.perfect, reference, n, 0, metrics=("fd",))["fd"] for n in (300, 600))
    with pytest.raises(RulerMismatch, match="samples 300 against 600"):
        few < many  # noqa: B015
    assert few.floor != many.floor


def test_fewer_samples_than_features(data: Dataset) -> None:
    wide = Reference.build(data, samples.Nearest(width=64), 40).head(30)
    scores = evaluate(samples.perfect, wide, 40, 0)
    assert scores["fd"].ruler.samples == 30
    x = features_module.of_samples(samples.perfect, samples.Nearest(width=64), 30, 0, CPU, points=False).values
    assert scores["fd"].value == pytest.approx(stats.frechet_from_features(x, wide.held.values), rel=1e-4)
    assert "fd at infinite samples" not in scores.details


def test_tiny_sets_are_measured_and_smaller_ones_refused(data: Dataset) -> None:
    for n in (4, 5, 7, 13):
        tiny = Reference.build(samples.pictures(n, n), samples.Nearest(), 1000)
        scores = evaluate(samples.perfect, tiny, 1000, 0)
        assert all(math.isfinite(v) for s in scores.values() for v in (s.value, s.low, s.high)), n
        assert scores["fd"].ruler.samples == n
    with pytest.raises(DataError, match="only 3 rows are held-out of 13, and at least 4 are needed"):
        Reference.build(samples.pictures(10, 3), samples.Nearest(), 1000)
    with pytest.raises(DataError, match="at least 4"):
        evaluate(samples.perfect, tiny, 3, 0)


def test_a_cheaper_reference_is_the_head_of_the_dearer(data: Dataset, reference: Reference) -> None:
    cheap = Reference.build(data, samples.Nearest(), 100, pool=0)
    assert torch.equal(cheap.held.values, reference.head(100).held.values)
    assert torch.equal(cheap.train.values, reference.head(100).train.values)


def test_broken_samples_and_unknown_metrics_are_refused(data: Dataset, reference: Reference) -> None:
    with pytest.raises(Diverged, match="NaN"):
        evaluate(lambda n, seed: samples.perfect(n, seed) * math.nan, reference, 100, 0)
    with pytest.raises(UnknownName, match="did you mean 'coverage'"):
        evaluate(samples.perfect, reference, 100, 0, metrics=("coverge",))
    with pytest.raises(RecipeError, match="modes cannot be measured"):
        evaluate(samples.perfect, reference, 100, 0, metrics=("modes",))
    blind = Reference.build(data, samples.Plain(), N)
    assert "missing" not in available(blind)


def test_scores_go_through_json_and_make_a_table(good: Scores) -> None:
    again = Scores.from_dict(json.loads(json.dumps(good.as_dict(), allow_nan=False)))
    assert dict(again) == dict(good)
    assert again.details == good.details
    rows = {row[0]: row for row in good.table()}
    assert rows["FD-local"][5] == "600 against 300 held-out"
    assert rows["classes missing"][2] == "exact count"
    assert rows["KID-local"][4] == "-"


# -- points -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ring() -> Dataset:
    return samples.ring()


@pytest.fixture(scope="module")
def plane(ring: Dataset) -> Reference:
    return Reference.build(ring, PointsExtractor(2), 1000)


def test_points_of_the_truth_score_as_the_truth(ring: Dataset, plane: Reference) -> None:
    scores = evaluate(samples.points(ring), plane, 1000, 0)
    assert list(scores)[-5:] == ["modes", "hq", "variance", "kl", "swd"]
    assert "fd" not in scores
    assert scores["modes"].value == scores["modes"].floor == 8
    assert scores["hq"].floor == pytest.approx(1 - math.exp(-4.5))
    assert scores["hq"].low < scores["hq"].floor < scores["hq"].high
    assert scores["variance"].low < 1.1
    assert scores["variance"].high > 0.9
    assert scores["kl"].value < 0.02
    assert scores["copies"].value < 0.1
    assert scores["swd"].low < scores["swd"].floor + 0.1
    assert evaluate(samples.points(ring), plane, 1000, 0, metrics=("fd",))["fd"].value < 0.1


def test_lost_modes_and_shrunken_modes_show(ring: Dataset, plane: Reference) -> None:
    half = evaluate(samples.points(ring, modes=4), plane, 1000, 0)
    assert half["modes"].value == 4
    assert half["kl"].value == pytest.approx(math.log(2), abs=0.02)
    assert half["kl"].low < math.log(2) < half["kl"].high
    assert half["coverage"].value < 0.6
    assert half["swd"].value > 3 * half["swd"].floor
    thin = evaluate(samples.points(ring, sigma=0.4), plane, 1000, 0)
    assert thin["variance"].value == pytest.approx(0.16, abs=0.05)
    assert thin["hq"].value == 1
    beside = evaluate(samples.points(ring, off=0.2), plane, 1000, 0)
    assert beside["hq"].value == 0
    assert beside["modes"].value == 0
    assert beside["variance"].value == 0


def test_a_curve_has_a_share_within_reach_but_no_modes(ring: Dataset) -> None:
    from rivalry.data import ReadOptions, load

    moons = load("moons", options=ReadOptions(limit=1000))
    reference = Reference.build(moons, PointsExtractor(2), 500)
    assert "modes" not in available(reference)
    assert moons.truth is not None
    truth = moons.truth
    scores = evaluate(lambda n, s: moons.modality.encode(truth.sample(n, s)), reference, 500, 0, metrics=("hq", "swd"))
    assert scores["hq"].value == pytest.approx(scores["hq"].floor, abs=0.02)


def test_the_divergence_interval_holds_what_it_promises() -> None:
    truth = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64)
    other = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    for model, expected in ((other, float((other * (other / truth).log()).sum())), (truth, 0.0)):
        own = torch.Generator().manual_seed(0)
        found = [
            divergence(torch.bincount(torch.multinomial(model, 400, True, generator=own), minlength=4), truth)
            for _ in range(300)
        ]
        inside = sum(r.low <= expected <= r.high for r in found) / len(found)
        assert 0.9 < inside <= 1


def test_every_interval_covers_a_fresh_draw(reference: Reference) -> None:
    """Scores of one model on other samples fall into the interval of the first nearly always."""
    names = ("fd", "kid", "precision", "recall", "density", "coverage", "kl")
    blurred = samples.model(lambda n, seed: samples.blobs(n, seed, noise=0.2))
    draws = [evaluate(blurred, reference, 300, seed, metrics=names) for seed in range(12)]
    for name in names:
        values = torch.tensor([d[name].value for d in draws])
        inside = [d[name].low <= float(values.mean()) <= d[name].high for d in draws]
        assert sum(inside) >= 9, name


def test_a_score_on_other_data_is_another_ruler(reference: Reference, good: Scores) -> None:
    other = replace(reference, data="beef" * 16)
    with pytest.raises(RulerMismatch, match="data"):
        good["fd"].better_than(evaluate(samples.perfect, other, N, 0, metrics=("fd",))["fd"])
