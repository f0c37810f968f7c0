"""Planted failures: how many are flagged within 500 steps, how many healthy runs are, and what the answer is worth.

Each run trains on the ring with everything on (health, going back, lower rates). At half time ten of them get a
failure that a user could meet; the others get none. Scores at the end are compared with the healthy runs'.

    python benchmarks/collapse.py --healthy 20 --planted 10
"""

from __future__ import annotations

import argparse
import shutil
import statistics
from collections.abc import Callable

import torch
from common import WORK, keep, table, threads

from rivalry.catalogue import dump
from rivalry.data import ReadOptions, load
from rivalry.evaluate import Judge, choose_extractor
from rivalry.games import Sample
from rivalry.nets import MLP, Discriminator, MLPTrunk
from rivalry.objectives import GAN
from rivalry.optimisers import Adam
from rivalry.penalties import R1
from rivalry.recipe import EMA, About, Recipe
from rivalry.run import Run
from rivalry.training.engine import Engine
from rivalry.training.loop import Trainer
from rivalry.training.plan import Plan
from rivalry.training.state import State, build_state
from rivalry.training.watch import Watch
from rivalry.zoo.rows import Duel, Player

STEPS, ONSET, PULSE = 2400, 1200, 50
Plant = Callable[[State], None]


def recipe() -> Recipe:
    adam = Adam(1e-3, 0.5, 0.99)
    return Duel(
        GAN(),
        MLP(sizes=(64, 64), out="none"),
        Discriminator(MLPTrunk(sizes=(64, 64))),
        Sample(latent=8),
        d=Player((R1(weight=0.02),), optimiser=adam),
        g=Player(optimiser=adam),
        ema=EMA(halflife=10_000.0),
        batch=128,
    ).recipe("collapse", About())


def _parameters(state: State, net: str) -> list[torch.Tensor]:
    return [p.data for p in state.nets[net].parameters()]


def nan_weights(state: State) -> None:
    _parameters(state, "generator")[0].fill_(float("nan"))


def one_point(state: State) -> None:
    """The generator forgets its noise: its last layer gives a constant."""
    _parameters(state, "generator")[-2].zero_()


def rate(side: str, factor: float) -> Plant:
    def plant(state: State) -> None:
        for group in state.optimisers[side].param_groups:
            group["initial_lr"] *= factor

    return plant


def scaled(net: str, factor: float) -> Plant:
    def plant(state: State) -> None:
        for p in _parameters(state, net):
            p.mul_(factor)

    return plant


def noise(net: str, size: float) -> Plant:
    def plant(state: State) -> None:
        for p in _parameters(state, net):
            p.add_(size * torch.randn(p.shape, generator=torch.Generator().manual_seed(0)))

    return plant


def both_rates(state: State) -> None:
    rate("generator", 30)(state)
    rate("discriminator", 30)(state)


def far_away(state: State) -> None:
    _parameters(state, "generator")[-1].add_(20)


PLANTS: dict[str, Plant] = {
    "NaN in the generator's weights": nan_weights,
    "generator collapsed to one point": one_point,
    "generator's rate x100": rate("generator", 100),
    "discriminator's rate x100": rate("discriminator", 100),
    "generator's weights x5": scaled("generator", 5),
    "generator's weights x.2": scaled("generator", 0.2),
    "discriminator's weights x10": scaled("discriminator", 10),
    "noise on the generator's weights": noise("generator", 1.0),
    "both rates x30": both_rates,
    "generator far away": far_away,
}


def run(seed: int, plant: Plant | None) -> tuple[float | None, float, int]:
    """(steps from onset to the first flag, final score, how often training went back)."""
    path = WORK / "collapse"
    shutil.rmtree(path, ignore_errors=True)
    engine = Engine("cpu")
    data = load("ring8", options=ReadOptions(seed=seed, limit=20_000))
    r = recipe()
    trainer = Trainer(build_state(r, data.spec, seed, engine.device), data.train, STEPS, engine)
    folder = Run.claim(str(path))
    folder.begin({"recipe": dump(r)})
    judge = Judge(data, choose_extractor(data), None, seed, engine.device)
    watch = Watch(folder, Plan(STEPS, PULSE, PULSE, 10**9, 400, 100), judge, data, engine, tensorboard=False)
    planted = False
    with watch:
        watch.bind(trainer)
        while trainer.state.step < STEPS:
            if plant is not None and not planted and trainer.state.step == ONSET:
                plant(trainer.state)
                planted = True
            trainer.step()
            if watch.after_step(trainer.state):
                break
    events = [e for e in folder.events() if e["kind"] in ("collapse", "divergence", "saturation", "oscillation")]
    flags = [e["step"] for e in events if plant is None or e["step"] > ONSET]
    first = float(flags[0] - (ONSET if plant else 0)) if flags else None
    score = judge.final(watch.sampler(trainer.state), 0, metrics=("swd",))["swd"].value
    return first, score, watch.memory.mends


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--healthy", type=int, default=20)
    parser.add_argument("--planted", type=int, default=len(PLANTS), help="how many kinds of failure")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each")
    given = parser.parse_args()
    threads(1)
    healthy = [run(seed, None) for seed in range(given.healthy)]
    scores = [score for _, score, _ in healthy]
    usual = statistics.median(scores)
    rows, caught, ends, everyone = [], 0, list[float](), list[float]()
    for i, (name, plant) in enumerate(list(PLANTS.items())[: given.planted]):
        found = [run(100 + 10 * i + k, plant) for k in range(given.seeds)]
        caught += sum(first is not None and first <= 500 for first, _, _ in found)
        said = ", ".join("not" if first is None else f"{first:.0f}" for first, _, _ in found)
        over = [score / usual for _, score, _ in found]
        ends.append(statistics.median(over))
        everyone += over
        rows.append((name, said, ", ".join(str(m) for _, _, m in found), f"{ends[-1]:.2f}", ", ".join(f"{o:.2f}" for o in over)))
    head = ("planted at half time", "flagged after steps", "went back", "end / healthy, median", "each")
    alarms = sum(first is not None for first, _, _ in healthy)
    text = table(head, rows) + (
        f"\n\n{caught} of {len(rows) * given.seeds} flagged within 500 steps; {alarms} false alarms in {len(healthy)} healthy runs; "
        f"after the automatic answer {sum(e <= 1.5 for e in ends)} of {len(rows)} kinds of failure end within 1.5 times the healthy "
        f"median ({usual:.4f}, sliced Wasserstein distance on the ring), the worst at {max(ends):.2f} times, all runs together at a "
        f"median of {statistics.median(everyone):.2f} times ({sum(o <= 1.5 for o in everyone)} of {len(everyone)} within 1.5); healthy runs lie between "
        f"{min(scores) / usual:.2f} and {max(scores) / usual:.2f} times it. Each kind on {given.seeds} seeds, {STEPS} steps, a pulse every "
        f"{PULSE}. Limits of the monitor were set on other trainings (see src/rivalry/health/rules.py)."
    )
    keep("collapse", "Planted failures", text)


if __name__ == "__main__":
    main()
