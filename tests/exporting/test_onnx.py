"""ONNX files: what they take and say, and that they are the networks they were made of."""

from __future__ import annotations

import builtins
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from changing.cases import Halving, restorer, scene, seeded
from changing.test_files import pixels, save
from data.medical.scans import head, nifti
from rivalry import zoo
from rivalry.changing import Changer, Ways, apply_files
from rivalry.changing.medical import apply_scans, told_of
from rivalry.changing.trained import OfClass
from rivalry.data import ImageModality
from rivalry.data.medical.volume import read_volume
from rivalry.errors import DataError, MissingExtra, RunError
from rivalry.exporting import export_changer, export_generator
from rivalry.nets import ResNetTranslator, Restorer, UNet
from rivalry.nets.restorers import ChangeModule
from rivalry.parts import Net, Wiring
from rivalry.sampling import Sampler
from rivalry.types import Spec
from tiny import CLASSES, CPU, POINTS

ROOT = Path(__file__).parents[2]
ALONE = "import sys, runpy; sys.modules['torch'] = sys.modules['rivalry'] = None; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
"""Runs a script where neither torch nor rivalry can be imported."""


def session(path: Path) -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def told(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(session(path).get_modelmeta().custom_metadata_map["rivalry"])
    return found


CHANGERS: dict[str, Callable[[], Changer]] = {
    "x3": lambda: restorer(scale=3),
    "noise": lambda: restorer(1, 1, norm=nn.InstanceNorm2d, latent=4),
    "holes": lambda: restorer(mask=True),
    "halving": lambda: Changer(seeded(Halving), 3, 3, context=16, multiple=4),
    "unet": lambda: built(UNet(width=8, depth=3)),
    "translator": lambda: built(ResNetTranslator(width=8, blocks=1)),
    "folded": lambda: built(Restorer(width=8, blocks=1, shrink=2)),
    "class": lambda: of_class(ResNetTranslator(width=8, blocks=1), 1),
}


def built(net: Net) -> Changer:
    """A net of the house, for colour."""
    torch.manual_seed(0)
    module = net.build(Spec("image", (3, 32, 32)), Wiring(source=(3, 32, 32))).eval().requires_grad_(False)
    assert isinstance(module, ChangeModule)
    for p in module.parameters():
        p.add_(torch.randn_like(p) * 0.05)  # some begin at 0
    return Changer(module, 3, 3, context=module.reach, multiple=module.multiple)


def of_class(net: Net, label: int) -> Changer:
    """A net of the house between three classes, that makes one of them."""
    torch.manual_seed(0)
    spec = Spec("image", (3, 32, 32), class_names=("a", "b", "c"))
    module = net.build(spec, Wiring(source=(3, 32, 32), classes=3)).eval().requires_grad_(False)
    assert isinstance(module, ChangeModule)
    return Changer(OfClass(module, label), 3, 3, context=module.reach, multiple=module.multiple)


@pytest.mark.parametrize("name", CHANGERS)
def test_files_take_any_size_and_give_what_the_network_gives(name: str, tmp_path: Path) -> None:
    changer = CHANGERS[name]()
    done = export_changer(changer, tmp_path / "model.onnx", "sharper")
    assert done.difference < 1e-5
    assert "picture [n, " in done.text()
    given = {"picture": torch.rand(2, changer.inputs, 19, 61) * 2 - 1, "mask": (torch.rand(2, 1, 19, 61) < 0.5).float(), "noise": torch.randn(2, 4)}
    names = [i.name for i in session(done.path).get_inputs()]
    made = session(done.path).run(None, {n: given[n].numpy() for n in names})[0]
    x = given["picture"]
    if changer.mask:
        x = torch.cat([x * (1 - given["mask"]), given["mask"]], 1)
    expected = changer.net(x, given["noise"]) if changer.latent else changer.net(x)
    if changer.mask:
        expected = torch.where(given["mask"] > 0, expected, given["picture"])
    assert np.abs(made - expected.numpy()).max() < 1e-5 * max(1.0, float(expected.abs().max()))
    facts = told(done.path)
    assert (facts["run"], facts["kind"], facts["scale"], facts["range"]) == ("sharper", "changes pictures", changer.scale, [-1.0, 1.0])
    assert facts["whole_picture"] == (name in ("noise", "unet", "translator", "class"))
    assert str(ROOT).encode() not in done.path.read_bytes()  # nothing of this machine


def sampler(recipe: str, spec: Spec = CLASSES) -> Sampler:
    chosen = zoo.get(recipe)
    torch.manual_seed(0)
    nets = {name: net.eval() for name, net in chosen.build(spec).items()}
    return Sampler(chosen.game, chosen.game.wiring(spec), nets, CPU)


@pytest.mark.parametrize(("recipe", "labels"), [("acgan-small", True), pytest.param("stylegan2-ada-small", False, marks=pytest.mark.slow)])
def test_generators_go_from_noise_to_pictures(recipe: str, labels: bool, tmp_path: Path) -> None:
    made = sampler(recipe)
    done = export_generator(made, CLASSES, tmp_path / "model.onnx", "bars")
    z, label = torch.randn(5, made.wiring.latent), torch.randint(2, (5,))
    feed = {"noise": z.numpy(), **({"label": label.numpy()} if labels else {})}
    expected = made.game.from_latent(made.nets, z, (label,) if labels else ()).detach().numpy()
    assert np.abs(session(done.path).run(None, feed)[0] - expected).max() < 1e-4
    assert told(done.path)["classes"] == (["bar", "dash"] if labels else [])
    more = ["--label", "dash"] if labels else []
    run = [sys.executable, "-c", ALONE, str(ROOT / "examples" / "onnx_sample.py"), str(done.path), str(tmp_path / "sheet.png"), "-n", "5", *more]
    subprocess.run(run, check=True, capture_output=True)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (48, 32)


@pytest.mark.parametrize(("inputs", "channels", "scale"), [(3, 1, 1), (1, 3, 2), (3, 4, 2)])
def test_the_example_needs_neither_torch_nor_rivalry_and_gives_the_same(inputs: int, channels: int, scale: int, tmp_path: Path) -> None:
    changer = restorer(inputs, inputs, scale)
    model = export_changer(changer, tmp_path / "model.onnx").path
    picture = save(tmp_path / "a.png", scene(90, 130, channels))
    ours = pixels(apply_files(changer, picture, tmp_path / "ours.png").written[0])
    example([model, picture, tmp_path / "theirs.png", "--tile", "48"])
    theirs = pixels(tmp_path / "theirs.png")
    inner = slice(4 * scale, -4 * scale)  # where bicubic enlargement meets the border, Pillow has a way of its own
    assert ours.shape == theirs.shape
    assert np.abs(ours.astype(int) - theirs)[inner, inner].max() <= 1


@pytest.mark.parametrize("inputs", [1, 3])
@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_the_example_keeps_sixteen_bits_of_grey(inputs: int, ending: str, tmp_path: Path) -> None:
    changer = restorer(inputs, inputs)
    model = export_changer(changer, tmp_path / "model.onnx").path
    picture = save(tmp_path / f"a{ending}", scene(60, 70, 1, bits=16))
    ours = pixels(apply_files(changer, picture, tmp_path / f"ours{ending}").written[0])
    example([model, picture, tmp_path / f"theirs{ending}"])
    theirs = pixels(tmp_path / f"theirs{ending}")
    assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape) == (np.uint16, (60, 70, 1))
    assert np.abs(ours.astype(int) - theirs).max() <= 2
    example([model, picture, tmp_path / "theirs.jpg"])
    assert np.abs(pixels(tmp_path / "theirs.jpg").astype(float) - ours / 257).mean() < 4
    Image.fromarray(np.linspace(-1, 1, 400, dtype=np.float32).reshape(20, 20)).save(tmp_path / "f.tif")
    assert "save it with 16 bits" in example([model, tmp_path / "f.tif", tmp_path / "g.png"], 1)


