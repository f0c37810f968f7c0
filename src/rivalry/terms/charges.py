"""What is charged on a pair of the game's tensors or on the networks, [N] before the weight."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, softplus

from rivalry.catalogue import name_of, register
from rivalry.errors import RecipeError, UnknownName
from rivalry.nets.classifier import Classifier
from rivalry.nets.table import RowGenerator
from rivalry.parts import Play, Term, Turn
from rivalry.types import per_example


@dataclass(frozen=True)
class Charge(Term):
    """The settings all terms have: factor in the side's loss, and charged each so many of its turns."""

    weight: float = 1.0
    every: int = 1

    def __post_init__(self) -> None:
        if self.every < 1:
            raise RecipeError(f"every of term {name_of(self)!r} must be at least 1, not {self.every}")


@dataclass(frozen=True)
class Paired(Charge):
    """Charged on the pair by that name."""

    pair: str = "reconstruction"

    def compared(self, play: Play) -> tuple[Tensor, Tensor, Tensor | None]:
        """(estimate, target, mask or None), of one shape."""
        given = play.pair(self.pair)
        mask = given[2] if len(given) > 2 else None
        if given[0].shape != given[1].shape:
            raise RecipeError(
                f"term {name_of(self)!r} compares pair {self.pair!r}, but its tensors are {tuple(given[0].shape)} "
                f"and {tuple(given[1].shape)}"
            )
        return given[0], given[1], mask


def _sum(x: Tensor) -> Tensor:
    """[N, ...] -> [N]: the sum over all but the first axis."""
    return x.reshape(len(x), -1).sum(1)


@register("term", "l1")
@dataclass(frozen=True)
class L1(Paired):
    """Mean |a - b| per example of the pair (a, b) or (a, b, mask): 'reconstruction', 'cycle', 'identity' ..."""

    def __call__(self, play: Play, turn: Turn) -> Tensor:
        a, b, mask = self.compared(play)
        return per_example((a - b).abs(), mask)


@register("term", "l2")
@dataclass(frozen=True)
class L2(Paired):
    """Mean (a - b)^2 per example of the pair (a, b) or (a, b, mask).

    With a negative weight on 'latent-neighbour' it is the generator's half of ICR (Zhao et al. 2020).
    """

    def __call__(self, play: Play, turn: Turn) -> Tensor:
        a, b, mask = self.compared(play)
        return per_example((a - b).square(), mask)


@register("term", "kl")
@dataclass(frozen=True)
class KL(Charge):
    """Kingma & Welling 2013, appendix B: KL(N(mean, exp logvar) || N(0, 1)) summed over dimensions, of the pair
    (mean [N, ...], logvar [N, ...]); weight is beta (Higgins et al. 2017)."""

    pair: str = "posterior"

    def __call__(self, play: Play, turn: Turn) -> Tensor:
        given = play.pair(self.pair)
        if len(given) < 2:
            raise RecipeError(f"term 'kl' needs the encoder to give mean and log variance in pair {self.pair!r}")
        mean, logvar = given[:2]
        return 0.5 * _sum(mean.square() + torch.expm1(logvar) - logvar)


@register("term", "unit-kl")
@dataclass(frozen=True)
class UnitKL(Charge):
    """KL(N(mean, 1) || N(0, 1)) = mean^2 / 2, averaged over the code's numbers so that its weight does not hang on the size of
    pictures, of the pair (mean [N, ...],) (Liu et al. 2017, UNIT, eq. 4 and 6)."""

    pair: str = "posterior"

    def __call__(self, play: Play, turn: Turn) -> Tensor:
        return per_example(0.5 * play.pair(self.pair)[0].square())


@register("term", "pairwise-l2")
@dataclass(frozen=True)
class PairwiseL2(Paired):
    """Masked pairwise mean squared error of the pair (a, b) or (a, b, mask): |d|^2 / k - (sum d)^2 / k^2 over the k numbers that count,
    d = a - b, which is the variance of d: all may move together (Bousmalis et al. 2017, PixelDA, eq. 4)."""

    pair: str = "made"

    def __call__(self, play: Play, turn: Turn) -> Tensor:
        a, b, mask = self.compared(play)
        d = a - b
        return per_example(d.square(), mask) - per_example(d, mask).square()


@register("term", "bernoulli")
@dataclass(frozen=True)
class Bernoulli(Paired):
    """-log p(x) of independent Bernoullis summed over dimensions, of the pair (logits, x): with 'kl' at weight 1 the
    negative ELBO (Kingma & Welling 2013, appendix C.1).  low, high: the range of x, mapped to [0, 1]."""

    low: float = 0.0
    high: float = 1.0

    def __call__(self, play: Play, turn: Turn) -> Tensor:
        logits, x, _ = self.compared(play)
        target = (x - self.low) / (self.high - self.low)
        return _sum(binary_cross_entropy_with_logits(logits, target, reduction="none"))


