"""Draws the figures of docs/ from real trainings, in less than a minute on one core.

python docs/make_figures.py             # all of them
python docs/make_figures.py game ring   # some of: losses, game, ring

The trainings are seeded: on one machine they give the same pictures again; another processor rounds differently, and
a game amplifies that, so details move.  docs/figures/demo.png is not made here: it is the sheet of samples that a run
on mnist-5k leaves in its folder.
"""

from __future__ import annotations

import copy
import math
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn

from rivalry.data import Dataset, load, truth
from rivalry.data.truths import Truth
from rivalry.health import Diagnosis, Monitor, Vitals, vitals
from rivalry.objectives import GAN
from rivalry.parts import Wiring
from rivalry.recipe import Recipe, set_value
from rivalry.sampling import Sampler
from rivalry.training.engine import Engine
from rivalry.training.loop import Trainer
from rivalry.training.state import build_state
from rivalry.zoo import get

FIGURES = Path(__file__).parent / "figures"
CPU = torch.device("cpu")
DATA, FAKE, GOOD, BAD, INK = "#94a3b8", "#c2410c", "#0f766e", "#be123c", "#334155"
PULSE, BLOCK = 100, 25
EQUILIBRIUM = -math.log(4)
Array = npt.NDArray[np.float64]


# -- a training that is watched closely -------------------------------------------------------------------------------


@dataclass
class Course:
    """A training, followed.  shots: copies of both nets at some steps; value: (step, mean V(D, G)) every BLOCK steps;
    pulses, findings: what the health monitor read and said every PULSE steps (and nobody acted on it)."""

    recipe: Recipe
    data: Dataset
    wiring: Wiring
    shots: dict[int, dict[str, nn.Module]] = field(default_factory=dict)
    value: list[tuple[int, float]] = field(default_factory=list)
    pulses: list[Vitals] = field(default_factory=list)
    findings: list[tuple[int, Diagnosis]] = field(default_factory=list)

    def samples(self, step: int, n: int) -> Tensor:
        """[n, 2] of the generator as it stood after `step`, in the data's own units."""
        draw = Sampler(self.recipe.game, self.wiring, self.shots[step], CPU)
        return self.data.modality.decode(draw(n, 0))


def follow(recipe: Recipe, data: Dataset, steps: int, at: Collection[int]) -> Course:
    """Plays `steps` steps of the recipe with rivalry's own loop."""
    state = build_state(recipe, data.spec, 0, CPU)
    trainer = Trainer(state, data.train, steps, Engine("cpu"))
    course, monitor = Course(recipe, data, state.wiring), Monitor()
    reals = data.train.batch(torch.linspace(0, len(data.train) - 1, 256).long(), CPU).x
    if 0 in at:
        course.shots[0] = copy.deepcopy(state.nets)
    for step in range(1, steps + 1):
        trainer.step()
        if step in at:
            course.shots[step] = copy.deepcopy(state.nets)
        if step % BLOCK:
            continue
        notes = {k: float(v) / state.counts[k] for k, v in state.sums.items()}
        state.sums, state.counts = {}, {}
        course.value.append((step, notes["discriminator.main.value"]))
        if step % PULSE == 0:
            fakes = Sampler(recipe.game, state.wiring, state.nets, CPU)(256, 0)
            course.pulses.append(vitals(step, fakes, reals, notes))
            course.findings.append((step, monitor.observe(course.pulses[-1])))
    return course


def with_settings(name: str, *settings: str) -> Recipe:
    """A row of the zoo with some settings changed, as `--set` does it."""
    recipe = get(name)
    for line in settings:
        recipe = set_value(recipe, *line.split("=", 1))
    return recipe


def save(figure: Any, name: str) -> None:
    """As a PNG of 128 colours: small, and sharp enough."""
    path = FIGURES / f"{name}.png"
    figure.savefig(path, dpi=95, facecolor="white")
    plt.close(figure)
    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(128, dither=Image.Dither.NONE)
    small.save(path, optimize=True)
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


# -- (a) three losses of the generator --------------------------------------------------------------------------------


def losses() -> None:
    """Each loss of `rivalry.objectives.GAN` and its slope by the logit s, against D = sigmoid(s)."""
    score = torch.linspace(-6, 6, 400, dtype=torch.float64, requires_grad=True)
    probability = torch.sigmoid(score).detach()
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.3), layout="constrained")
    names = {
        "minimax": r"minimax: $\log(1 - D)$",
        "non-saturating": r"non-saturating: $-\log D$",
        "linear": r"linear: $-D$",
    }
    for (name, label), colour in zip(names.items(), (GOOD, FAKE, "#4338ca"), strict=True):
        loss = GAN(name).generator(None, score, {})[1]  # type: ignore[arg-type]
        (slope,) = torch.autograd.grad(loss.sum(), score)
        left.plot(probability, loss.detach(), color=colour, label=label)
        right.plot(probability, -slope, color=colour, label=label)
    left.set(title="the generator's loss", ylabel="loss", ylim=(-5, 5))
    right.set(title="its push: minus the slope by D's logit", ylabel="push")
    for axes in (left, right):
        axes.set_xlabel(r"$D(G(z))$: how real the sample looks to D")
        axes.grid(alpha=0.3)
    left.legend(fontsize=8)
    save(figure, "generator-losses")


