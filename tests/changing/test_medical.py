"""Volumes changed by a network: in the trained window, back in units, with a map of how sure it is."""

import json

import numpy as np
import onnx
import pydicom
import pytest
import torch
from click.testing import CliRunner

import rivalry
from changing.cases import Restorer
from data.medical.scans import ct_series, dataset, head, nifti, save
from rivalry.changing import Changer, Ways
from rivalry.changing.medical import apply_scans, changing_volumes
from rivalry.changing.tiles import change
from rivalry.cli import cli
from rivalry.data import ImageModality, ReadOptions, load
from rivalry.data.medical.volume import read_volume
from rivalry.data.medical.warning import MADE, WARNING
from rivalry.data.medical.windows import Window
from rivalry.errors import DataError, RecipeError, RunError

BRAIN = ImageModality((1, 32, 32), 16, 65535, -200.0, 400 / 65535, "fixed", "axial")
BY_VOLUME = ImageModality((1, 32, 32), 16, 65535, 0.0, 1 / 65535, "volume", "axial")


def same(x):
    return x


def test_a_change_of_nothing_is_the_volume_within_the_window(tmp_path):
    ct_series(tmp_path / "in", "P1", 1)
    done = changing_volumes(same, tmp_path / "in", tmp_path / "out", BRAIN)
    before, after = read_volume(tmp_path / "in"), read_volume(tmp_path / "out")
    assert np.abs(after.array - np.clip(before.array, -200, 200)).max() < 0.01
    assert after.affine == pytest.approx(before.affine)
    assert done.volumes == 1
    assert len(done.written) == 33
    assert any("were clipped" in n for n in done.notes)
    record = json.loads((tmp_path / "out.json").read_text())
    assert record["window"]["low"] == -200
    assert 0 < record["clipped_share"] < 1
    assert record["uncertainty"] == "none"


def test_units_of_a_known_change(tmp_path):
    """x -> x / 2 moves numbers half way to the middle of the window; MONOCHROME1 is shown turned round, x + .5 darkens it."""
    path = nifti(head(16), tmp_path / "a.nii.gz")
    changing_volumes(lambda x: x / 2, path, tmp_path / "b.nii.gz", BRAIN)
    before, after = read_volume(path), read_volume(tmp_path / "b.nii.gz")
    assert np.abs(after.array - np.clip(before.array, -200, 200) / 2).max() < 0.01
    frame = np.random.default_rng(0).integers(0, 400, (8, 8)).astype(np.uint16)
    save(dataset(frame, intercept=-200, PhotometricInterpretation="MONOCHROME1"), tmp_path / "in.dcm")
    changing_volumes(lambda x: x + 0.5, tmp_path / "in.dcm", tmp_path / "out", BRAIN)
    expected = np.clip(frame.astype(np.float64) - 200 - 100, -200, 200)
    assert np.abs(read_volume(tmp_path / "out").array[0] - expected).max() < 0.01


def test_the_network_sees_what_training_showed_it(tmp_path):
    for i in range(3):
        ct_series(tmp_path / "in" / str(i), f"P{i}", i)
    data = load(tmp_path / "in")
    seen = []
    changing_volumes(lambda x: seen.append(x) or x, tmp_path / "in" / "1", tmp_path / "out", data.modality)
    shown = data.modality.decode(torch.cat(seen)).numpy()
    both = torch.cat([s.raw(torch.arange(len(s))) for s in (data.train, data.held)]).numpy()
    near = [np.abs(both.astype(int) - x.astype(int)).max((1, 2, 3)).min() for x in shown[8:24]]
    assert max(near) <= 1


def test_mr_is_shown_by_its_own_percentiles(tmp_path):
    rng = np.random.default_rng(0)
    for gain in (1, 20):
        nifti((rng.gamma(2, 100, (20, 20, 10)) * gain).astype(np.float32), tmp_path / f"{gain}.nii")
        seen = []
        changing_volumes(lambda x, seen=seen: seen.append(x) or x, tmp_path / f"{gain}.nii", tmp_path / f"{gain}o.nii", BY_VOLUME)
        x = torch.cat(seen)
        assert x.shape == (10, 1, 20, 20)
        assert (x.min(), x.max()) == (-1, 1)
        assert float((x.abs() == 1).float().mean()) == pytest.approx(0.01, abs=0.005)


