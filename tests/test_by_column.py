"""CTGAN's parts: levels as options, training by sampling, the conditional game, and what a run keeps of them."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

import rivalry
from rivalry import zoo
from rivalry.catalogue import dump
from rivalry.errors import RecipeError
from rivalry.files import read_tensors
from rivalry.games import IID, ByColumn, ByLevel
from rivalry.games.by_column import log_frequencies
from rivalry.games.levels import Levels
from rivalry.nets.table import RowGenerator, TableNet
from rivalry.parts import Turn
from rivalry.privacy import privatised
from rivalry.recipe import set_value
from rivalry.sampling import Sampler, steered
from rivalry.streams import Draw
from rivalry.training.loop import StoreSource
from rivalry.types import Block, Spec
from tiny import CPU, TABLE, Rows, people, run, trainer

SKEWED = Spec(
    "table",
    (10,),
    blocks=(
        Block("height", "number", 0, 1),
        Block("sick", "choice", 1, 2, (0.99, 0.01)),
        Block("income", "choice", 3, 2, (0.6, 0.4)),  # says how the number is meant: no category
        Block("income", "number", 5, 1),
        Block("town", "choice", 6, 2, (0.9, 0.1)),  # a category of many levels: group and member
        Block("town", "choice", 8, 2, (0.7, 0.3)),
    ),
)


def skewed(n: int = 4000) -> Rows:
    """[n, 10] by SKEWED: 1 % are sick, town's group 1 has a tenth."""
    g = torch.Generator().manual_seed(0)
    codes = [(torch.rand(n, generator=g) < p).long() for p in (0.01, 0.4, 0.1, 0.3)]
    hot = [one_hot(c, 2).float() for c in codes]
    number = torch.randn(n, 2, generator=g) / 4
    return Rows(torch.cat([number[:, :1], hot[0], hot[1], number[:, 1:] * hot[1][:, :1], hot[2], hot[3]], 1))


def turn(n: int, place: int = 0, share: tuple[int, int] = (0, 1)) -> Turn:
    return Turn("discriminator", place, 0, place, Draw(7, ("here", place), CPU, share), {}, {}, n)


class Obedient(RowGenerator):
    """Gives exactly what it is asked for in the asked column, and the Spec's shares elsewhere."""

    def __init__(self, spec: Spec, noise: int) -> None:
        super().__init__(spec.blocks, 1.0)
        self.noise, self.levels, self.width = noise, Levels(spec.blocks), spec.shape[0]

    def before(self, z: Tensor, *cond: Tensor) -> Tensor:
        raw = torch.zeros(len(z), self.width)
        at = 0
        for b in self.levels.blocks:
            wanted = z[:, self.noise + at : self.noise + at + b.width]
            free = torch.tensor(b.shares).log().expand(len(z), -1)
            raw[:, b.start : b.start + b.width] = torch.where(wanted.sum(1, keepdim=True) > 0, 50 * wanted, free)
            at += b.width
        return raw


def test_categories_are_choices_that_mean_no_number() -> None:
    levels = Levels(SKEWED.blocks)
    assert [(b.name, b.start) for b in levels.blocks] == [("sick", 1), ("town", 6), ("town", 8)]
    assert levels.width == 6
    assert levels.first == (0, 2, 4)
    assert levels.option("sick", 1) == 1
    assert levels.option("town", 3) == 2 + 3 // 2  # the group
    with pytest.raises(RecipeError, match="no category"):
        levels.option("income", 0)


def test_the_option_of_a_row_is_that_of_its_column() -> None:
    levels, x = Levels(SKEWED.blocks), skewed(50).x
    column = torch.arange(50) % 3
    found = levels.of(x, column)
    for i in range(50):
        b = levels.blocks[int(column[i])]
        plain = levels.first[int(column[i])] + int(x[i, b.start : b.start + b.width].argmax())
        assert int(found[i]) == plain
    logits = levels.within(x.double(), column)
    assert torch.equal(torch.isfinite(logits).sum(1), torch.full((50,), 2))


def test_training_by_sampling_is_by_the_logarithm_of_the_frequency() -> None:
    """float64: p(level) = log(1 + n) / sum log(1 + n); a level nobody has is never drawn."""
    counts = torch.tensor([[99, 9, 0], [1, 1, 1]])
    found = log_frequencies(counts)
    expected = torch.tensor([[np.log(100), np.log(10), 0.0]], dtype=torch.float64) / np.log(1000)
    assert torch.allclose(found[:1], expected, atol=1e-15)
    assert torch.allclose(found[1], torch.full((3,), 1 / 3, dtype=torch.float64))