@pytest.mark.parametrize("window", ["fixed", "volume"])
def test_exports_for_scans_say_the_window_and_the_example_goes_by_it(window: str, tmp_path: Path) -> None:
    """What the example makes of an array in units is what `rivalry apply` makes of the volume."""
    fixed = window == "fixed"
    modality = ImageModality((1, 32, 32), 16, 65535, -200.0 if fixed else 0.0, (400 if fixed else 1) / 65535, window, "axial")
    changer = restorer(1, 1)
    model = export_changer(changer, tmp_path / "model.onnx", "quiet", told_of(changer, modality)).path
    shown = {"low": -200.0, "high": 200.0} if fixed else {"percentiles": [0.5, 99.5]}
    assert told(model)["scans"] == {"window": window, **shown, "axis": "axial", "result": "units"}
    apply_scans(changer, modality, nifti(head(24), tmp_path / "a.nii.gz"), tmp_path / "ours.nii.gz", Ways())
    volume = read_volume(tmp_path / "a.nii.gz").array
    np.save(tmp_path / "a.npy", volume)
    example([model, tmp_path / "a.npy", tmp_path / "theirs.npy"])
    ours, theirs = read_volume(tmp_path / "ours.nii.gz").array, np.load(tmp_path / "theirs.npy")
    span = 400 if fixed else float(np.ptp(volume))
    assert theirs.shape == ours.shape
    assert np.abs(ours - theirs).max() < (0.001 if fixed else 0.02) * span  # percentiles are of all pixels there, of a sample here
    np.save(tmp_path / "flat.npy", np.zeros((2, 8, 8)) if not fixed else np.zeros(4))
    assert ("no volume" if fixed else "of one value") in example([model, tmp_path / "flat.npy", tmp_path / "b.npy"], 1)
    plain = export_changer(restorer(), tmp_path / "plain.onnx").path
    assert "did not learn from scans" in example([plain, tmp_path / "a.npy", tmp_path / "b.npy"], 1)