def test_nothing_is_computed_where_a_map_of_uncertainty_would_replace_something(tmp_path):
    path = nifti(head(16), tmp_path / "a.nii.gz")
    (tmp_path / "b-uncertainty.nii.gz").write_bytes(b"mine")
    asked = []
    with pytest.raises(DataError, match=r"b-uncertainty\.nii\.gz is there already; scans are never replaced"):
        changing_volumes(lambda x: asked.append(1) or x, path, tmp_path / "b.nii.gz", BRAIN, uncertainty_draws=2)
    assert not asked
    assert not (tmp_path / "b.nii.gz").exists()


def test_results_are_not_put_among_the_scans(tmp_path):
    (tmp_path / "in").mkdir()
    nifti(head(16), tmp_path / "in" / "a.nii.gz")
    with pytest.raises(DataError, match=r"lies in .*taken for scans the next time"):
        changing_volumes(same, tmp_path / "in", tmp_path / "in" / "out", BRAIN)


def test_uncertainty_is_the_deviation_of_the_draws(tmp_path):
    path = nifti(head(16), tmp_path / "a.nii.gz")
    draws = iter(range(1000))

    def noisy(x):
        generator = torch.Generator().manual_seed(next(draws))
        return x / 2 + 0.05 * torch.randn(x.shape, generator=generator)

    done = changing_volumes(noisy, path, tmp_path / "b.nii.gz", BRAIN, uncertainty_draws=24, batch=4)
    spread = read_volume(tmp_path / "b-uncertainty.nii.gz").array
    inside = np.abs(read_volume(path).array) < 150
    assert spread[inside].mean() == pytest.approx(0.05 * 200, rel=0.03)  # in Hounsfield units
    assert np.abs(read_volume(tmp_path / "b.nii.gz").array - np.clip(read_volume(path).array, -200, 200) / 2).mean() < 3
    assert {p.name for p in done.written} == {"b.nii.gz", "b.json", "b-uncertainty.nii.gz", "b-uncertainty.json"}
    assert json.loads((tmp_path / "b-uncertainty.json").read_text())["what"] == "uncertainty"


def test_an_ensemble_has_an_uncertainty_and_a_sure_network_says_so(tmp_path):
    ct_series(tmp_path / "in", "P1", 1, size=16)
    changing_volumes([same, lambda x: x * 0], tmp_path / "in", tmp_path / "out", BRAIN)
    before, spread = read_volume(tmp_path / "in").array, read_volume(tmp_path / "out-uncertainty").array
    variance = torch.from_numpy(np.clip(before, -200, 200).astype(np.float64) ** 2 / 2)  # of two answers, x and 0
    around = torch.nn.functional.avg_pool2d(variance[:, None], 3, 1, 1, count_include_pad=False)[:, 0]
    assert np.abs(spread - around.sqrt().numpy()).max() < 0.05
    one, two = (pydicom.dcmread(tmp_path / n / "000001.dcm") for n in ("out", "out-uncertainty"))
    assert one.FrameOfReferenceUID == two.FrameOfReferenceUID
    assert one.SeriesInstanceUID != two.SeriesInstanceUID
    assert "uncertainty" in two.SeriesDescription
    done = changing_volumes(same, tmp_path / "in", tmp_path / "sure", BRAIN, uncertainty_draws=2)
    assert any("uses no noise" in n for n in done.notes)


def test_draws_are_of_one_piece_from_slice_to_slice(tmp_path):
    """Slices of equal content get equal answers in a draw, however they are batched; draws differ."""
    torch.manual_seed(0)
    noisy = Changer(Restorer(1, 1, latent=4), 1, 1, context=4, multiple=1, latent=4)
    frame = head(16)[8].T[:, :, None].repeat(9, 2)
    path = nifti(np.ascontiguousarray(frame), tmp_path / "a.nii")
    done = apply_scans(noisy, BRAIN, path, tmp_path / "b.nii", Ways(draws=5, seed=3))
    values, spread = read_volume(tmp_path / "b.nii").array, read_volume(tmp_path / "b-uncertainty.nii").array
    assert np.ptp(values, 0).max() < 0.01
    assert np.ptp(spread, 0).max() < 0.01
    assert spread.mean() > 0.01
    assert done.volumes == 1
    apply_scans(noisy, BRAIN, path, tmp_path / "c.nii", Ways(draws=5, seed=3))
    assert np.array_equal(read_volume(tmp_path / "c.nii").array, values)


