"""Our own rows: what `rivalry train DATA` plays.  docs/lab/ tells what was tried to get there."""

from __future__ import annotations

from dataclasses import replace

from rivalry.augment import DiffAugment
from rivalry.controllers import ADA
from rivalry.games import Sample
from rivalry.nets import DCGAN, DCGANTrunk, Discriminator
from rivalry.objectives import GAN, Wasserstein
from rivalry.optimisers import Adam
from rivalry.parts import Augment, Controller, Schedule
from rivalry.penalties import GP, Classification
from rivalry.recipe import EMA, About, Recipe
from rivalry.schedules import Constant, Linear
from rivalry.zoo.rows import Duel, Player, Row, row

ROUNDS = 100
"""Times through the data over which augmentation may rise from nothing to everything."""

ABOUT = About(
    "The house recipe for labelled pictures",
    "rivalry 2026; parts from arXiv:1511.06434, 1610.09585, 1802.05637, 2006.10738",
    2026,
    "house",
    "Small DCGAN nets at high rates: many cheap steps beat few dear ones on a CPU. Labels enter both players and are "
    "named by the discriminator; fakes are generated once per step; averaged weights with standing batch statistics; few "
    "pictures bring augmentation.",
    ("generate by class", "few pictures"),
)

CRITIC = replace(
    ABOUT,
    title="The house recipe for pictures without labels",
    paper="rivalry 2026; loss and penalty from arXiv:1704.00028, nets from 1511.06434",
    distinctive="WGAN-GP on small DCGAN nets, with one turn for the critic instead of five and ten times the usual rate; "
    "averaged weights with standing batch statistics; few pictures are augmented.",
    applications=("generate", "few pictures"),
)
CHANCE = 0.7
"""Of each augmentation on few pictures: enough that the critic does not learn them by heart (docs/lab/pictures64.md)."""


def pictures(
    name: str,
    width: int,
    latent: int = 64,
    few: int = 0,
    lr: float = 2e-3,
    batch: int = 32,
    steps: int = 20_000,
) -> Recipe:
    """The house recipe for labelled pictures at a size.

    few: how many pictures there are, where they are few: augment, by as much as the discriminator's overconfidence
    asks for, over some hundred rounds through the data.
    """
    augment: Augment | None = DiffAugment() if few else None
    controllers: tuple[Controller, ...] = (ADA(speed_kimg=ROUNDS * few / 1000),) if few else ()
    duel = Duel(
        objective=GAN("non-saturating"),
        generator=DCGAN(width=2 * width, condition="norm"),
        discriminator=Discriminator(
            DCGANTrunk(width=width, smallest=3), heads=("score", "class"), condition="projection"
        ),
        game=Sample(latent=latent, conditional=True),
        d=Player((Classification(weight=1.0, on=("real",)),), optimiser=Adam(lr, 0.5, 0.999)),
        g=Player((Classification(weight=0.5, on=("fake",)),), optimiser=Adam(lr, 0.5, 0.999)),
        augment=augment,
        controllers=controllers,
        schedules={"lr": Linear(1.0, 0.03, begin=0.5)},
        ema=EMA(halflife=1e9, ramp=0.07),
        batch=batch,
        steps=steps,
        together=True,
    )
    return duel.recipe(name, ABOUT)


def critic_pictures(
    name: str, width: int, latent: int = 64, few: bool = False, lr: float = 2e-3, batch: int = 32, steps: int = 20_000
) -> Recipe:
    """The house recipe for pictures without labels: WGAN-GP with one turn each, at a high rate.

    At equal time it came two to four times nearer than the recipe of `pictures` without labels (docs/lab/pictures64.md).
    few: pictures are augmented.
    """
    player = Player(optimiser=Adam(lr, 0.0, 0.9))
    schedules: dict[str, Schedule] = {"lr": Linear(1.0, 0.03, begin=0.5)}
    duel = Duel(
        objective=Wasserstein(),
        generator=DCGAN(width=width),
        discriminator=Discriminator(DCGANTrunk(width=width, norm="none", init="he", smallest=3)),
        game=Sample(latent=latent),
        d=replace(player, penalties=(GP(10.0),)),
        g=player,
        augment=DiffAugment() if few else None,
        schedules=schedules | ({"augment": Constant(CHANCE)} if few else {}),
        ema=EMA(halflife=1e9, ramp=0.07),
        batch=batch,
        steps=steps,
        together=True,
    )
    return duel.recipe(name, CRITIC)


PRIVATE = replace(
    ABOUT,
    title="The house recipe for pictures under differential privacy",
    paper="rivalry 2026; loss from arXiv:1406.2661, several turns for the discriminator as in arXiv:2302.02936",
    distinctive="A discriminator of few parameters without batch norm or penalties, large batches, and several of its "
    "noised turns to one of the generator's; no labels, and a generator normalised picture by picture.",
    applications=("generate",),
)


def private_pictures(name: str, width: int = 8, turns: int = 3, batch: int = 256, steps: int = 1_000) -> Recipe:
    """The house recipe for pictures under differential privacy.

    width: of the discriminator: every parameter it has gets noise.  turns: of the discriminator's to one of the
    generator's: a noised gradient teaches little at a time (Bie et al. 2023).  batch: expected; noise is shared by it.
    """
    player = Player(optimiser=Adam(1e-3, 0.5, 0.999))
    duel = Duel(
        objective=GAN("non-saturating"),
        generator=DCGAN(width=16, norm="group"),
        discriminator=Discriminator(DCGANTrunk(width=width, norm="none", init="he", smallest=3)),
        game=Sample(latent=64),
        d=replace(player, turns=turns),
        g=player,
        ema=EMA(halflife=1e9, ramp=0.07),
        batch=batch,
        steps=steps,
    )
    return duel.recipe(name, PRIVATE)


@row("house")
def house() -> Row:
    return Row(
        critic_pictures("house", width=64, latent=128, lr=4e-4, batch=128, steps=100_000),
        critic_pictures("house-small", width=16),
    )


@row("house-labels")
def house_labels() -> Row:
    return Row(
        pictures("house-labels", width=64, latent=128, lr=4e-4, batch=128, steps=100_000),
        pictures("house-labels-small", width=16),
    )
