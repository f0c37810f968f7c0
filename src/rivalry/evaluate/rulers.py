"""Rulers and scores: a number is only worth something beside how it was measured.

"FID" is the Fréchet distance on Inception features and nothing else; any other feature space carries its name.
Numbers measured by different rulers are never compared, they raise RulerMismatch.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from rivalry.errors import RulerMismatch, RunError, UnknownName

AGAIN = "measure again with: rivalry evaluate RUN"
CONFIDENCE = 0.95
"""Level of every score's interval."""


@dataclass(frozen=True)
class Metric:
    """What a score says.  better: 'lower', 'higher', or 'one' (the nearer to 1 the better).

    space: it is measured among an extractor's features, so its name says which.  floored: its floor is a positive
    number that means something as a unit ("fd<3x floor"); KID's is about 0, that of copies often is.
    """

    name: str
    title: str
    better: Literal["lower", "higher", "one"]
    meaning: str
    space: bool = True
    floored: bool = True


EACH = (
    Metric("fd", "FD", "lower", "Fréchet distance of Gaussians fitted to the features"),
    Metric("kid", "KID", "lower", "squared kernel distance; unbiased, so it may be below 0", floored=False),
    Metric("precision", "precision", "higher", "share of samples that lie among the real"),
    Metric("recall", "recall", "higher", "share of the real that lies among the samples"),
    Metric("density", "density", "higher", "how densely samples lie among the real, about 1 at best"),
    Metric("coverage", "coverage", "higher", "share of the real with a sample nearby"),
    Metric("copies", "copies", "lower", "share of samples that are copies of training rows", floored=False),
    Metric("memorisation", "memorisation", "lower", "share of samples nearer to training than to held-out data"),
    Metric("missing", "classes missing", "lower", "classes no sample was taken for", False, False),
    Metric("modes", "modes", "higher", "modes with a sample within 3 sigma", False),
    Metric("hq", "within 3 sigma", "higher", "share of samples within 3 sigma of the truth", False),
    Metric("variance", "variance ratio", "one", "of the mode whose variance is furthest from the truth's", False),
    Metric("kl", "KL", "lower", "divergence of the shares of modes or classes from the truth's, in nats", False),
    Metric("shape", "shape error", "lower", "mean distance of the columns' distributions (SDMetrics)", False),
    Metric("trend", "trend error", "lower", "mean distance of the relations of pairs of columns (SDMetrics)", False),
    Metric("missingness", "missing cells", "lower", "mean difference of the shares of missing cells", False, False),
    Metric("c2st", "C2ST AUC", "lower", "how well boosted trees tell samples from held-out rows; .5 at best", False),
    Metric("alpha", "alpha-precision", "higher", "how typical samples are of the real; 1 at best", False),
    Metric("beta", "beta-recall", "higher", "how much of the real samples reach; the floor's is the best", False),
    Metric("crossed", "static to visit", "lower", "mean distance of the relations of patients' to visits' columns", False),
    Metric("visits", "visits a patient", "lower", "distance of the distributions of numbers of visits (KS)", False),
    Metric("gaps", "gaps", "lower", "distance of the distributions of gaps between visits (KS)", False),
    Metric("lag", "lag-1 error", "lower", "mean distance of columns' relations to themselves a visit later", False),
    Metric("change", "change error", "lower", "mean distance of the changes from a visit to the next", False),
    Metric("km", "Kaplan-Meier", "lower", "mean distance of the survival curves", False),
    Metric("cindex", "C-index", "higher", "concordance on held-out patients of Cox's regression fitted to samples", False),
    Metric("censoring", "censoring", "lower", "difference of the shares of patients that had the event", False, False),
    Metric("psnr", "PSNR", "higher", "peak signal to noise, in dB, over all channels", False),
    Metric("psnr-y", "PSNR-Y", "higher", "peak signal to noise of luminance, in dB", False),
    Metric("ssim", "SSIM", "higher", "structural similarity of luminance", False),
    Metric("ssim-rgb", "SSIM-RGB", "higher", "structural similarity, mean over red, green and blue", False),
    Metric("ms-ssim", "MS-SSIM", "higher", "structural similarity of luminance over five scales", False),
    Metric("ms-ssim-rgb", "MS-SSIM-RGB", "higher", "the same, mean over red, green and blue", False),
    Metric("gain", "PSNR gain", "higher", "dB that PSNR is above the untouched input's", False),
    Metric("perceptual", "perceptual distance", "lower", "distance of features at every place (Zhang et al. 2018, all weights 1)"),
    Metric("nll", "NLL", "lower", "of held-out text under the model, in nats a token", False, False),
    Metric("perplexity", "perplexity", "lower", "of held-out replies under the model, per token", False, False),
    Metric("hits1", "Hits@1, likelihood", "higher", "share of contexts whose true reply is likelier than nine others", False),
    Metric("hits1-critic", "Hits@1, discriminator", "higher", "share of contexts whose true reply it rates above nine others", False),
    Metric("hits3", "Hits@3, likelihood", "higher", "share of contexts whose true reply is among the three likeliest of ten", False),
    Metric("hits3-critic", "Hits@3, discriminator", "higher", "share of contexts whose true reply is among the three it rates best of ten", False),
    Metric("adversuc", "AdverSuc", "higher", "share of replies on which a judge trained afresh is wrong; .5 at best", False),
    Metric("distinct1", "distinct-1", "higher", "different words over all words", False),
    Metric("lm", "LM score", "lower", "how unlikely samples are to a model of real text, in nats a word", False),
    Metric("lm-held", "LM score, held out", "lower", "likewise to a model of held-out text, which nothing was trained on", False),
    Metric("reverse", "reverse LM score", "lower", "how unlikely held-out text is to a model of the samples", False),
    *(Metric(f"bleu{n}", f"BLEU-{n}", "higher", "n-grams of samples that held-out text has", False) for n in (2, 3, 4, 5)),
    *(Metric(f"selfbleu{n}", f"self-BLEU-{n}", "lower", "n-grams of samples that other samples have", False) for n in (2, 3, 4, 5)),
    Metric("frontier", "frontier", "higher", "area under the divergence frontier of the features, as MAUVE's; 1 at best"),
    Metric("distinct", "distinct-2", "higher", "different word pairs over all word pairs", False),
    Metric("repetition", "repetition", "lower", "share of word pairs that stood in the same text before", False),
    Metric("length", "length error", "lower", "Wasserstein distance of the lengths, in words", False),
    Metric("span", "shared span", "lower", "words of the longest run shared with one training text", False),
    Metric("verbatim", "near copies", "lower", "share of samples nearly all of which is one run of a training text", False, False),
    Metric("transfer", "transfer", "higher", "geometric mean of style accuracy and BLEU with the input, in percent", False),
    Metric("style", "style accuracy", "higher", "percent of rewritten texts that a separate classifier takes for the style wanted", False),
    Metric("kept", "BLEU with the input", "higher", "percent of n-grams of rewritten texts that what was put in has (sacrebleu)", False),
    Metric("kept-chrf", "chrF with the input", "higher", "likewise of characters (sacrebleu)", False),
    Metric("style-perplexity", "perplexity, style", "lower", "of rewritten texts under an n-gram model of the style wanted", False),
    Metric("swd", "SWD", "lower", "sliced Wasserstein distance in units of the encoded data", False),
)

