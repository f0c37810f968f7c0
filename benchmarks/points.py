"""Modes of mixtures in the plane, by PacGAN's protocol: a ring of 8 and a grid of 25 Gaussians, 2,500 samples.

    python benchmarks/points.py --seeds 10
    python benchmarks/points.py --seeds 10 --recipes house-points --steps 4000     # a part of it
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import torch
from common import WORK, keep, table, threads

from rivalry.data import load, truth
from rivalry.files import write_json
from rivalry.games import Sample
from rivalry.nets import MLP, Discriminator, MLPTrunk
from rivalry.objectives import GAN, Wasserstein
from rivalry.optimisers import Adam
from rivalry.penalties import GP
from rivalry.recipe import About, Recipe
from rivalry.sampling import Sampler
from rivalry.stats import mixture_modes
from rivalry.training.engine import Engine
from rivalry.training.loop import Trainer
from rivalry.training.state import build_state
from rivalry.zoo import get
from rivalry.zoo.rows import Duel, Player

SAMPLES, MANY = 2_500, 50_000


def rivals() -> dict[str, Recipe]:
    """GAN, WGAN-GP and PacGAN on the nets of the house recipe's size, at rates that suit points."""
    nets = MLP(sizes=(128, 128), out="none"), Discriminator(MLPTrunk(sizes=(128, 128)))
    adam = Player(optimiser=Adam(1e-3, 0.5, 0.999))
    gan = Duel(GAN(), *nets, Sample(latent=2), d=adam, g=adam, batch=256, steps=6_000)
    pac = Duel(GAN(), *nets, Sample(latent=2, pack=2), d=adam, g=adam, batch=512, steps=6_000)
    critic = Player((GP(0.1),), turns=5, optimiser=Adam(1e-3, 0.0, 0.9))
    slow = Player(optimiser=Adam(1e-3, 0.0, 0.9))
    wgan = Duel(Wasserstein(), *nets, Sample(latent=2), d=critic, g=slow, batch=256, steps=2_500)
    return {
        "house-points": get("house-points"),
        "gan": gan.recipe("gan", About()),
        "pacgan2": pac.recipe("pacgan2", About()),
        "wgan-gp": wgan.recipe("wgan-gp", About()),
    }


def one(recipe: Recipe, data: str, seed: int, steps: int) -> dict[str, float]:
    from rivalry.data import ReadOptions

    engine = Engine("cpu")
    dataset = load(data, options=ReadOptions(seed=seed))
    state = build_state(recipe, dataset.spec, seed, engine.device)
    trainer = Trainer(state, dataset.train, steps, engine)
    begun, cpu = time.perf_counter(), time.process_time()
    for _ in range(steps):
        trainer.step()
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    draw = Sampler(recipe.game, state.wiring, {**state.nets, **state.ema}, state.device)
    known = truth(data)
    if known.modes is None:
        raise ValueError(f"{data} has no modes")
    few, many = (dataset.modality.decode(draw(n, 10_000 + seed)) for n in (SAMPLES, MANY))
    small = mixture_modes(few, known.modes, known.sigma)
    large = mixture_modes(many, known.modes, known.sigma)
    ratios = large.variance_ratio
    return {
        "modes": small.found, "hq": small.high_quality, "kl": small.kl, "kl_many": large.kl,
        "hq_many": large.high_quality,
        "var_low": float(ratios.min()), "var_high": float(ratios.max()), "seconds": seconds, "cpu": cpu,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--recipes", default="house-points,gan,pacgan2,wgan-gp")
    parser.add_argument("--data", default="ring8,grid25")
    parser.add_argument("--steps", type=int, default=0, help="instead of the recipe's own")
    given = parser.parse_args()
    threads(1)
    store = WORK / f"points{given.steps or ''}.json"
    found: dict[str, dict[str, float]] = json.loads(store.read_text()) if store.exists() else {}
    known = rivals()
    for data in given.data.split(","):
        for name in given.recipes.split(","):
            for seed in range(given.seeds):
                key = f"{data}/{name}/{seed}"
                if key not in found:
                    found[key] = one(known[name], data, seed, given.steps or known[name].steps)
                    write_json(Path(store), found)
                    print(key, {k: round(v, 4) for k, v in found[key].items()}, flush=True)
    report(found)


def report(found: dict[str, dict[str, float]]) -> None:
    groups: dict[tuple[str, str], list[dict[str, float]]] = {}
    for key, value in found.items():
        data, name, _ = key.split("/")
        groups.setdefault((data, name), []).append(value)
    rows = []
    for (data, name), values in sorted(groups.items()):
        def mean(k: str, of: list[dict[str, float]] = values) -> float:
            return statistics.mean(v[k] for v in of)

        rows.append((data, name, len(values), f"{mean('modes'):.1f}", f"{100 * mean('hq'):.1f}", f"{mean('kl'):.4f}",
                     f"{max(v['kl'] for v in values):.4f}",
                     f"{min(v['var_low'] for v in values):.2f} to {max(v['var_high'] for v in values):.2f}",
                     f"{mean('cpu'):.0f}"))  # fmt: skip
    head = ("data", "recipe", "seeds", "modes", "within 3 sigma, %", "KL, mean", "KL, worst", "variance ratio, all seeds and modes", "CPU s")
    text = table(head, rows) + (
        f"\n\nModes, share and KL on {SAMPLES} samples, variances of modes (over the truth's, within 3 sigma) on {MANY}. "
        "A perfect model has 98.9 % within 3 sigma, and on 2,500 samples a mean KL of .0014 (ring) and .0048 (grid). "
        "One core per run. The rivals are plain rows on nets of the same size at a fifth to a half of its processor time, not the settings of "
        "their papers, which report (PacGAN, table of ring and grid): GAN 6.3 and 17.3 modes, 98.2 and 94.8 %; PacGAN2 "
        "7.9 and 23.8 modes, 95.6 and 91.3 %. The house recipe was chosen on seeds 0 to 2 of the grid."
    )
    keep("points", "Points: modes of a ring and a grid", text)


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
