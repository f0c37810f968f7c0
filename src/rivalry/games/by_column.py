"""Tables level by level: CTGAN's conditional vector and its training by sampling, each a part of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rivalry.catalogue import register
from rivalry.data.order import batch_index
from rivalry.errors import RecipeError
from rivalry.games.lazy import LazyPlay, latent, lazy
from rivalry.games.levels import Levels
from rivalry.games.sample import truncate
from rivalry.nets.table import RowGenerator
from rivalry.parts import Game, Play, Rows, Sampler, Source, Turn, Wiring
from rivalry.streams import Draw
from rivalry.types import Match, Point, Spec

CHUNK = 65_536


@register("sampler", "by-level")
@dataclass(frozen=True)
class ByLevel(Sampler):
    """CTGAN, Xu et al. 2019, section 4.3, training by sampling: a category, all with equal chance; one of its levels,
    with a chance in proportion to log(1 + its rows); a row that has it, all with equal chance.

    So rare levels are met often.  Which rows have which level is found out when training is set up, and is kept nowhere.
    Tables without categories, and other data, are drawn as by 'iid'.
    """

    def over(self, spec: Spec, rows: Rows) -> Sampler:
        levels = Levels(spec.blocks)
        return _Bound(levels, rows) if levels.width else self

    def index(self, stream: str, rows: int, turn: Turn) -> Tensor:
        share, count = turn.draw.share
        whole = batch_index(rows, turn.position, turn.batch * count, turn.draw.seed)
        return whole[share * turn.batch : (share + 1) * turn.batch]


class _Bound(Sampler):
    """ByLevel for rows it has looked at: per category, rows in the order of their levels."""

    def __init__(self, levels: Levels, rows: Rows) -> None:
        self.levels = levels
        found = [_options(levels, rows, start) for start in range(0, len(rows), CHUNK)]
        options = torch.cat(found, 1)  # [C, N]
        self.order = options.argsort(dim=1, stable=True).int()
        widest = max(b.width for b in levels.blocks)
        self.counts = torch.stack([torch.bincount(o.long(), minlength=widest) for o in options])
        self.starts = self.counts.cumsum(1) - self.counts
        self.chances = log_frequencies(self.counts).cumsum(1)

    def index(self, stream: str, rows: int, turn: Turn) -> Tensor:
        draw = turn.draw
        column = self.levels.drawn_columns(draw, turn.batch).cpu()
        u, v = (draw.uniform(f"by-level.{k}", turn.batch).cpu().double() for k in ("level", "row"))
        level = (self.chances[column] <= u[:, None]).sum(1)
        level = level.clamp_max(self.counts.shape[1] - 1)
        place = self.starts[column, level] + (v * self.counts[column, level]).long()
        return self.order[column, place].long()


def _options(levels: Levels, rows: Rows, start: int) -> Tensor:
    """[C, n] int16: the level of every category, of a chunk of rows."""
    index = torch.arange(start, min(start + CHUNK, len(rows)))
    x = rows.batch(index, torch.device("cpu")).x
    return torch.stack([x[:, b.start : b.start + b.width].argmax(1).short() for b in levels.blocks])


def log_frequencies(counts: Tensor) -> Tensor:
    """[C, L] rows per level -> [C, L] float64: chances in proportion to log(1 + rows); levels without rows have none."""
    weight = counts.double().log1p()
    return weight / weight.sum(1, keepdim=True)


@register("game", "by-column")
@dataclass(frozen=True)
class ByColumn(Game):
    """CTGAN, Xu et al. 2019, section 4.3: rows are made and judged under the condition that one category has a certain
    level, told by a conditional vector of all options, beside the noise and beside every row.

    Match 'main'; pair 'condition' = (logits [N, options], the option asked for [N]), for 'cross-entropy': the generator
    has to give what it was asked for; pair 'rows' = (real rows, fakes).  Conditions of real rows are what they have in a
    column drawn by chance (with the sampler 'by-level' its level was drawn first), those of fakes the same in another
    order.  Sampling draws levels by their true shares.  Without categories it is the game 'sample'.
    latent: length of the noise.  pack: PacGAN's packing.
    """

    latent: int = 128
    pack: int = 1

    def wiring(self, spec: Spec) -> Wiring:
        if not spec.blocks:
            raise RecipeError("the game 'by-column' is for tables, and these data have no columns; pick another recipe")
        width = Levels(spec.blocks).width
        return Wiring(latent=self.latent + width, pack=self.pack, beside=width)

    def play(self, nets: Mapping[str, nn.Module], source: Source, turn: Turn) -> Play:
        draw, made = turn.draw, _generator(nets)
        levels = Levels(made.blocks)
        real = lazy(lambda: source.batch("real", turn).x)
        column = lazy(lambda: levels.drawn_columns(draw, len(real())))
        own = lazy(lambda: levels.of(real(), column()))
        order = lazy(lambda: draw.permutation("condition", len(real())))
        asked = lazy(lambda: own()[order()])
        noise = lazy(lambda: latent(draw, turn.batch, self.latent, "normal"))
        z = lazy(lambda: joined(noise(), asked(), levels) if levels.width else noise())
        raw = lazy(lambda: made.raw(z()))
        fake = lazy(lambda: made.drawn(raw()))

        def main() -> Match:
            if not levels.width:
                return Match("discriminator", Point(real()), Point(fake()), pack=self.pack)
            points = Point(joined(real(), own(), levels)), Point(joined(fake(), asked(), levels))
            return Match("discriminator", *points, pack=self.pack)

        def condition() -> tuple[Tensor, ...]:
            if not levels.width:  # nothing is asked for, so nothing is charged
                return raw().new_zeros(turn.batch, 1), torch.zeros(turn.batch, dtype=torch.long, device=raw().device)
            return levels.within(raw(), column()[order()]), asked()

        return LazyPlay(
            nets, {"main": lazy(main)}, {"condition": lazy(condition), "rows": lambda: (real(), fake())}
        )

    def sample(
        self, nets: Mapping[str, nn.Module], wiring: Wiring, draw: Draw, n: int,
        label: Tensor | None = None, truncation: float = 1.0,
    ) -> Tensor:  # fmt: skip
        """label: options [n] to be asked for, see `Levels.option`."""
        levels = Levels(_generator(nets).blocks)
        z = truncate(latent(draw, n, self.latent, "normal"), truncation)
        if levels.width:
            z = joined(z, levels.by_share(draw, n) if label is None else label, levels)
        return self.from_latent(nets, z, ())

    def from_latent(
        self, nets: Mapping[str, nn.Module], z: Tensor, cond: tuple[Tensor, ...], truncation: float = 1.0
    ) -> Tensor:
        x: Tensor = nets["generator"](z, *cond)
        return x


def joined(x: Tensor, option: Tensor, levels: Levels) -> Tensor:
    """[N, D + W]: the conditional vector beside x [N, D]."""
    return torch.cat([x, levels.hot(option, x)], 1)


def _generator(nets: Mapping[str, nn.Module]) -> RowGenerator:
    made = nets["generator"]
    if not isinstance(made, RowGenerator):
        raise RecipeError("the game 'by-column' needs a generator of rows, such as the net 'table'")
    return made