def test_translations_of_scans_give_shares_and_pictures_say_nothing_of_windows() -> None:
    assert told_of(restorer(), ImageModality()) == {}
    translating = restorer(1, 1, task="translate")
    assert told_of(translating, ImageModality((1, 32, 32), 16, 65535, 0.0, 1 / 65535, "volume", ""))["result"] == "shares"


def example(arguments: list[Any], code: int = 0) -> str:
    script = str(ROOT / "examples" / "onnx_apply.py")
    done = subprocess.run([sys.executable, "-c", ALONE, script, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stderr


def test_the_example_fills_holes_and_says_what_is_wrong(tmp_path: Path) -> None:
    changer = restorer(mask=True)
    model = export_changer(changer, tmp_path / "model.onnx").path
    hole = np.zeros((60, 80, 1), np.uint8)
    hole[10:30, 20:50] = 255
    picture, mask = save(tmp_path / "a.png", scene(60, 80)), save(tmp_path / "m.png", hole)
    example([model, picture, tmp_path / "b.png", "--mask", mask])
    ours = pixels(apply_files(changer, picture, tmp_path / "ours.png", mask=mask).written[0])
    assert np.abs(ours.astype(int) - pixels(tmp_path / "b.png")).max() <= 1
    assert "say where they are with --mask" in example([model, picture, tmp_path / "c.png"], 1)
    (tmp_path / "cut.png").write_bytes(picture.read_bytes()[:400])
    assert "cut.png cannot be read: " in example([model, tmp_path / "cut.png", tmp_path / "c.png", "--mask", mask], 1)
    small = save(tmp_path / "s.png", hole[:-1])
    assert "80x59 pixels, and the picture 80x60" in example([model, picture, tmp_path / "c.png", "--mask", small], 1)


class Untraceable(nn.Module):
    """Its sizes hang on its values."""

    def forward(self, x: Tensor) -> Tensor:
        return x if float(x.sum()) > 0 else -x


def test_what_cannot_be_exported_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunError, match="cannot be written as ONNX"):
        export_changer(Changer(Untraceable(), 3, 3), tmp_path / "model.onnx")
    with pytest.raises(DataError, match=r"exported to \.onnx files"):
        export_changer(restorer(), tmp_path / "model.pt")
    with pytest.raises(DataError, match="this run makes points"):
        export_generator(sampler("gan-small", POINTS), POINTS, tmp_path / "model.onnx")
    monkeypatch.setattr("rivalry.exporting.onnx_file.compare", lambda module, cases, path: 0.01)
    with pytest.raises(RunError, match="differs from the original by"):
        export_changer(restorer(), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_a_file_that_onnxruntime_cannot_run_is_refused_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(module: nn.Module, cases: object, path: Path) -> float:
        raise ValueError("[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Got invalid dimensions for input: picture\n index: 0")

    monkeypatch.setattr("rivalry.exporting.onnx_file._difference", broken)
    with pytest.raises(RunError, match=r"onnxruntime cannot run the exported network: .*invalid dimensions.*pip install -U onnxruntime"):
        export_changer(restorer(), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_without_the_extra_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = builtins.__import__

    def without(name: str, *more: Any) -> Any:
        if name.startswith("onnx"):
            raise ImportError(name)
        return usual(name, *more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match=r"pip install 'rivalry\[export\]'"):
        export_changer(restorer(), tmp_path / "model.onnx")
