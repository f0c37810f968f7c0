import math

import numpy as np
import pytest
import torch
from PIL import Image

from rivalry.data import PointsModality, ReadOptions, inspect, load, restore, truth
from rivalry.data.truths import MAKERS
from rivalry.errors import DataError, UnknownName

from .files import contents, everything

CPU = torch.device("cpu")


def cloud(n=200, columns=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, columns)) * [1, 10, 0.01][:columns] + [5, -100, 0][:columns]


def table(path, values, header="a,b,c", labels=None, comma=","):
    lines = [header.replace(",", comma)] if header else []
    cells = [[f"{v!r}" for v in row] for row in values.tolist()]
    lines += [comma.join(row if labels is None else [*row, str(labels[i])]) for i, row in enumerate(cells)]
    path.write_text("\n".join(lines) + "\n")
    return path


# -- densities that are known ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MAKERS)
def test_densities_integrate_to_one(name):
    made = truth(name)
    reach = float(made.nodes.abs().max()) + 6 * made.sigma
    step = made.sigma  # the trapezoidal rule is exact to 1e-8 for Gaussians at this step
    axis = torch.arange(-reach, reach + step, step, dtype=torch.float64)
    total = float(made.density(torch.cartesian_prod(axis, axis)).sum())
    assert total * step**2 == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", MAKERS)
def test_samples_follow_the_density(name):
    """The mean log density of samples is minus the entropy, which a second draw gives as well."""
    made = truth(name)
    n = 2000
    a, b = (made.log_density(made.sample(n, seed)) for seed in (0, 1))
    error = math.sqrt(float(a.var() + b.var()) / n)
    assert float(a.mean() - b.mean()) == pytest.approx(0, abs=4 * error)
    assert float(made.log_density(made.sample(200, 0) + 5 * made.sigma).mean()) < float(a.mean()) - 1


@pytest.mark.parametrize(("name", "modes", "sigma"), [("ring8", 8, 0.01), ("grid25", 25, 0.05)])
def test_modes_are_pacgans(name, modes, sigma):
    made = truth(name)
    assert made.modes.shape == (modes, 2)
    points = made.sample(40_000, 0)
    mode, far = made.assign(points)
    assert torch.bincount(mode, minlength=modes).double().div(40_000).tolist() == pytest.approx(
        [1 / modes] * modes, abs=0.01
    )
    assert float((far <= 3).double().mean()) == pytest.approx(1 - math.exp(-4.5), abs=0.003)
    spread = (points.double() - made.modes[mode]).square().mean().sqrt()
    assert float(spread) == pytest.approx(sigma, rel=0.02)
    if name == "ring8":
        assert made.modes.norm(dim=1).tolist() == pytest.approx([1] * 8)
    else:
        assert sorted(set(made.modes.flatten().tolist())) == [-4, -2, 0, 2, 4]


def test_the_density_of_one_mode_in_closed_form():
    made = truth("ring8")
    at_mode = float(made.density(made.modes[:1]))
    assert at_mode == pytest.approx(1 / (8 * 2 * math.pi * 0.01**2), rel=1e-9)
    one_off = float(made.density(made.modes[:1] + torch.tensor([0.01, 0.0])))
    assert one_off == pytest.approx(at_mode * math.exp(-0.5), rel=1e-6)


def test_unknown_points():
    with pytest.raises(UnknownName, match="did you mean 'spiral'"):
        truth("spirale")


@pytest.mark.parametrize("name", MAKERS)
def test_built_in_points(name):
    data = load(name)
    assert (len(data.train), len(data.held)) == (100_000, 20_000)
    assert data.truth is truth(name)
    assert data.spec.kind == "points"
    assert data.spec.shape == (2,)
    assert data.source == name
    x = data.train.batch(torch.arange(20_000), CPU).x
    assert float(x.square().mean().sqrt()) == pytest.approx(1, abs=0.02)
    assert float(x.mean(0).abs().max()) < 0.05
    again, other = load(name), load(name, options=ReadOptions(seed=1))
    assert again.fingerprint == data.fingerprint != other.fingerprint
    assert torch.equal(everything(again.held), everything(data.held))
    assert not torch.equal(everything(other.held)[:5], everything(data.held)[:5])
    assert not torch.equal(everything(data.train)[:5], everything(data.held)[:5])


