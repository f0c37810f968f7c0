"""The pure function at the heart of a step: joint passes, slopes, packing, per-example gradients, unrolling."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap

from rivalry.games import LazyPlay, Sample
from rivalry.nets import MLP, Discriminator, MLPTrunk
from rivalry.objectives import GAN, Wasserstein
from rivalry.parts import Turn
from rivalry.penalties import GP, R1, R2
from rivalry.recipe import Recipe, Side, Stage
from rivalry.streams import Draw
from rivalry.training.contest import hold, packed
from rivalry.training.step import unrolled
from rivalry.types import Heads, Match, Point, square_norm
from tiny import CPU, POINTS, ring

TURN = Turn("discriminator", 0, 0, 0, Draw(0, ("t",)), {}, {}, 8)


def judge() -> torch.nn.Module:
    torch.manual_seed(0)
    return Discriminator(MLPTrunk((16, 16))).build(POINTS, Sample().wiring(POINTS)).double()


def points(n: int = 8) -> Match:
    g = torch.Generator().manual_seed(0)
    real, fake = (torch.randn(n, 2, generator=g, dtype=torch.float64) for _ in range(2))
    return Match("discriminator", Point(real), Point(fake))


def test_joint_and_separate_passes_agree() -> None:
    net, match = judge(), points()
    both = [hold(net, match, LazyPlay({}), TURN, (R1(), R2(), GP()), joint=joint) for joint in (True, False)]
    for a, b in zip(*[(c.real, c.fake, per[2].asked[0]) for c, per in both], strict=True):
        torch.testing.assert_close(a.score, b.score)
        torch.testing.assert_close(a.slope, b.slope)


def test_slopes_are_those_of_autograd() -> None:
    net, match = judge(), points()
    contest, _ = hold(net, match, LazyPlay({}), TURN, (R1(),))
    x = match.real.x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(net(x)["score"].sum(), x)
    torch.testing.assert_close(contest.real.slope, expected)
    assert contest.fake.slope is None


@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
def test_a_share_of_the_batch_is_charged_and_no_more(share: float) -> None:
    net, match = judge(), points()
    _, per = hold(net, match, LazyPlay({}), TURN, (R1(share=share), GP(share=share)))
    assert len(R1(share=share)(per[0])) == round(8 * share)
    assert len(GP(share=share)(per[1])) == round(8 * share)
    whole, part = (R1(share=s)(hold(net, match, LazyPlay({}), TURN, (R1(share=s),))[1][0]) for s in (1.0, share))
    torch.testing.assert_close(part, whole[: len(part)])


def test_penalised_gradients_match_a_float64_reference() -> None:
    """d/dw of mean |dD/dx|^2 for D(x) = w.x^2: slopes are 2 w x, so the gradient is 8 w x^2 / 2 per entry."""
    w = torch.tensor([1.0, -2.0], dtype=torch.float64, requires_grad=True)

    def quadratic(x: Tensor) -> Heads:
        return {"score": (w * x.square()).sum(1)}

    match = points()
    _, per = hold(quadratic, match, LazyPlay({}), TURN, (R1(),))
    R1()(per[0]).mean().backward()
    torch.testing.assert_close(w.grad, 4 * w.detach() * match.real.x.square().mean(0))


def test_per_example_gradients_by_vmap_equal_a_loop() -> None:
    net = judge()
    parameters = {k: p.detach() for k, p in net.named_parameters()}
    match = points()

    def loss(at: dict[str, Tensor], real: Tensor, fake: Tensor) -> Tensor:
        one = Match("d", Point(real[None]), Point(fake[None]))
        said = hold(lambda x: functional_call(net, at, (x,)), one, LazyPlay({}), TURN, (R1(),))[1][0]
        on_real, on_fake = GAN().discriminator(said.real.score, said.fake.score, {})
        return (on_real + on_fake + 0.5 * square_norm(said.real.slope)).sum()

    fast = vmap(grad(loss), (None, 0, 0))(parameters, match.real.x, match.fake.x)
    for i in range(3):
        slow = grad(loss)(parameters, match.real.x[i], match.fake.x[i])
        for name, value in slow.items():
            torch.testing.assert_close(fast[name][i], value)


def test_packing_joins_examples_and_repeats_a_batch_that_is_too_small() -> None:
    x = torch.arange(12.0).reshape(6, 2)
    assert packed(Point(x), 3).x.tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]
    assert packed(Point(x[:1]), 2).x.tolist() == [[0, 1, 0, 1]]


def test_unrolling_follows_the_closed_form() -> None:
    """For D(x) = a.x and Wasserstein losses, a gradient step adds lr (E[x] - E[G]), so k steps add k times that."""

    class Linear(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = torch.nn.Parameter(torch.tensor([0.3, -0.2], dtype=torch.float64))

        def forward(self, x: Tensor) -> Heads:
            return {"score": x @ self.a}

    net, match = Linear(), points()
    side = Side("generator", ("generator",), fools=("main",), unroll=4, unroll_lr=0.1)
    nets = {"generator": MLP(), "discriminator": Discriminator(MLPTrunk())}
    recipe = Recipe("u", nets, Sample(), (Stage((side,)),), Wasserstein())
    play = LazyPlay({"discriminator": net}, {"main": lambda: match})
    later = unrolled(recipe, side, play, "main", TURN)
    a = net.a.detach() + 4 * 0.1 * (match.real.x.mean(0) - match.fake.x.mean(0))
    torch.testing.assert_close(later(match.real.x)["score"], match.real.x @ a)


def test_the_equilibrium_value_is_minus_log_four() -> None:
    from rivalry.training.step import _note_scores

    turn = Turn("d", 0, 0, 0, Draw(0), {}, {}, 4)
    _note_scores(Side("d", ()), "main", torch.zeros(4), torch.zeros(4), turn)
    assert turn.notes["d.main.value"].item() == pytest.approx(-torch.log(torch.tensor(4.0)).item())


def test_sides_together_give_what_one_play_gives() -> None:
    """With the discriminator's own update switched off, playing together changes the generator's step in nothing."""
    from dataclasses import replace

    from rivalry.optimisers import SGD
    from rivalry.training.loop import Trainer
    from rivalry.training.state import build_state
    from tiny import ENGINE

    d = Side("discriminator", ("discriminator",), ("main",), optimiser=SGD(0.0))
    g = Side("generator", ("generator",), fools=("main",), optimiser=SGD(0.1))
    nets = {"generator": MLP((8,), out="none"), "discriminator": Discriminator(MLPTrunk((8,)))}
    recipe = Recipe("t", nets, Sample(latent=4), (Stage((d, g), together=True),), GAN(), batch=16)
    alone = replace(recipe, stages=(Stage((g,), together=True),))
    results = []
    for r in (recipe, alone):
        state = build_state(r, POINTS, 0, CPU)
        Trainer(state, ring(), 1, ENGINE).step()
        results.append(state.nets["generator"].state_dict())
    for name, value in results[0].items():
        torch.testing.assert_close(value, results[1][name])