# -- (b), (c) the learned discriminator beside the optimal one, and the value of the game -----------------------------

EDGE, CELLS = 1.9, 96
SOFT = (
    "game.latent=2",
    "batch=256",
    "discriminator.turns=4",
    "discriminator.optimiser.lr=3e-3",
    "discriminator.trunk.fourier=16",
    "generator.optimiser.lr=2e-3",
    'schedules={"lr.generator" = {part = "cosine", end = 0.02}}',
)
"""What makes a plain GAN's discriminator keep up with its generator, so that the theory can be seen at work."""
SHOWN = (25, 200, 1000)
MARKS = (25, 50, 100, 150, 200, 300, 400, 500, 600, 700, 800, 900, 1000)


def grid() -> Tensor:
    """[CELLS^2, 2] centres of the cells, x fastest."""
    axis = ((torch.arange(CELLS, dtype=torch.float64) + 0.5) / CELLS * 2 - 1) * EDGE
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], 1)


def blurred(image: Array, width: float = 1.5) -> Array:
    """A Gaussian blur of so many cells, the same for p and for q, so that equal densities stay equal."""
    kernel = np.exp(-0.5 * (np.arange(-6, 7) / width) ** 2)
    kernel /= kernel.sum()
    rows = np.apply_along_axis(np.convolve, 1, image, kernel, "same")
    return np.apply_along_axis(np.convolve, 0, rows, kernel, "same")


@dataclass(frozen=True)
class Optimum:
    """On the grid, [CELLS, CELLS] each: p and q as shares of the cells, D* = p / (p + q), and the learned D."""

    p: Array
    q: Array
    best: Array
    learned: Array

    @property
    def value(self) -> float:
        """V(D*, G) = E_p log D* + E_q log(1 - D*)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            inside = np.nansum(self.p * np.log(self.best)) + np.nansum(self.q * np.log1p(-self.best))
        return float(inside)

    @property
    def gap(self) -> float:
        """Mean |D - D*| where data and samples lie."""
        return float(np.nansum(np.abs(self.learned - self.best) * (self.p + self.q)) / 2)


def optimum(course: Course, density: Truth, step: int) -> Optimum:
    """q is a histogram of 60,000 samples; p is known."""
    places = grid()
    p = density.density(places).reshape(CELLS, CELLS).numpy()
    x, y = course.samples(step, 60_000).T.numpy()
    q = np.histogram2d(y, x, bins=CELLS, range=[[-EDGE, EDGE]] * 2)[0]
    p, q = blurred(p / p.sum()), blurred(q / 60_000)
    judge = course.shots[step]["discriminator"].eval()
    with torch.no_grad():
        score = judge(course.data.modality.encode(places))["score"]
    learned = torch.sigmoid(score.double()).reshape(CELLS, CELLS).numpy()
    with np.errstate(invalid="ignore"):
        return Optimum(p, q, p / (p + q), learned)


def game() -> None:
    """A plain GAN on a ring of eight wide Gaussians."""
    density = replace(truth("ring8"), name="soft ring", sigma=0.2)
    data = load(density.sample(50_000, seed=0).numpy())
    course = follow(with_settings("gan-small", *SOFT), data, max(MARKS), MARKS)
    found = {step: optimum(course, density, step) for step in MARKS}
    draw_optimum(course, data, {step: found[step] for step in SHOWN})
    draw_value(course, {step: o.value for step, o in found.items()})


def draw_optimum(course: Course, data: Dataset, found: Mapping[int, Optimum]) -> None:
    figure, rows = plt.subplots(len(found), 3, figsize=(7.6, 7.4), layout="constrained", sharex=True, sharey=True)
    real = data.train.raw(torch.arange(1500)).numpy()
    extent = (-EDGE, EDGE, -EDGE, EDGE)
    for (step, o), (points, learned, best) in zip(found.items(), rows, strict=True):
        points.scatter(*real.T, s=2, color=DATA, linewidths=0)
        points.scatter(*course.samples(step, 1500).numpy().T, s=2, color=FAKE, linewidths=0)
        nowhere = o.p + o.q < 0.01 * (o.p + o.q).max()
        for axes, image in ((learned, o.learned), (best, o.best)):
            shown = axes.imshow(
                np.where(nowhere, np.nan, image), extent=extent, origin="lower", cmap="RdBu", vmin=0, vmax=1
            )
        points.set_ylabel(f"after {step} steps")
        learned.set_title(f"learned D, off by {o.gap:.2f} on average", fontsize=9)
        best.set_title("optimal D* = p / (p + q)", fontsize=9)
    for axes in rows.flat:
        axes.set(xlim=(-EDGE, EDGE), ylim=(-EDGE, EDGE), xticks=(), yticks=(), aspect="equal")
    rows[0, 0].set_title("data (grey), samples (orange)", fontsize=9)
    figure.colorbar(shown, ax=rows[:, 1:], shrink=0.5, label="probability of being real")
    save(figure, "optimal-discriminator")


def draw_value(course: Course, best: Mapping[int, float]) -> None:
    figure = plt.figure(figsize=(7.2, 3.3), layout="constrained")
    axes = figure.subplots()
    axes.plot(*zip(*course.value, strict=True), color=FAKE, linewidth=1, label="V(D, G) of the learned D")
    axes.plot(list(best), list(best.values()), "o", color=INK, markersize=4, label="V(D*, G) of the optimal D*")
    axes.axhline(EQUILIBRIUM, color="grey", linestyle="--", linewidth=1, label="equilibrium, -log 4")
    axes.set(xlabel="step", ylabel="value (nats)")
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    save(figure, "value")


# -- (d) a ring of eight, healthy and collapsed -----------------------------------------------------------------------

STAGES = (0, 25, 50, 100, 200, 400, 700, 1000)
PANELS = (100, 400, 700, 1000)
PLANTED = ("generator.optimiser.lr=0.1", 'schedules.lr.generator={part = "constant"}')


def ring() -> None:
    """The house recipe on ring8, and the same with a generator whose rate is fifty times as high and keeps up with the discriminator's."""
    data, steps = load("ring8"), max(STAGES)
    healthy = follow(get("house-points"), data, steps, STAGES)
    ill = follow(with_settings("house-points", *PLANTED), data, steps, PANELS)
    figure, rows = plt.subplots(2, 4, figsize=(8.4, 4.5), layout="constrained")
    for step, axes in zip(STAGES, rows.flat, strict=True):
        scatter(axes, healthy, step, FAKE)
        axes.set_title("before training" if step == 0 else f"after {step} steps", fontsize=9)
    save(figure, "ring8")
    draw_collapse(healthy, ill)