def test_fewer_built_in_points():
    data = load("ring8", options=ReadOptions(limit=500))
    assert (len(data.train), len(data.held)) == (500, 500)


# -- tables of numbers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("comma", [",", ";", "\t", " "])
@pytest.mark.parametrize("header", ["a,b,c", ""])
def test_text_tables(tmp_path, comma, header):
    values = cloud()
    data = load(table(tmp_path / "set.csv", values, header, comma=comma))
    assert data.modality.columns == (("a", "b", "c") if header else ("x1", "x2", "x3"))
    assert contents(data)[0] | contents(data)[1] == {r.tobytes() for r in values.astype(np.float32)}
    assert (len(data.train), len(data.held)) == (160, 40)


def test_other_tables_give_the_same(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import gzip

    import pyarrow.parquet as pq

    values = cloud()
    table(tmp_path / "set.csv", values)
    (tmp_path / "set.csv.gz").write_bytes(gzip.compress((tmp_path / "set.csv").read_bytes()))
    (tmp_path / "set.txt").write_text((tmp_path / "set.csv").read_text().split("\n", 1)[1])
    pq.write_table(pa.table({k: values[:, i] for i, k in enumerate("abc")}), tmp_path / "set.parquet")
    np.save(tmp_path / "set.npy", values)
    np.savez(tmp_path / "set.npz", x=values)
    sources = [tmp_path / f"set.{e}" for e in ("csv", "csv.gz", "txt", "parquet", "npy", "npz")] + [
        values,
        torch.from_numpy(values),
    ]
    raws = [everything(load(s).train) for s in sources]
    assert all(torch.equal(r, raws[0]) for r in raws)


def test_points_are_standardised_by_the_training_side(tmp_path):
    data = load(table(tmp_path / "set.csv", cloud()))
    x = data.train.batch(torch.arange(len(data.train)), CPU).x
    assert x.mean(0).tolist() == pytest.approx([0] * 3, abs=1e-3)
    assert x.std(0, unbiased=False).tolist() == pytest.approx([1] * 3, abs=1e-3)
    assert torch.allclose(data.modality.decode(x), everything(data.train), rtol=1e-5)
    assert data.spec.range[0] <= float(x.min()) <= float(x.max()) <= data.spec.range[1]


def test_columns_labels_and_groups(tmp_path):
    values = cloud()
    labels = [f"k{i % 2},{i // 4}" for i in range(200)]
    path = table(tmp_path / "set.csv", values, "a,b,c,class,patient", labels)
    data = load(path, options=ReadOptions(columns=("c", "a"), group="patient"))
    assert data.modality.columns == ("c", "a")
    assert data.spec.class_names == ("k0", "k1")
    place = {r.tobytes(): i // 4 for i, r in enumerate(values[:, [2, 0]].astype(np.float32))}
    train, held = ({place[r] for r in side} for side in contents(data))
    assert held
    assert not train & held


def test_repeated_rows_stay_on_one_side():
    values = np.repeat(cloud(50), 4, axis=0)
    train, held = contents(load(values))
    assert not train & held


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,b\n1,2\n3,\n" + "4,5\n" * 9, "'b' of .* cells: 1 of 11, the first in row 2; remove those rows"),
        ("a,b\n1,nan\n" + "4,5\n" * 9, "'b' of .* cells: 1 of 10"),
        ("a,b,c\n" + "4,,5\n" * 9, "'b' of .* cells: 9 of 9"),
        ("a,b\n" + "4,x\n" * 9, "columns of words, not numbers: 'b'; choose .*numeric columns are a"),
        ("a\n" + "4\n" * 9, "1 numeric column; points need two"),
        ("a,b\n1,2\n3\n", "same number of cells"),
        ("", "empty"),
        ("a,b\n", "header but no rows"),
        ("a,a\n" + "4,5\n" * 9, "more than one column named 'a'"),
        ("a,b\n" + "".join(f"{i},7\n" for i in range(20)), "'b' of .* has one value throughout"),
        ("a,b\n" + "".join(f"{i},{i}\n" for i in range(5)), "only 5 rows"),
    ],
)
def test_tables_that_cannot_be_points(tmp_path, text, says):
    (tmp_path / "set.csv").write_text(text)
    with pytest.raises(DataError, match=says):
        load(tmp_path / "set.csv", options=ReadOptions(kind="points"))


