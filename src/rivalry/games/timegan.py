"""TimeGAN's game: records live in codes that an embedder and a recovery net share, and there they are judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from rivalry.catalogue import register
from rivalry.errors import RecipeError
from rivalry.games.lazy import LazyPlay, lazy
from rivalry.parts import Game, Play, Source, Turn, Wiring
from rivalry.streams import Draw
from rivalry.types import Match, Point, Spec


@register("game", "timegan")
@dataclass(frozen=True)
class TimeGAN(Game):
    """TimeGAN (Yoon et al. 2019) between nets 'embedder', 'recovery', 'generator', 'supervisor' and 'discriminator'.

    latent: noise of each step, uniform on [0, 1].  Matches, of codes [N, 1 + L, H]: 'supervised', real ones against generated
    ones that went through the supervisor; 'made', generated ones as they are (no real side: those are judged once).
    Pairs: 'reconstruction' (recovery(code), x); 'supervision' (what the supervisor expects of the next visit, that visit's code);
    'moments' (generated records, x).
    """

    latent: int = 24

    def wiring(self, spec: Spec) -> Wiring:
        if not spec.visits:
            raise RecipeError(f"TimeGAN is for patient records, and these data are of kind {spec.kind!r}; pick another row")
        return Wiring(latent=self.latent * (1 + spec.visits))

    def play(self, nets: Mapping[str, nn.Module], source: Source, turn: Turn) -> Play:
        real = lazy(lambda: source.batch("real", turn).x)
        code = lazy(lambda: nets["embedder"](real()))
        made = lazy(lambda: nets["generator"](turn.draw.uniform("latent", turn.batch, self.latent * code().shape[1])))
        supervised = lazy(lambda: nets["supervisor"](made()))

        def supervision() -> tuple[Tensor, ...]:
            return nets["supervisor"](code())[:, 1:-1], code()[:, 2:]

        return LazyPlay(
            nets,
            {
                "supervised": lazy(lambda: Match("discriminator", Point(code()), Point(supervised()), augment=False)),
                "made": lazy(lambda: Match("discriminator", None, Point(made()), augment=False)),
            },
            {
                "reconstruction": lazy(lambda: (nets["recovery"](code()), real())),
                "supervision": lazy(supervision),
                "moments": lazy(lambda: (nets["recovery"](supervised()), real())),
            },
        )

    def sample(
        self, nets: Mapping[str, nn.Module], wiring: Wiring, draw: Draw, n: int,
        label: Tensor | None = None, truncation: float = 1.0,
    ) -> Tensor:  # fmt: skip
        return self.from_latent(nets, draw.uniform("latent", n, wiring.latent), ())

    def from_latent(
        self, nets: Mapping[str, nn.Module], z: Tensor, cond: tuple[Tensor, ...], truncation: float = 1.0
    ) -> Tensor:
        x: Tensor = nets["recovery"](nets["supervisor"](nets["generator"](z)))
        return x
