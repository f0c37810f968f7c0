"""Reading weights without running anything in them."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from rivalry.errors import WeightsError
from rivalry.extractors.weights import fingerprint, fitted, read_state


def state() -> dict[str, Tensor]:
    return {"a.weight": torch.arange(6.0).view(2, 3), "b": torch.tensor(2)}


class Surprise:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("this must never run",))


def test_every_format_reads_the_same(tmp_path: Path) -> None:
    save_file(state(), tmp_path / "w.safetensors")
    torch.save(state(), tmp_path / "w.pth")
    torch.save({"state_dict": state(), "epoch": 3}, tmp_path / "nested.pt")
    np.savez(tmp_path / "w.npz", **{name: value.numpy() for name, value in state().items()})
    for name in ("w.safetensors", "w.pth", "nested.pt", "w.npz"):
        assert fingerprint(read_state(tmp_path / name)) == fingerprint(state())


def test_fingerprints_see_names_shapes_types_and_bytes() -> None:
    base = fingerprint(state())
    assert len(base) == 64
    assert fingerprint(dict(reversed(state().items()))) == base
    one, two = state(), state()
    one["a.weight"] = one["a.weight"].view(3, 2)
    two["a.weight"] = two["a.weight"].view(torch.int32)
    changed = [one, two, {"c": state()["a.weight"], "b": torch.tensor(2)}, state() | {"b": torch.tensor(3)}]
    assert len({base, *map(fingerprint, changed)}) == 5


def test_code_in_a_file_is_refused_and_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"a": Surprise()}, tmp_path / "evil.pth")
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(Surprise()))
    np.savez(tmp_path / "evil.npz", a=np.array([Surprise()], dtype=object))
    for name in ("evil.pth", "evil.pkl", "evil.npz"):
        with pytest.raises(WeightsError, match=name):
            read_state(tmp_path / name)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["junk.pth", "junk.safetensors", "junk.npz"])
def test_damaged_files(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"this is no file of weights")
    with pytest.raises(WeightsError, match=f"{name} cannot be read as weights"):
        read_state(tmp_path / name)


def test_other_faults_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no weights file at"):
        read_state(tmp_path / "absent.pth")
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    with pytest.raises(WeightsError, match="no named tensors"):
        read_state(tmp_path / "list.pth")
    torch.save({"a": torch.zeros(1), "epoch": 3}, tmp_path / "mixed.pth")
    with pytest.raises(WeightsError, match="more than named tensors"):
        read_state(tmp_path / "mixed.pth")


def test_fitting_names_what_does_not_fit() -> None:
    net = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    good = {name: value for name, value in net.state_dict().items() if "num_batches" not in name}
    sha = fitted(net, good | {"fc.weight": torch.zeros(1)}, "a net", unused=("fc.",))
    assert sha == fingerprint(good) == fitted(net, net.state_dict(), "a net")
    with pytest.raises(WeightsError, match=r"not weights of a net: the file lacks 0\.bias"):
        fitted(net, {name: value for name, value in good.items() if name != "0.bias"}, "a net")
    with pytest.raises(WeightsError, match="also holds extra"):
        fitted(net, good | {"extra": torch.zeros(1)}, "a net")
    with pytest.raises(WeightsError, match=r"other shapes for 0\.weight"):
        fitted(net, good | {"0.weight": torch.zeros(9)}, "a net")