@pytest.mark.parametrize("recipe", ["auto", "bicyclegan-small"])
def test_the_documented_commands_map_how_sure_a_translation_is(recipe, tmp_path):
    """docs/medical.md: the house recipe by views, a row with noise by its draws."""
    for i in range(3):
        values = head(16, i)
        nifti(values, tmp_path / "both" / "t1" / f"v{i}.nii.gz")
        nifti((values > 900).astype(np.float32), tmp_path / "both" / "tissue" / f"v{i}.nii.gz")
    run = str(tmp_path / "t1-to-tissue")
    small = ("nets.generator.width=8", "nets.discriminator.width=8", "batch=2")
    rivalry.train(
        tmp_path / "both", recipe=recipe, budget="2steps", run=run, options=ReadOptions(task="translate"), settings=small, tensorboard=False, say=lambda line: None
    )
    noisy = recipe != "auto"
    ways = ["--draws", "4"] if noisy else ["--self-ensemble"]
    path = str(tmp_path / "both" / "t1" / "v0.nii.gz")
    made = CliRunner().invoke(cli, ["apply", run, path, "-o", str(tmp_path / "tissue.nii.gz"), *ways])
    assert made.exit_code == 0, made.output
    record = json.loads((tmp_path / "tissue.json").read_text())
    assert (record["draws"], record["views"], record["answers_averaged"]) == ((4, 1, 4) if noisy else (1, 2, 2))  # mirrored in training, never turned
    assert read_volume(tmp_path / "tissue-uncertainty.nii.gz").array.max() > 0
    if not noisy:
        wrong = CliRunner().invoke(cli, ["apply", run, path, "-o", str(tmp_path / "other.nii.gz"), "--draws", "4"])
        assert isinstance(wrong.exception, RecipeError)
        assert "say --self-ensemble in place of --draws" in str(wrong.exception)


def test_views_have_an_uncertainty_too(tmp_path):
    """The mean over views is the self-ensemble of pictures; a network that knows no directions is sure of itself."""
    torch.manual_seed(0)
    directed = Changer(torch.nn.Conv2d(1, 1, 3, padding=1), 1, 1, context=4, multiple=1)
    path = nifti(head(16), tmp_path / "a.nii.gz")
    apply_scans(directed, BRAIN, path, tmp_path / "b.nii.gz", Ways(self_ensemble=True))
    x = torch.from_numpy(np.clip(read_volume(path).array[7].astype(np.float32), -200, 200))[None] / 400 + 0.5
    expected = change(directed, x, Ways(self_ensemble=True))[0].numpy() * 400 - 200
    assert np.abs(read_volume(tmp_path / "b.nii.gz").array[7] - expected).max() < 0.02
    assert read_volume(tmp_path / "b-uncertainty.nii.gz").array.mean() > 1
    done = apply_scans(Changer(torch.nn.Identity(), 1, 1), BRAIN, path, tmp_path / "c.nii.gz", Ways(self_ensemble=True))
    assert any("uncertainty is not known" in n for n in done.notes)


def test_what_is_made_into_another_kind_is_a_share_of_its_range(tmp_path):
    path = nifti(head(16), tmp_path / "t1.nii")
    for task, largest in (("translate", 1), ("denoise", 1100)):
        done = apply_scans(Changer(torch.nn.Identity(), 1, 1, task=task), BY_VOLUME, path, tmp_path / f"{task}.nii", Ways())
        array = read_volume(tmp_path / f"{task}.nii").array
        assert array.max() == pytest.approx(largest, rel=0.1)
        assert any("shares of the range" in n for n in done.notes) == (task == "translate")


