"""Rows for tables: our own (docs/lab/tables.md tells how it came about), and those to compare it with."""

from __future__ import annotations

from dataclasses import replace

from rivalry.games import Autoencode, Sample
from rivalry.nets import Discriminator, Encoder, MLPTrunk, TableNet
from rivalry.objectives import Null, Relativistic, Wasserstein
from rivalry.optimisers import Adam
from rivalry.penalties import GP, R1, R2
from rivalry.recipe import EMA, About, Recipe, Side, Stage
from rivalry.schedules import Cosine
from rivalry.terms import KL, RowLikelihood
from rivalry.zoo.rows import Duel, Player, Row, row

ABOUT = About(
    "The house recipe for tables",
    "rivalry 2026; loss and penalties from arXiv:2501.05441, choices by arXiv:1611.01144",
    2026,
    "tables",
    "Numbers as normal deviates with a choice for spikes and missing cells, choices by Gumbel-softmax; a relativistic "
    "game with R1 and R2; averaged weights whose margins are measured and set right before sampling.",
    ("generate", "tables"),
)


def table(width: int, steps: int, lr: float = 1e-3, batch: int = 500, judge: tuple[int, ...] = ()) -> Duel:
    """The house recipe for tables at a size; judge: the discriminator's layers, if not like the generator's."""
    return Duel(
        Relativistic(),
        TableNet(sizes=(width, width, width)),
        Discriminator(MLPTrunk(sizes=judge or (width, width, width), residual=True)),
        Sample(latent=64),
        d=Player((R1(weight=0.1), R2(weight=0.1)), optimiser=Adam(lr, 0.0, 0.99)),
        g=Player(optimiser=Adam(lr, 0.0, 0.99)),
        schedules={"lr": Cosine(1.0, 0.02)},
        ema=EMA(halflife=1e9, ramp=0.05),
        batch=batch,
        steps=steps,
    )


def private_table(width: int, batch: int) -> Duel:
    """The house recipe for tables under differential privacy (docs/lab/private-tables.md): a small discriminator, since
    every parameter it has gets noise; few turns at high rates, since noise grows with the root of their number; one of
    them to each of the generator, whose weights are averaged over the last fifth of the way, as what it follows is mostly noise."""
    duel = table(width, steps=250, batch=batch, judge=(64, 64))
    return replace(
        duel,
        d=replace(duel.d, optimiser=Adam(4e-3, 0.0, 0.99)),
        g=replace(duel.g, optimiser=Adam(3e-3, 0.0, 0.99)),
        ema=EMA(halflife=1e9, ramp=0.2),
    )


@row("house-table")
def house_table() -> Row:
    return Row(
        table(512, 20_000).recipe("house-table", ABOUT),
        table(128, 3_000, batch=256).recipe("house-table-small", ABOUT),
    )


@row("wgan-gp-table")
def wgan_gp_table() -> Row:
    about = About(
        "WGAN-GP on tables",
        "Gulrajani et al. 2017, arXiv:1704.00028; sizes and rates of CTGAN, Xu et al. 2019, arXiv:1907.00503",
        2019,
        "tables",
        "CTGAN's networks, packing and rates without its conditional vector and mixture encoding: numbers and choices "
        "are encoded as the house recipe does, and margins are not set right.",
        ("generate", "tables"),
    )

    def duel(width: int, batch: int, steps: int) -> Duel:
        return Duel(
            Wasserstein(),
            TableNet(sizes=(width, width), norm="batch", margins=False),
            Discriminator(MLPTrunk(sizes=(width, width), dropout=0.5)),
            Sample(latent=128, pack=10),
            d=Player((GP(10.0),), optimiser=Adam(2e-4, 0.5, 0.9)),
            g=Player(optimiser=Adam(2e-4, 0.5, 0.9, weight_decay=1e-6)),
            batch=batch,
            steps=steps,
        )

    return Row(
        duel(256, 500, 20_000).recipe("wgan-gp-table", about), duel(128, 500, 3_000).recipe("wgan-gp-table-small", about)
    )


@row("tvae")
def tvae() -> Row:
    about = About(
        "Variational autoencoder for tables",
        "Xu et al. 2019, Modeling Tabular Data using Conditional GAN, arXiv:1907.00503, section 4.4",
        2019,
        "tables",
        "No discriminator: an encoder and a decoder of rows; choices by cross-entropy, numbers by a Gaussian of fixed "
        "width. The neighbour every GAN on tables should be compared with.",
        ("generate", "tables"),
    )

    def recipe(name: str, width: int, steps: int) -> Recipe:
        nets = {
            "encoder": Encoder(MLPTrunk(sizes=(width, width), slope=0.0)),
            "generator": TableNet(sizes=(width, width), slope=0.0, residual=False, outputs="scores", margins=False),
        }
        both = Side(
            "autoencoder", ("encoder", "generator"), terms=(RowLikelihood(weight=2.0), KL()),
            optimiser=Adam(1e-3, 0.9, 0.999, weight_decay=1e-5),
        )  # fmt: skip
        return Recipe(
            name, nets, Autoencode(latent=128), (Stage((both,)),), Null(), about=about, batch=500, steps=steps,
        )

    return Row(recipe("tvae", 128, 20_000), recipe("tvae-small", 64, 3_000))
