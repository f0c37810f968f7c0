"""Which recipes can be trained under differential privacy, and how one is made of an ordinary recipe.

The argument needs two things: a row moves the sum of gradients through its own unit only (row, fake, draws), and
nothing but that sum, with its noise, goes anywhere else.  What breaks either is refused, with its name and the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace

from torch import nn

from rivalry.catalogue import name_of
from rivalry.data.columns.declared import Prepared
from rivalry.errors import RecipeError
from rivalry.games.pate import Pate
from rivalry.games.samplers import Poisson
from rivalry.parts import Wiring, couples_batch
from rivalry.privacy.accounting import DELTA_POWER, check_delta, sigma_for
from rivalry.privacy.ledger import Terms
from rivalry.privacy.votes import privatised_votes
from rivalry.recipe import Private, Recipe, Side

REMEDY = "leave it out, or train without --dp-epsilon"


def privatised(recipe: Recipe, epsilon: float, delta: float = 0.0) -> tuple[Recipe, tuple[str, ...]]:
    """(the recipe with a private judging side and Poisson batches, what changed in words); delta 0 is N^-1.1.

    A clip or noise the recipe itself sets is kept.
    """
    if isinstance(recipe.game, Pate):
        return privatised_votes(recipe, recipe.game, epsilon, delta)
    judging = list(dict.fromkeys(side.name for side in recipe.sides() if side.judges))
    if len(judging) != 1:
        raise RecipeError(
            f"recipe {recipe.name!r} has {len(judging)} sides that judge real rows; differential privacy is for recipes "
            "with one, such as 'house-table' or 'wgan-gp'"
        )

    def changed(side: Side) -> Side:
        if side.name != judging[0]:
            return side
        return replace(side, private=replace(side.private or Private(), epsilon=epsilon, delta=delta))

    stages = tuple(replace(s, sides=tuple(map(changed, s.sides)), together=False) for s in recipe.stages)
    why = [f"Differential privacy: side {judging[0]!r} learns from cut and noised gradients over Poisson batches."]
    if recipe.objective.paired:
        why.append(
            f"The generator's half of objective {name_of(recipe.objective)!r} would need the scores of real rows: the "
            "mean score of its own rows stands in for them."
        )
    schedules = {k: v for k, v in recipe.schedules.items() if k != "batch"}
    if len(schedules) < len(recipe.schedules):
        why.append(f"Batches stay at {recipe.batch} expected rows throughout, as accounting takes them to be.")
    return replace(recipe, stages=stages, sampler=Poisson(), schedules=schedules), tuple(why)


def as_asked(recipe: Recipe, epsilon: float | None, delta: float | None) -> tuple[Recipe, tuple[str, ...]]:
    """The recipe, privatised where an epsilon is asked for; a private one without it says what it spends.  RecipeError for a
    delta alone."""
    if epsilon is not None:
        return privatised(recipe, epsilon, delta or 0.0)
    if delta is not None:
        raise RecipeError("--dp-delta goes with --dp-epsilon, which says how much may be spent, for example 3")
    own = [side.private.epsilon for side in recipe.private_sides() if side.private is not None]
    own += [recipe.game.epsilon] if isinstance(recipe.game, Pate) else []
    return recipe, (f"Recipe {recipe.name!r} is private by itself, with epsilon {own[0]:g}; --dp-epsilon gives it another.",) if own else ()


def admit(recipe: Recipe, nets: Mapping[str, nn.Module], wiring: Wiring) -> None:
    """RecipeError with the reason where the recipe's guarantee would not hold; nothing for recipes without a private
    side.  What other sides see of real rows is tried out when training is set up (`training.private`)."""
    private = recipe.private_sides()
    if private and (reason := next(_reasons(recipe, private, nets, wiring), "")):
        raise RecipeError(f"not under differential privacy: {reason}")


def _reasons(
    recipe: Recipe, private: list[Side], nets: Mapping[str, nn.Module], wiring: Wiring
) -> Iterator[str]:
    if len({side.name for side in private}) > 1 or len({side.private for side in private}) > 1:
        yield "more than one side, or one side by several settings, would spend; make one side private"
    if not isinstance(recipe.sampler, Poisson):
        yield f"sampler {name_of(recipe.sampler)!r} does not draw every row on its own; say sampler=poisson"
    for side in recipe.sides():
        if side.judges and side.private is None:
            yield f"side {side.name!r} judges real rows and pays nothing for it; give it a private part"
    if recipe.objective.couples:
        yield f"objective {name_of(recipe.objective)!r} makes one row's loss depend on others of its batch; take 'relativistic' or 'gan'"
    if recipe.augment is not None and recipe.augment.couples:
        yield f"augment {name_of(recipe.augment)!r} mixes the rows of a batch; {REMEDY}"
    for name in dict.fromkeys(side.name for side in private):
        for controller in recipe.controllers:
            if name in (getattr(controller, f.name) for f in fields(controller)):  # type: ignore[arg-type]
                yield f"controller {name_of(controller)!r} goes by what side {name!r} says of real rows; {REMEDY}"
    if "batch" in recipe.schedules:
        yield f"schedule 'batch' changes the chance of a row to be drawn, which accounting takes for fixed; {REMEDY}"
    if any(stage.together for stage in recipe.stages):
        yield "sides that play together share rows; say stages.0.together=false"
    if wiring.pack > 1:
        yield f"packing joins {wiring.pack} rows into one example; say game.pack=1"
    if wiring.classes:
        yield "fakes take their labels from real rows, which nobody pays for; take an unconditional recipe (game.conditional=false)"
    if wiring.beside:
        yield "fakes take the levels they are asked for from real rows, which nobody pays for; take a recipe of the game 'sample'"
    for side in private:
        yield from _side_reasons(side)
    for name, module in nets.items():
        if couples_batch(module):
            yield (
                f"network {name!r} has layers that mix the rows of a batch (batch norm, minibatch statistics); build it "
                f"without, for example with {name}.norm=none"
            )


def _side_reasons(side: Side) -> Iterator[str]:
    if not side.judges or side.fools:
        yield f"side {side.name!r} is private, so it must judge, and fool nobody; make the judging side private"
    if side.unroll:
        yield f"side {side.name!r} looks ahead over whole batches; say {side.name}.unroll=0"
    if side.terms:
        yield f"term {name_of(side.terms[0])!r} of side {side.name!r} is not cut row by row; {REMEDY}"
    for penalty in side.penalties:
        if penalty.couples:
            yield f"penalty {name_of(penalty)!r} makes one row's charge depend on others of its batch; {REMEDY}"


def agree_terms(private: Private, rows: int, batch: int, turns: int, prepared: Prepared | None = None) -> Terms:
    """The terms of a training of so many turns over so many rows, whose columns were measured at the cost `prepared`.

    RecipeError for fewer rows than a batch, for a delta that is too large to mean anything or too small for the preparation, and
    where a noise given beforehand spends more than epsilon.
    """
    if rows < 2 * batch:
        raise RecipeError(
            f"{rows} training rows are too few to draw batches of {batch} by chance; differential privacy lives by every "
            "row being rarely drawn, so set a smaller batch, for example --set batch=" + str(max(1, rows // 20))
        )
    delta, rate = check_delta(private.delta or rows**DELTA_POWER, rows), batch / rows
    before, names_delta = (prepared.noise, prepared.names_delta) if prepared is not None else (0.0, 0.0)
    if names_delta >= delta:
        raise RecipeError(
            f"the schema's preparation took delta {names_delta:.3g} for names of levels alone, and delta {delta:.3g} is asked for in all; "
            "give a larger --dp-delta, or prepare the data with a smaller one"
        )
    sigma = private.noise or sigma_for(private.epsilon, delta - names_delta, rate, turns, before)
    terms = Terms(private.epsilon, delta, sigma, private.clip, rate, turns, rows, batch, before, names_delta)
    if private.noise and terms.epsilon_after(turns) > private.epsilon:
        raise RecipeError(
            f"{turns} turns with noise {sigma:g} spend epsilon {terms.epsilon_after(turns):.3g}, more than "
            f"{private.epsilon:g}; leave noise at 0 to have it chosen, or train for fewer steps"
        )
    return terms
