"""Which recipe for these data on this machine?  The one we would stake our name on, with its reasons in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from rivalry.baselines import as_recipe, named
from rivalry.data import Dataset, ReadOptions, layouts, load, styles
from rivalry.data.opening import Given
from rivalry.data.options import GENERATE
from rivalry.degrade import TASKS, Masked, task
from rivalry.errors import RecipeError
from rivalry.evaluate import Budget, Target
from rivalry.games import Adapt, Change, Context, Domains
from rivalry.games.restyle import Restyling
from rivalry.nets import LSTMLM
from rivalry.parts import Degradation
from rivalry.privacy import as_asked
from rivalry.recipe import Recipe, set_value
from rivalry.zoo import get
from rivalry.zoo.changing import house as changing
from rivalry.zoo.house import critic_pictures, pictures, private_pictures
from rivalry.zoo.records import ABOUT as RECORDS
from rivalry.zoo.records import records
from rivalry.zoo.styles import house as restyling
from rivalry.zoo.tables import ABOUT as TABLE
from rivalry.zoo.tables import private_table, table
from rivalry.zoo.text import likelihood

FEW = 4_000
"""Below so many pictures the discriminator is augmented."""
WIDER = 75.0
"""Seconds from which wider nets overtake narrow ones on 28 px pictures and one core (docs/lab/fashion.md)."""
FEWER = 1_000
"""Below so many pictures without labels the critic's are."""
SMALL = 32
"""Up to so many pixels a side are small pictures."""
PER_CLASS = 20
"""Labels are used if every class has at least so many pictures."""
SHARE = 0.015
"""Of the rows, for each unit of epsilon: a private batch.  It makes sigma 1 to 1.4 (docs/lab/private-tables.md)."""
LEAST_BATCH, CPU_BATCH, GPU_BATCH = 16, 1000, 4000