METRICS: Mapping[str, Metric] = {m.name: m for m in EACH}

LABELS: Mapping[str, str] = {
    "inception": "Inception",
    "dinov2": "DINOv2",
    "efficientnet-lite0": "EffNetLite",
    "squeezenet": "SqueezeNet",
}
"""How feature spaces are written in names; others keep their own name."""


def metric(name: str) -> Metric:
    """The metric of that name; raises UnknownName with the nearest one."""
    if name not in METRICS:
        raise UnknownName("metric", name, METRICS)
    return METRICS[name]


@dataclass(frozen=True)
class Ruler:
    """How a number was measured: everything that moves it besides the model.

    extractor, extractor_sha: the feature space and the hash of its weights; resize: how pictures were brought to
    its size.  samples, reference: how many samples against how many real rows of `split`.  data: the data's
    fingerprint.
    """

    metric: str
    extractor: str
    extractor_sha: str
    resize: str
    samples: int
    reference: int
    split: str
    data: str

    @property
    def id(self) -> str:
        """12 hexadecimal digits; equal exactly for rulers whose numbers may be compared."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def name(self) -> str:
        """'FID' on Inception features only; else 'FD-local', 'KID-DINOv2', 'coverage (local)', 'SWD'."""
        what = metric(self.metric)
        label = LABELS.get(self.extractor, self.extractor)
        if not what.space:
            return what.title
        if self.metric == "fd":
            return "FID" if self.extractor == "inception" else f"FD-{label}"
        if self.metric == "kid":
            return "KID" if self.extractor == "inception" else f"KID-{label}"
        return f"{what.title} ({label})"

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Ruler:
        """The inverse of `dataclasses.asdict`; KeyError, TypeError or ValueError on anything else."""
        values: dict[str, Any] = {f.name: (int if f.type == "int" else str)(stored[f.name]) for f in fields(cls)}
        return cls(**values)

    def check(self, other: Ruler) -> None:
        """RulerMismatch, saying what differs, unless the other is the same ruler."""
        mine, theirs = asdict(self), asdict(other)
        unlike = [f"{k} {mine[k]} against {theirs[k]}" for k in mine if mine[k] != theirs[k]]
        if unlike:
            raise RulerMismatch(
                f"{self.name} and {other.name} were measured by different rulers ({'; '.join(unlike)}); "
                f"{AGAIN}"
            )


@dataclass(frozen=True)
class Score:
    """A value, its 95 % interval low..high, and the floor: what real training data score on the same ruler.

    The interval covers the drawing of the samples, neither the reference's own sampling nor training seeds.
    Counts (modes, missing) have low = high = value.  <, <=, >, >= and `better_than` raise RulerMismatch for scores
    of different rulers.
    """

    ruler: Ruler
    value: float
    low: float
    high: float
    floor: float | None = None

    def __lt__(self, other: Score) -> bool:
        self.ruler.check(other.ruler)
        return self.value < other.value

    def __le__(self, other: Score) -> bool:
        self.ruler.check(other.ruler)
        return self.value <= other.value

    def __gt__(self, other: Score) -> bool:
        return other < self

    def __ge__(self, other: Score) -> bool:
        return other <= self

    def better_than(self, other: Score) -> bool:
        """Strictly better in the metric's own direction."""
        self.ruler.check(other.ruler)
        return self.loss < other.loss

    @property
    def loss(self) -> float:
        """The value as something to make small, whatever the metric's direction."""
        better = metric(self.ruler.metric).better
        if better == "one":
            return abs(math.log(max(self.value, 1e-12)))
        return self.value if better == "lower" else -self.value

    @property
    def times_floor(self) -> float | None:
        """value / floor where lower is better and the floor is a unit."""
        what = metric(self.ruler.metric)
        unit = what.floored and what.better == "lower" and self.floor is not None and self.floor > 0
        return self.value / self.floor if unit and self.floor else None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `from_dict` is its inverse."""
        return {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "floor": self.floor,
            "name": self.ruler.name,
            "ruler": asdict(self.ruler),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Score:
        """RunError where the record is none of a score."""
        try:
            value, low, high = (float(stored[k]) for k in ("value", "low", "high"))
            floor = stored["floor"]
            return cls(Ruler.from_dict(stored["ruler"]), value, low, high, None if floor is None else float(floor))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RunError(f"a stored score is damaged ({error!r}); {AGAIN}") from error


def number(value: float | None) -> str:
    """Four significant digits, as few as say it: 0.000123, 12.35, 10300; '-' for none."""
    if value is None:
        return "-"
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if 1e-3 <= abs(value) < 1e5:
        digits = max(0, 3 - math.floor(math.log10(abs(value))))
        text = f"{value:.{digits}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return f"{value:.3g}"
