"""Times of day, fractions, offsets and short years in words; times and decimals in Parquet: read as what they are, written as they were."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
import torch

import rivalry
from rivalry.data import ReadOptions, load
from rivalry.data.base import Dataset
from rivalry.data.columns import dates
from rivalry.data.columns.cells import from_text
from rivalry.data.conditions import parse
from rivalry.errors import DataError

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
N = 240
G = np.random.default_rng(0)
MOMENTS = [datetime.datetime(2021, 1, 1) + datetime.timedelta(seconds=int(s)) for s in G.integers(0, 5 * 10**7, N)]
MS = [m + datetime.timedelta(milliseconds=int(k)) for m, k in zip(MOMENTS, G.integers(0, 1000, N), strict=True)]
FORMS = {
    "%H:%M": [f"{m:%H:%M}" for m in MOMENTS],
    "%H:%M:%S": [f"{m:%H:%M:%S}" for m in MOMENTS],
    "%-H:%M": [f"{m.hour}:{m:%M}" for m in MOMENTS],
    "%I:%M %p": [f"{m:%I:%M %p}" for m in MOMENTS],
    "%H:%M:%S.%3f": [f"{m:%H:%M:%S}.{m.microsecond // 1000:03d}" for m in MS],
    "%Y-%m-%d %H:%M:%S.%3f": [f"{m:%Y-%m-%d %H:%M:%S}.{m.microsecond // 1000:03d}" for m in MS],
    "%Y-%m-%dT%H:%M:%S.%6fZ": [f"{m:%Y-%m-%dT%H:%M:%S.%f}Z" for m in MS],
    "%Y-%m-%dT%H:%M:%S+02:00": [f"{m:%Y-%m-%dT%H:%M:%S}+02:00" for m in MOMENTS],
    "%Y-%m-%d %H:%M:%S-0330": [f"{m:%Y-%m-%d %H:%M:%S}-0330" for m in MOMENTS],
    "%d.%m.%y": [f"{m:%d.%m.%y}" for m in MOMENTS],
    "%m/%d/%y": [f"{m:%m/%d/%y}" for m in MOMENTS],
    "%-m/%-d/%Y %H:%M": [f"{m.month}/{m.day}/{m.year} {m:%H:%M}" for m in MOMENTS],
    "%d-%b-%y": [f"{m:%d-%b-%y}" for m in MOMENTS],
}  # fmt: skip


def read(cells: dict[str, object] | object, **more: object) -> Dataset:
    table = pa.table(cells) if isinstance(cells, dict) else cells
    return load(table, options=ReadOptions(holdout=0.2, **more))  # type: ignore[arg-type]


def raw(data: Dataset) -> torch.Tensor:
    return torch.cat([s.raw(torch.arange(len(s))) for s in (data.train, data.held)])  # type: ignore[attr-defined]


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_found_read_and_written_back(form: str, tmp_path: Path) -> None:
    words = FORMS[form]
    data = read({"at": words, "x": [f"{v:.3f}" for v in G.normal(size=N)]})
    column = data.modality.columns[0]  # type: ignore[attr-defined]
    assert (column.type, column.form) == ("date", form)
    out = tmp_path / "out.csv"
    data.modality.write(raw(data), out)
    back = [line.split(",")[0] for line in out.read_text().splitlines()[1:]]
    assert sorted(back) == sorted(words)
    drawn = data.modality.decode(torch.randn(500, *data.spec.shape, generator=torch.Generator().manual_seed(0)))
    assert np.isfinite(dates.parse(dates.write(drawn[:, 0].numpy(), form), form)).all()
    if dates.is_clock(form):
        assert (column.code.low, column.code.high) == (0.0, dates.DAY - column.code.step)
        assert drawn[:, 0].min() >= 0
        assert drawn[:, 0].max() < dates.DAY


def test_values_are_moments_and_seconds_of_a_day() -> None:
    def values(words: list[str]) -> list[float]:
        found = dates.find(from_text(pa.array(words)))
        return dates.parse(pa.array(words), found.form).tolist()

    assert values(["14:30", "00:15"]) == [52200.0, 900.0]
    assert values(["2:30 PM", "12:00 AM"]) == [52200.0, 0.0]
    assert values(["1970-01-01T02:00:00+02:00", "1970-01-01T00:00:00.5+00:00"]) == [0.0, 0.5]
    assert values(["01.01.69", "01.01.68"]) == [-365 * 86400.0, values(["2068-01-01"])[0]]
    assert dates.find(from_text(pa.array(["30:15", "27:00"]))).form == ""
    assert dates.find(from_text(pa.array(["12-34-56", "99-88-77"]))).form == ""


def test_what_one_should_know_is_said() -> None:
    mixed = [f"{m:%Y-%m-%d %H:%M:%S}+0{1 + (m.month in range(4, 10))}:00" for m in MOMENTS]
    data = read({"at": mixed, "born": FORMS["%d.%m.%y"]})
    assert any("'at' have 2 offsets: the moments are kept" in n for n in data.notes)
    assert any("'born' have two digits: read as 1969 to 2068" in n for n in data.notes)


def test_conditions_and_schemas_know_times_of_day(tmp_path: Path) -> None:
    data = read({"at": FORMS["%H:%M"], "day": [f"{m:%Y-%m-%d}" for m in MOMENTS]})
    learned = data.modality.learned  # type: ignore[attr-defined]
    (found,) = parse("at<14:30", learned)
    assert found.values == (52200.0,)
    with pytest.raises(DataError, match="is no date"):
        parse("day<14:30", learned)
    (tmp_path / "s.toml").write_text('[columns.at]\ntype = "date"\nformat = "%H:%M"\nlow = 06:00:00\nhigh = 20:00:00\npublic = true\n')
    code = read({"at": FORMS["%H:%M"], "x": FORMS["%d.%m.%y"]}, schema=tmp_path / "s.toml").modality.learned[0].code  # type: ignore[attr-defined]
    assert (code.low, code.high, code.step) == (21600.0, 72000.0, 60.0)
    seen = rivalry.inspect(pa.table({"at": FORMS["%H:%M"], "x": FORMS["%d.%m.%y"]}))
    assert "column at: time of day" in seen.text()


def test_parquet_keeps_times_zones_and_decimals(tmp_path: Path) -> None:
    amounts = [Decimal(int(v)).scaleb(-2) for v in G.integers(-(10**6), 10**7, N)]
    huge = [Decimal(10**30 + int(v)) for v in G.integers(0, 10**9, N)]
    table = pa.table({
        "clock": pa.array([m.time() for m in MS], pa.time64("us")), "minute": pa.array([m.time().replace(second=0) for m in MOMENTS], pa.time32("s")),
        "at": pa.array(MS, pa.timestamp("us", tz="Europe/Berlin")), "paid": pa.array(amounts, pa.decimal128(12, 2)),
        "rare": pa.array(huge, pa.decimal128(38, 0)),
    })  # fmt: skip
    parquet.write_table(table, tmp_path / "in.parquet")
    data = load(tmp_path / "in.parquet", options=ReadOptions(holdout=0.2))
    columns = {c.name: c for c in data.modality.columns}  # type: ignore[attr-defined]
    assert [columns[n].type for n in ("clock", "minute", "at", "paid")] == ["date", "date", "date", "number"]
    assert columns["minute"].form == "%H:%M"
    assert columns["clock"].form == "%H:%M:%S.%3f"
    assert columns["paid"].code.step == 0.01
    data.modality.write(raw(data), tmp_path / "out.parquet")
    table, back = (parquet.read_table(tmp_path / f"{name}.parquet") for name in ("in", "out"))  # Parquet has no seconds of its own
    for name in ("clock", "minute", "at", "paid"):
        assert back[name].type == table[name].type
        assert sorted(back[name].to_pylist()) == sorted(table[name].to_pylist()), name
    assert back["rare"].type == table["rare"].type
    assert columns["rare"].code is None  # more digits than floats hold: an identifier, made anew
    data.modality.write(raw(data), tmp_path / "out.csv")
    line = (tmp_path / "out.csv").read_text().splitlines()[1].split(",")
    assert line[2].endswith("+00:00")


def test_gaps_in_times_are_filled_in_their_form(tmp_path: Path) -> None:
    lines = [f"{a},{x}" for a, x in zip(FORMS["%H:%M"], G.choice(["a", "b"], N), strict=True)]
    (tmp_path / "t.csv").write_text("at,x\n" + "\n".join(lines) + "\n")
    run = rivalry.train(tmp_path / "t.csv", recipe="independent", run=str(tmp_path / "run"), device="cpu", say=lambda line: None)
    (tmp_path / "gaps.csv").write_text("at,x\n,a\n14:30,b\n,b\n")
    run.apply(tmp_path / "gaps.csv", tmp_path / "full.csv")
    filled = [line.split(",")[0] for line in (tmp_path / "full.csv").read_text().splitlines()[1:]]
    assert filled[1] == "14:30"
    assert np.isfinite(dates.parse(pa.array(filled), "%H:%M")).all()


def test_records_read_numbers_with_units_and_times_of_day(tmp_path: Path) -> None:
    lines = ["pid,day,at,cost,dose,sat"]
    for p in range(80):
        cost = f"${G.integers(1000, 90000):,}"
        lines += [
            f"p{p},2021-0{v + 1}-{1 + p % 28:02d},{G.integers(24):02d}:{G.integers(60):02d},\"{cost}\",{G.normal(50, 9):.1f} mg,{G.integers(80, 99)} %"
            for v in range(3)
        ]
    (tmp_path / "visits.csv").write_text("\n".join(lines) + "\n")
    data = load(tmp_path / "visits.csv", options=ReadOptions(key="pid", holdout=0.2))
    modality = data.modality
    found = {c.name: (c.type, c.form) for c in (*modality.static, *modality.dynamic)}  # type: ignore[attr-defined]
    assert found["cost"] == ("number", "$1,234.5")
    assert found["dose"] == ("number", "1234.5 mg")
    assert found["sat"] == ("number", "1234.5 %")
    assert found["at"] == ("date", "%H:%M")
    assert modality.time.name == "day"  # type: ignore[attr-defined]
    modality.write(raw(data), tmp_path / "out.csv")
    header, *rows = (tmp_path / "out.csv").read_text().splitlines()
    assert header == lines[0]

    def shorn(line: str) -> str:
        return line.split(",", 1)[1]

    assert sorted(map(shorn, rows)) == sorted(map(shorn, lines[1:]))
    with pytest.raises(DataError, match="times of day, which do not say on which day"):
        rivalry.inspect(tmp_path / "visits.csv", options=ReadOptions(key="pid", time="at"))


def kept(minutes: int, form: str = "%H:%M", n: int = 400) -> list[str]:
    g = np.random.default_rng(1)
    return [f"{datetime.datetime(2021, 1, 1) + datetime.timedelta(minutes=int(m) * minutes):{form}}" for m in g.integers(0, 40 * 1440 // minutes, n)]


@pytest.mark.parametrize(
    ("words", "step"),
    [
        (kept(15), 900.0),
        (kept(60), 3600.0),
        (kept(5), 300.0),
        (kept(7), 60.0),
        (kept(30, "%Y-%m-%d %H:%M"), 1800.0),
        (kept(1440, "%Y-%m-%d %H:%M"), 86400.0),
        (kept(1440, "%Y-%m-%d"), 86400.0),
        (kept(1, "%H:%M:%S"), 60.0),
    ],
)
def test_times_keep_the_step_that_the_data_keep(words: list[str], step: float, tmp_path: Path) -> None:
    """Quarters of an hour stay quarters of an hour, and the last of the day is within the day."""
    data = read({"at": words, "x": [f"{v:.3f}" for v in G.normal(size=len(words))]})
    column = data.modality.columns[0]  # type: ignore[attr-defined]
    assert column.code.step == step
    drawn = data.modality.decode(torch.randn(2000, *data.spec.shape, generator=torch.Generator().manual_seed(0)))[:, 0]
    assert float((drawn % step).abs().max()) == 0.0
    assert len(drawn.unique()) > 20
    if dates.is_clock(column.form):
        assert column.code.high == dates.DAY - step
    said = [n for n in data.notes if "kept in steps of" in n]
    assert bool(said) == (step != dates.step(column.form))


def test_records_say_that_their_time_is_kept_in_coarser_steps(tmp_path: Path) -> None:
    g = np.random.default_rng(2)
    lines = ["pid,at,x"]
    for i in range(80):
        at = datetime.datetime(2021, 1, 1)
        for _ in range(3):
            at += datetime.timedelta(minutes=15 * int(g.integers(1, 2000)))
            lines.append(f"P{i},{at:%Y-%m-%d %H:%M},{g.normal():.3f}")
    (tmp_path / "visits.csv").write_text("\n".join(lines) + "\n")
    options, note = ReadOptions(key="pid", time="at"), "the times of 'at' are kept in steps of 15 minutes, and so they are written"
    assert load(tmp_path / "visits.csv", options=options).notes.count(note) == 1
    assert rivalry.inspect(tmp_path / "visits.csv", options=options).notes.count(note) == 1


def test_a_schema_s_step_goes_first_and_runs_of_earlier_readings_have_the_format_s(tmp_path: Path) -> None:
    cells = {"at": kept(15), "x": [f"{v:.3f}" for v in G.normal(size=400)]}
    declared = tmp_path / "columns.toml"
    declared.write_text('[columns.at]\ntype = "date"\nstep = 60.0\n')
    for options in ({"schema": declared}, {"reading": 3}):
        assert read(cells, **options).modality.columns[0].code.step == 60.0  # type: ignore[attr-defined]


def test_a_few_times_may_be_round_by_chance() -> None:
    assert dates.kept_step("%H:%M", np.array([0.0, 3600.0, 7200.0, 7200.0])) == 60.0
    assert dates.kept_step("%H:%M", np.array([0.0, 3600.0, 7200.0, 10800.0, 18000.0, np.nan])) == 3600.0
