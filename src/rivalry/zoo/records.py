"""Rows for patient records: our own (docs/lab/records.md tells how it came about), and those to compare it with."""

from __future__ import annotations

from rivalry.games import Sample
from rivalry.nets import Discriminator, RecordNet, RecordTrunk
from rivalry.objectives import Relativistic
from rivalry.optimisers import Adam
from rivalry.penalties import R1, R2
from rivalry.recipe import EMA, About
from rivalry.schedules import Cosine
from rivalry.zoo.rows import Duel, Player, Row, row

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
    """The house recipe for records at a size."""
    return Duel(
        Relativistic(),
        RecordNet(width=width),
        Discriminator(RecordTrunk(width=width)),
        Sample(latent=32),
        d=Player((R1(weight=0.5), R2(weight=0.5)), optimiser=Adam(lr, 0.0, 0.99)),
        g=Player(optimiser=Adam(lr, 0.0, 0.99)),
        schedules={"lr": Cosine(1.0, 0.02)},
        ema=EMA(halflife=1e9, ramp=0.05),
        batch=batch,
        steps=steps,
        together=True,
    )


@row("house-records")
def house_records() -> Row:
    return Row(
        records(256, 20_000).recipe("house-records", ABOUT),
        records(64, 3_000, batch=64).recipe("house-records-small", ABOUT),
    )
