"""Options that the data at hand have no use for are refused, not ignored: what was typed and did nothing misleads."""

from dataclasses import fields

import numpy as np
import pytest

from rivalry.data import ReadOptions, inspect, load, uses
from rivalry.data.sources import Other
from rivalry.errors import DataError

from .files import noise, save_all


def pictures(path):
    save_all(path / "set", noise(24, 12, 12))
    return path / "set"


def packed(path):
    np.savez(path / "set.npz", images=noise(24, 12, 12))
    return path / "set.npz"


def rows_of_bytes(path):
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    files = save_all(path / "files", noise(24, 12, 12))
    parquet.write_table(arrow.table({"image": [f.read_bytes() for f in files]}), path / "set.parquet")
    return path / "set.parquet"


def plane(path):
    rng = np.random.default_rng(0)
    np.savetxt(path / "plane.csv", rng.normal(size=(40, 2)), delimiter=",", header="x,y", comments="")
    return path / "plane.csv"


def people(path):
    (path / "people.csv").write_text("age,town\n" + "".join(f"{20 + i % 40},{'ab'[i % 2]}\n" for i in range(200)))
    return path / "people.csv"


def prose(path):
    (path / "prose.txt").write_text("".join(f"the {w} cat sat on {v}\n" for w in ("old", "red", "big") for v in "abcdefgh"))
    return path / "prose.txt"


def ring(path):
    return "ring8"


def labels(path):
    (path / "labels.csv").write_text("file,label\n" + "".join(f"{i:03d}.png,{'ab'[i % 2]}\n" for i in range(24)))
    return {"labels": path / "labels.csv"}


def schema(path):
    (path / "schema.toml").write_text('[columns.age]\ntype = "number"\n')
    return {"schema": path / "schema.toml"}


def just(**options):
    return lambda path: options


@pytest.mark.parametrize(
    ("data", "asked", "flag"),
    [
        (packed, labels, "--labels"),
        (rows_of_bytes, labels, "--labels"),
        (plane, labels, "--labels"),
        (people, labels, "--labels"),
        (ring, labels, "--labels"),
        (prose, labels, "--labels"),
        (plane, schema, "--schema"),
        (pictures, schema, "--schema"),
        (pictures, just(columns=("x",)), "--columns"),
        (prose, just(columns=("x",)), "--columns"),
        (ring, just(columns=("x", "y")), "--columns"),
        (pictures, just(window="lung"), "--window"),
        (people, just(window="lung"), "--window"),
        (pictures, just(axis="coronal"), "--axis"),
        (plane, just(spacing=1.0), "--spacing"),
        (pictures, just(labels_from="Modality"), "--labels-from"),
        (people, just(size=32), "--size"),
        (plane, just(fit="pad"), "--fit"),
        (prose, just(channels=1), "--channels"),
        (people, just(patch=32), "--patch"),
        (ring, just(group="x"), "--group"),
        (ring, just(only=("a",)), "--only"),
        (ring, just(holdout=0.3), "--holdout"),
        (pictures, just(vocabulary=400), "--vocabulary"),
        (people, just(tokens=9), "--tokens"),
        (prose, just(context=9), "--context"),
        (pictures, just(tokenizer="words"), "--tokenizer"),
        (pictures, just(time="when"), "--time"),
        (plane, just(time="x"), "--time"),
        (people, just(kind="table", key="age"), "--key"),
    ],
)
def test_an_option_of_no_use_is_refused(tmp_path, data, asked, flag):
    given, options = data(tmp_path), ReadOptions(**asked(tmp_path))
    for read in (load, inspect):
        with pytest.raises(DataError) as said:
            read(given, options=options)
        assert f"{flag} " in str(said.value)
        assert "leave it out" in str(said.value)


def test_classes_and_groups_of_pictures_to_change_are_refused(tmp_path):
    save_all(tmp_path / "set", noise(24, 32, 32), names=[f"{'ab'[i % 2]}/{i}.png" for i in range(24)])
    with pytest.raises(DataError, match=r"--only .* leave it out"):
        load(tmp_path / "set", options=ReadOptions(task="denoise", only=("a",)))


@pytest.mark.parametrize(("data", "asked"), [(pictures, labels), (people, schema), (pictures, just(fit="pad", size=16)), (ring, just(limit=90))])
def test_those_of_use_are_heeded(tmp_path, data, asked):
    assert len(load(data(tmp_path), options=ReadOptions(**asked(tmp_path))).train)


def test_runs_of_earlier_editions_still_read_their_data(tmp_path):
    assert len(load(plane(tmp_path), options=ReadOptions(window="lung", reading=5)).train)


@pytest.mark.parametrize(
    ("data", "asked", "says"),
    [(pictures, just(constraints=("a < b",)), "constraints are for tables"), (people, just(task="denoise"), "--task denoise changes pictures")],
)
def test_looking_refuses_what_training_refuses(tmp_path, data, asked, says):
    for read in (inspect, load):
        with pytest.raises(DataError, match=says):
            read(data(tmp_path), options=ReadOptions(**asked(tmp_path)))


def test_kinds_of_data_that_others_add_take_the_options_they_like(tmp_path):
    uses.check(ReadOptions(size=32, columns=("x",), window="lung"), "sound", Other("x", "x.wav", "sound"))


def test_every_option_is_told_of_or_for_all():
    """A new option names the data that it is for."""
    for_all = {"limit", "seed", "resident_bytes", "cache", "kind", "reading"}
    elsewhere = {"constraints", "task", "dedupe", "k_anonymous", "quasi", "clip"}  # by `uses.check` in words of their own, and `defences.refuse`
    assert uses.USES.keys() | for_all | elsewhere == {f.name for f in fields(ReadOptions)}