def test_rows_are_drawn_by_level_and_evenly_within_it() -> None:
    store, levels = skewed(), Levels(SKEWED.blocks)
    sampler, n = ByLevel().over(SKEWED, store), 3000
    seen = torch.zeros(len(store), dtype=torch.long)
    shares = []
    for place in range(20):
        at = turn(n, place)
        index = sampler.index("real", len(store), at)
        column = levels.drawn_columns(at.draw, n)
        shares.append(store.x[index[column == 0], 2].mean())
        seen += torch.bincount(index[(column == 0) & (store.x[index, 2] == 1)], minlength=len(store))
    sick = store.x[:, 2] == 1
    k = float(sick.sum())
    expected = np.log1p(k) / (np.log1p(k) + np.log1p(len(store) - k))
    assert float(torch.stack(shares).mean()) == pytest.approx(expected, abs=0.01)
    assert expected > 0.25  # of rows that are 1 % of the table
    hits = seen[sick].double()
    assert float(hits.var() / hits.mean()) < 2  # Poisson, 1 expected: no row is preferred


def test_shares_of_a_batch_make_the_whole_batch() -> None:
    store = skewed()
    sampler = ByLevel().over(SKEWED, store)
    whole = sampler.index("real", len(store), turn(64))
    halves = [sampler.index("real", len(store), turn(32, share=(i, 2))) for i in range(2)]
    assert torch.equal(whole, torch.cat(halves))


def test_without_categories_it_is_the_ordinary_game() -> None:
    spec = Spec("table", (1,), blocks=(Block("height", "number", 0, 1),))
    store = Rows(torch.randn(64, 1) / 4)
    assert ByLevel().over(spec, store) == ByLevel()
    assert torch.equal(ByLevel().index("real", 64, turn(8)), IID().index("real", 64, turn(8)))
    recipe = replace(zoo.get("ctgan-small"), batch=20)
    run(recipe, spec, store, 2)


def test_the_game_pairs_rows_and_fakes_with_their_own_conditions() -> None:
    store, levels, game = skewed(), Levels(SKEWED.blocks), ByColumn(latent=5)
    made = Obedient(SKEWED, 5).train()
    at = turn(40)
    source = StoreSource(store, ByLevel().over(SKEWED, store), CPU)
    play = game.play({"generator": made}, source, at)
    match = play.match("main")
    assert match.real is not None
    assert match.fake is not None
    assert match.real.x.shape == match.fake.x.shape == (40, 10 + 6)
    column = levels.drawn_columns(at.draw, 40)
    assert torch.equal(match.real.x[:, 10:].argmax(1), levels.of(match.real.x[:, :10], column))
    assert torch.equal(match.real.x[:, 10:].sum(0), match.fake.x[:, 10:].sum(0))  # the same conditions, in another order
    logits, asked = play.pair("condition")
    assert torch.equal(asked, match.fake.x[:, 10:].argmax(1))
    assert torch.equal(logits.argmax(1), asked)


def test_the_price_of_disobedience_is_cross_entropy_within_the_column() -> None:
    """float64, against a plain softmax over the one block that was asked for."""
    net = TableNet(sizes=(8,), margins=False).build(SKEWED, ByColumn(latent=5).wiring(SKEWED)).double()
    store, levels = skewed(), Levels(SKEWED.blocks)
    source = StoreSource(Rows(store.x.double()), ByLevel().over(SKEWED, store), CPU)

    class Double(Draw):
        def normal(self, name: str, n: int, *shape: int) -> Tensor:
            return super().normal(name, n, *shape).double()

    at = replace(turn(30), draw=Double(7, ("here", 0)))
    play = ByColumn(latent=5).play({"generator": net}, source, at)
    recipe = zoo.get("ctgan-small")
    (side,) = [s for s in recipe.sides() if s.name == "generator"]
    charged = side.terms[0](play, at).detach()
    logits, asked = (t.detach() for t in play.pair("condition"))
    for i in range(30):
        k = next(j for j, b in enumerate(levels.blocks) if levels.first[j] <= int(asked[i]) < levels.first[j] + b.width)
        part = logits[i, levels.first[k] : levels.first[k] + 2]
        plain = -(part - part.exp().sum().log())[int(asked[i]) - levels.first[k]]
        assert float(charged[i]) == pytest.approx(float(plain), rel=1e-12)