@register("term", "gaussian")
@dataclass(frozen=True)
class Gaussian(Paired):
    """-log N(x; mean, sigma^2) summed over dimensions, with its constant, of the pair (mean, x): with 'kl' at
    weight 1 the negative ELBO."""

    sigma: float = 1.0

    def __call__(self, play: Play, turn: Turn) -> Tensor:
        mean, x, _ = self.compared(play)
        constant = math.log(self.sigma) + 0.5 * math.log(2 * math.pi)
        return _sum(0.5 * ((x - mean) / self.sigma).square() + constant)


@register("term", "row-likelihood")
@dataclass(frozen=True)
class RowLikelihood(Paired):
    """TVAE (Xu et al. 2019, section 4.4): -log p of a table's row under the decoder's scores, summed over columns:
    cross-entropy of choices, squared error over 2 sigma^2 of numbers that are there.  The generator is a 'table' net
    with outputs = 'scores'.  sigma: in units of encoded numbers.  decoder: the net that makes the scores."""

    sigma: float = 0.05
    decoder: str = "generator"

    def __call__(self, play: Play, turn: Turn) -> Tensor:
        scores, rows, _ = self.compared(play)
        decoder = play.nets[self.decoder]
        if not isinstance(decoder, RowGenerator) or not decoder.scores:
            raise RecipeError(f"term 'row-likelihood' needs the net 'table' with outputs = 'scores' as {self.decoder}")
        return decoder.choose.surprise(scores, rows, self.sigma)


@register("term", "target")
@dataclass(frozen=True)
class Target(Charge):
    """TableGAN's classification loss, Park et al. 2018, eq. 6 and 7, with cross-entropy for their |l - C|: what a row says of
    the target column against what net 'column-classifier' foretells from its other columns.

    on: 'real' for the classifier's side, 'fake' for the generator's; of the pair 'rows' = (real rows, fakes).
    """

    on: Literal["real", "fake"] = "fake"
    net: str = "classifier"

    def __call__(self, play: Play, turn: Turn) -> Tensor:
        classifier = play.nets[self.net]
        if not isinstance(classifier, Classifier):
            raise RecipeError(f"term 'target' needs the net 'column-classifier' as {self.net}")
        return classifier.surprise(play.pair("rows")[self.on == "fake"])


@register("term", "teachers")
@dataclass(frozen=True)
class Taught(Charge):
    """PATE-GAN, Jordon et al. 2019, eq. 3: each teacher tells its own real rows from fakes, -log D(x) - log(1 - D(G(z))); of
    pair 'teachers' = (scores of real rows [k, n], of fakes [k, n]), summed over teachers: [n]."""

    def __call__(self, play: Play, turn: Turn) -> Tensor:
        real, fake = play.pair("teachers")
        return (softplus(-real) + softplus(fake)).sum(0)


@register("term", "votes")
@dataclass(frozen=True)
class Voted(Charge):
    """PATE-GAN, Jordon et al. 2019, eq. 5: the student's cross-entropy against the teachers' noisy votes, of pair 'votes' =
    (the student's scores [n], votes [n], 0 or 1)."""

    def __call__(self, play: Play, turn: Turn) -> Tensor:
        score, vote = play.pair("votes")
        return binary_cross_entropy_with_logits(score, vote, reduction="none")


@register("term", "cross-entropy")
@dataclass(frozen=True)
class CrossEntropy(Charge):
    """-log p(target) of the pair (logits [N, ..., V], targets [N, ...] int64[, mask [N, ...]]): maximum likelihood of
    tokens or classes; over an example's tokens the 'mean' or the 'sum'."""

    pair: str = "tokens"
    reduce: Literal["mean", "sum"] = "mean"

    def __call__(self, play: Play, turn: Turn) -> Tensor:
        logits, targets, *rest = play.pair(self.pair)
        mask = rest[0] if rest else None
        loss = cross_entropy(logits.flatten(0, -2), targets.flatten(), reduction="none").view(targets.shape)
        if self.reduce == "mean":
            return per_example(loss, mask)
        return _sum(loss if mask is None else loss * mask)


