"""What only a GPU can show.  Skipped where there is none; on one: `pytest tests/test_gpu.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from rivalry import stats, train, zoo
from rivalry.data import load
from rivalry.data.stores import Resident, Streamed
from rivalry.recipe import Recipe
from rivalry.streams import Draw
from rivalry.training import graphs, loop
from rivalry.training.engine import Engine
from rivalry.training.loop import Trainer
from rivalry.training.session import Request, usual_precision
from rivalry.training.staging import SLOTS, Staging
from rivalry.training.state import build_state, pack_state, unpack_state
from rivalry.training.tape import Tape
from rivalry.types import Batch
from tiny import Rows, flat, suited

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
GPU = torch.device("cuda", 0)


class OnDevice(Rows):
    """Rows that live on the GPU, as small sets do."""

    def __init__(self, rows: Rows) -> None:
        labels = None if rows.labels is None else rows.labels.to(GPU)
        super().__init__(rows.x.to(GPU), labels, {k: v.to(GPU) for k, v in rows.extra.items()})

    def batch(self, index: Tensor, device: torch.device) -> Batch:
        return super().batch(index.to(GPU, non_blocking=True), device)


def trainer(recipe: Recipe, steps: int, recorded: bool = True) -> Trainer:
    small, spec, rows = suited(recipe)
    engine = Engine("cuda", usual_precision(Request(small), spec))
    return Trainer(build_state(small, spec, 0, engine.device), OnDevice(rows), steps, engine, recorded=recorded)


@pytest.fixture
def strict() -> Iterator[None]:
    """Errors where the processor waits for the GPU."""
    yield
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("setting", ["", "-small"])
@pytest.mark.parametrize("name", zoo.names())
def test_every_row_trains(name: str, setting: str) -> None:
    one = trainer(zoo.get(f"{name}{setting}"), 4)
    for _ in range(4):
        one.step()
    for what, value in one.state.sums.items():
        assert bool(torch.isfinite(value)), what
        assert value.device.type == "cuda", what
    assert all(p.device.type == "cuda" for net in one.state.nets.values() for p in net.parameters())


WAITS = {
    "text": "lengths of lines decide on shapes", "styles": "lengths of lines decide on shapes",
    "ctgan": "rows are chosen by the processor", "ctab-gan-plus": "rows are chosen by the processor", "dp-gan": "draws are the operating system's",
    "rcgan": "torch's slope of a running product looks for zeros", "pate-gan": "votes are counted by the processor",
}  # fmt: skip


@pytest.mark.parametrize("name", [n for n in zoo.names() if not {n, zoo.get(n).about.group} & WAITS.keys()])
def test_nothing_leaves_the_device_inside_a_step(name: str, strict: None) -> None:
    one = trainer(zoo.get(f"{name}-small"), 16, recorded=False)
    for step in range(16):
        torch.cuda.set_sync_debug_mode("error" if step % 8 >= 4 else "default")
        one.step()
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("name", ["gan", "dcgan", "wgan-gp", "sngan", "acgan", "stylegan2-ada", "house", "house-labels", "house-table", "ctgan", "fastgan", "pix2pix", "fastcut"])
def test_recorded_steps_are_the_steps(name: str) -> None:
    plain, recorded = (trainer(zoo.get(f"{name}-small"), 12, recorded=r) for r in (False, True))
    first = {k: flat(n) for k, n in plain.state.nets.items()}
    for one in (plain, recorded):
        for _ in range(12):
            one.step()
    assert recorded.graphs is not None
    assert recorded.graphs.recordings, recorded.graphs.why
    assert not recorded.graphs.why
    for key, begun in first.items():
        right, found = (flat(t.state.nets[key]) for t in (plain, recorded))
        assert float((right - found).norm()) <= 0.5 * float((right - begun).norm()), key
    assert plain.state.counts == recorded.state.counts


@pytest.mark.parametrize("name", ["gan", "dcgan", "house", "house-labels"])
def test_nothing_is_waited_for_between_recordings(name: str, strict: None) -> None:
    one = trainer(zoo.get(f"{name}-small"), 30)
    for step in range(30):
        if step >= 8:
            torch.cuda.set_sync_debug_mode("error")
        one.step()
    torch.cuda.set_sync_debug_mode("default")
    assert one.graphs is not None
    assert one.graphs.recordings, one.graphs.why
    assert not any(r.draws for r in one.graphs.recordings.values())


def test_what_is_sent_arrives_in_order() -> None:
    """Also where the GPU is behind by more steps than there are slots."""
    staging = Staging([torch.zeros(3), torch.arange(5)], GPU)
    seen = []
    for i in range(4 * SLOTS):
        if i % SLOTS == 0:
            torch.cuda._sleep(20_000_000)
        staging.send([torch.full((3,), float(i)), torch.arange(i, i + 5)])
        seen.append([piece.clone() for piece in staging.pieces])
    for i, (numbers, rows) in enumerate(seen):
        assert numbers.tolist() == [i] * 3
        assert rows.tolist() == list(range(i, i + 5))


def test_what_is_drawn_into_its_place_is_what_is_drawn_anew() -> None:
    kinds = {
        "normal": lambda d: d.normal("z", 128, 100), "uniform": lambda d: d.uniform("z", 33, 5), "integers": lambda d: d.integers("z", 9, 33),
        "permutation": lambda d: d.permutation("z", 64),
    }  # fmt: skip
    tape = Tape(3, GPU)
    for drawn in kinds.values():
        drawn(tape.draw(Draw(0, (0, "g", 3, 0), GPU)))
    for step in (7, 8):
        tape.rewind()
        tape.fill(step, {})
        for kind, drawn in kinds.items():
            found, right = (drawn(d) for d in (tape.draw(Draw(0, (0, "g", step, 0), GPU)), Draw(0, (0, "g", step, 0), GPU)))
            assert torch.equal(found, right), kind


def test_a_recording_that_goes_astray_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tape that is not filled anew repeats old rows and noise: the comparison sees it."""
    monkeypatch.setattr(graphs, "AGAIN", 5)
    one = trainer(zoo.get("dcgan-small"), 30)
    for step in range(20):
        if step == 6:
            monkeypatch.setattr(Tape, "fill", lambda self, step, knobs: None)
        one.step()
    assert one.graphs is not None
    assert "otherwise" in one.graphs.why
    assert not one.graphs.recordings