def test_asking_for_a_level_gives_that_level() -> None:
    """Every option, in its own slot."""
    game, made, levels = ByColumn(latent=5), Obedient(SKEWED, 5).eval(), Levels(SKEWED.blocks)
    for option in range(levels.width):
        x = game.sample({"generator": made}, game.wiring(SKEWED), Draw(0), 20, torch.full((20,), option))
        k = max(i for i in range(3) if levels.first[i] <= option)
        b = levels.blocks[k]
        assert bool((x[:, b.start + option - levels.first[k]] == 1).all())


def test_sampling_goes_by_true_frequencies() -> None:
    """Total variation: 1 % stays 1 %, where training by sampling would make it a third."""
    game, made = ByColumn(latent=5), Obedient(SKEWED, 5).eval()
    x = game.sample({"generator": made}, game.wiring(SKEWED), Draw(3), 40_000)
    for b in Levels(SKEWED.blocks).blocks:
        found = x[:, b.start : b.start + b.width].mean(0)
        assert float((found - torch.tensor(b.shares)).abs().sum() / 2) < 0.01, b.name
    asked = Levels(SKEWED.blocks).by_share(Draw(3), 40_000)
    sick = ((asked == 1).sum() / (asked < 2).sum()).item()
    assert sick == pytest.approx(0.01, abs=0.003)


def test_the_rarest_wanted_level_is_asked_for() -> None:
    game = ByColumn(latent=5)
    plain = Sampler(game, game.wiring(SKEWED), {"generator": Obedient(SKEWED, 5)}, CPU)
    chosen = steered(plain, SKEWED.blocks, [("town", 0), ("sick", 1)])
    assert chosen.asked == 1
    assert bool((chosen(300, 0)[:, 2] == 1).all())
    assert steered(plain, SKEWED.blocks, []) == plain


def test_it_learns_to_obey_and_how_columns_hang_together() -> None:
    recipe = zoo.get("ctgan-small")
    recipe = replace(recipe, batch=100, nets={**recipe.nets, "generator": TableNet((64,), "batch", margins=False)})
    for side in ("generator", "discriminator"):
        recipe = set_value(recipe, f"{side}.optimiser.lr", "2e-3")
    state = run(recipe, TABLE, people(2000), 300)
    levels = Levels(TABLE.blocks)
    net = {"generator": state.nets["generator"].eval()}
    heights = []
    for colour in range(3):
        asked = torch.full((400,), levels.option("colour", colour))
        x = recipe.game.sample(net, state.wiring, Draw(1), 400, asked).detach()
        assert float(x[:, 4 + colour].mean()) > 0.85
        heights.append(float(x[:, 0].mean()))
    assert heights[0] < heights[1] - 0.1 < heights[2] - 0.2  # colours hang on the height


def test_under_differential_privacy_it_is_refused() -> None:
    recipe, _ = privatised(replace(zoo.get("ctgan-small"), game=ByColumn(latent=8)), 3.0)
    recipe = replace(recipe, batch=8, nets={**recipe.nets, "generator": TableNet((8,), margins=False)})
    with pytest.raises(RecipeError, match="asked for from real rows"):
        trainer(recipe, TABLE, people(), 3)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> rivalry.Run:
    """40 steps on 400 rows: ward (three levels), ill (a twentieth), age."""
    g = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("data") / "wards.csv"
    with path.open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["ward", "ill", "age"])
        for _ in range(400):
            rows.writerow(["ABC"[int(g.integers(3))], "yes" if g.random() < 0.05 else "no", int(g.integers(20, 90))])
    return rivalry.train(
        path, recipe="ctgan-small", budget="40steps", run=str(path.parent / "run"), settings=["batch=50"], device="cpu",
        tensorboard=False, say=lambda line: None,
    )  # fmt: skip


def test_rows_under_a_condition_meet_it(trained: rivalry.Run, tmp_path: Path) -> None:
    (out,) = trained.write_samples(tmp_path / "ill.csv", 50, where="ill=yes, ward=B, age>=30")
    with out.open() as made:
        rows = list(csv.DictReader(made))
    assert len(rows) == 50
    assert all(r["ill"] == "yes" and r["ward"] == "B" and int(r["age"]) >= 30 for r in rows)


def test_a_run_knows_no_row_by_its_level(trained: rivalry.Run) -> None:
    """Neither the recipe nor a checkpoint holds an index: nothing in them is as long as the table, nothing counts rows."""
    assert dump(trained.recipe.sampler) == {"part": "by-level"}
    n = int(trained.folder.settings["data"]["train"])
    for name in ("model", "state"):
        tensors, _ = read_tensors(trained.path / f"checkpoints/last/{name}.safetensors")
        for key, value in tensors.items():
            assert n not in value.shape, key
            assert value.is_floating_point() or value.numel() == 1, key
    assert "order" not in (trained.path / "run.toml").read_text()
