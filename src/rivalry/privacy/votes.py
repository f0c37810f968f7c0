"""The terms of a training by noisy votes (PATE-GAN): what they cost, and which recipes their accounting is true of.

Neighbours are training sets of the same rows in the same order but for one, which holds something else.  A row belongs
to one teacher, whatever it holds, so one teacher learns otherwise, and every count of votes moves by 1 at most.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from torch import nn

from rivalry.catalogue import name_of
from rivalry.errors import RecipeError
from rivalry.games.pate import Partitioned, Pate
from rivalry.nets.teachers import TeacherBank
from rivalry.privacy.accounting import DELTA_POWER, FINE, check_delta, epsilon_of_votes
from rivalry.recipe import Recipe, Side

MECHANISM = "laplace votes"
CLOSE, STEP = 2e-3, 0.8
MOST = 1e7
COIN = 0.25
"""A unanimous vote must be turned over no more often: above, labels are little more than coin flips."""


@dataclass(frozen=True)
class VoteTerms:
    """What was asked for, and the mechanism that keeps it.

    epsilon, delta: asked for.  scale: of the Laplace noise on a count.  teachers: that vote.  each: votes per turn of the
    student.  turns: how many the budget was made for.  rows: in the training set.
    """

    epsilon: float
    delta: float
    scale: float
    teachers: int
    each: int
    turns: int
    rows: int
    mechanism: str = MECHANISM

    def epsilon_after(self, turns: int) -> float:
        return epsilon_of_votes(self.scale, self.delta, turns * self.each, _width(self.scale, FINE))

    @property
    def turned_over(self) -> float:
        """The chance that the noise turns a unanimous vote over."""
        return 0.5 * math.exp(-self.teachers / 2 / self.scale)


def _width(scale: float, most: float) -> float:
    """Cells so narrow that rounding up adds little to a vote's own 1 / scale."""
    return min(most, 0.02 / scale) if scale else most


def scale_for(epsilon: float, delta: float, votes: int) -> float:
    """The least scale, to two thousandths, whose votes spend no more than epsilon at delta; RecipeError where there is none."""

    def keeps(scale: float) -> bool:
        return epsilon_of_votes(scale, delta, votes, _width(scale, 1e-3)) <= epsilon

    high = _enough(epsilon, delta, votes)
    if high > MOST:
        raise RecipeError(
            f"no reasonable noise keeps {votes} votes within epsilon {epsilon:g} at delta {delta:g}; ask for a larger "
            "epsilon, or for fewer votes with --budget"
        )
    low = high * STEP
    while keeps(low):
        low, high = low * STEP, low
    while high > low * (1 + CLOSE):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if keeps(middle) else (middle, high)
    return high


def _enough(epsilon: float, delta: float, votes: int) -> float:
    """A scale that is enough, in closed form: each vote is 1 / (2 scale^2)-zCDP (Bun & Steinke 2016, propositions 1.3, 1.4),
    or all of them together votes / scale."""
    log = -math.log(delta)
    rho = (math.sqrt(epsilon + log) - math.sqrt(log)) ** 2
    return min(math.sqrt(votes / (2 * rho)), votes / epsilon)


def agree_votes(game: Pate, rows: int, batch: int, turns: int) -> VoteTerms:
    """The terms of so many turns of the student over so many rows.

    RecipeError for fewer rows than teachers, for noise given beforehand that spends more than epsilon, and where the
    votes would be little more than coin flips.
    """
    if rows < 2 * game.teachers:
        raise RecipeError(
            f"{rows} training rows leave {game.teachers} teachers less than two each; set fewer, for example --set "
            f"game.teachers={max(1, rows // 100)} and as many parts and nets"
        )
    delta = check_delta(game.delta or rows**DELTA_POWER, rows)
    needed = scale_for(game.epsilon, delta, turns * batch)
    scale = game.scale or needed
    terms = VoteTerms(game.epsilon, delta, scale, game.teachers, batch, turns, rows)
    if scale < needed:
        raise RecipeError(
            f"{turns * batch} votes within epsilon {game.epsilon:g} need noise of scale {needed:.4g}, more than {scale:g}; leave "
            "game.scale at 0 to have it chosen, or train for fewer steps"
        )
    if terms.turned_over > COIN:
        raise RecipeError(
            f"{turns * batch} votes of {game.teachers} teachers within epsilon {game.epsilon:g} need noise of scale "
            f"{scale:.3g}, which turns even a unanimous vote over with chance {terms.turned_over:.2f}: the student would "
            "learn from coin flips; take more teachers, fewer steps, a smaller batch, or a larger epsilon"
        )
    return terms


def privatised_votes(recipe: Recipe, game: Pate, epsilon: float, delta: float) -> tuple[Recipe, tuple[str, ...]]:
    """(the recipe with its votes within epsilon, what changed in words)."""
    why = f"Differential privacy: the student learns from noisy votes of {game.teachers} teachers, and nothing else does."
    return replace(recipe, game=replace(game, epsilon=epsilon, delta=delta)), (why,)


# -- what the accounting takes for granted ---------------------------------------------------------------------------


def admit_votes(recipe: Recipe, game: Pate, nets: Mapping[str, nn.Module], world: int) -> None:
    """RecipeError with the reason where more than the votes could leave the teachers, or a row could reach two."""
    if reason := next(_reasons(recipe, game, nets, world), ""):
        raise RecipeError(f"not under differential privacy: {reason}")


def _reasons(recipe: Recipe, game: Pate, nets: Mapping[str, nn.Module], world: int) -> Iterator[str]:
    bank = nets.get("teachers")
    if not isinstance(bank, TeacherBank) or bank.count != game.teachers:
        yield f"the net 'teachers' must be {game.teachers} teachers apart (part 'teachers', count={game.teachers})"
    if not isinstance(recipe.sampler, Partitioned) or recipe.sampler.parts != game.teachers:
        yield f"every teacher must have rows of its own; say sampler=partitioned with parts={game.teachers}"
    if world > 1 or recipe.accumulate > 1:
        yield "votes are counted for one process without micro-batches; start it without torchrun, with accumulate=1"
    if recipe.controllers or recipe.augment is not None:
        yield "controllers and augmentation have no place in the accounting of votes; leave them out"
    if "teachers" in recipe.ema.modules:
        yield "an average of the teachers would be kept beside them; average the generator only"
    if "batch" in recipe.schedules:
        yield "schedule 'batch' changes how many votes a turn takes, which accounting takes for fixed; leave it out"
    if any(stage.together for stage in recipe.stages):
        yield "sides that play together share rows; say stages.0.together=false"
    for side in recipe.sides():
        yield from _side_reasons(side)


def _side_reasons(side: Side) -> Iterator[str]:
    terms = tuple(name_of(t) for t in side.terms)
    if side.private is not None or side.penalties or side.unroll or side.judges:
        yield f"side {side.name!r} has more parts than the accounting of votes knows of (private, penalties, unroll, judges)"
    if "teachers" in side.modules:
        if side.modules != ("teachers",) or terms != ("teachers",) or side.fools:
            yield f"side {side.name!r} must move the teachers only, by the term 'teachers' only"
        if side.clip_gradient or side.after:
            yield f"side {side.name!r} clips or changes all teachers together, so that they learn of one another; leave it out"
    elif terms not in ((), ("votes",)) or ("student" in side.modules and side.fools):
        yield f"side {side.name!r} may learn from the votes and the student only"


def asks(side: Side) -> bool:
    """Whether a turn of the side takes votes, and so has to be paid for."""
    return any(name_of(t) == "votes" for t in side.terms)
