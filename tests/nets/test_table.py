"""The generator of tables: choices are one-hot, fillers are kept, and margins come out as the data's."""

from __future__ import annotations

import math

import pytest
import torch

from rivalry.errors import RecipeError
from rivalry.nets.table import Choose, Margins, TableNet, gumbel, log_shares, mapped, quantiles
from rivalry.parts import Wiring
from rivalry.types import Block, Spec

BLOCKS = (
    Block("age", "number", 0, 1),
    Block("gain", "choice", 1, 3, (0.2, 0.7, 0.1)),
    Block("gain", "number", 4, 1),
    Block("job", "choice", 5, 4, (0.4, 0.3, 0.2, 0.1)),
)
SPEC = Spec("table", (9,), blocks=BLOCKS)


def test_choices_sum_to_one_within_their_block_only() -> None:
    x = torch.randn(50, 9) * 30  # far apart: no overflow
    soft = Choose(BLOCKS, 1.0).soft(x)
    assert torch.allclose(soft[:, 1:4], x[:, 1:4].softmax(1), atol=1e-6)
    assert torch.allclose(soft[:, 5:], x[:, 5:].softmax(1), atol=1e-6)
    assert torch.equal(soft[:, 0], torch.ones(50))


def test_gumbel_s_argmax_follows_the_softmax() -> None:
    torch.manual_seed(0)
    x = torch.tensor([[0.3, 0.0, 1.0, -1.0, 0.3, 0.5, 0.0, 2.0, -1.0]]).repeat(40_000, 1)
    out = Choose(BLOCKS, 0.2)(x)
    for start, stop in ((1, 4), (5, 9)):
        seen = torch.bincount(out[:, start:stop].argmax(1), minlength=stop - start) / len(x)
        assert torch.allclose(seen, x[0, start:stop].softmax(0), atol=0.01)


def test_a_number_is_its_filler_unless_it_is_ordinary() -> None:
    x = torch.zeros(2, 9)
    x[:, 4] = 0.7
    x[0, 1], x[1, 2] = 50.0, 50.0
    out = Choose(BLOCKS, 0.2)(x)
    assert torch.allclose(Choose(BLOCKS, 0.2).eval()(x)[:, 4], torch.tensor([0.7, 0.0]))
    assert torch.allclose(out[:, 4], torch.tensor([0.7, 0.0]), atol=1e-4)
    assert torch.equal(out[:, 0], x[:, 0])


def test_the_untrained_generator_starts_at_the_shares() -> None:
    torch.manual_seed(0)
    net = TableNet(sizes=(8,)).build(SPEC, Wiring(latent=4)).eval()
    with torch.no_grad():
        net.last.weight.zero_()  # type: ignore[union-attr, operator]
        out = net(torch.randn(20_000, 4))
    assert torch.allclose(out[:, 5:].round().mean(0), torch.tensor(BLOCKS[3].shares), atol=0.015)


def test_weighted_quantiles_are_numpy_s() -> None:
    import numpy as np

    g = torch.Generator().manual_seed(0)
    x = torch.randn(5000, 2, generator=g).exp()
    levels = np.linspace(0.001, 0.999, 33)
    found = quantiles(x, torch.ones_like(x), torch.from_numpy(levels))
    expected = np.quantile(x.double().numpy(), levels, axis=0, method="hazen").T
    assert torch.allclose(found.double(), torch.from_numpy(expected), atol=1e-3)
    weight = torch.zeros_like(x)
    weight[:1000], at = 1, torch.linspace(0.05, 0.95, 9)  # the rest does not count
    assert torch.allclose(quantiles(x, weight, at), quantiles(x[:1000], weight[:1000], at), atol=2e-2)


def test_the_map_takes_knots_to_targets_and_goes_on_beyond() -> None:
    knots, target = torch.tensor([[0.0, 1.0, 3.0]]), torch.tensor([-1.0, 0.0, 1.0])
    x = torch.tensor([[-1.0], [0.0], [0.5], [1.0], [2.0], [3.0], [5.0]])
    assert torch.allclose(mapped(x, knots, target)[:, 0], torch.tensor([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0]))


def test_margins_are_set_right_and_the_order_of_numbers_is_kept() -> None:
    torch.manual_seed(0)
    choose = Choose(BLOCKS, 0.2)
    margins = Margins(BLOCKS, choose).eval()
    x = torch.randn(40_000, 9) * torch.tensor([0.5, 1.0, 1.0, 1.0, 2.0, 1.0, 1.0, 1.0, 1.0]) + 0.4
    x[:, 0] = x[:, 0].exp()
    x[:, 5] += x[:, 0]  # a choice that hangs together with a number
    assert torch.equal(margins(x), x)
    margins.settle(lambda: _run(margins, x))
    out = choose.eval()(margins(x))
    assert set(out[:, 1:4].unique().tolist()) == {0.0, 1.0}
    assert torch.allclose(out[:, 1:4].argmax(1).bincount() / 4e4, torch.tensor(BLOCKS[1].shares), atol=0.01)
    assert torch.allclose(out[:, 5:].argmax(1).bincount() / 4e4, torch.tensor(BLOCKS[3].shares), atol=0.01)
    ordinary = out[:, 1] > 0.5
    for number in (out[:, 0], out[ordinary, 4]):
        deviates = number * 4
        assert abs(float(deviates.mean())) < 0.03
        assert abs(float(deviates.std()) - 1) < 0.05
        assert abs(float((deviates < 0.6745).float().mean()) - 0.75) < 0.015
    assert torch.equal(out[:, 0].argsort(), x[:, 0].argsort())
    assert torch.equal(margins(x[:5]), margins(x)[:5])  # row by row


