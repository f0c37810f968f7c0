"""Who plays whom: games wire batches and noise into matches and pairs."""

from rivalry.games.by_column import ByColumn, ByLevel
from rivalry.games.by_length import ByLength
from rivalry.games.change import Bicycle, Change, Cycle, Domains
from rivalry.games.decode import Decode
from rivalry.games.invert import Autoencode, Invert
from rivalry.games.lazy import LazyPlay, lazy
from rivalry.games.leaking import Leak
from rivalry.games.naming import Adapt, Context
from rivalry.games.pate import Partitioned, Pate
from rivalry.games.reply import Reply, ReplyRollout
from rivalry.games.restyle import CrossAlign, Restyle
from rivalry.games.rollouts import Energy, Likeliest, Rollout
from rivalry.games.sample import Sample, StyleSample
from rivalry.games.samplers import IID, Poisson, Unpaired
from rivalry.games.shared import SharedCode, Styles
from rivalry.games.text import Text
from rivalry.games.text_codes import RelaxedText, TextCodes
from rivalry.games.timegan import TimeGAN

__all__ = [
    "IID", "Adapt", "Autoencode", "Bicycle", "ByColumn", "ByLength", "ByLevel", "Change", "Context", "CrossAlign", "Cycle", "Decode", "Domains",
    "Energy", "Invert", "LazyPlay", "Leak", "Likeliest", "Partitioned", "Pate", "Poisson", "RelaxedText", "Reply", "ReplyRollout", "Restyle",
    "Rollout", "Sample", "SharedCode", "StyleSample", "Styles", "Text", "TextCodes", "TimeGAN", "Unpaired", "lazy",
]  # fmt: skip
