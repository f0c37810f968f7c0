"""Our own row for points in the plane, where the game can be watched; docs/lab/points.md tells how it came about."""

from __future__ import annotations

from dataclasses import replace

from rivalry.games import Sample
from rivalry.nets import MLP, Discriminator, MLPTrunk
from rivalry.objectives import Relativistic
from rivalry.optimisers import Adam
from rivalry.penalties import R1, R2
from rivalry.recipe import EMA, About
from rivalry.schedules import Cosine, LogCosine, Piecewise
from rivalry.zoo.rows import Duel, Player, Row, row


@row("house-points")
def house_points() -> Row:
    about = About(
        "The house recipe for points",
        "rivalry 2026; loss and penalties from arXiv:2501.05441",
        2026,
        "points",
        "R3GAN's game with a penalty that is annealed far down; some latents are random signs, so that a continuous "
        "generator can jump between modes; the discriminator sees the points at many scales (Fourier features).",
        ("generate", "points"),
    )
    duel = Duel(
        Relativistic(),
        MLP(sizes=(128, 128), out="none"),
        Discriminator(MLPTrunk(sizes=(128, 128), fourier=32, octaves=6.0)),
        Sample(latent=2, bits=10),
        d=Player((R1(weight=1.0), R2(weight=1.0)), optimiser=Adam(4e-3, 0.0, 0.9)),
        g=Player(optimiser=Adam(2e-3, 0.0, 0.9)),
        schedules={
            "lr": Cosine(1.0, 0.1, until=0.9),
            # At the end the generator all but stands and the discriminator learns on: what wobbles is narrower than it looks.
            "lr.generator": Piecewise(((0.0, 1.0), (0.8, 0.37), (0.85, 0.1), (0.9, 0.03), (1.0, 0.003))),
            "penalty": LogCosine(1.0, 2e-3, begin=0.3, until=0.75),  # long enough large that no sign is left between modes
            "beta2": Cosine(0.9, 0.99, until=0.8),
            "batch": Piecewise(((0.0, 256.0), (0.6, 512.0), (0.8, 1024.0), (0.9, 2048.0)), between="steps"),
        },
        ema=EMA(halflife=1e12, ramp=0.02),
        batch=256,
        steps=7_000,
    )
    return Row(
        duel.recipe("house-points", about), replace(duel, steps=4_000).recipe("house-points-small", about)
    )
