"""Rows for patient records: our own (docs/lab/records.md tells how it came about), and those to compare it with."""

from __future__ import annotations

from dataclasses import replace

from rivalry.games import Sample
from rivalry.games import TimeGAN as TimeGANGame
from rivalry.nets import (
    Discriminator,
    RCGANJudge,
    RCGANNet,
    RecordNet,
    RecordTrunk,
    TimeGANEmbedder,
    TimeGANGenerator,
    TimeGANJudge,
    TimeGANRecovery,
    TimeGANSupervisor,
)
from rivalry.objectives import GAN
from rivalry.optimisers import SGD, Adam
from rivalry.parts import Net, Optimiser
from rivalry.recipe import About, Recipe, Side, Stage
from rivalry.terms import L2, Root, TwoMoments
from rivalry.zoo.rows import NO_EMA, Duel, Player, Row, row
from rivalry.zoo.tables import table

GROUP = "records"

ABOUT = About(
    "The house recipe for patient records",
    "rivalry 2026; loss and penalties from arXiv:2501.05441, choices by arXiv:1611.01144",
    2026,
    GROUP,
    "A generator that makes the patient's columns, then visit after visit from the one before it; the discriminator reads the "
    "whole record and, with shared weights, every change between visits. Averaged weights whose margins, gaps and numbers of "
    "visits are set right before sampling.",
    ("generate", "patient records", "visits"),
)


def records(width: int, steps: int, lr: float = 1e-3, batch: int = 250) -> Duel:
    """The house recipe for records at a size: that for tables, with other players, and fakes made once a step."""
    return replace(
        table(width, steps, lr, batch),
        generator=RecordNet(width=width),
        discriminator=Discriminator(RecordTrunk(width=width)),
        game=Sample(latent=32),
        together=True,
    )


@row("house-records")
def house_records() -> Row:
    return Row(
        records(256, 20_000).recipe("house-records", ABOUT),
        records(64, 3_000, batch=64).recipe("house-records-small", ABOUT),
    )


@row("rcgan")
def rcgan() -> Row:
    about = About(
        "Recurrent conditional GAN",
        "Esteban, Hyland & Rätsch 2017, Real-valued (Medical) Time Series Generation with Recurrent Conditional GANs, "
        "arXiv:1706.02633",
        2017,
        GROUP,
        "Both players are LSTMs that see the condition at every step, the generator beside fresh noise; the discriminator says real "
        "or made at each step. The condition, here the patient's columns, is made by the generator, not taken from real patients; "
        "choices and visits that end are encoded as the house recipe does, and margins are not set right.",
        ("generate", "patient records", "visits"),
    )

    def duel(width: int, latent: int, batch: int, steps: int, d: Optimiser, g: Player) -> Duel:
        return Duel(
            GAN(), RCGANNet(width=width), RCGANJudge(width=width), Sample(latent=latent),
            d=Player(optimiser=d), g=g, batch=batch, steps=steps,
        )  # fmt: skip

    published = duel(100, 10, 28, 600_000, SGD(0.1), Player(turns=3, optimiser=Adam(1e-3, 0.9, 0.999)))
    small = duel(64, 10, 64, 3_000, SGD(0.1), Player(optimiser=Adam(1e-3, 0.9, 0.999)))
    return Row(published.recipe("rcgan", about), small.recipe("rcgan-small", about))


@row("timegan")
def timegan() -> Row:
    about = About(
        "Time-series GAN",
        "Yoon, Jarrett & van der Schaar 2019, Time-series Generative Adversarial Networks, NeurIPS 2019; losses and sizes of the "
        "authors' code",
        2019,
        GROUP,
        "Three stages: an autoencoder of records; a supervisor that learns the next code from those before it; then a game among "
        "codes, in which the generator also answers for the supervisor's error and for two moments of the records. Left out: the "
        "authors skip the discriminator's turn where its loss is below .15. Visits that end are a choice of the record.",
        ("generate", "patient records", "visits"),
    )
    adam = Adam(1e-3, 0.9, 0.999)

    def recipe(name: str, width: int, layers: int, batch: int, steps: int) -> Recipe:
        nets: dict[str, Net] = {
            "embedder": TimeGANEmbedder(width, layers),
            "recovery": TimeGANRecovery(width),
            "generator": TimeGANGenerator(width, layers),
            "supervisor": TimeGANSupervisor(width, max(layers - 1, 1)),
            "discriminator": TimeGANJudge(width, layers),
        }
        code = Side("autoencoder", ("embedder", "recovery"), terms=(Root(weight=10.0),), optimiser=adam)
        order = Side("supervisor", ("supervisor",), terms=(L2(pair="supervision"),), optimiser=adam)
        maker = Side(
            "generator", ("generator", "supervisor"), fools=("supervised", "made"),
            terms=(Root(weight=100.0, pair="supervision"), TwoMoments(weight=100.0)), turns=2, optimiser=adam,
        )  # fmt: skip
        both = Side(
            "embedder", ("embedder", "recovery"), terms=(Root(weight=10.0), L2(weight=0.1, pair="supervision")), turns=2, optimiser=adam,
        )  # fmt: skip
        judge = Side("discriminator", ("discriminator",), ("supervised", "made"), optimiser=adam)
        stages = (Stage((code,), "code", 1.0), Stage((order,), "order", 1.0), Stage((maker, both, judge), "joint", 1.0))
        return Recipe(name, nets, TimeGANGame(latent=width), stages, GAN(), about=about, ema=NO_EMA, batch=batch, steps=steps)

    return Row(recipe("timegan", 24, 3, 128, 30_000), recipe("timegan-small", 24, 1, 64, 3_000))
