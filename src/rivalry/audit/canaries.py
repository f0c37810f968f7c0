"""Canaries: rows nobody has, planted in one training by the toss of a coin; who guesses the coins bounds epsilon.

Steinke, Nasr & Jagielski 2023: m canaries are m independent trials within one training.  The bound is of the recipe as it
is trained here, which is what differential privacy promises something about.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from rivalry import stats
from rivalry.audit.material import PART, Material, Space, Tick
from rivalry.audit.retraining import Encoded, Joined, Retraining, retrain
from rivalry.data import Dataset
from rivalry.errors import RecipeError
from rivalry.streams import generator, key
from rivalry.types import BOS, EOS, PAD, UNKNOWN, Spec

CPU = torch.device("cpu")
LEAST = 20
DELTA = 1e-5
"""That the bound is for where nothing was promised: with m canaries 2 m delta must be far below 5 %."""
SAMPLES = 2_000
COARSE = 4
"""Blocks a side of a canary picture."""
WORDS = 8
"""Tokens of a canary sentence."""
FAR = 3.0
"""Deviations from the mean at which canary points lie."""


@dataclass(frozen=True)
class Canaries:
    """count: canaries; planted: of them; by the best attack `guesses` were made and `right` were right; epsilon: the lower
    bound that this gives at 95 % and this delta, over all attacks.  steps: of the training they were planted in."""

    count: int
    planted: int
    guesses: int
    right: int
    attack: str
    epsilon: float
    delta: float
    steps: int


def check(count: int) -> None:
    """RecipeError for too few to bound anything."""
    if count < LEAST:
        raise RecipeError(f"{count} canaries bound nothing; plant at least {LEAST}, better 100 or more")


def planted_bound(
    plan: Retraining, material: Material, space: Space, delta: float, device: torch.device, tick: Tick
) -> Canaries:
    """Trains the recipe once with about half of the plan's canaries among the training rows, and guesses which."""
    check(plan.canaries)
    dataset, seed = material.dataset, material.seed
    x = canaries(dataset, plan.canaries, seed)
    coin = torch.rand(len(x), generator=generator(CPU, seed, "canaries", "coins")) < 0.5
    labels = None
    if dataset.train.labels is not None:
        labels = torch.randint(max(1, dataset.spec.classes), (len(x),), generator=generator(CPU, seed, "canaries", "labels"))
    all_of_them = Encoded(x, labels, dataset.modality)
    store = Joined([(dataset.train, torch.arange(len(dataset.train))), (all_of_them, coin.nonzero()[:, 0])])
    model = retrain(plan, dataset, store, key(seed, "canaries"), device, lambda share: tick("training with canaries", share))
    tick("training with canaries", 1.0)
    index = torch.arange(len(x))
    scores = {name: scorer(all_of_them, index) for name, scorer in model.asked.by_name().items()}
    samples = material.seen_of(space, model.draw(SAMPLES, key(seed, "canary samples")))
    near = torch.cat([stats.nearest(space.plain(material.real(all_of_them, p)), samples)[0][:, 0] for p in index.split(PART)])
    scores["nearest sample"] = -near
    confidence = 1 - 0.05 / len(scores)
    bounds = {name: stats.canary_bound(s, coin, delta=delta, confidence=confidence) for name, s in scores.items()}
    best = max(bounds, key=lambda name: bounds[name])
    epsilon, made, right = bounds[best]
    return Canaries(len(x), int(coin.sum()), made, right, best, epsilon, delta, plan.steps)


def canaries(dataset: Dataset, count: int, seed: int) -> Tensor:
    """[count, *shape] encoded: rows of random levels and far-off numbers, pictures of random blocks, far-off points, sentences of
    random tokens."""
    g = generator(CPU, seed, "canaries", "rows")
    spec = dataset.spec
    if spec.kind == "image":
        blocks = torch.randint(2, (count, spec.shape[0], COARSE, COARSE), generator=g).float() * 2 - 1
        return F.interpolate(blocks, size=spec.shape[1:], mode="nearest")
    if spec.kind == "points":
        way = torch.randn(count, *spec.shape, generator=g)
        return FAR * F.normalize(way, dim=1)
    if spec.kind == "tokens":
        return _sentences(spec, count, g)
    x = torch.zeros(count, *spec.shape)
    for block in spec.blocks:
        if block.kind == "choice":
            chosen = torch.randint(block.width, (count,), generator=g)
            x[torch.arange(count), block.start + chosen] = 1.0
        else:
            sign = torch.randint(2, (count,), generator=g).float() * 2 - 1
            x[:, block.start] = sign * (0.6 + 0.4 * torch.rand(count, generator=g))
    return x


def _sentences(spec: Spec, count: int, g: torch.Generator) -> Tensor:
    """[count, T]: tokens of any text, WORDS of them or as many as there is room for, and the end."""
    first = max(PAD, BOS, EOS, UNKNOWN) + 1
    words = min(WORDS, spec.shape[0] - 1)
    x = torch.full((count, *spec.shape), PAD)
    x[:, :words] = torch.randint(first, spec.vocabulary, (count, words), generator=g)
    x[:, words] = EOS
    return x