def test_columns_nobody_knows(tmp_path):
    with pytest.raises(DataError, match="has no column 'd'; it has a, b, c"):
        load(table(tmp_path / "set.csv", cloud()), options=ReadOptions(columns=("a", "d")))


def test_a_binary_file_by_the_name_of_a_table(tmp_path):
    (tmp_path / "set.csv").write_bytes(b"PK\0\0\0\1" * 20)
    with pytest.raises(DataError, match="binary file"):
        load(tmp_path / "set.csv")


def test_inspecting_points(tmp_path):
    values = cloud()
    values[3] = values[4]
    values[9, 1] = np.nan
    found = inspect(table(tmp_path / "set.csv", values), options=ReadOptions(kind="points"))
    assert (found.total, found.whole) == (200, 199)
    assert found.columns[1].missing == 1
    assert found.columns[0].mean == pytest.approx(values[:, 0].mean())
    assert any("repeat an earlier one: 1" in n for n in found.notes)
    assert "column b:" in found.text()
    assert "ring8: 120,000 points" in inspect("ring8").text()


# -- writing -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet", "npy", "npz"])
@pytest.mark.parametrize("labelled", [True, False])
def test_points_come_back_as_they_were(tmp_path, ending, labelled):
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    points = cloud()
    data = load((points, np.arange(200) % 2) if labelled else points)
    x, labels = data.train.batch(torch.arange(160), CPU).x, data.train.labels
    out = tmp_path / f"new.{ending}"
    assert data.modality.write(x, out, labels, ("no, never", 'y"es"') if labelled else ()) == [out]
    back = load(out, options=ReadOptions(kind="points"))
    rows = torch.cat([everything(back.train), everything(back.held)])
    expected = data.modality.decode(x)
    assert torch.allclose(rows[rows[:, 0].argsort()], expected[expected[:, 0].argsort()], rtol=1e-6)
    if labelled and ending != "npy":
        assert back.spec.class_names == ("no, never", 'y"es"')
    assert [p.name for p in tmp_path.iterdir()] == [out.name]


def test_pictures_of_points(tmp_path):
    data = load("moons", options=ReadOptions(limit=300))
    x = data.train.batch(torch.arange(300), CPU).x
    data.modality.preview(x, tmp_path / "deep" / "a.png", reference=x)
    data.modality.preview(x * float("nan"), tmp_path / "b.png")
    assert data.modality.write(x, tmp_path / "c.png") == [tmp_path / "c.png"]
    with Image.open(tmp_path / "deep" / "a.png") as a, Image.open(tmp_path / "c.png") as c:
        assert a.width > 1.5 * c.width


def test_points_are_not_written_as_anything_else(tmp_path):
    data = load("moons", options=ReadOptions(limit=30))
    with pytest.raises(DataError, match=r"ending in \.csv"):
        data.modality.write(torch.zeros(3, 2), tmp_path / "x.docx")


def test_state_restores():
    data = load(cloud())
    kept = restore("points", data.modality.state())
    assert kept == data.modality
    assert isinstance(kept, PointsModality)
    assert truth(restore("points", load("ring8").modality.state()).truth).modes is not None
    with pytest.raises(DataError, match="equal length"):
        restore("points", {"columns": ["a"]})
    with pytest.raises(UnknownName):
        restore("point", {})


def test_distance_is_euclidean():
    a, b = torch.randn(5, 3), torch.randn(5, 3)
    assert torch.allclose(PointsModality().distance(a, b), (a - b).norm(dim=1))


def test_columns_that_single_precision_would_round_are_refused(tmp_path):
    """1e9 + N(0, 1) is one number in float32: training on it would see a single point."""
    far = np.random.default_rng(0).normal((1e9, 0), size=(200, 2))
    with pytest.raises(DataError, match=r"'a'.*far from 0.*subtract"):
        load(table(tmp_path / "far.csv", far, "a,b"))
    assert "far from 0" in inspect(tmp_path / "far.csv").text()
    near = np.random.default_rng(0).normal(size=(200, 2)) * 1000 + np.array([5e6, 0])
    kept = load(table(tmp_path / "near.csv", near, "a,b"))
    assert "far from 0" not in inspect(tmp_path / "near.csv").text()
    x = kept.train.batch(torch.arange(len(kept.train)), CPU).x
    assert len(x[:, 0].unique()) > 0.9 * len(x)