@register("term", "path-length")
@dataclass(frozen=True)
class PathLength(Charge):
    """StyleGAN2, Karras et al. 2019b, eq. 4: (|J_w^T y| - a)^2, y of N(0, 1) / sqrt(H W), of the pair (images
    [n, C, H, W], w [n, (L,) D]) with the graph between them; layers' lengths averaged in the square.

    a: knob 'path.mean', which controller 'path-mean' moves towards this term's note '<side>.path.length'.  The scale
    1 / sqrt(H W) makes lengths independent of the resolution.  Charged every 4 turns with weight 2, as theirs.
    """

    weight: float = 2.0
    every: int = 4
    pair: str = "path"

    def __call__(self, play: Play, turn: Turn) -> Tensor:
        images, w = play.pair(self.pair)
        area = math.prod(images.shape[2:])
        y = turn.draw.at("path-length").normal("y", *images.shape).to(images.dtype) / math.sqrt(area)
        (slope,) = torch.autograd.grad((images * y).sum(), w, create_graph=True)
        square = slope.square().sum(-1)
        square = square.flatten(1).mean(1) if square.dim() > 1 else square
        flat = square == 0
        lengths = torch.where(flat, 0.0, torch.where(flat, 1.0, square).sqrt())
        turn.note(f"{turn.side}.path.length", lengths.mean())
        return (lengths - turn.knob("path.mean", 0.0)).square()


@register("term", "orthogonal")
@dataclass(frozen=True)
class Orthogonal(Charge):
    """BigGAN, Brock et al. 2018, eq. 3: |W W^T * (1 - I)|_F^2 summed over a net's weight matrices, filters as rows,
    embeddings left out: [1]."""

    weight: float = 1e-4
    net: str = "generator"

    def __call__(self, play: Play, turn: Turn) -> Tensor:
        weights = _matrices(play.nets, self.net)
        return torch.stack([_off_diagonal(w.flatten(1)) for w in weights]).sum().reshape(1)


def _matrices(nets: Mapping[str, nn.Module], name: str) -> list[Tensor]:
    if name not in nets:
        raise UnknownName("network", name, nets)
    owned = [m for m in nets[name].modules() if not isinstance(m, nn.Embedding)]
    found: list[Tensor] = [p for m in owned for p in m.parameters(recurse=False) if p.dim() >= 2]
    if not found:
        raise RecipeError(f"term 'orthogonal' finds no weight matrix in network {name!r}")
    return found


def _off_diagonal(w: Tensor) -> Tensor:
    gram = w @ w.T
    return gram.square().sum() - gram.diagonal().square().sum()


@register("term", "cluster")
@dataclass(frozen=True)
class Cluster(Charge):
    """ClusterGAN, Mukherjee et al. 2018: categories * H(c, E_c(G(z))) + reals * |z_n - E_n(G(z))|^2 (mean over
    dimensions), of the pairs 'code-category' (logits [N, K], c [N]) and 'code-real' (estimate, z_n) [N, D]."""

    categories: float = 10.0
    reals: float = 10.0

    def __call__(self, play: Play, turn: Turn) -> Tensor:
        logits, category = play.pair("code-category")
        estimate, real = play.pair("code-real")
        return self.categories * cross_entropy(logits, category, reduction="none") + self.reals * per_example(
            (estimate - real).square()
        )


@register("term", "latent-reconstruction")
@dataclass(frozen=True)
class LatentReconstruction(Paired):
    """VEEGAN, Srivastava et al. 2017: |z - F(G(z))|^2 summed over dimensions, of the pair (F(G(z)), z)."""

    pair: str = "code"

    def __call__(self, play: Play, turn: Turn) -> Tensor:
        estimate, z, _ = self.compared(play)
        return _sum((estimate - z).square())


@register("term", "root")
@dataclass(frozen=True)
class Root(Paired):
    """[1]: the root of the mean of (a - b)^2 over the whole batch, as TimeGAN charges its reconstruction and supervision
    (Yoon et al. 2019, the authors' code)."""

    couples: ClassVar[bool] = True

    def __call__(self, play: Play, turn: Turn) -> Tensor:
        a, b, _ = self.compared(play)
        return ((a - b).square().mean() + 1e-12).sqrt().reshape(1)


@register("term", "moments")
@dataclass(frozen=True)
class TwoMoments(Paired):
    """[1]: the mean over entries of |mean a - mean b| + |sqrt(var a + 1e-6) - sqrt(var b + 1e-6)|, moments over the batch, of
    the pair (a, b) [N, ...] (Yoon et al. 2019, the authors' code)."""

    pair: str = "moments"
    couples: ClassVar[bool] = True

    def __call__(self, play: Play, turn: Turn) -> Tensor:
        a, b, _ = self.compared(play)
        spread = [x.var(0, correction=0).add(1e-6).sqrt() for x in (a, b)]
        return ((a.mean(0) - b.mean(0)).abs() + (spread[0] - spread[1]).abs()).mean().reshape(1)
