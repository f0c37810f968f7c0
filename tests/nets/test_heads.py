"""Heads against their formulas, and what happens where they make no sense."""

from __future__ import annotations

import pytest
import torch

from rivalry import catalogue
from rivalry.errors import RecipeError, UnknownName
from rivalry.nets import MLP, DCGANTrunk, Discriminator, JointDiscriminator, LatentJudge, MLPTrunk, count, describe
from rivalry.parts import Wiring, couples_batch

from .cases import LABELLED, WIRING, all_finite, image, labels, points

TRUNK = MLPTrunk(sizes=(8, 6))
D = torch.float64


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_goodfellow_s_row_has_its_sizes() -> None:
    spec, wiring = image((1, 28, 28)), Wiring(latent=100)
    assert count(MLP().build(spec, wiring)) == 100 * 128 + 128 + 128 * 256 + 256 + 256 * 784 + 784
    assert count(Discriminator(MLPTrunk()).build(spec, wiring)) == 784 * 256 + 256 + 256 * 128 + 128 + 128 + 1


def test_the_projection_is_an_inner_product_with_the_label_s_embedding() -> None:
    module = Discriminator(TRUNK, condition="projection").build(points(), LABELLED).double()
    x, y = torch.randn(5, 2, dtype=D), labels(5)
    said, head = module(x, y), module.heads[0]
    f = said["features"]
    expected = f @ head.linear.weight[0] + head.linear.bias + torch.einsum("nf,nf->n", head.embed.weight[y], f)
    torch.testing.assert_close(said["score"], expected)


def test_the_score_of_class_logits_is_their_logsumexp() -> None:
    module = Discriminator(TRUNK, heads=("score", "class"), score="logsumexp").build(points(), LABELLED)
    said = module(torch.randn(5, 2), labels(5))
    torch.testing.assert_close(said["score"], said["class"].exp().sum(1).log())


@pytest.mark.parametrize("spectral", [False, True])
def test_all_heads_at_once(spectral: bool) -> None:
    wiring = Wiring(latent=12, classes=3, codes=(4, 5), code_reals=2)
    heads = ("score", "class", "twin", "rotation", "code", "embedding", "infomax")
    net = Discriminator(DCGANTrunk(width=4, norm="none"), heads, condition="concat", spectral=spectral, embedding=7)
    module = net.build(image((1, 28, 28)), wiring)
    said = module(torch.randn(2, 1, 28, 28), labels(2))
    shapes = {k: tuple(v.shape) for k, v in said.items()}
    assert shapes == {
        "score": (2,), "features": (2, 8 * 49), "class": (2, 3), "twin": (2, 3), "rotation": (2, 4),
        "code": (2, 11), "embedding": (2, 7), "proxy": (2, 7), "local": (2, 7, 14 * 14), "global": (2, 7),
    }  # fmt: skip
    for key in ("embedding", "proxy"):
        torch.testing.assert_close(said[key].norm(dim=1), torch.ones(2))


@pytest.mark.parametrize(("name", "outputs"), [("class", 3), ("class+1", 4), ("class*2", 6)])
def test_forms_of_the_class_head(name: str, outputs: int) -> None:
    module = Discriminator(TRUNK, heads=("score", name)).build(points(), LABELLED)
    assert module(torch.randn(2, 2))["class"].shape == (2, outputs)


@pytest.mark.parametrize(("how", "more"), [("std", 1), ("discrimination", 50)])
def test_heads_may_see_the_batch(how: str, more: int) -> None:
    module = Discriminator(TRUNK, minibatch=how).build(points(), WIRING)  # type: ignore[arg-type]
    assert couples_batch(module)
    x = torch.randn(6, 2)
    said = module(x)
    assert said["features"].shape == (6, 6 + more)
    assert not torch.allclose(said["score"][:1], module(x[:1])["score"])
    module(torch.zeros(4, 2))["score"].sum().backward()
    assert all_finite(module)


def test_latents_are_judged_as_points() -> None:
    module = LatentJudge(Discriminator(TRUNK)).build(image((1, 28, 28)), WIRING)
    assert module(torch.randn(3, 12))["score"].shape == (3,)
    with pytest.raises(RecipeError, match="latent"):
        LatentJudge().build(points(), Wiring())


def test_joined_labels_change_the_score() -> None:
    for spec in (points(), image((1, 8, 8))):
        module = Discriminator(TRUNK, condition="concat").build(spec, LABELLED)
        x = torch.randn(1, *spec.shape).expand(3, *spec.shape)
        assert module(x, labels(3))["score"].std() > 0
        with pytest.raises(RecipeError, match="labels"):
            module(x)


def test_the_joint_discriminator_judges_pairs() -> None:
    net = JointDiscriminator(TRUNK, latent_sizes=(5,), joint_sizes=(6,))
    module = net.build(points(), WIRING)
    x, z = torch.randn(3, 2), torch.randn(3, 12)
    said = module(x, z)
    assert said["score"].shape == (3,)
    assert said["features"].shape == (3, 6)
    assert (module(x, z + 1)["score"] != said["score"]).all()


@pytest.mark.parametrize(
    ("net", "wiring", "match"),
    [
        (Discriminator(TRUNK, heads=("score", "class")), WIRING, "labels"),
        (Discriminator(TRUNK, heads=("code",)), WIRING, "codes"),
        (Discriminator(TRUNK, condition="projection"), WIRING, "labels"),
        (Discriminator(TRUNK, condition="concat"), WIRING, "labels"),
        (Discriminator(TRUNK, score="logsumexp"), LABELLED, "class"),
        (Discriminator(TRUNK, heads=("score", "infomax")), WIRING, "local"),
        (Discriminator(DCGANTrunk()), WIRING, "pictures"),
        (JointDiscriminator(TRUNK), Wiring(), "latents"),
    ],
)
def test_senseless_settings_say_the_remedy(net: Discriminator, wiring: Wiring, match: str) -> None:
    with pytest.raises(RecipeError, match=match):
        net.build(points(), wiring)
    with pytest.raises(UnknownName, match="did you mean 'class'"):
        Discriminator(TRUNK, heads=("clas",)).build(points(), LABELLED)


def test_settings_survive_toml() -> None:
    net = Discriminator(TRUNK, heads=("score", "class"), spectral=True)
    data = catalogue.dump(net)
    assert data["part"] == "discriminator"
    assert data["trunk"]["part"] == "mlp"


def test_a_description_counts() -> None:
    text = describe(Discriminator(MLPTrunk()), image((1, 28, 28)), WIRING)
    assert "233,985" in text
    assert "1 x 28 x 28" in text
