"""Who plays whom: games wire batches and noise into matches and pairs."""

from rivalry.games.by_column import ByColumn, ByLevel
from rivalry.games.by_length import ByLength
from rivalry.games.change import Bicycle, Change, Cycle, Domains
from rivalry.games.decode import Decode
from rivalry.games.invert import Autoencode, Invert
from rivalry.games.lazy import LazyPlay, lazy
from rivalry.games.pate import Partitioned, Pate
from rivalry.games.restyle import CrossAlign, Restyle
from rivalry.games.rollouts import Energy, Rollout
from rivalry.games.sample import Sample, StyleSample
from rivalry.games.samplers import IID, Poisson, Unpaired
from rivalry.games.text import Text
from rivalry.games.timegan import TimeGAN

__all__ = [
    "IID", "Autoencode", "Bicycle", "ByColumn", "ByLength", "ByLevel", "Change", "CrossAlign", "Cycle", "Decode", "Domains", "Energy", "Invert", "LazyPlay",
    "Partitioned", "Pate", "Poisson", "Restyle", "Rollout", "Sample", "StyleSample", "Text", "TimeGAN", "Unpaired", "lazy",
]  # fmt: skip