def test_a_truncated_slice_is_named_and_the_others_are_changed(tmp_path):
    ct_series(tmp_path / "in", "P1", 1, size=12)
    files = sorted((tmp_path / "in").iterdir())
    torn = files[5]
    torn.write_bytes(torn.read_bytes()[:-200])
    done = changing_volumes(same, tmp_path / "in", tmp_path / "out", BRAIN)
    assert (done.volumes, read_volume(tmp_path / "out").array.shape[0]) == (1, 11)
    assert f"left out: {torn.name}: " in done.text()
    assert any("1 file of 12 of the series cannot be read" in n for n in done.notes)
    assert torn.name not in (tmp_path / "out.json").read_text()
    assert "those slices are missing" in (tmp_path / "out.json").read_text()
    for path in (*files[:5], *files[6:9]):
        path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match=rf"9 of its 12 files are broken \({files[0].name}: .*; replace them"):
        changing_volumes(same, tmp_path / "in", tmp_path / "other", BRAIN)
    ct_series(tmp_path / "in" / "whole", "P2", 2, size=12)
    done = changing_volumes(same, tmp_path / "in", tmp_path / "two", BRAIN)
    assert done.volumes == 1
    assert any(files[0].name in line for line in done.text().splitlines() if line.startswith("left out: "))


@pytest.mark.parametrize("name", ["out.png", "out.dcm"])
def test_scans_are_not_written_into_a_folder_called_like_a_file(name, tmp_path):
    ct_series(tmp_path / "in", "P1", 1, size=12)
    nifti(head(12), tmp_path / "a.nii.gz")
    for source in ("in", "a.nii.gz"):
        with pytest.raises(DataError, match=r"scans are not written as .*name a new folder"):
            changing_volumes(same, tmp_path / source, tmp_path / name, BRAIN)
    assert not (tmp_path / name).exists()


def test_networks_that_volumes_have_no_use_for(tmp_path):
    path = nifti(head(8), tmp_path / "a.nii")
    for changer in (Changer(Restorer(3, 3), 3, 3), Changer(Restorer(1, 1, 2), 1, 1, 2), Changer(Restorer(2, 1), 1, 1, mask=True)):
        with pytest.raises(RecipeError, match="networks of one channel"):
            apply_scans(changer, BRAIN, path, tmp_path / "b.nii", Ways())
    with pytest.raises(RecipeError, match="draws no noise"):
        apply_scans(Changer(Restorer(1, 1), 1, 1), BRAIN, path, tmp_path / "b.nii", Ways(draws=3))
    assert not (tmp_path / "b.nii").exists()


def test_a_translation_has_units_of_its_own(tmp_path):
    path = nifti(head(16), tmp_path / "t1.nii.gz")
    changing_volumes(lambda x: x * 0 + 0.5, path, tmp_path / "grey.nii.gz", BY_VOLUME, output=Window(0, 1))
    assert read_volume(tmp_path / "grey.nii.gz").array == pytest.approx(0.75, abs=0.01)


def test_a_folder_of_several_kinds(tmp_path):
    ct_series(tmp_path / "in" / "Doe", "HOSP-1", 1, size=16)
    nifti(head(16), tmp_path / "in" / "Doe_Jane.nii.gz")
    nifti(np.full((4, 4, 4), np.nan, np.float32), tmp_path / "in" / "x.nii.gz")
    done = changing_volumes(same, tmp_path / "in", tmp_path / "out", BRAIN)
    assert done.volumes == 2
    assert any("1 volume of 3 cannot be read" in n for n in done.notes)
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == ["volume-0001", "volume-0001.json", "volume-0002.json", "volume-0002.nii.gz"]
    assert not any("Doe" in p.read_text() for p in (tmp_path / "out").glob("*.json"))
    kept = changing_volumes(same, tmp_path / "in", tmp_path / "kept", BRAIN, keep_identity=True)
    assert any("Doe_Jane" in p.name for p in kept.written)


def test_a_network_for_pictures_is_told_apart(tmp_path):
    path = nifti(head(16), tmp_path / "a.nii")
    done = changing_volumes(same, path, tmp_path / "b.nii", ImageModality((1, 32, 32)))
    assert any("other pictures than scans" in n for n in done.notes)
    asked = changing_volumes(same, path, tmp_path / "c.nii", BRAIN, window="40,80")
    assert any("0 to 80, as was asked" in n for n in asked.notes)


