"""Audits of models made by hand: what copies is caught, what does not is let pass, for rows and for pictures."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from rivalry.audit import Audit, Promise, Setting, audit
from rivalry.audit.canaries import Canaries
from rivalry.audit.discriminator import Asked
from rivalry.audit.pictures import GradientSpace, PixelSpace, moves
from rivalry.audit.sides import Sides, distinct, hashed
from rivalry.audit.tables import TableSpace
from rivalry.audit.verdict import assumptions
from rivalry.audit.writing import curve, write
from rivalry.data import Dataset, ImageModality, load
from rivalry.data.base import Store
from rivalry.data.options import ReadOptions
from rivalry.errors import DataError, RecipeError
from rivalry.streams import key

CPU = torch.device("cpu")
Draw = Callable[[int, int], Tensor]


def people(n: int, seed: int) -> np.ndarray:
    """[n, 8] of one distribution: correlated numbers."""
    g = np.random.default_rng(seed)
    mix = np.random.default_rng(99).normal(size=(8, 8)) / 3
    return (g.normal(size=(n, 8)) @ mix + g.normal(size=(n, 8))).astype(np.float32)


def of_rows(rows: Tensor) -> Draw:
    """Samples that are these rows, picked at random with each seed."""

    def draw(n: int, seed: int) -> Tensor:
        g = torch.Generator().manual_seed(seed)
        return rows[torch.randint(len(rows), (n,), generator=g)]

    return draw


def fresh(dataset: Dataset) -> Draw:
    """A perfect model: new rows of the same distribution."""
    return lambda n, seed: dataset.modality.encode(torch.from_numpy(people(n, key(seed, "fresh") % 2**32)))


def rows_of(dataset: Dataset, n: int | None = None) -> Tensor:
    return dataset.train.batch(torch.arange(len(dataset.train))[:n], CPU).x


def attack(dataset: Dataset, draw: Draw, **settings: object) -> Audit:
    return audit(dataset, draw, "by hand", Setting(**{"n": 3000, **settings}))[0]  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def points() -> Dataset:
    return load(people(1200, 0), options=ReadOptions(holdout=0.4))


# -- rows -------------------------------------------------------------------------------------------------------------


def test_a_model_that_copies_rows_is_caught(points: Dataset) -> None:
    found = attack(points, of_rows(rows_of(points)))
    assert found.outcome == "leaks"
    assert found.memory.exact > 0.99
    assert found.memory.held_exact == 0
    assert found.attacks[found.strongest].auc.low > 0.9
    assert found.epsilon > 1.5
    assert found.verdict()[0].startswith("leaks: ")
    assert "equal to a training row" in found.verdict()[-1]


def test_a_tenth_of_copies_is_caught(points: Dataset) -> None:
    copies, new = of_rows(rows_of(points)), fresh(points)

    def draw(n: int, seed: int) -> Tensor:
        mixed = torch.where(torch.arange(n)[:, None] % 10 == 0, copies(n, seed), new(n, seed))
        return mixed.float()

    found = attack(points, draw)
    assert found.outcome == "leaks"
    assert 0.08 < found.memory.exact < 0.12


def test_a_model_overfitted_on_purpose_is_caught(points: Dataset) -> None:
    """Training rows with noise of a fifth of a standard deviation: no row is equal, all are remembered."""
    copies = of_rows(rows_of(points))

    def draw(n: int, seed: int) -> Tensor:
        x = copies(n, seed)
        g = torch.Generator().manual_seed(seed + 1)
        return x + 0.2 * x.std(0) * torch.randn(x.shape, generator=g)

    found = attack(points, draw)
    assert found.outcome == "leaks"
    assert found.memory.exact == 0


def test_a_perfect_model_passes() -> None:
    """20 audits: at a chance of 1 % of crying wolf, two in twenty would be very bad luck."""
    passed = 0
    for seed in range(20):
        data = load(people(500, seed), options=ReadOptions(holdout=0.4, seed=seed))
        passed += attack(data, fresh(data), n=600, seed=seed).outcome == "nothing found"
    assert passed >= 19


def test_canaries_of_a_longer_training_contradict_no_promise(points: Dataset) -> None:
    """--steps may train on for longer than the run did, which spends more than was promised."""
    found = attack(points, fresh(points), n=600, promise=Promise(1.0, 1e-5, 100))
    planted = Canaries(100, 50, 100, 99, "nearest sample", 2.5, 1e-5, 100)
    assert any("contradicts the promised 1" in line for line in replace(found, canaries=planted).verdict())
    longer = replace(found, canaries=replace(planted, steps=500)).verdict()
    assert not any("contradicts" in line for line in longer)
    assert any("after 500 steps, more than the 100 that the promised 1 is for" in line for line in longer)


def test_what_passes_is_no_certificate(points: Dataset) -> None:
    found = attack(points, fresh(points), promise=Promise(1.0, 1e-5))
    assert found.outcome == "nothing found"
    first, bound = found.verdict()
    assert "does not prove that none could" in first
    assert "promises at most 1" in bound
    assert "contradict" not in bound
    assert found.epsilon <= 1.0
    assert found.delta == 1e-5


def test_a_leak_through_the_discriminator_alone_is_told_from_one_through_samples(points: Dataset) -> None:
    """Perfect samples, and a discriminator that knows its training rows by heart."""

    def knows(store: Store, index: Tensor) -> Tensor:
        noise = torch.randn(len(index), generator=torch.Generator().manual_seed(0))
        return noise + 3.0 * (store is points.train)

    found = attack(points, fresh(points), asked=Asked({"main": knows}))
    assert found.outcome == "leaks"
    assert not found.through_samples
    assert "LOGAN white box, main tells members" in found.verdict()[0]
    assert "no attack on samples alone was better than chance" in found.verdict()[1]
    copied = attack(points, of_rows(rows_of(points)), asked=Asked({"main": knows}))
    assert copied.through_samples
    assert not any("samples alone" in line for line in copied.verdict())


def test_a_collapsed_model_is_no_leak_unless_it_is(points: Dataset) -> None:
    """All samples at the mean of the data say nothing of who was there."""
    middle = rows_of(points).mean(0, keepdim=True)
    assert attack(points, of_rows(middle)).outcome == "nothing found"
    # collapsed onto a twentieth of the training rows: that is a leak
    assert attack(points, of_rows(rows_of(points, len(points.train) // 20))).outcome == "leaks"


def test_sides_that_differ_by_themselves_are_said_to_be_unclear() -> None:
    """Split by time, so to speak: held-out rows are shifted, and any model of the training rows 'leaks'."""
    mine, other = (load(people(800, s) + s, options=ReadOptions(holdout=0.4)) for s in (0, 1))
    data = replace(mine, held=other.held)
    found = attack(data, fresh(mine))
    assert found.outcome == "unclear"
    assert "told apart without the model" in found.verdict()[0]


# -- tables -----------------------------------------------------------------------------------------------------------


def patients(path: Path, n: int = 900) -> Path:
    """Few levels, so that equal rows are common: those are no copies."""
    g = np.random.default_rng(0)
    age, sex = g.integers(20, 90, n), g.integers(2, size=n)
    lab = np.round(age / 20 + g.normal(0, 0.7, n), 1)
    with path.open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["sex", "age", "lab", "diagnosis"])
        for i in range(n):
            value = "" if g.random() < 0.2 else f"{lab[i]:.1f}"
            rows.writerow(["FM"[sex[i]], age[i] // 5 * 5, value, ["A10", "B20", "C30"][age[i] // 31]])
    return path


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load(patients(tmp_path_factory.mktemp("audit") / "patients.csv"), options=ReadOptions(holdout=0.4))


def test_a_table_of_few_levels_without_copying_passes(table: Dataset) -> None:
    """Samples that are equal to rows of both sides alike: as many are equal to training rows as chance gives."""
    rows = torch.cat([s.raw(torch.arange(len(s))) for s in (table.train, table.held)])
    found = attack(table, of_rows(table.modality.encode(rows)))
    assert found.outcome == "nothing found"
    assert found.memory.exact == pytest.approx(found.memory.held_exact, rel=0.25)


def test_a_table_that_is_copied_is_caught_and_shown(table: Dataset, tmp_path: Path) -> None:
    setting = Setting(n=3000, private=tmp_path / "private")
    found, scores = audit(table, of_rows(rows_of(table)), "copied", setting)
    assert found.outcome == "leaks"
    assert {"GAN-Leaks, rows", "GAN-Leaks, Gower's distance"} <= {a.name for a in found.attacks}
    with (tmp_path / "private" / "audit-pairs.csv").open() as lines:
        head, *pairs = csv.reader(lines)
    assert head[:3] == ["pair", "what", "distance / reference distance"]
    assert head[3:] == ["sex", "age", "lab", "diagnosis"]
    for sample, row in zip(pairs[::2], pairs[1::2], strict=True):
        assert (sample[1], row[1]) == ("sample", "training row")
        assert sample[3:] == row[3:]

    page = write(found, scores, tmp_path)
    assert page.read_text().startswith("# Audit of copied\n\n**Leaks: ")
    assert json.loads((tmp_path / "audit.json").read_text())["outcome"] == "leaks"
    assert (tmp_path / "plots" / "audit-roc.png").stat().st_size > 1000


def test_a_table_with_more_columns_than_attacked_rows_is_audited(tmp_path: Path) -> None:
    """As patient records are, told in columns: some columns are then hidden of no row."""
    g = np.random.default_rng(0)
    with (tmp_path / "wide.csv").open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow([f"lab {i}" for i in range(60)])
        rows.writerows(g.normal(size=(250, 60)).round(3).tolist())
    wide = load(tmp_path / "wide.csv")
    assert len(wide.held) < 60
    assert {r.name for r in attack(wide, of_rows(rows_of(wide))).risks} == {"singling out", "linking", "inferring"}


def test_equal_rows_are_attacked_once(table: Dataset) -> None:
    raw = table.train.raw(torch.arange(len(table.train)))
    known = {tuple("nan" if math.isnan(v) else v for v in row) for row in raw.tolist()}
    assert len(distinct(table.train, None, 0)[0]) == len(known) < len(raw)
    sides = Sides.choose(table, 10_000, 0)
    assert len(sides.members) == len(sides.others)
    assert not set(sides.known.tolist()) & set(sides.others[: sides.apart].tolist())
    assert not set(sides.trained.tolist()) & set(sides.members.tolist())


def test_equal_rows_on_both_sides_are_told(table: Dataset, points: Dataset) -> None:
    """Few columns make rows equal, and defences do: whoever has such a row cannot be told from a member, so the verdict says how many."""
    sides = Sides.choose(table, 10_000, 0)
    train = {tuple("nan" if math.isnan(v) else v for v in row) for row in table.train.raw(torch.arange(len(table.train))).tolist()}
    others = [tuple("nan" if math.isnan(v) else v for v in row) for row in table.held.raw(sides.others).tolist()]
    assert sides.shared == sum(row in train for row in others) > 0
    found = attack(table, of_rows(rows_of(table)))
    assert any(f"{sides.shared:,} of the {found.rows:,} held-out rows" in line for line in found.verdict())
    assert not any("never lie on both sides" in line for line in assumptions(found))
    assert found.as_dict()["held-out rows equal to training rows"] == sides.shared
    apart = attack(points, fresh(points))
    assert apart.shared == 0
    assert any("never lie on both sides" in line for line in assumptions(apart))


def test_hashes_tell_rows_apart() -> None:
    grid = torch.cartesian_prod(*[torch.arange(10.0, dtype=torch.float64)] * 4)
    assert len(hashed(grid).unique()) == 10_000
    same = torch.tensor([[0.0, math.nan], [-0.0, -math.nan]], dtype=torch.float64)
    assert len(hashed(same).unique()) == 1


def test_table_space_is_ranks_and_levels() -> None:
    pool = torch.tensor([[1.0, 0], [2, 1], [2, 1], [100, math.nan]], dtype=torch.float64)
    space = TableSpace.of(("number", "category"), pool)
    a, b = pool[:1], pool[3:]
    assert float(space.gower(a, b)) == pytest.approx((0.875 - 0.125 + 1) / 2)
    assert float(space.gower(b, b)) == 0.0
    apart = space.plain(pool[:1]) - space.plain(pool[1:2])
    z = math.sqrt(2) * torch.erfinv(torch.tensor(2 * 0.125 - 1, dtype=torch.float64))
    assert float(apart.square().sum()) == pytest.approx(float(z**2) / 2 + 1)
    strange = space.plain(torch.tensor([[1.0, 7]], dtype=torch.float64))
    assert float((strange - space.plain(a)).square().sum()) == pytest.approx(1.0)


def test_many_levels_stay_narrow() -> None:
    pool = torch.arange(5000, dtype=torch.float64)[:, None]
    space = TableSpace.of(("category",), pool)
    x = space.plain(pool[:100])
    assert x.shape[1] == 32
    apart = torch.cdist(x, x).square()
    assert float(apart.diagonal().amax()) < 1e-9
    assert float(apart.sum() / (100 * 99)) == pytest.approx(1, abs=0.05)


# -- pictures ---------------------------------------------------------------------------------------------------------


def blobs(n: int, seed: int) -> np.ndarray:
    """[n, 28, 28] uint8: five soft blobs at random places, of random sizes and brightness."""
    g = np.random.default_rng(seed)
    y, x = np.mgrid[:28, :28]
    out = np.zeros((n, 28, 28))
    for _ in range(5):
        at = g.uniform(3, 25, (n, 2, 1, 1))
        width, bright = g.uniform(1.5, 4, (n, 1, 1)), g.uniform(60, 170, (n, 1, 1))
        out += bright * np.exp(-((x - at[:, 0]) ** 2 + (y - at[:, 1]) ** 2) / (2 * width**2))
    return np.clip(out, 0, 255).round().astype(np.uint8)


@pytest.fixture(scope="module")
def pictures() -> Dataset:
    return load(blobs(700, 0), options=ReadOptions(holdout=0.4))


def cropped(x: Tensor) -> Tensor:
    return F.interpolate(x[:, :, 2:-2, 2:-2], size=(28, 28), mode="bilinear", align_corners=False)


CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "exact": lambda x: x,
    "flipped": lambda x: x.flip(3),
    "cropped": cropped,
    "shifted": lambda x: F.pad(x, (2, 0, 2, 0), mode="replicate")[:, :, :28, :28],
    "brightened": lambda x: (0.8 * x + 0.3).clamp(-1, 1),
    "flipped, cropped, brightened": lambda x: (cropped(x.flip(3)) + 0.2).clamp(-1, 1),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_model_that_copies_pictures_is_caught(pictures: Dataset, change: str, tmp_path: Path) -> None:
    draw = of_rows(CHANGES[change](rows_of(pictures)))
    found = attack(pictures, draw, n=800, private=tmp_path)
    assert found.outcome == "leaks"
    assert found.attacks[found.strongest].auc.value > 0.8
    assert (found.memory.exact > 0.99) == (change == "exact")
    assert (tmp_path / "audit-pairs.png").exists()


def test_new_pictures_pass(pictures: Dataset) -> None:
    def draw(n: int, seed: int) -> Tensor:
        return pictures.modality.encode(torch.from_numpy(blobs(n, seed % 2**32))[:, None])

    found = attack(pictures, draw, n=800)
    assert found.outcome == "nothing found"
    assert found.memory.exact == 0


def test_pictures_are_compared_without_brightness_and_contrast() -> None:
    x = torch.rand(6, 1, 28, 28, generator=torch.Generator().manual_seed(0)) - 0.5
    pixels, gradients = PixelSpace(ImageModality()), GradientSpace(ImageModality())
    for space in (pixels, gradients):
        torch.testing.assert_close(space.plain(x), space.plain(0.5 * x + 0.2), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(space.forms(x)[0], space.plain(x))
    torch.testing.assert_close(gradients.plain(x).norm(dim=1), torch.ones(6))
    assert len(pixels.forms(x)) == 20
    flipped = gradients.forms(x.flip(3))[1]
    torch.testing.assert_close(flipped, gradients.plain(x))


def test_gradients_point_the_right_way() -> None:
    """A ramp to the right has all its weight in direction 0, a ramp downwards in direction ANGLES / 2."""
    ramp = torch.linspace(-1, 1, 24).expand(1, 1, 24, 24)
    across = GradientSpace(ImageModality()).plain(ramp).view(8, 36).square().sum(1)
    down = GradientSpace(ImageModality()).plain(ramp.transpose(2, 3)).view(8, 36).square().sum(1)
    assert int(across.argmax()) == 0
    assert int(down.argmax()) == 4
    assert float(across[0]) == pytest.approx(1, abs=1e-5)


def test_moves_shift_by_two_of_twenty_eight() -> None:
    x = torch.rand(1, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    found = moves(x)
    assert len(found) == 10
    assert any(torch.equal(m[:, :, 2:, 2:], x[:, :, :-2, :-2]) for m in found)
    assert len(moves(torch.zeros(1, 1, 2, 2))) == 1


# -- the rest ---------------------------------------------------------------------------------------------------------


def test_curves_end_where_they_must() -> None:
    false, true = curve(torch.tensor([1.0, 2, 3]), torch.tensor([0.0, 1, 2]))
    assert false.tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert true.tolist() == pytest.approx([1 / 3, 2 / 3, 1, 1])


def test_too_few_rows_or_samples_are_refused(points: Dataset) -> None:
    with pytest.raises(DataError, match="at least 30 different held-out rows"):
        attack(load(people(100, 0)), fresh(points))
    with pytest.raises(RecipeError, match="too few to attack"):
        attack(points, fresh(points), n=3)


def test_an_audit_is_repeatable(points: Dataset) -> None:
    one, two = (attack(points, fresh(points), n=600).as_dict() for _ in range(2))
    assert one == two
