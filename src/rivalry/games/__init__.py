"""Who plays whom: games wire batches and noise into matches and pairs."""

from rivalry.games.invert import Autoencode, Invert
from rivalry.games.lazy import LazyPlay, lazy
from rivalry.games.sample import Sample, StyleSample
from rivalry.games.samplers import IID, Poisson
from rivalry.games.timegan import TimeGAN

__all__ = ["IID", "Autoencode", "Invert", "LazyPlay", "Poisson", "Sample", "StyleSample", "TimeGAN", "lazy"]
