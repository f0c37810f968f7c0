"""Names are promises, and numbers of different rulers are never compared."""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace

import pytest

from rivalry.errors import RulerMismatch, RunError, UnknownName
from rivalry.evaluate.rulers import EACH, METRICS, Ruler, Score, metric, number

LOCAL = Ruler("fd", "local", "ab12", "28x28", 2000, 1000, "held", "d474")


def score(value: float, ruler: Ruler = LOCAL, floor: float | None = 2.0) -> Score:
    return Score(ruler, value, value - 0.1, value + 0.1, floor)


@pytest.mark.parametrize(
    ("name", "extractor", "expected"),
    [
        ("fd", "inception", "FID"),
        ("fd", "local", "FD-local"),
        ("fd", "dinov2", "FD-DINOv2"),
        ("fd", "efficientnet-lite0", "FD-EffNetLite"),
        ("kid", "inception", "KID"),
        ("kid", "local", "KID-local"),
        ("coverage", "squeezenet", "coverage (SqueezeNet)"),
        ("swd", "local", "SWD"),
        ("modes", "points", "modes"),
    ],
)
def test_only_inception_features_make_an_fid(name: str, extractor: str, expected: str) -> None:
    assert replace(LOCAL, metric=name, extractor=extractor).name == expected


@pytest.mark.parametrize("field", [f.name for f in fields(Ruler)])
def test_every_field_of_a_ruler_tells_rulers_apart(field: str) -> None:
    value = getattr(LOCAL, field)
    changed = "kid" if field == "metric" else value + 1 if isinstance(value, int) else value + "x"
    other = replace(LOCAL, **{field: changed})
    assert other.id != LOCAL.id
    for compare in (Score.__lt__, Score.__le__, Score.__gt__, Score.__ge__, Score.better_than):
        with pytest.raises(RulerMismatch, match=field):
            compare(score(1), score(2, other))


def test_scores_of_one_ruler_compare() -> None:
    assert score(1) < score(2) <= score(2)
    assert score(2) > score(1) >= score(1)
    assert score(1).better_than(score(2))
    covered = replace(LOCAL, metric="coverage")
    assert score(2, covered).better_than(score(1, covered))
    spread = replace(LOCAL, metric="variance")
    assert score(0.9, spread).better_than(score(1.3, spread))
    assert score(0.5, spread).loss == pytest.approx(score(2.0, spread).loss)


def test_a_ruler_has_the_same_id_on_every_machine() -> None:
    assert LOCAL.id == "b16bde36248a"


def test_scores_go_through_json_without_loss() -> None:
    for one in (score(1 / 3), score(0.1, floor=None)):
        assert Score.from_dict(json.loads(json.dumps(one.as_dict()))) == one
    assert score(1).as_dict()["name"] == "FD-local"


@pytest.mark.parametrize(
    "damage", [{"value": "many"}, {"ruler": {}}, {"ruler": None}, {"ruler": {"metric": "fd", "who": 1}}]
)
def test_a_damaged_score_is_refused(damage: dict[str, object]) -> None:
    with pytest.raises(RunError, match="damaged"):
        Score.from_dict({**score(1).as_dict(), **damage})


def test_the_floor_is_the_unit_of_what_is_better_lower() -> None:
    assert score(6).times_floor == 3
    assert score(6, floor=None).times_floor is None
    assert score(6, floor=0.0).times_floor is None
    assert score(6, replace(LOCAL, metric="recall")).times_floor is None


def test_an_unknown_metric_suggests_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'precision'"):
        metric("precison")
    assert all(m.name == name for name, m in METRICS.items())


@pytest.mark.parametrize(
    ("value", "text"),
    [(12.3456, "12.35"), (0.00123456, "0.001235"), (10300.0, "10300"), (0.0, "0"), (1.0, "1"), (-2.9e-5, "-2.9e-05"),
     (None, "-"), (math.inf, "inf"), (0.5, "0.5"), (100.0, "100")],
)  # fmt: skip
def test_numbers_are_written_short(value: float | None, text: str) -> None:
    assert number(value) == text


def test_every_metric_has_a_name_of_its_own() -> None:
    assert len({m.name for m in EACH}) == len({m.title for m in EACH}) == len(EACH)