def test_what_goes_wrong_leaves_nothing(tmp_path):
    path = nifti(head(16), tmp_path / "a.nii")
    with pytest.raises(RunError, match="keeps one channel and the size"):
        changing_volumes(lambda x: x[:, :, ::2], path, tmp_path / "b.nii", BRAIN)
    with pytest.raises(RunError, match="gave NaN"):
        changing_volumes(lambda x: x * np.nan, path, tmp_path / "b.nii", BRAIN)
    with pytest.raises(DataError, match="2 draws or more"):
        changing_volumes(same, path, tmp_path / "b.nii", BRAIN, uncertainty_draws=1)
    bad = nifti(np.full((4, 4, 4), np.nan, np.float32), tmp_path / "nan.nii")
    with pytest.raises(DataError, match="NaN or infinity in 64 voxels"):
        changing_volumes(same, bad, tmp_path / "b.nii", BRAIN)
    flat = nifti(np.full((4, 4, 4), 7, np.int16), tmp_path / "flat.nii")
    with pytest.raises(DataError, match=r"flat\.nii is of one value"):
        changing_volumes(same, flat, tmp_path / "b.nii", BY_VOLUME)
    nifti(head(8), tmp_path / "two" / "a.nii")
    nifti(head(8), tmp_path / "two" / "b.nii")
    with pytest.raises(DataError, match="cannot take 2 volumes; name a folder"):
        changing_volumes(same, tmp_path / "two", tmp_path / "b.nii", BRAIN)
    assert not (tmp_path / "b.nii").exists()


@pytest.mark.parametrize(("out", "beside"), [("some", "some/WARNING.txt"), ("sheet.png", "sheet-warning.txt"), ("all.npy", "all-warning.txt")])
def test_generated_scans_come_with_a_warning(out, beside, tmp_path):
    x = torch.zeros(4, 1, 32, 32)
    written = BRAIN.write(x, tmp_path / out)
    assert MADE in (tmp_path / beside).read_text()
    assert all(p.suffix in (".png", ".npy") for p in written)
    ImageModality((1, 32, 32)).write(x, tmp_path / "plain")
    assert not list((tmp_path / "plain").glob("*.txt"))


def test_from_scans_to_a_run_to_changed_scans(tmp_path):
    """Train on series, apply from the command line: units, identity and the run's records, end to end."""
    for i in range(3):
        ct_series(tmp_path / "scans" / f"Doe_{i}", f"HOSP-{i}", i, size=16, PatientName=f"Doe^Jane{i}")
    small = ("nets.generator.width=8", "nets.generator.blocks=2", "batch=2")
    run = rivalry.train(
        tmp_path / "scans", budget="3steps", run=str(tmp_path / "run"), options=ReadOptions(task="denoise", patch=16, window="40,400"),
        settings=small, tensorboard=False, say=lambda line: None,
    )  # fmt: skip
    handed_on = [p for p in run.path.rglob("*") if p.is_file() and "private" not in p.parts]
    assert not [p for p in handed_on for word in (b"Doe_", b"Jane", b"HOSP-") if word in p.read_bytes()]
    asked = ["apply", str(run.path), str(tmp_path / "scans" / "Doe_1"), "-o", str(tmp_path / "out"), "--self-ensemble", "--strength", "0"]
    made = CliRunner().invoke(cli, asked)
    assert made.exit_code == 0, made.output
    for page in ("report.md", "model-card.md"):
        assert WARNING in (run.path / page).read_text()
    card = (run.path / "model-card.md").read_text()
    assert "To change pictures of the kind it was trained on" in card
    assert "takes noise away" in card
    assert '.apply("photo.png", "changed.png")' in card
    assert "To draw new rows" not in card
    before, after = read_volume(tmp_path / "scans" / "Doe_1"), read_volume(tmp_path / "out")
    assert np.abs(after.array - np.clip(before.array, -160, 240)).max() < 0.02  # nothing changed, within the window
    assert read_volume(tmp_path / "out-uncertainty").array.shape == before.array.shape
    told = json.loads(onnx.load(run.export(tmp_path / "model.onnx").path).metadata_props[0].value)
    assert (told["scans"]["low"], told["scans"]["high"], told["scans"]["result"]) == (-160, pytest.approx(240), "units")
    wrong = CliRunner().invoke(cli, ["apply", str(run.path), str(tmp_path / "scans"), "-o", str(tmp_path / "o"), "--quality", "90"])
    assert isinstance(wrong.exception, RecipeError)
    assert "is for picture files" in str(wrong.exception)
