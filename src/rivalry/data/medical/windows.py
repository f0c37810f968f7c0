"""Which values a picture shows, and from what to what."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rivalry.data.sources import Array
from rivalry.errors import DataError

NAMED = {"lung": (-600.0, 1500.0), "bone": (400.0, 1800.0), "brain": (40.0, 80.0), "soft": (50.0, 400.0)}
"""(centre, width) in Hounsfield units, as radiologists use them."""
VOLUME, FULL = "volume", "full"
AIR, METAL = -1024.0, 3071.0
"""The range of CT numbers of 12 bits; what lies outside is padding or metal."""
ROUND = 100.0
"""A window of all data ends at multiples of this, so that it tells no extreme of anybody's scan."""
TAILS = (0.5, 99.5)
"""Percentiles of a volume that become black and white where its numbers have no unit."""
SAMPLE = 512
"""Pixels of a slice that percentiles are taken of."""
GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class Window:
    """low ... high become -1 ... 1; what lies outside is clipped."""

    low: float
    high: float
    name: str = ""

    def encoded(self, values: Array) -> Array:
        """Values in their own units -> float32 in [-1, 1]."""
        return (self.unit(values) * 2 - 1).astype(np.float32)

    def decoded(self, x: Array) -> Array:
        """The inverse: float32 in [-1, 1] -> values within the window."""
        span = self.high - self.low
        values: Array = (self.low + (np.clip(x, -1, 1).astype(np.float64) + 1) / 2 * span).astype(np.float32)
        return values

    def unit(self, values: Array) -> Array:
        """Values -> float64 in [0, 1]."""
        return np.clip((values.astype(np.float64) - self.low) / (self.high - self.low), 0, 1)

    def clipped(self, values: Array) -> float:
        """The share of values that lies outside."""
        return float(((values < self.low) | (values > self.high)).mean()) if values.size else 0.0

    def words(self, unit: str = "") -> str:
        name = f"{self.name}: " if self.name else ""
        return f"{name}{self.low:g} to {self.high:g}{' ' if unit else ''}{unit}"


def parse(text: str) -> Window | None:
    """'lung', 'full' or 'centre,width' as a window; None for 'volume' (each volume by its own percentiles).  Raises DataError."""
    plain = text.strip().lower()
    if plain == VOLUME:
        return None
    if plain == FULL:
        return Window(AIR, METAL, FULL)
    if plain in NAMED:
        centre, width = NAMED[plain]
        return Window(centre - width / 2, centre + width / 2, plain)
    try:
        centre, width = (float(part) for part in plain.split(","))
    except ValueError:
        width = 0.0
    if not width > 0 or not np.isfinite([centre, width]).all():
        known = ", ".join((*NAMED, FULL, VOLUME))
        raise DataError(f"--window takes centre,width (such as 40,400) or one of {known}, not {text!r}")
    return Window(centre - width / 2, centre + width / 2)


def sample(frames: Array) -> Array:
    """[n, h, w] -> [n, SAMPLE] float32: pixels of each slice, spread evenly whatever its width is."""
    flat = frames.reshape(len(frames), -1)
    places = (np.arange(1, SAMPLE + 1) * GOLDEN % 1 * flat.shape[1]).astype(np.int64)
    return flat[:, places].astype(np.float32)


def of_volume(samples: Array) -> Window | None:
    """The window of a volume of unknown units, from `sample` of its slices; None where nearly all of it is one value."""
    low, high = np.percentile(samples, TAILS)
    if high <= low:
        low, high = samples.min(), samples.max()
    return Window(float(low), float(high), VOLUME) if high > low else None


def of_all(samples: Array) -> Window:
    """One window for CT data: from their .1 to their 99.9 percentile, rounded outwards."""
    low, high = np.percentile(np.clip(samples, AIR, METAL), (0.1, 99.9))
    bottom = max(AIR, float(np.floor(low / ROUND) * ROUND))
    return Window(bottom, max(bottom + ROUND, min(METAL, float(np.ceil(high / ROUND) * ROUND))))


def empty(samples: Array, window: Window | None) -> Array:
    """[n, SAMPLE] -> [n]: is hardly anything (under 2 % of the pixels) brighter than the darkest twentieth of the volume's range?"""
    if window is None:
        return np.ones(len(samples), dtype=bool)
    brighter: Array = (samples > window.low + 0.05 * (window.high - window.low)).mean(1) < 0.02
    return brighter
