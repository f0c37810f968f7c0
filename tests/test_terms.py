"""Terms against torch.distributions, closed forms and explicit sums, in float64."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, distributions, nn

from contests import Table, turn
from rivalry.catalogue import build, dump
from rivalry.errors import RecipeError
from rivalry.parts import Term
from rivalry.terms import (
    KL,
    L1,
    L2,
    Bernoulli,
    Cluster,
    CrossEntropy,
    Gaussian,
    LatentReconstruction,
    Orthogonal,
    PathLength,
)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def held(term: Term, *pair: Tensor, name: str = "reconstruction") -> Tensor:
    return term(Table(pairs={name: pair}), turn("generator"))


def test_l1_and_l2_are_means_per_example() -> None:
    a, b = normal(3, 2, 4, seed=1), normal(3, 2, 4, seed=2)
    torch.testing.assert_close(held(L1(), a, b), (a - b).abs().mean((1, 2)))
    torch.testing.assert_close(held(L2(), a, b), (a - b).square().mean((1, 2)))
    mask = torch.tensor([[1.0, 0.0]] * 3)
    torch.testing.assert_close(held(L1(), a, b, mask), (a - b)[:, 0].abs().mean(1))
    with pytest.raises(RecipeError, match="compares pair"):
        held(L1(), a, b[:, :1])


def test_kl_against_torch() -> None:
    mean, logvar = normal(5, 3, 2, seed=3), normal(5, 3, 2, seed=4)
    posterior = distributions.Normal(mean, (0.5 * logvar).exp())
    wanted = distributions.kl_divergence(posterior, distributions.Normal(0.0, 1.0)).sum((1, 2))
    torch.testing.assert_close(held(KL(), mean, logvar, name="posterior"), wanted)
    assert held(KL(), torch.zeros(2, 3), torch.zeros(2, 3), name="posterior").tolist() == [0, 0]
    with pytest.raises(RecipeError, match="log variance"):
        held(KL(), mean, name="posterior")


def test_bernoulli_and_gaussian_against_torch() -> None:
    logits, x = normal(4, 1, 3, 3, seed=5), (normal(4, 1, 3, 3, seed=6) > 0).double()
    wanted = -distributions.Bernoulli(logits=logits).log_prob(x).sum((1, 2, 3))
    torch.testing.assert_close(held(Bernoulli(), logits, x), wanted)
    torch.testing.assert_close(held(Bernoulli(low=-1.0), logits, 2 * x - 1), wanted)
    wanted = -distributions.Normal(logits, 0.3).log_prob(x).sum((1, 2, 3))
    torch.testing.assert_close(held(Gaussian(sigma=0.3), logits, x), wanted)


def test_the_elbo_is_a_bound_that_is_met_by_the_true_posterior() -> None:
    """x = z + eps in one dimension: log p(x) = log N(x; 0, 2), met by q = N(x/2, 1/2)."""
    x = normal(200_000, 1, seed=7) * math.sqrt(2)
    mean, logvar = x / 2, torch.full_like(x, math.log(0.5))
    z = mean + (0.5 * logvar).exp() * normal(200_000, 1, seed=8)
    negative = held(Gaussian(), z, x) + held(KL(), mean, logvar, name="posterior")
    wanted = -distributions.Normal(0.0, math.sqrt(2)).log_prob(x).mean()
    assert negative.mean().item() == pytest.approx(wanted.item(), abs=5e-3)


def test_cross_entropy_on_tokens() -> None:
    logits, targets = normal(2, 3, 5, seed=9), torch.tensor([[0, 4, 2], [1, 1, 3]])
    each = -distributions.Categorical(logits=logits).log_prob(targets)
    torch.testing.assert_close(held(CrossEntropy(), logits, targets, name="tokens"), each.mean(1))
    mask = torch.tensor([[1, 1, 0], [1, 0, 0]])
    torch.testing.assert_close(
        held(CrossEntropy(), logits, targets, mask, name="tokens"), torch.stack([each[0, :2].mean(), each[1, 0]])
    )
    torch.testing.assert_close(
        held(CrossEntropy(reduce="sum"), logits, targets, mask, name="tokens"),
        torch.stack([each[0, :2].sum(), each[1, 0]]),
    )
    flat = held(CrossEntropy(), logits[:, 0], targets[:, 0], name="tokens")
    torch.testing.assert_close(flat, each[:, 0])


def test_path_length_of_a_linear_map() -> None:
    """images = w A: the slope of <images, y> is A y, its length |A y| for the y that the term drew."""
    a = normal(3, 2 * 4 * 5, seed=10)
    w = normal(6, 3, seed=11).requires_grad_()
    at = turn("generator", path_mean=0.5)
    found = PathLength()(Table(pairs={"path": ((w @ a).view(6, 2, 4, 5), w)}), at)
    y = at.draw.at("path-length").normal("y", 6, 2, 4, 5).double() / math.sqrt(20)
    lengths = (y.flatten(1) @ a.T).norm(dim=1)
    torch.testing.assert_close(found, (lengths - 0.5).square())
    torch.testing.assert_close(at.notes["generator.path.length"], lengths.mean())


def test_path_length_averages_layers_in_the_square_and_can_be_differentiated() -> None:
    w = normal(2, 4, 3, seed=12).requires_grad_()
    scale = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    images = (scale * w).sum(1).tanh().view(2, 3, 1, 1)
    found = PathLength()(Table(pairs={"path": (images, w)}), turn("generator"))
    found.mean().backward()
    assert scale.grad is not None
    assert torch.isfinite(scale.grad)
    nothing = (0.0 * w).sum(1).view(2, 3, 1, 1)
    zero = PathLength()(Table(pairs={"path": (nothing, w)}), turn("generator"))
    assert zero.tolist() == [0, 0]


def test_path_length_does_not_depend_on_the_resolution() -> None:
    means = []
    for size in (4, 16):
        w = normal(4000, 1, seed=13).requires_grad_()
        at = turn("generator")
        PathLength()(Table(pairs={"path": (w.view(-1, 1, 1, 1).expand(-1, 1, size, size), w)}), at)
        means.append(at.notes["generator.path.length"].item())
    assert means == [pytest.approx(math.sqrt(2 / math.pi), rel=0.05)] * 2


def test_orthogonal() -> None:
    net = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 2).double(), nn.Conv2d(2, 3, 2).double())
    wanted = 0.0
    for m in net[1:]:
        rows = m.weight.detach().flatten(1)
        wanted += sum(float(a @ b) ** 2 for i, a in enumerate(rows) for j, b in enumerate(rows) if i != j)
    found = Orthogonal()(Table(nets={"generator": net}), turn("generator"))
    torch.testing.assert_close(found, torch.tensor([wanted], dtype=torch.float64))
    square = nn.Linear(4, 4)
    nn.init.orthogonal_(square.weight)
    assert Orthogonal()(Table(nets={"generator": square}), turn()).item() == pytest.approx(0, abs=1e-9)
    with pytest.raises(RecipeError, match="generator"):
        Orthogonal()(Table(nets={"net": square}), turn())


def test_cluster_and_latent_reconstruction() -> None:
    logits, category = normal(3, 4, seed=14), torch.tensor([0, 3, 1])
    estimate, real = normal(3, 2, seed=15), normal(3, 2, seed=16)
    play = Table(pairs={"code-category": (logits, category), "code-real": (estimate, real)})
    nll = -distributions.Categorical(logits=logits).log_prob(category)
    wanted = 10 * nll + 5 * (estimate - real).square().mean(1)
    torch.testing.assert_close(Cluster(reals=5.0)(play, turn()), wanted)
    found = held(LatentReconstruction(), estimate, real, name="code")
    torch.testing.assert_close(found, (estimate - real).square().sum(1))


@pytest.mark.parametrize(
    "term",
    [
        L1(10.0, pair="cycle"),
        L2(),
        KL(),
        Bernoulli(),
        Gaussian(),
        CrossEntropy(),
        PathLength(),
        Orthogonal(),
        Cluster(),
        LatentReconstruction(),
    ],
    ids=lambda t: dump(t)["part"],
)
def test_round_trip(term: Term) -> None:
    assert build(Term, dump(term)) == term
