"""The judge of runs that change pictures: how near what is made comes to what it should be, beside doing nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rivalry.data.base import Dataset
from rivalry.errors import Diverged
from rivalry.evaluate.dialogue import DialogueJudge
from rivalry.evaluate.extractor import Pixels, choose_extractor
from rivalry.evaluate.features import Draw, FeatureSpace
from rivalry.evaluate.judge import Judge, Looks
from rivalry.evaluate.rulers import METRICS, Ruler, Score
from rivalry.evaluate.scores import Scores
from rivalry.evaluate.styled import StyledJudge
from rivalry.evaluate.target import Target
from rivalry.extractors import Perceptual, SqueezeNet
from rivalry.games.change import Untouched
from rivalry.parts import Game
from rivalry.recipe import Recipe
from rivalry.sampling import Sampler, picked
from rivalry.stats import normal_quantile
from rivalry.stats.pictures import SMALLEST, luma, ms_ssim, psnr, shaved, ssim
from rivalry.streams import key
from rivalry.terms import Likelihood

PAIRED = ("psnr", "psnr-y", "ssim", "ssim-rgb", "ms-ssim", "ms-ssim-rgb", "gain", "perceptual")
LOOKS = Looks(gate=256, verdict=1024)


class PairedJudge(Judge):
    """Measures on held-out pictures whose truth is known, by the same squares at every look; where the feature space was trained
    or given, the distances of `Judge` as well.

    Beside every score stands, as `details`, what the source itself gets, enlarged bicubically and given the same channels.
    `perceptual` is measured where the weights are those of SqueezeNet; then it keeps the best checkpoint, else FD does, else PSNR.
    """

    def __init__(
        self, dataset: Dataset, extractor: FeatureSpace, game: Game, target: Target | None = None, seed: int = 0,
        device: torch.device | None = None, looks: Looks | None = None,
    ) -> None:  # fmt: skip
        self.game = game
        net = _squeezenet(extractor)
        self.perceptual = None if net is None else Perceptual(net)
        super().__init__(dataset, extractor, target, seed, device, looks or LOOKS)

    @property
    def feels(self) -> bool:
        """Whether there is a feature space to measure distances of distributions in."""
        return not isinstance(self.extractor, Pixels)

    def known(self) -> tuple[str, ...]:
        own = tuple(m for m in PAIRED if m != "perceptual" or self.perceptual is not None)
        return own + (super().known() if self.feels else ())

    @property
    def headline(self) -> str:
        if self.perceptual is not None:
            return "perceptual"
        return "fd" if self.feels else "psnr"

    @cached_property
    def before(self) -> dict[int, Mapping[str, Tensor]]:
        """Filled by `_measured`: number of squares -> what the source itself gets on each."""
        return {}

    def gate(self, draw_samples: Draw, step: int) -> Scores:
        paired = self._measured(draw_samples, self.looks.gate)
        return _joined(paired, super().gate(draw_samples, step)) if self.feels else paired

    def final(self, draw_samples: Draw, step: int, turn: int = 0, metrics: tuple[str, ...] | None = None) -> Scores:
        paired = self._measured(draw_samples, self.looks.verdict)
        wanted = None if metrics is None else tuple(m for m in metrics if m not in PAIRED)
        if not self.feels or wanted == ():
            return paired
        return _joined(paired, super().final(draw_samples, step, turn, wanted))

    def _measured(self, draw_samples: Draw, most: int) -> Scores:
        n = min(most, len(self.dataset.held))
        seed = key("paired", 0)
        made = draw_samples(n, seed).to(self.device)
        if not bool(torch.isfinite(made).all()):
            raise Diverged("the model makes NaN or infinite pictures; go back to an earlier checkpoint")
        batch = self.dataset.held.batch(picked(len(self.dataset.held), n, seed), self.device)
        if n not in self.before:
            spec = self.dataset.spec
            untouched = Sampler(Untouched(self.game, spec.shape), self.game.wiring(spec), {}, self.device, rows=self.dataset.held)
            self.before[n] = self._each(untouched(n, seed), batch.x)
        found, before = self._each(made, batch.x), self.before[n]
        found = {**found, "gain": found["psnr"] - before["psnr"]}
        border = self.border
        scores = {m: self._score(m, values, n, border) for m, values in found.items() if not bool(values.isnan().any())}
        worst = found["psnr"].argsort()[:8].tolist()
        details: dict[str, Any] = {"untouched": {m: float(v.mean()) for m, v in before.items() if not bool(v.isnan().any())}, "worst": worst, "said": self._said()}
        return Scores({m: scores[m] for m in METRICS if m in scores}, {"paired": details})

    def _said(self) -> list[str]:
        """What there is to say of how it was measured."""
        side = min(self.dataset.spec.shape[1:]) - 2 * self.border
        said = [f"{self.border} pixels at the border are left out, as many as pictures are enlarged by"] if self.border else ["no border is left out"]
        if side < SMALLEST:
            said.append(f"MS-SSIM takes {SMALLEST} pixels a side, and the squares have {side}, so it is left out (--patch {SMALLEST + 2 * self.border + 16} in training gives it)")
        return said

    @property
    def border(self) -> int:
        """Pixels that are left out at the border: as many as the picture was enlarged by."""
        source = self.game.wiring(self.dataset.spec).source
        scale = self.dataset.spec.shape[1] // source[1]
        return scale if scale > 1 else 0

    def _each(self, made: Tensor, truth: Tensor) -> dict[str, Tensor]:
        a, b = (shaved(x.clamp(-1, 1), self.border) for x in (made, truth))
        found = {"psnr": psnr(a, b), "ssim": ssim(luma(a), luma(b)), "ms-ssim": ms_ssim(luma(a), luma(b))}
        if a.shape[1] >= 3:
            found["psnr-y"] = psnr(luma(a), luma(b))
            found["ssim-rgb"], found["ms-ssim-rgb"] = ssim(a[:, :3], b[:, :3]), ms_ssim(a[:, :3], b[:, :3])
        if self.perceptual is not None and a.shape[1] in (1, 3):
            with torch.inference_mode():
                parts = zip(a.split(16), b.split(16), strict=True)
                found["perceptual"] = torch.cat([self.perceptual(p, q) for p, q in parts]).double()
        return found

    def _score(self, name: str, values: Tensor, n: int, border: int) -> Score:
        mean = float(values.mean())
        spread = float(values.std()) / math.sqrt(n) if n > 1 else 0.0
        half = normal_quantile(0.975) * spread
        space = self.extractor if name == "perceptual" else None
        ruler = Ruler(
            name, space.name if space else "pixels", space.sha if space else "identity", f"none, border of {border} left out", n, n, "held-out",
            self.dataset.fingerprint,
        )  # fmt: skip
        return Score(ruler, mean, mean - half, mean + half, None)


def _squeezenet(extractor: FeatureSpace) -> SqueezeNet | None:
    net = getattr(extractor, "net", None)
    return net if isinstance(net, SqueezeNet) else None


def _joined(one: Scores, two: Scores) -> Scores:
    both = {**one, **two}
    return Scores({m: both[m] for m in METRICS if m in both}, {**one.details, **two.details})


def judge_of(
    recipe: Recipe | None, data: Dataset, target: Target | None, weights: Path | None, seed: int, device: torch.device, folder: Path,
    looks: Looks | None = None,
) -> Judge:  # fmt: skip
    """Who judges runs of the recipe on these data.  Where pixels alone decide (pictures are changed, and nobody is fooled), no
    feature space is trained; weights bring one.  Text whose writer
    learns by likelihood alone is judged by that; conversations have a judge of their own.  folder: where a trained one is kept.  recipe: None for baselines."""
    if data.spec.context:
        return DialogueJudge(data, recipe is not None and "discriminator" in recipe.nets, target, seed, device, looks)
    changes = recipe is not None and recipe.game.changes
    if changes and data.layout == "styles":
        return StyledJudge(data, target, seed, device, looks)
    if recipe is not None and changes and data.layout in ("patches", "pairs"):
        blind = weights is None and not any(side.fools for side in recipe.sides())
        space: FeatureSpace = Pixels() if blind else choose_extractor(data, weights, device, folder)
        return PairedJudge(data, space, recipe.game, target, seed, device, looks)
    extractor = choose_extractor(data, weights, device, folder)
    headline = "nll" if data.spec.kind == "tokens" and recipe is not None and _alone(recipe) else ""
    return Judge(data, extractor, target, seed, device, looks or (LOOKS if changes else None), headline)


def _alone(recipe: Recipe) -> bool:
    """Whether no discriminator teaches the generator: there is none, or it only chooses among what was written, which moves FD either way."""
    if not any(side.judges for side in recipe.sides()):
        return True
    taught = [side for side in recipe.sides() if "generator" in side.modules]
    return bool(taught) and all(
        not side.fools and all(isinstance(term, Likelihood) and term.pair == "tokens" for term in side.terms) for side in taught
    )
