"""How rows of the zoo are written: two settings of one composition, the published one and a small one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from rivalry.games import Sample
from rivalry.nets import DCGAN, DCGANTrunk, Discriminator
from rivalry.nets.layers import Norm
from rivalry.optimisers import Adam
from rivalry.parts import After, Augment, Controller, Game, Net, Objective, Optimiser, Penalty, Schedule, Term
from rivalry.recipe import EMA, About, Recipe, Side, Stage
from rivalry.schedules import Cosine

NO_EMA = EMA(modules=())
SMALL_EMA = EMA(halflife=9_000.0)
SMALL_ADAM = Adam(lr=1e-3, beta1=0.5, beta2=0.999)
PUBLISHED_ADAM = Adam(lr=2e-4, beta1=0.5, beta2=0.999)


@dataclass(frozen=True)
class Row:
    """A named GAN in two settings."""

    published: Recipe
    small: Recipe


MAKERS: dict[str, Callable[[], Row]] = {}


def row(name: str) -> Callable[[Callable[[], Row]], Callable[[], Row]]:
    """Enters a function that makes a Row into the zoo."""

    def enter(make: Callable[[], Row]) -> Callable[[], Row]:
        MAKERS[name] = make
        return make

    return enter


@dataclass(frozen=True)
class Player:
    """One side of a duel, beside its networks."""

    penalties: tuple[Penalty, ...] = ()
    terms: tuple[Term, ...] = ()
    turns: int = 1
    optimiser: Optimiser = PUBLISHED_ADAM
    after: tuple[After, ...] = ()
    unroll: int = 0
    unroll_lr: float = 0.05


@dataclass(frozen=True)
class Duel:
    """Generator against discriminator, the case of most rows; `recipe` writes it out in full."""

    objective: Objective
    generator: Net
    discriminator: Net
    game: Game = field(default_factory=Sample)
    d: Player = field(default_factory=Player)
    g: Player = field(default_factory=Player)
    generator_first: bool = False
    augment: Augment | None = None
    controllers: tuple[Controller, ...] = ()
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    ema: EMA = NO_EMA
    batch: int = 64
    steps: int = 50_000
    match: str = "main"
    together: bool = False

    def recipe(self, name: str, about: About) -> Recipe:
        d = self._side("discriminator", self.d, judges=(self.match,), fools=())
        g = self._side("generator", self.g, judges=(), fools=(self.match,))
        return Recipe(
            name=name,
            about=about,
            nets={"generator": self.generator, "discriminator": self.discriminator},
            game=self.game,
            stages=(Stage((g, d) if self.generator_first else (d, g), together=self.together),),
            objective=self.objective,
            augment=self.augment,
            controllers=self.controllers,
            schedules=self.schedules,
            ema=self.ema,
            batch=self.batch,
            steps=self.steps,
        )

    @staticmethod
    def _side(name: str, player: Player, judges: tuple[str, ...], fools: tuple[str, ...]) -> Side:
        return Side(
            name=name,
            modules=(name,),
            judges=judges,
            fools=fools,
            penalties=player.penalties,
            terms=player.terms,
            turns=player.turns,
            optimiser=player.optimiser,
            after=player.after,
            unroll=player.unroll,
            unroll_lr=player.unroll_lr,
        )


def small_generator(condition: bool = False, width: int = 16) -> DCGAN:
    """A DCGAN generator that two cores train in minutes."""
    return DCGAN(width=width, condition="norm" if condition else "concat")


def small_discriminator(
    heads: tuple[str, ...] = ("score",), norm: Norm = "batch", spectral: bool = False, projection: bool = False,
    width: int = 16,
) -> Discriminator:  # fmt: skip
    """Its opponent; norm='none' where penalties on the slope, or spectral norm, take batch norm's place."""
    return Discriminator(
        DCGANTrunk(width=width, norm=norm, init="he" if norm == "none" else "normal"),
        heads=heads,
        spectral=spectral,
        condition="projection" if projection else "none",
    )


def smaller(duel: Duel, **changes: object) -> Duel:
    """The duel at the small setting: nets, rates, averaging and batch that suit a laptop, and `changes` on top."""
    norm: Norm = "batch"
    base = replace(
        duel,
        generator=small_generator(),
        discriminator=small_discriminator(norm=norm),
        d=replace(duel.d, optimiser=SMALL_ADAM, turns=min(duel.d.turns, 2)),
        g=replace(duel.g, optimiser=SMALL_ADAM),
        schedules={"lr": Cosine(end=0.05, begin=0.5)},
        ema=SMALL_EMA,
        batch=64,
        steps=5_000,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def make(name: str, about: About, published: Duel, small: Duel) -> Row:
    return Row(published.recipe(name, about), small.recipe(f"{name}-small", about))
