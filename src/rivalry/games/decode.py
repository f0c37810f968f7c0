"""medGAN: a generator of codes, and a decoder that learned before them to turn codes into rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from rivalry.catalogue import register
from rivalry.errors import RecipeError
from rivalry.games.lazy import LazyPlay, latent, lazy
from rivalry.games.sample import truncate
from rivalry.nets.table import RowGenerator
from rivalry.parts import Game, Play, Source, Turn, Wiring
from rivalry.streams import Draw
from rivalry.types import Match, Point, Spec


@register("game", "decode")
@dataclass(frozen=True)
class Decode(Game):
    """medGAN, Choi et al. 2017, section 3.2: noise -> 'generator' -> code -> 'decoder' -> row.

    Pair 'reconstruction' = (the decoder's scores of an 'encoder's code, x), for pre-training; match 'main': x against
    Dec(G(z)), judged by 'discriminator'; pair 'rows' = (x, Dec(G(z))).  latent: length of noise and of codes.
    """

    latent: int = 128

    def wiring(self, spec: Spec) -> Wiring:
        return Wiring(latent=self.latent)

    def play(self, nets: Mapping[str, nn.Module], source: Source, turn: Turn) -> Play:
        decoder = _decoder(nets)
        real = lazy(lambda: source.batch("real", turn).x)
        z = lazy(lambda: latent(turn.draw, turn.batch, self.latent, "normal"))
        fake = lazy(lambda: decoder.drawn(decoder.raw(nets["generator"](z()))))
        return LazyPlay(
            nets,
            {"main": lazy(lambda: Match("discriminator", Point(real()), Point(fake(), latent=z())))},
            {
                "reconstruction": lazy(lambda: (decoder.raw(nets["encoder"](real())[0]), real())),
                "rows": lambda: (real(), fake()),
            },
        )

    def sample(
        self, nets: Mapping[str, nn.Module], wiring: Wiring, draw: Draw, n: int,
        label: Tensor | None = None, truncation: float = 1.0,
    ) -> Tensor:  # fmt: skip
        return self.from_latent(nets, truncate(latent(draw, n, self.latent, "normal"), truncation), ())

    def from_latent(
        self, nets: Mapping[str, nn.Module], z: Tensor, cond: tuple[Tensor, ...], truncation: float = 1.0
    ) -> Tensor:
        decoder = _decoder(nets)
        return decoder.drawn(decoder.raw(nets["generator"](z)))


def _decoder(nets: Mapping[str, nn.Module]) -> RowGenerator:
    decoder = nets["decoder"]
    if not isinstance(decoder, RowGenerator):
        raise RecipeError("the game 'decode' needs a decoder that makes rows, such as the net 'table'")
    return decoder