def test_nothing_is_chosen_while_margins_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    net = TableNet(sizes=(8,)).build(SPEC, Wiring(latent=4)).eval()
    z, called = torch.randn(512, 4), list[int]()
    monkeypatch.setattr(Choose, "forward", lambda self, x: called.append(len(x)) or x)
    net.margins.settle(lambda: _run(net, z))  # type: ignore[union-attr, operator]
    assert not called
    net(z)
    assert called == [512]


def test_margins_are_off_in_training_and_travel_with_the_weights() -> None:
    torch.manual_seed(0)
    net = TableNet(sizes=(8,)).build(SPEC, Wiring(latent=4)).eval()
    z = torch.randn(512, 4)
    net.margins.settle(lambda: _run(net, z))  # type: ignore[union-attr, operator]
    other = TableNet(sizes=(8,)).build(SPEC, Wiring(latent=4)).eval()
    other.load_state_dict(net.state_dict())
    torch.manual_seed(1)
    one = net(z)
    torch.manual_seed(1)
    assert torch.equal(one, other(z))
    net.train()
    torch.manual_seed(1)
    assert not torch.allclose(one, net(z))


def _run(net: torch.nn.Module, z: torch.Tensor) -> None:
    net(z)


def test_data_without_columns_are_refused() -> None:
    with pytest.raises(RecipeError, match="tables"):
        TableNet().build(Spec("points", (2,)), Wiring(latent=2))


def test_log_shares_cover_all_entries() -> None:
    assert log_shares(BLOCKS).exp()[5:].tolist() == pytest.approx([0.4, 0.3, 0.2, 0.1])
    assert log_shares(BLOCKS)[0] == 0


def test_surprise_is_the_sum_of_cross_entropies_and_squares() -> None:
    g = torch.Generator().manual_seed(0)
    scores = torch.randn(6, 9, generator=g).double()
    gain, job = torch.tensor([0, 1, 2, 0, 1, 0]), torch.tensor([3, 2, 1, 0, 0, 1])
    rows = torch.zeros(6, 9, dtype=torch.float64)
    rows[:, 0] = torch.randn(6, generator=g).double()
    rows[:, 1:4] = torch.nn.functional.one_hot(gain, 3).double()
    rows[:, 4] = torch.where(gain == 0, 0.3, 0.0)
    rows[:, 5:] = torch.nn.functional.one_hot(job, 4).double()
    entropy = torch.nn.functional.cross_entropy
    expected = entropy(scores[:, 1:4], gain, reduction="none") + entropy(scores[:, 5:], job, reduction="none")
    expected = expected + (rows[:, 0] - scores[:, 0]).square() / (2 * 0.1**2)
    expected = expected + (gain == 0) * (rows[:, 4] - scores[:, 4]).square() / (2 * 0.1**2)
    choose = Choose(BLOCKS, 0.2).double()
    assert torch.allclose(choose.surprise(scores, rows, 0.1), expected)


def test_gumbel_noise_follows_its_closed_form_tails_included() -> None:
    """Kolmogorov and Smirnov's distance to exp(-exp(-g)), at chance .001; and how often it is far out, where what is rare is decided."""
    torch.manual_seed(0)
    n = 4_000_000
    g = gumbel(torch.empty(n)).double().sort().values
    assert bool(g.isfinite().all())
    expected = torch.exp(-torch.exp(-g))
    steps = torch.arange(n + 1, dtype=torch.float64) / n
    distance = torch.maximum((expected - steps[:-1]).abs().max(), (expected - steps[1:]).abs().max())
    assert float(distance) * n**0.5 < 1.95
    for far in (6.0, 9.0, 11.0):
        seen, wanted = int((g > far).sum()), -n * math.expm1(-math.exp(-far))
        assert abs(seen - wanted) < 4 * wanted**0.5
    for low in (-2.0, -2.4):
        seen, wanted = int((g < low).sum()), n * math.exp(-math.exp(-low))
        assert abs(seen - wanted) < 4 * wanted**0.5
    assert len(g[g > 11].unique()) == int((g > 11).sum())  # no steps, which 24 bits would leave there
    assert gumbel(torch.empty(3, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_offsets_are_those_that_are_found_in_logarithms() -> None:
    torch.manual_seed(0)
    choose, shares = Choose(BLOCKS, 0.2), log_shares(BLOCKS).exp()
    x = 3 * torch.randn(5000, 9)
    x[:, 6] -= 60  # never chosen, as long as nothing is added
    offset = torch.zeros(9)
    for _ in range(30):
        share = choose.soft(x + offset).mean(0)
        offset = (offset + torch.where(shares < 1, shares.log() - share.clamp_min(1e-9).log(), 0.0)).clamp(-20, 20)
    assert torch.allclose(choose.offsets(x, shares), offset, atol=1e-3)
    assert torch.allclose(choose.soft(x + offset).mean(0)[1:4], torch.tensor(BLOCKS[1].shares), atol=1e-3)
