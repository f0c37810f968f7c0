"""Our own row for tables; docs/lab/tables.md tells how it came about."""

from __future__ import annotations

from rivalry.games import Sample
from rivalry.nets import Discriminator, MLPTrunk, TableNet
from rivalry.objectives import Relativistic
from rivalry.optimisers import Adam
from rivalry.penalties import R1, R2
from rivalry.recipe import EMA, About
from rivalry.schedules import Cosine
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


def table(width: int, steps: int, lr: float = 1e-3, batch: int = 500) -> Duel:
    """The house recipe for tables at a size."""
    return Duel(
        Relativistic(),
        TableNet(sizes=(width, width, width)),
        Discriminator(MLPTrunk(sizes=(width, width, width), residual=True)),
        Sample(latent=64),
        d=Player((R1(weight=0.5), R2(weight=0.5)), optimiser=Adam(lr, 0.0, 0.99)),
        g=Player(optimiser=Adam(lr, 0.0, 0.99)),
        schedules={"lr": Cosine(1.0, 0.02)},
        ema=EMA(halflife=1e9, ramp=0.05),
        batch=batch,
        steps=steps,
    )


@row("house-table")
def house_table() -> Row:
    return Row(
        table(512, 20_000).recipe("house-table", ABOUT),
        table(128, 3_000, batch=256).recipe("house-table-small", ABOUT),
    )