class Moved(Draw):
    """Draws on the processor, used on the GPU."""

    def _mine(self, whole: Tensor) -> Tensor:
        return super()._mine(whole).to(GPU)

    def permutation(self, name: str, n: int) -> Tensor:
        return super().permutation(name, n).to(GPU)


@pytest.mark.parametrize("name", ["gan", "dcgan", "wgan-gp", "r3gan", "house-labels", "timegan", "srgan"])
def test_steps_are_those_of_the_processor(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same weights, rows and noise give the same losses and slopes (of rows whose networks draw nothing by themselves)."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    recipe, spec, rows = suited(zoo.get(f"{name}-small"))
    found = {}
    for engine, data, kind in ((Engine("cpu"), rows, Draw), (Engine("cuda"), OnDevice(rows), Moved)):
        monkeypatch.setattr(loop, "draw_for", lambda state, *place, share=(0, 1), kind=kind: kind(state.seed, place, torch.device("cpu"), share))
        one = Trainer(build_state(recipe, spec, 0, engine.device), data, 2, engine)
        one.step()
        found[kind] = {k: float(v) for k, v in one.state.sums.items()}
    assert found[Draw].keys() == found[Moved].keys()
    for what, value in found[Draw].items():
        assert found[Moved][what] == pytest.approx(value, rel=2e-3, abs=1e-5), what


@pytest.mark.parametrize("streamed", [False, True])
def test_rows_reach_the_device_as_they_are(streamed: bool) -> None:
    g = torch.Generator().manual_seed(0)
    raw = torch.randint(256, (100, 3, 8, 8), dtype=torch.uint8, generator=g)
    labels = torch.randint(5, (100,), generator=g)
    kind = Streamed if streamed else Resident
    store = kind(raw, torch.arange(99, -1, -1), lambda x: x.float() / 127.5 - 1, labels)
    for there in (store, store.to(GPU)):
        index = torch.tensor([3, 99, 0, 3])
        there.prefetch(index)
        found = there.batch(index, GPU)
        assert found.x.device == GPU
        assert found.label is not None
        torch.testing.assert_close(found.x.cpu(), raw[99 - index].float() / 127.5 - 1)
        assert found.label.cpu().tolist() == labels[index].tolist()


def test_sixteen_bits_are_kept() -> None:
    raw = torch.randint(65536, (50, 1, 8, 8), dtype=torch.int32, generator=torch.Generator().manual_seed(0)).to(torch.uint16)
    store = Resident(raw, None, lambda x: x.to(torch.int32)).to(GPU)
    index = torch.tensor([7, 1, 49])
    assert torch.equal(store.batch(index, GPU).x.cpu(), raw.to(torch.int32)[index])


def test_distances_are_those_of_the_processor() -> None:
    g = torch.Generator().manual_seed(0)
    a, b = torch.randn(3000, 64, generator=g, dtype=torch.float64), 1.1 * torch.randn(2500, 64, generator=g, dtype=torch.float64) + 0.1
    here, there = (stats.frechet_from_features(a.to(d), b.to(d)) for d in ("cpu", GPU))
    assert there == pytest.approx(here, rel=1e-9)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_goes_from_one_device_to_the_other(here: Path) -> None:
    """Trained on the GPU, used on the processor: its pictures and its scores are alike."""
    x = np.random.default_rng(0).integers(0, 200, (400, 28, 28, 1), dtype=np.uint8)
    run = train(x, recipe="dcgan-small", budget="60steps", run="one", device="cuda", tensorboard=False, say=lambda _: None)
    there, cpu = (run.sample(500, device=d).float() for d in ("cuda", "cpu"))
    assert there.shape == cpu.shape
    assert float(there.mean()) == pytest.approx(float(cpu.mean()), abs=3)
    scores = {d: run.evaluate(n=300, data=load(x), device=d)["fd"] for d in ("cuda", "cpu")}
    assert scores["cuda"].value == pytest.approx(scores["cpu"].value, rel=0.2)


def test_one_seed_gives_one_result(here: Path) -> None:
    """Up to the order in which the GPU adds: it is not promised bit for bit, and the difference stays small."""
    x = np.random.default_rng(0).integers(0, 200, (400, 28, 28, 1), dtype=np.uint8)
    runs = [train(x, recipe="dcgan-small", budget="20steps", run=f"run-{i}", device="cuda", tensorboard=False, say=lambda _: None) for i in (0, 1)]
    one, two = (dict(r.folder.networks("last", torch.device("cpu"))["generator"].named_parameters()) for r in runs)
    for name, value in one.items():
        torch.testing.assert_close(value, two[name], rtol=0, atol=1e-2)


def test_a_run_broken_off_goes_on(here: Path) -> None:
    x = np.random.default_rng(0).integers(0, 200, (400, 28, 28, 1), dtype=np.uint8)
    whole = train(x, recipe="dcgan-small", budget="40steps", run="whole", device="cuda", tensorboard=False, say=lambda _: None)
    engine, data = Engine("cuda"), load(x).to(GPU)
    straight = Trainer(build_state(whole.recipe, data.spec, 0, engine.device), data.train, 40, engine)
    for _ in range(20):
        straight.step()
    tensors, meta = pack_state(straight.state)
    resumed = build_state(whole.recipe, data.spec, 0, engine.device)
    unpack_state(resumed, tensors, meta, "here")
    other = Trainer(resumed, data.train, 40, engine)
    for one in (straight, other):
        one.step()
    for name, value in straight.state.nets["generator"].named_parameters():
        torch.testing.assert_close(value, resumed.nets["generator"].get_parameter(name), rtol=0, atol=1e-3)
