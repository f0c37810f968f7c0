"""Games with an encoder: VAE, AAE, VAE-GAN ('autoencode'), BiGAN and ALI ('invert')."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from rivalry.catalogue import register
from rivalry.games.lazy import LazyPlay, latent, lazy
from rivalry.games.sample import truncate
from rivalry.parts import Game, Play, Source, Turn, Wiring
from rivalry.streams import Draw
from rivalry.types import Match, Point, Spec


@dataclass(frozen=True)
class _Coded(Game):
    """What games with an encoder share: latents, and an encoder that gives (mean,) or (mean, log variance)."""

    latent: int = 64
    distribution: Literal["normal", "uniform", "sphere"] = "normal"

    def wiring(self, spec: Spec) -> Wiring:
        return Wiring(latent=self.latent)

    def encode(self, nets: Mapping[str, nn.Module], x: Tensor, turn: Turn) -> tuple[tuple[Tensor, ...], Tensor]:
        """The encoder's outputs, and a draw z = mean + exp(log variance / 2) eps (the mean if it gives no variance)."""
        out: tuple[Tensor, ...] = nets["encoder"](x)
        if len(out) == 1:
            return out, out[0]
        mean, logvar = out
        return out, mean + (0.5 * logvar).exp() * turn.draw.normal("posterior", *mean.shape)

    def sample(
        self,
        nets: Mapping[str, nn.Module],
        wiring: Wiring,
        draw: Draw,
        n: int,
        label: Tensor | None = None,
        truncation: float = 1.0,
    ) -> Tensor:
        return self.from_latent(nets, truncate(latent(draw, n, self.latent, self.distribution), truncation), ())

    def from_latent(
        self, nets: Mapping[str, nn.Module], z: Tensor, cond: tuple[Tensor, ...], truncation: float = 1.0
    ) -> Tensor:
        x: Tensor = nets["generator"](z, *cond)
        return x


@register("game", "autoencode")
@dataclass(frozen=True)
class Autoencode(_Coded):
    """x -> z -> x.  Pairs: 'reconstruction' (x', x), 'posterior' (mean, log variance), 'code' (z, E(G(z)) for
    z of the prior).  Matches: 'latent' (prior against codes, judged by 'latent_discriminator': AAE) and 'main'
    (x against G(z) of the prior, judged by 'discriminator': VAE-GAN)."""

    def play(self, nets: Mapping[str, nn.Module], source: Source, turn: Turn) -> Play:
        real = lazy(lambda: source.batch("real", turn))
        coded = lazy(lambda: self.encode(nets, real().x, turn))
        prior = lazy(lambda: latent(turn.draw, turn.batch, self.latent, self.distribution))
        fake = lazy(lambda: nets["generator"](prior()))
        return LazyPlay(
            nets,
            {
                "latent": lazy(
                    lambda: Match("latent_discriminator", Point(prior()), Point(coded()[1]), augment=False)
                ),
                "main": lazy(lambda: Match("discriminator", Point(real().x), Point(fake(), latent=prior()))),
            },
            {
                "reconstruction": lazy(lambda: (nets["generator"](coded()[1]), real().x)),
                "posterior": lambda: coded()[0],
                "code": lazy(lambda: (nets["encoder"](fake())[0], prior())),
            },
        )


@register("game", "invert")
@dataclass(frozen=True)
class Invert(_Coded):
    """BiGAN and ALI: the match 'main' is (x, E(x)) against (G(z), z); the judge's condition is the latent."""

    def play(self, nets: Mapping[str, nn.Module], source: Source, turn: Turn) -> Play:
        real = lazy(lambda: source.batch("real", turn))
        coded = lazy(lambda: self.encode(nets, real().x, turn))
        prior = lazy(lambda: latent(turn.draw, turn.batch, self.latent, self.distribution))
        fake = lazy(lambda: nets["generator"](prior()))
        return LazyPlay(
            nets,
            {
                "main": lazy(
                    lambda: Match("discriminator", Point(real().x, (coded()[1],)), Point(fake(), (prior(),), prior()))
                )
            },
            {
                "reconstruction": lazy(lambda: (nets["generator"](coded()[1]), real().x)),
                "code": lazy(lambda: (nets["encoder"](fake())[0], prior())),
                "generated": lambda: (prior(), fake()),
            },
        )
