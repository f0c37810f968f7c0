"""The local feature space: reproducible, storable, for any picture, and answering to what is wrong with samples."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from extractors.shared import digits
from rivalry.errors import DataError, WeightsError
from rivalry.extractors import LocalClassifier, LocalExtractor, LocalFeatures, drawing, train_local
from rivalry.extractors.local import inner_size, prepare
from rivalry.extractors.local_training import _damaged
from rivalry.stats import Moments, Reference, frechet_distance

QUICK = 60


def shapes(rows: int, seed: int, side: int = 16) -> tuple[Tensor, Tensor]:
    """Discs (0), squares (1), rings (2) and crosses (3) at random places and sizes: uint8 [N, 1, side, side]."""
    g = torch.Generator().manual_seed(seed)
    label = torch.randint(4, (rows,), generator=g)
    axis = torch.arange(side).float()
    centre = torch.rand(rows, 2, 1, generator=g) * side * 0.3 + side * 0.35
    radius = (torch.rand(rows, 1, 1, generator=g) * 0.1 + 0.2) * side
    y, x = (axis - centre[:, 0])[:, :, None], (axis - centre[:, 1])[:, None, :]
    far, wide, near = (
        (x.square() + y.square()).sqrt(),
        torch.maximum(x.abs(), y.abs()),
        torch.minimum(x.abs(), y.abs()),
    )
    kinds = [far < radius, wide < radius, (far < radius) & (far > radius / 2), (wide < radius) & (near < radius / 3)]
    masks = torch.stack(kinds)[label, torch.arange(rows)]
    pixels = masks * 200 + torch.rand(rows, side, side, generator=g) * 30
    return pixels.to(torch.uint8)[:, None], label


def train(x: Tensor, y: Tensor | None, steps: int = QUICK, seed: int = 0) -> LocalExtractor:
    classes = 0 if y is None else int(y.max()) + 1
    return train_local(drawing(x, y), len(x), tuple(x.shape[1:]), classes, steps=steps, seed=seed)


@pytest.fixture(scope="module")
def labelled() -> LocalExtractor:
    return train(*shapes(1500, 0), steps=150)


@pytest.fixture(scope="module")
def unlabelled() -> LocalExtractor:
    return train(shapes(1500, 0)[0], None, steps=150)


def test_the_same_seed_gives_the_same_hash_whatever_the_threads_and_the_global_seed() -> None:
    x, y = shapes(200, 1)
    torch.manual_seed(1)
    first = train(x, y, steps=20)
    torch.manual_seed(2)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        second = train(x, y, steps=20)
        assert torch.get_num_threads() == 2, "the setting is put back"
    finally:
        torch.set_num_threads(threads)
    assert first.sha == second.sha
    assert train(x, y, steps=20, seed=1).sha != first.sha
    assert train(x.flip(0), y.flip(0), steps=20).sha != first.sha
    state = torch.get_rng_state()
    train(x, None, steps=5)
    assert torch.equal(torch.get_rng_state(), state), "training draws from its own generator"


def test_a_classifier_tells_classes(labelled: LocalExtractor) -> None:
    assert isinstance(labelled, LocalClassifier)
    assert labelled.classes == 4
    x, y = shapes(400, 7)
    features = labelled(x)
    assert features.shape == (400, labelled.dim) == (400, 64)
    accuracy = float((labelled.logits(features).argmax(1) == y).double().mean())
    assert accuracy > 0.9
    assert labelled.train_accuracy > 0.8
    assert labelled.held_accuracy is None


def test_held_out_accuracy_is_that_of_held_out_pictures() -> None:
    x, y = shapes(600, 0)
    held_x, held_y = shapes(200, 9)
    space = train_local(drawing(x, y), 600, (1, 16, 16), 4, steps=QUICK, held=drawing(held_x, held_y), held_rows=200)
    assert isinstance(space, LocalClassifier)
    expected = float((space.logits(space(held_x)).argmax(1) == held_y).double().mean())
    assert space.held_accuracy == pytest.approx(expected, abs=0.011)
    without = train_local(drawing(x), 600, (1, 16, 16), steps=QUICK, held=drawing(held_x), held_rows=200)
    assert without.held_accuracy is not None
    assert without.held_accuracy > 0.3, "clusters are recognised too"


def test_without_labels_there_is_nothing_to_classify(unlabelled: LocalExtractor) -> None:
    assert isinstance(unlabelled, LocalFeatures)
    assert unlabelled.classes == 0
    one_class = train_local(drawing(torch.zeros(40, 1, 8, 8), torch.zeros(40).long()), 40, (1, 8, 8), 1, steps=10)
    assert isinstance(one_class, LocalFeatures)


@pytest.mark.parametrize("which", ["labelled", "unlabelled"])
def test_distances_answer_to_damage_and_to_lost_kinds(which: str, request: pytest.FixtureRequest) -> None:
    space: LocalExtractor = request.getfixturevalue(which)
    real, _ = shapes(1500, 0)
    fresh, kind = shapes(1000, 5)
    reference = Reference(Moments.of(space(real)))

    def distance(x: Tensor) -> float:
        return frechet_distance(Moments.of(space(x)), reference)

    noise = torch.randn(fresh.shape, generator=torch.Generator().manual_seed(0))
    noisy = [distance((fresh + strength * noise).clamp(0, 255).to(torch.uint8)) for strength in (40, 80)]
    floor = distance(fresh)
    assert floor < noisy[0] < noisy[1]
    assert noisy[1] > 5 * floor
    lost = [distance(fresh[kind != 0]), distance(fresh[kind > 1])]
    assert 1.5 * floor < lost[0] < lost[1]


def test_saving_and_loading(labelled: LocalExtractor, unlabelled: LocalExtractor, tmp_path: Path) -> None:
    x, _ = shapes(20, 3)
    for space in (labelled, unlabelled):
        path = tmp_path / f"{type(space).__name__}.safetensors"
        space.save(path)
        again = LocalExtractor.load(path)
        assert type(again) is type(space)
        assert (again.sha, again.size, again.train_accuracy) == (space.sha, space.size, space.train_accuracy)
        assert torch.equal(again(x), space(x))
    assert labelled.sha != unlabelled.sha
    assert isinstance(labelled, LocalClassifier)
    loaded = LocalExtractor.load(tmp_path / "LocalClassifier.safetensors")
    assert isinstance(loaded, LocalClassifier)
    assert torch.equal(loaded.logits(loaded(x)), labelled.logits(labelled(x)))


def test_foreign_and_damaged_files_are_refused(labelled: LocalExtractor, tmp_path: Path) -> None:
    from rivalry.files import read_tensors, write_tensors

    with pytest.raises(WeightsError, match="absent"):
        LocalExtractor.load(tmp_path / "absent.safetensors")
    write_tensors(tmp_path / "other.safetensors", {"a": torch.zeros(1)}, {})
    with pytest.raises(WeightsError, match="no local feature space"):
        LocalExtractor.load(tmp_path / "other.safetensors")
    labelled.save(tmp_path / "good.safetensors")
    tensors, meta = read_tensors(tmp_path / "good.safetensors")
    del tensors["net.blocks.0.0.weight"]
    write_tensors(tmp_path / "bad.safetensors", tensors, meta)
    with pytest.raises(WeightsError, match="damaged"):
        LocalExtractor.load(tmp_path / "bad.safetensors")


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((1, 8, 8), (16, 16)),
        ((3, 28, 28), (28, 28)),
        ((4, 64, 64), (64, 64)),
        ((2, 256, 100), (64, 25)),
        ((7, 20, 300), (16, 64)),
    ],
)
def test_any_channels_and_sizes(shape: tuple[int, int, int], size: tuple[int, int]) -> None:
    x = torch.randint(256, (40, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert inner_size(*shape[1:]) == size
    space = train(x, None, steps=10)
    assert space.size == size
    assert space(x).shape == (40, 64)
    assert space.net.blocks[0][0].in_channels == (3 if shape[0] == 4 else shape[0])  # type: ignore[index, union-attr]
    with pytest.raises(DataError, match="channels"):
        space(torch.zeros(1, 5, 16, 16))


def test_bytes_and_floats_are_the_same_picture_and_what_is_transparent_does_not_count() -> None:
    x = torch.randint(256, (3, 4, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    x[:, 3, :16] = 0
    from_bytes, from_floats = prepare(x, (32, 32)), prepare(x.float() / 127.5 - 1, (32, 32))
    torch.testing.assert_close(from_bytes, from_floats, rtol=0, atol=1.01 / 255)
    assert (from_floats[:, :, :16] == 1).all()
    wild = prepare(torch.tensor([-3.0, 3.0]).view(1, 1, 1, 2), (1, 2))
    assert wild.flatten().tolist() == [-1.0, 1.0]


def test_shrinking_is_antialiased() -> None:
    """A chequered board of single pixels shrunk to a third is grey, and black or white where aliased."""
    board = (torch.arange(96)[:, None] + torch.arange(96)) % 2
    small = prepare(board.view(1, 1, 96, 96).float() * 2 - 1, (32, 32))
    assert float(small.abs().max()) < 0.1


def test_errors_are_sentences() -> None:
    x, y = shapes(40, 0)
    with pytest.raises(DataError, match="needs 32 pictures"):
        train(x[:20], None)
    with pytest.raises(DataError, match=r"outside 0\.\.2"):
        train_local(drawing(x, y + 1), 40, (1, 16, 16), 3, steps=5)
    with pytest.raises(DataError, match="held-out pictures need labels"):
        train_local(drawing(x, y), 40, (1, 16, 16), 4, steps=5, held=drawing(x), held_rows=40)
    with pytest.raises(DataError, match="NaN"):
        prepare(torch.full((1, 1, 16, 16), torch.nan), (16, 16))
    with pytest.raises(DataError, match="uint8 or floating"):
        prepare(torch.zeros(1, 16, 16), (16, 16))


def test_damage_is_what_it_says() -> None:
    generator = torch.Generator().manual_seed(0)
    x = shapes(800, 0)[0].float() / 127.5 - 1
    damaged, kind = _damaged(x, generator)
    shares = torch.bincount(kind, minlength=4) / 800
    torch.testing.assert_close(shares, torch.tensor([5, 1, 1, 1]) / 8, atol=0.05, rtol=0)
    change = damaged - x
    assert (change[kind == 0] == 0).all()
    assert 0.15 < float(change[kind == 1].std()) < 0.35
    assert float(damaged[kind == 2].diff(dim=-1).abs().mean()) < 0.6 * float(x[kind == 2].diff(dim=-1).abs().mean())
    before = torch.stack([x, x.roll(1, 0)])[:, kind == 3]
    cut = damaged[kind == 3]
    assert (cut[..., :4] == before[0, ..., :4]).all(), "the first quarter stays"
    assert (cut[..., 12:] == before[1, ..., 12:]).all(), "the last quarter is another's"


def test_progress_is_told() -> None:
    done: list[int] = []
    x, _ = shapes(40, 0)
    train_local(drawing(x), 40, (1, 16, 16), steps=7, tick=done.append)
    assert done == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.slow
@pytest.mark.parametrize(("classes", "least", "noisy"), [(10, 0.97, 10), (0, 0.6, 60)])
def test_digits(classes: int, least: float, noisy: float) -> None:
    """The whole training, on MNIST: accuracy, reproducibility and an even answer to what may be wrong."""
    x, y = digits()
    draw, held = drawing(x[:6000], y[:6000] if classes else None), drawing(x[6000:], y[6000:] if classes else None)
    space = train_local(draw, 6000, (1, 28, 28), classes, held=held, held_rows=4000)
    assert space.held_accuracy is not None
    assert space.held_accuracy > least
    reference = Reference(Moments.of(space(x[:6000])))
    fresh, label = x[6000:], y[6000:]

    def times_floor(samples: Tensor) -> float:
        return frechet_distance(Moments.of(space(samples)), reference) / floor

    floor = 1.0
    floor = times_floor(fresh)
    noise = torch.randn(fresh.shape, generator=torch.Generator().manual_seed(0))
    blurred = torch.nn.functional.avg_pool2d(fresh.float(), 3, 1, 1).to(torch.uint8)
    assert times_floor((fresh + 32 * noise).clamp(0, 255).to(torch.uint8)) > noisy
    assert times_floor(blurred) > 10
    assert times_floor(fresh[label != 0]) > 4
    assert times_floor(fresh[label < 5]) > 2 * times_floor(fresh[label != 0])
    assert times_floor(fresh[:400]) < 12
