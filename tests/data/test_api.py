import subprocess
import sys

import torch

import rivalry.data
from rivalry.data import ImageModality, PointsModality, ReadOptions, load, names
from rivalry.data.base import Modality, Store
from rivalry.data.loading import register_modality
from rivalry.data.sources import Other

from .files import noise, save_all


def test_all_is_sorted_and_true():
    assert rivalry.data.__all__ == sorted(rivalry.data.__all__)
    assert all(getattr(rivalry.data, n) is not None for n in rivalry.data.__all__)


def test_importing_is_light():
    code = (
        "import sys, rivalry.data; heavy = {'matplotlib', 'pyarrow', 'rich', 'torchvision', 'sklearn', 'mlxtend', 'scipy', 'pydicom', 'nibabel', 'tokenizers'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_names_are_known():
    assert {"mnist-5k", "fashion-mnist", "ring8", "grid25", "spiral", "swissroll", "moons"} <= set(names())


def test_parts_keep_to_their_protocols(tmp_path):
    data = load((noise(20, 9, 9), torch.arange(20) % 2))
    modality: Modality = data.modality
    store: Store = data.train
    batch = store.batch(torch.tensor([3, 1]), torch.device("cpu"))
    assert batch.x.shape == (2, 1, 9, 9)
    assert batch.label.tolist() == store.labels[[3, 1]].tolist()
    assert batch.index.tolist() == [3, 1]
    assert modality.kind == "image"


def test_sources_can_be_read_again_from_anywhere(tmp_path, monkeypatch):
    save_all(tmp_path / "set", noise(12, 9, 9))
    monkeypatch.chdir(tmp_path)
    data = load("set")
    assert data.source == str(tmp_path / "set")
    assert load(noise(12, 9, 9)).source == ""


def test_a_kind_of_data_plugs_in_at_one_place(tmp_path, monkeypatch):
    from rivalry.data import loading

    monkeypatch.setattr(loading, "_MODALITIES", dict(loading._MODALITIES))

    class Prose(PointsModality):
        kind = "prose"

        def sniff(self, source):
            return isinstance(source, Other) and ".rtf" in source.holds

        def read(self, source, options):
            return load("ring8", options=ReadOptions(limit=9))

        def restored(self, state):
            return self

    register_modality(Prose())
    (tmp_path / "book.rtf").write_text("Once upon a time")
    assert load(tmp_path / "book.rtf").name == "ring8"
    assert isinstance(rivalry.data.restore("prose", {}), Prose)
    assert isinstance(rivalry.data.restore("image", ImageModality().state()), ImageModality)


def test_progress_is_shown_on_a_terminal_only_and_when_it_lasts(monkeypatch, capsys):
    from rivalry.data import progress

    assert list(progress.track(range(5), "working")) == list(range(5))
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(progress.track(range(5), "working", 5)) == list(range(5))
    assert "working" not in capsys.readouterr().err
    monkeypatch.setattr(progress, "PATIENCE", -1.0)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert list(progress.track(range(5), "working", 5)) == list(range(5))


def test_threads_keep_order_and_pass_errors_on():
    import pytest

    from rivalry.data.progress import threaded

    assert list(threaded(lambda i: i * i, range(100))) == [i * i for i in range(100)]

    def fail(i):
        if i == 7:
            raise KeyError(i)
        return i

    with pytest.raises(KeyError):
        list(threaded(fail, range(100)))