def find(recipe: str | Recipe) -> Recipe | None:
    """A Recipe as it is, a row by name, or a TOML file; None for 'auto' and baselines, which need the data."""
    if isinstance(recipe, Recipe):
        return recipe
    if recipe == "auto" or named(recipe) is not None:
        return None
    if not recipe.endswith(".toml"):
        return get(recipe)
    path = Path(recipe)
    if not path.is_file():
        raise RecipeError(f"there is no recipe file {path}; `rivalry zoo show NAME` prints one to start from")
    try:
        return Recipe.from_toml(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise RecipeError(
            f"{path} is no text in UTF-8, so it is no recipe; `rivalry zoo show NAME` prints one to start from"
        ) from error


def resolve(
    recipe: str | Recipe, dataset: Dataset, budget: str = "", device: str = "auto", epsilon: float | None = None
) -> tuple[Recipe, tuple[str, ...]]:
    """(recipe, reasons): what is named, or what is chosen for data and machine, and for differential privacy with this
    epsilon."""
    named = find(recipe)
    return fitted(named, dataset) if named is not None else choose(dataset, budget, device, epsilon)


def decided(
    recipe: str | Recipe, given: Recipe | None, why: tuple[str, ...], dataset: Dataset, budget: str, device: str, epsilon: float | None,
    delta: float | None,
) -> tuple[Recipe, tuple[str, ...]]:  # fmt: skip
    """(recipe, reasons): the one that is given, for its reasons; else the baseline of that name, or what is chosen.  All under
    differential privacy where an epsilon is asked for."""
    counts = as_recipe(recipe, dataset, epsilon, delta) if given is None and isinstance(recipe, str) else None
    if counts is not None:
        return counts, (f"{recipe!r} counts rows; it is a baseline, no GAN (docs/baselines.md).",)
    chosen, reasons = (given, why) if given is not None else choose(dataset, budget, device, epsilon)
    private, more = as_asked(chosen, epsilon, delta)
    return private, (*reasons, *more)


def choose(
    dataset: Dataset, budget: str = "", device: str = "auto", epsilon: float | None = None
) -> tuple[Recipe, tuple[str, ...]]:
    """(recipe, reasons), one sentence each.  epsilon: of the differential privacy it will be trained under, if any."""
    if dataset.spec.kind == "points":
        return get("house-points"), (
            "Points in the plane: the house recipe for points, relativistic with R1 and R2.",
        )
    if dataset.spec.kind == "table":
        return _table(dataset, device, epsilon)
    if dataset.spec.kind == "records":
        return _records(dataset, device)
    if dataset.spec.context:
        return _dialogue(dataset, device, epsilon)
    if dataset.spec.kind == "tokens":
        return _text(dataset, budget, device, epsilon)
    if dataset.layout or dataset.task:
        return _changing(dataset, device)
    return _pictures(dataset, budget, device) if epsilon is None else _private_pictures(dataset)


def _text(dataset: Dataset, budget: str, device: str, epsilon: float | None) -> tuple[Recipe, tuple[str, ...]]:
    if epsilon is not None:
        raise RecipeError("text cannot be trained under differential privacy yet; leave --dp-epsilon out")
    gpu = device in ("auto", "cuda") and torch.cuda.is_available()
    n, (length,) = len(dataset.train), dataset.spec.shape
    if dataset.layout == "styles":
        return restyling("house-style", gpu), (
            f"{n:,} texts in {dataset.spec.classes} styles that have no partners: the house recipe for rewriting them, an editor that keeps, "
            "replaces, takes out and puts in words; a discriminator says what does not sound like the style wanted.",
        )
    epochs = max(EPOCHS, round(LEAST_STEPS * TEXT_BATCH / n))
    net = LSTMLM(512, 2, 0.5) if gpu else LSTMLM(256, 1, 0.4)
    recipe = likelihood("house-text", net, max(1, epochs * n // TEXT_BATCH), TEXT_BATCH)
    lasts = f"as far as the budget of {budget} goes" if budget else f"{epochs} times over the lines"
    return recipe, (
        f"{n:,} lines of up to {length} tokens, {dataset.spec.vocabulary:,} different ones: maximum likelihood, an LSTM {net.width} wide, {lasts}.",
        "An adversarial row, 'count-energy', has written better captions at equal variety, and no better news than choosing the likeliest of eight texts; "
        "it draws as many for each that it gives, and its run holds counts of word sequences that several lines have (docs/text.md).",
    )


def _dialogue(dataset: Dataset, device: str, epsilon: float | None) -> tuple[Recipe, tuple[str, ...]]:
    if epsilon is not None:
        raise RecipeError("dialogue cannot be trained under differential privacy yet; leave --dp-epsilon out")
    gpu = device in ("auto", "cuda") and torch.cuda.is_available()
    recipe = get("dialogue" if gpu else "dialogue-small")
    n, context, reply = len(dataset.train), dataset.spec.context, dataset.spec.shape[0] - dataset.spec.context
    steps = max(TALK_STEPS, min(recipe.steps, TALK_EPOCHS * n // recipe.batch))
    return replace(recipe, name="house-dialogue", steps=steps), (
        f"{n:,} replies of up to {reply} tokens after contexts of up to {context}: likelihood first, then a discriminator that reads context "
        f"and reply, {steps:,} steps of {recipe.batch}.",
        "It also learns to tell a fitting reply from another, and chooses among candidates: rivalry apply RUN --chat (docs/dialogue.md).",
    )


TALK_STEPS, TALK_EPOCHS = 300, 8
"""Of dialogue: steps at least, and times over the replies at most."""
EPOCHS, LEAST_STEPS, TEXT_BATCH = 40, 1_000, 128
"""Of maximum likelihood on text; the checkpoint of the best held-out likelihood is kept."""


def suited(recipe: Recipe) -> str:
    """The task whose layout of data a recipe that changes pictures (or texts) learns from; 'generate' for one that takes classes."""
    game = recipe.game
    if isinstance(game, Domains):
        return "domains"
    if isinstance(game, Context):
        return GENERATE
    if isinstance(game, Adapt):
        return "adapt"
    if isinstance(game, Restyling):
        return styles.TASK
    if not isinstance(game, Change):
        return "unpaired"
    if game.degradation is None:
        return "translate"
    damage = game.degradation
    return next((t.name for t in TASKS.values() if _same_damage(t.degradation, damage)), "restore")


def _same_damage(one: Degradation | None, other: Degradation | None) -> bool:
    """Is it of one kind, and at one scale?  What else they differ in is for the recipe to say."""
    if one is None or other is None:
        return one is other
    return type(one) is type(other) and one.shape(SIDE) == other.shape(SIDE)


def read_for(recipe: Recipe | None, data: Given, reading: ReadOptions, settings: Sequence[tuple[str, str]] = ()) -> tuple[Dataset, ReadOptions]:
    """(the data as the recipe learns from them, how they were read).  recipe: the one that was named, None where the data choose;
    settings: what is to be changed of it.  RecipeError where a task was named that it does not learn."""
    if recipe is not None and reading.task is not None:
        check_task(_changed(recipe, settings) if recipe.game.changes else recipe, reading.task)
    if recipe is not None and recipe.game.changes and reading.task is None:
        reading = replace(reading, task=suited(_changed(recipe, settings)))
    dataset = load(data, options=reading)
    if recipe is not None and not recipe.game.changes and dataset.layout in layouts.KINDS:  # the recipe goes before the layout
        reading = replace(reading, task=GENERATE)
        dataset = load(data, options=reading)
    return dataset, reading


def check_early(recipe: Recipe | None, settings: Sequence[tuple[str, str]], until: str, budget: str) -> None:
    """RecipeError for mistakes that need not wait for the data to be read."""
    if until:
        Target.parse(until)
    if budget:
        Budget.parse(budget)
    if recipe is not None:
        _changed(recipe, settings)


def _changed(recipe: Recipe, settings: Sequence[tuple[str, str]]) -> Recipe:
    for key, value in settings:
        recipe = set_value(recipe, key, value)
    return recipe


def check_task(recipe: Recipe, named: str) -> None:
    """RecipeError where a task was named that the recipe does not learn, and would be ignored."""
    if named == GENERATE and (not recipe.game.changes or suited(recipe) in (GENERATE, "domains")):
        return
    house = f"--task {named} alone trains the house recipe for it"
    if not recipe.game.changes:
        raise RecipeError(f"the recipe {recipe.name!r} makes new examples and --task {named} changes what is there; leave one of the two out ({house})")
    own = suited(recipe)
    if own == GENERATE:
        raise RecipeError(f"the recipe {recipe.name!r} goes by classes, which --task {named} has no use for; leave --task out, or --recipe ({house})")
    if named == own:
        return
    wanted, game = TASKS.get(named), recipe.game
    if wanted is not None and isinstance(game, Change) and wanted.layout in ("patches", "pairs"):
        damage, given = game.degradation, wanted.degradation
        if _same_damage(given, damage) or (damage is None and given is not None and not isinstance(given, Masked)):
            return  # pairs show whether they are there: without them the game says so
        if damage is not None and given is not None and type(damage) is type(given):
            raise RecipeError(
                f"the recipe {recipe.name!r} learns --task {own}, not {named}; add --set game.degradation.scale={SIDE[1] // given.shape(SIDE)[1]}, "
                f"or leave --recipe out ({house})"
            )
    raise RecipeError(f"the recipe {recipe.name!r} learns --task {own}, not {named}; leave --task out, or --recipe ({house})")


def fitted(recipe: Recipe, dataset: Dataset) -> tuple[Recipe, tuple[str, ...]]:
    """(the recipe, what was done): a recipe that makes bad twins of good pictures learns from true pairs where the data have them."""
    game = recipe.game
    if dataset.layout != "pairs" or not isinstance(game, Change) or game.degradation is None:
        return recipe, ()
    return replace(recipe, game=replace(game, degradation=None, zoom=1.0)), (
        f"The data are true pairs, so {recipe.name!r} learns from these and makes no bad twins of its own.",
    )


SIDE = (3, 24, 24)
"""A picture by which damages are compared: a multiple of all scales."""


def _changing(dataset: Dataset, device: str) -> tuple[Recipe, tuple[str, ...]]:
    gpu = device in ("auto", "cuda") and torch.cuda.is_available()
    one, (channels, height, width) = task(dataset.task), dataset.spec.shape
    if one.labelled:
        return get("pixelda-small"), (f"Task {one.name!r}: {one.does}; PixelDA at its small setting.",)
    recipe, told = fitted(changing(one, gpu, channels, min(height, width)), dataset)
    how = "pixels decide" if not one.adversarial else "pixels and a judge of patches decide"
    if one.layout == "unpaired":
        how = "a judge of patches decides, every patch must be known again for the one that stood there, and pictures of the other kind must stay"
    if one.layout == "classes":
        how = f"{dataset.spec.classes} kinds here; a judge of patches also tells them apart, the way back must lead to where one began, and what is of its kind must stay"
    return recipe, (f"Task {one.name!r}: {one.does}; the house recipe for it: {how}.", *told)


def _table(dataset: Dataset, device: str, epsilon: float | None) -> tuple[Recipe, tuple[str, ...]]:
    gpu = device in ("auto", "cuda") and torch.cuda.is_available()
    columns = len({b.name for b in dataset.spec.blocks})
    width, carries = (512, "a GPU carries it") if gpu else (256, "a CPU makes enough steps with it")
    seen = (
        f"{len(dataset.train):,} rows of {columns} columns, {dataset.spec.shape[0]} numbers when encoded: the house recipe "
        f"for tables, {width} wide ({carries})."
    )
    if epsilon is None:
        return table(width, steps=20_000, batch=2000 if gpu else 500).recipe("house-table", TABLE), (seen,)
    batch, why = _private_batch(len(dataset.train), epsilon, gpu)
    recipe = private_table(width, batch).recipe("house-table-private", TABLE)
    return recipe, (
        seen,
        f"The discriminator is 64 wide, since every parameter it has gets noise, and takes {recipe.steps} turns: noise grows with the root "
        "of their number.",
        why,
    )


def _private_batch(rows: int, epsilon: float, gpu: bool) -> tuple[int, str]:
    """(expected rows a turn, the reason).

    Noise per turn over the batch is sqrt(turns) / (rows mu(epsilon)) whatever the batch, as long as sigma is above 1 or so;
    below, small batches pay more.  sigma grows with batch / (rows epsilon), so the batch goes by their product.
    """
    most = GPU_BATCH if gpu else CPU_BATCH
    batch = max(LEAST_BATCH, min(most, round(rows * epsilon * SHARE)))
    return batch, (
        f"Batches of {batch} rows are expected: about a seventieth of the rows for each unit of epsilon, where larger ones "
        f"would not lower the noise any more (from {LEAST_BATCH} to {most} here)."
    )


PRIVATE_BATCHES = 16
"""The expected batch under differential privacy is this share of the pictures at most: a row must rarely be drawn."""


def _private_pictures(dataset: Dataset) -> tuple[Recipe, tuple[str, ...]]:
    n, (channels, height, width) = len(dataset.train), dataset.spec.shape
    batch = max(1, min(256, n // PRIVATE_BATCHES))
    return private_pictures("house-private", batch=batch), (
        f"{n} pictures of {height} x {width}, {channels} channel{'s' if channels > 1 else ''}: the house recipe under "
        "differential privacy: a small discriminator without batch norm, since every parameter it has gets noise, and "
        f"batches of {batch}.",
        "Labels are not used: fakes would take theirs from real pictures, which nobody pays for.",
    )


def _records(dataset: Dataset, device: str) -> tuple[Recipe, tuple[str, ...]]:
    gpu = device in ("auto", "cuda") and torch.cuda.is_available()
    spec, width = dataset.spec, 256 if gpu else 64
    recipe = records(width, steps=20_000, batch=1000 if gpu else 128).recipe("house-records", RECORDS)
    return recipe, (
        f"{len(dataset.train):,} patients with up to {spec.visits} visits, {spec.shape[0]} numbers when encoded: the house recipe "
        f"for records, {width} wide ({'a GPU carries it' if gpu else 'a CPU makes enough steps with it'}).",
    )


def _pictures(dataset: Dataset, budget: str, device: str) -> tuple[Recipe, tuple[str, ...]]:
    n, (channels, height, width) = len(dataset.train), dataset.spec.shape
    gpu = device in ("auto", "cuda") and torch.cuda.is_available()
    seconds = Budget.parse(budget).seconds if budget else None
    base, reason = _width(max(height, width), gpu, seconds)
    conditional, by_class = _labels(dataset)
    seen = f"{n} pictures of {height} x {width}, {channels} channel{'s' if channels > 1 else ''}"
    reasons = [f"{seen}: the house recipe, {base} base channels ({reason}).", by_class]
    few = n < (FEW if conditional else FEWER)
    size = {"width": base, "latent": 128 if gpu else 64, "batch": 128 if gpu else 32}
    lr = 2e-3 if base <= 32 else 4e-4
    if conditional:
        recipe = pictures("house", few=n if few else 0, lr=lr, **size)
    else:
        recipe = critic_pictures("house", few=few, lr=lr, **size)
        reasons.append("Without labels a Wasserstein critic with gradient penalty, one turn each, at a high rate.")
    if few:
        how = ", more and more" if conditional else " from the first step"
        reasons.append(f"Only {n} pictures: what the discriminator sees is augmented{how}, lest it learn them by heart.")
        reasons.append("Scores go by features that so few pictures taught, which see little detail: look at the samples, or give --weights of a network of other pictures.")
    return recipe, tuple(reasons)


def _width(size: int, gpu: bool, seconds: float | None) -> tuple[int, str]:
    """Base channels: on a CPU small nets and many steps win; a longer budget pays for wider ones."""
    if gpu:
        return 64, "a GPU carries the published width"
    if size <= SMALL and (seconds is None or seconds >= WIDER):
        return 32, "small pictures on a CPU: half the published width, at high rates"
    return 16, "on a CPU small nets and many steps win"


def _labels(dataset: Dataset) -> tuple[bool, str]:
    labels = dataset.train.labels
    if labels is None or dataset.spec.classes < 2:
        return False, "No labels: both players do without."
    counts = torch.bincount(labels, minlength=dataset.spec.classes)
    least = int(counts.min())
    if least < PER_CLASS:
        rare = dataset.spec.class_names[int(counts.argmin())]
        return False, f"Labels are not used: class {rare!r} has only {least} pictures, fewer than {PER_CLASS}."
    return True, f"{dataset.spec.classes} classes with at least {least} pictures: labels guide both players."
