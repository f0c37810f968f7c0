"""Networks of TableGAN, medGAN and CTGAN against plain formulas in float64."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from rivalry.errors import RecipeError, UnknownName
from rivalry.nets import DCGAN, Averaged, CodeNet, ColumnClassifier, DCGANTrunk, MLPTrunk, SquareTable, SquareTrunk
from rivalry.nets.classifier import Classifier, target_of
from rivalry.nets.mlp import Hidden
from rivalry.nets.square import SquareGenerator, side_of, squared
from rivalry.nets.table import log_shares
from rivalry.parts import Wiring, couples_batch
from rivalry.types import Block, Spec
from tiny import POINTS, TABLE, people


@pytest.mark.parametrize(("width", "side"), [(1, 4), (16, 4), (17, 8), (64, 8), (65, 12), (144, 12), (145, 16)])
def test_the_side_is_the_least_that_holds_a_row(width: int, side: int) -> None:
    assert side_of(width) == side


def test_a_row_fills_a_square_line_by_line() -> None:
    x = torch.arange(34, dtype=torch.float64).view(2, 17)
    found = squared(x)
    assert found.shape == (2, 1, 8, 8)
    assert torch.equal(found.flatten(1)[:, :17], x)
    assert float(found.flatten(1)[:, 17:].abs().sum()) == 0


def test_rows_come_from_the_square_s_first_numbers() -> None:
    torch.manual_seed(0)
    made = SquareTable(DCGAN(width=4, out="none")).build(TABLE, Wiring(latent=3))
    assert isinstance(made, SquareGenerator)
    made.eval()
    z = torch.randn(6, 3)
    assert torch.equal(made.before(z), made.inner(z).flatten(1)[:, :7] + log_shares(TABLE.blocks))
    rows = made(z)
    assert torch.equal(rows[:, 4:].sum(1), torch.ones(6))
    assert SquareTrunk(DCGANTrunk(width=4)).build(TABLE, Wiring())(rows).features.shape[0] == 6


def test_nets_for_tables_want_tables() -> None:
    with pytest.raises(RecipeError, match="no columns"):
        SquareTable().build(POINTS, Wiring(latent=3))
    with pytest.raises(RecipeError, match="no columns"):
        ColumnClassifier().build(POINTS, Wiring())


def test_joined_layers_keep_their_input_beside_their_output() -> None:
    """CTGAN's generator: h1 = f(W1 z) + z, h2 = f(W2 h1) + h1, with + for 'beside'."""
    torch.manual_seed(0)
    net = Hidden(3, (5, 4), 0.0, "none", True, joined=True).double()
    assert net.outputs == 3 + 5 + 4
    z = torch.randn(6, 3, dtype=torch.float64)
    first, second = net.linear
    assert isinstance(first, nn.Linear)
    assert isinstance(second, nn.Linear)
    h = torch.cat([(z @ first.weight.T + first.bias).relu(), z], 1)
    h = torch.cat([(h @ second.weight.T + second.bias).relu(), h], 1)
    assert torch.allclose(net(z), h, atol=1e-14)


def test_codes_take_shortcuts_and_end_in_tanh() -> None:
    """medGAN: x + relu(bn(W x)), then x + tanh(bn(W x))."""
    torch.manual_seed(0)
    net = CodeNet().build(TABLE, Wiring(latent=4)).double()
    z = torch.randn(50, 4, dtype=torch.float64)

    def normal(x: torch.Tensor) -> torch.Tensor:
        return (x - x.mean(0)) / (x.var(0, correction=0) + 1e-5).sqrt()

    first, second = (p for n, p in net.named_parameters() if n.startswith("linear"))
    x = z + normal(z @ first.T).relu()
    assert torch.allclose(net(z), x + normal(x @ second.T).tanh(), atol=1e-12)
    with pytest.raises(RecipeError, match="latent"):
        CodeNet().build(TABLE, Wiring())


def test_minibatch_averaging_shows_the_mean_of_the_batch() -> None:
    torch.manual_seed(0)
    trunk = Averaged(MLPTrunk(sizes=(6,), slope=0.0)).build(TABLE, Wiring()).double()
    x = torch.randn(5, 7, dtype=torch.float64)
    (inner,) = [m for m in trunk.modules() if isinstance(m, nn.Linear)]
    both = torch.cat([x, x.mean(0).expand(5, 7)], 1)
    assert torch.allclose(trunk(x).features, (both @ inner.weight.T + inner.bias).relu(), atol=1e-14)
    assert couples_batch(trunk)


TWO = Spec("table", (5,), blocks=(Block("town", "choice", 0, 2, (0.5, 0.5)), Block("town", "choice", 2, 2, (0.5, 0.5)),
                                  Block("age", "number", 4, 1)))  # fmt: skip


def test_the_target_is_the_last_category_or_the_one_that_is_named() -> None:
    assert [b.name for b in target_of(TABLE, "")] == ["colour"]
    assert len(target_of(TWO, "town")) == 2
    with pytest.raises(UnknownName, match="colour"):
        target_of(TABLE, "color")
    with pytest.raises(UnknownName):
        target_of(TABLE, "height")
    with pytest.raises(RecipeError, match="--schema"):
        target_of(Spec("table", (1,), blocks=(Block("age", "number", 0, 1),)), "")


def test_the_classifier_is_blind_for_its_target_and_charges_cross_entropy() -> None:
    torch.manual_seed(0)
    net = ColumnClassifier(MLPTrunk(sizes=(6,))).build(TABLE, Wiring()).double()
    assert isinstance(net, Classifier)
    x = people(40).x.double()
    turned = x.clone()
    turned[:, 4:] = x[:, 4:].roll(1, 1)
    logits = net(x)
    assert torch.equal(logits, net(turned))
    found = net.surprise(x)
    for i in range(40):
        label = int(x[i, 4:].argmax())
        plain = math.log(sum(math.exp(v) for v in logits[i].tolist())) - logits[i].tolist()[label]
        assert found[i].item() == pytest.approx(plain, abs=1e-12)
    soft = torch.tensor([[0.1, 1, 0, 0.2, 0.3, 0.3, 0.4]], dtype=torch.float64)  # a fake may be undecided
    plain = -(net(soft).log_softmax(1) * soft[:, 4:]).sum()
    assert net.surprise(soft).item() == pytest.approx(plain.item(), abs=1e-12)