def scatter(axes: Any, course: Course, step: int, colour: str) -> None:
    modes = truth("ring8").nodes.numpy()
    axes.scatter(*modes.T, s=70, facecolors="none", edgecolors=DATA, linewidths=1)
    axes.scatter(*course.samples(step, 800).numpy().T, s=2, color=colour, linewidths=0)
    axes.set(xlim=(-1.8, 1.8), ylim=(-1.8, 1.8), xticks=(), yticks=(), aspect="equal")


def draw_collapse(healthy: Course, ill: Course) -> None:
    both = ((healthy, GOOD, "healthy"), (ill, BAD, "planted"))
    figure = plt.figure(figsize=(8.4, 6.6), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(1.75, 1))
    for (course, colour, name), panels in zip(both, top.subplots(2, 4), strict=True):
        for step, axes in zip(PANELS, panels, strict=True):
            scatter(axes, course, step, colour)
            axes.set_title(f"{name}, step {step}", fontsize=9)
    left, right = bottom.subplots(1, 2)
    readings: Sequence[tuple[Any, str, Callable[[Vitals], float]]] = (
        (left, "mean distance between samples (real: 1)", lambda v: v.spread),
        (right, "distance to the nearest sample (real: 1)", lambda v: v.near),
    )
    said = [(step, d) for step, d in ill.findings if d.kind != "healthy" and d.news]
    for axes, title, read in readings:
        for course, colour, name in both:
            steps, values = [v.step for v in course.pulses], [read(v) for v in course.pulses]
            axes.plot(steps, values, ".-", color=colour, label=name, linewidth=1)
        for step, found in said[:1]:
            axes.axvline(step, color=INK, linestyle="--", linewidth=1, label=f"flagged: {found.kind}")
        axes.set_title(title, fontsize=9)
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
        axes.set_yscale("log")
    left.legend(fontsize=8)
    save(figure, "collapse")
    for course, _, name in both:
        for step, found in course.findings:
            if found.kind != "healthy" and found.news:
                print(f"{name}, step {step}: {found.sentence}")


DRAWN: Mapping[str, Callable[[], None]] = {"losses": losses, "game": game, "ring": ring}


def main() -> None:
    torch.set_num_threads(1)
    FIGURES.mkdir(exist_ok=True)
    begun = time.process_time()
    for name in sys.argv[1:] or DRAWN:
        if name not in DRAWN:
            sys.exit(f"there is no figure {name!r}; known: {', '.join(DRAWN)}")
        DRAWN[name]()
    print(f"{time.process_time() - begun:.0f} s of CPU")


if __name__ == "__main__":
    main()
