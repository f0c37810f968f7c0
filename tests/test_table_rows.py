"""Losses and stages of the rows for tables: information and classification loss, medGAN's pre-training, DP-GAN."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from contests import Table, charge, points, turn
from rivalry import zoo
from rivalry.afters import Clip
from rivalry.errors import RecipeError
from rivalry.games import Decode
from rivalry.nets import ColumnClassifier, MLPTrunk, TableNet
from rivalry.nets.table import RowGenerator
from rivalry.parts import Wiring
from rivalry.penalties import Information
from rivalry.privacy import privatised
from rivalry.recipe import coupled_parts, set_value
from rivalry.streams import Draw
from rivalry.terms import RowLikelihood, Target
from rivalry.training.loop import StoreSource, spans
from rivalry.types import Heads, Point
from tiny import CPU, TABLE, Rows, people, run, trainer


def features(x: Tensor, *cond: Tensor) -> Heads:
    return {"score": x.sum(1), "features": torch.cat([x, x.square()], 1)}


def information(real: Tensor, fake: Tensor, mean: float = 0.0, deviation: float = 0.0) -> Tensor:
    return charge(features, Information(mean=mean, deviation=deviation), Point(real), Point(fake))


def test_the_information_loss_is_of_means_and_deviations() -> None:
    """float64, by numpy; equal batches cost nothing, and a delta is put up with."""
    real, fake = points(20, 3), points(30, 3, 1)
    a, b = (features(x)["features"].numpy() for x in (real, fake))
    means, deviations = np.linalg.norm(a.mean(0) - b.mean(0)), np.linalg.norm(a.std(0) - b.std(0))
    assert information(real, fake).shape == (1,)
    assert information(real, fake).item() == pytest.approx(means + deviations, rel=1e-12)
    assert information(real, fake, 0.1, 100.0).item() == pytest.approx(means - 0.1, rel=1e-12)
    assert information(real, real.flip(0)).item() == pytest.approx(0.0, abs=1e-12)


def test_at_its_goal_the_information_loss_has_a_slope_of_zero() -> None:
    """Neither at equal moments nor for a batch of one is the slope NaN."""
    x = points(1, 3).requires_grad_()
    (slope,) = torch.autograd.grad(information(x.detach(), x).sum(), x)
    assert torch.equal(slope, torch.zeros_like(slope))


def test_what_looks_at_the_whole_batch_says_so() -> None:
    for name in ("tablegan", "ctab-gan-plus"):
        found = coupled_parts(zoo.get(name))
        assert any("penalties" in path for path in found), name


def test_the_target_s_charge_is_on_real_rows_or_on_fakes() -> None:
    torch.manual_seed(0)
    net = ColumnClassifier(MLPTrunk(sizes=(6,))).build(TABLE, Wiring())
    real, fake = people(8).x, people(16).x[8:]
    play = Table({"classifier": net}, {"rows": (real, fake)})
    assert torch.equal(Target(on="real")(play, turn()), net.surprise(real))  # type: ignore[operator]
    assert torch.equal(Target(on="fake")(play, turn()), net.surprise(fake))  # type: ignore[operator]
    with pytest.raises(RecipeError, match="column-classifier"):
        Target()(Table({"classifier": torch.nn.Identity()}, {"rows": (real, fake)}), turn())


def test_the_classifier_learns_from_real_rows_alone() -> None:
    recipe = zoo.get("tablegan-small")
    by_name = {s.name: s for s in recipe.sides()}
    assert by_name["classifier"].terms == (Target(on="real"),)
    assert by_name["generator"].terms == (Target(on="fake"),)
    assert by_name["generator"].modules == ("generator",)


# -- medGAN ------------------------------------------------------------------------------------------------------------


def medgan(steps: int = 20) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """Parameters before, after pre-training and at the end, by '<net>/<name>'."""
    recipe = replace(zoo.get("medgan-small"), batch=32)
    t = trainer(recipe, TABLE, people(), steps)

    def now() -> dict[str, Tensor]:
        return {f"{n}/{k}": v.detach().clone() for n, m in t.state.nets.items() for k, v in m.named_parameters()}

    found = [now()]
    for _ in range(spans(recipe, steps)[0].stop):
        t.step()
    found.append(now())
    while t.state.step < steps:
        t.step()
    return found[0], found[1], now()


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {k.split("/")[0] for k, v in after.items() if not torch.equal(v, before[k])}


def test_the_autoencoder_learns_first_and_the_decoder_goes_on() -> None:
    start, middle, end = medgan()
    assert moved(start, middle) == {"encoder", "decoder"}
    assert moved(middle, end) == {"generator", "decoder", "discriminator"}


def test_fakes_are_decoded_codes_and_reconstructions_are_scored_by_likelihood() -> None:
    torch.manual_seed(0)
    recipe = zoo.get("medgan-small")
    nets = recipe.build(TABLE)
    play = recipe.game.play(nets, StoreSource(people(), recipe.sampler, CPU), replace(turn(), batch=12))
    decoder = nets["decoder"]
    assert isinstance(decoder, RowGenerator)
    scores, rows = play.pair("reconstruction")
    assert torch.equal(scores, decoder.raw(nets["encoder"](rows)[0]))
    expected = decoder.choose.surprise(scores, rows, 0.05)
    assert torch.equal(RowLikelihood(decoder="decoder")(play, turn()), expected)
    x = recipe.game.sample({k: m.eval() for k, m in nets.items()}, recipe.game.wiring(TABLE), Draw(0), 9)
    assert torch.equal(x[:, 4:].sum(1), torch.ones(9))


def test_a_decoder_makes_rows() -> None:
    recipe = zoo.get("medgan-small")
    with pytest.raises(RecipeError, match="makes rows"):
        Decode().play({"decoder": torch.nn.Identity()}, StoreSource(people(), recipe.sampler, CPU), turn())


def codes(n: int = 2000) -> Rows:
    """[n, 7] by TABLE, income and colour hanging on one hidden illness."""
    g = torch.Generator().manual_seed(0)
    ill = torch.rand(n, generator=g) < 0.3
    income = torch.stack([~ill, ill], 1).float()
    colour = torch.stack([~ill, torch.zeros(n).bool(), ill], 1).float()
    return Rows(torch.cat([torch.randn(n, 1, generator=g) / 4, income, (torch.randn(n, 1, generator=g) / 4) * ~ill[:, None], colour], 1))


def test_medgan_learns_which_codes_go_together() -> None:
    recipe = replace(zoo.get("medgan-small"), batch=200)
    for side in ("discriminator", "generator"):
        recipe = set_value(recipe, f"{side}.optimiser.lr", "1e-3")
    state = run(recipe, TABLE, codes(), 400)
    nets = {k: m.eval() for k, m in state.nets.items()}
    with torch.no_grad():
        x = recipe.game.sample(nets, state.wiring, Draw(1), 4000)
    ill, blue = x[:, 2], x[:, 6]
    assert 0.15 < float(ill.mean()) < 0.45
    assert float((ill == blue).float().mean()) > 0.93  # independent columns: .58


# -- DP-GAN ------------------------------------------------------------------------------------------------------------


def test_dp_gan_is_private_by_itself_and_takes_another_epsilon() -> None:
    recipe = zoo.get("dp-gan-small")
    (side,) = recipe.private_sides()
    assert side.name == "discriminator"
    assert side.after == (Clip(0.1),)
    other, _ = privatised(recipe, 0.5)
    assert [s.private.epsilon for s in other.private_sides() if s.private is not None] == [0.5]
    assert other.nets == recipe.nets


def test_dp_gan_clips_weights_after_the_noise() -> None:
    recipe = replace(zoo.get("dp-gan-small"), batch=32)
    state = run(set_value(recipe, "discriminator.private.noise", "5.0"), TABLE, people(), 2)
    assert max(float(p.abs().max()) for p in state.nets["discriminator"].parameters()) <= 0.1 + 1e-6


def test_a_packed_dp_gan_is_refused() -> None:
    with pytest.raises(RecipeError, match="packing"):
        trainer(set_value(zoo.get("dp-gan-small"), "game.pack", "2"), TABLE, people(), 2)


def test_nets_are_those_of_tables() -> None:
    assert isinstance(zoo.get("ctgan").nets["generator"], TableNet)
