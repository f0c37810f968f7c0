"""One turn of one side: play, judge, charge, move.  The steps of Goodfellow et al. 2014 (algorithm 1) are named."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import softplus

from rivalry.catalogue import name_of
from rivalry.errors import RecipeError
from rivalry.parts import Contest, Judge, Penalty, Play, Turn
from rivalry.recipe import Recipe, Side
from rivalry.training.contest import hold
from rivalry.types import per_example

Losses = dict[str, Tensor]


def losses(recipe: Recipe, side: Side, play: Play, turn: Turn, joint: Mapping[str, bool]) -> Losses:
    """All the side is charged this turn: name -> [N], weights included.  Their means' sum is its loss."""
    found: Losses = {}
    for name in side.judges:
        found |= _judge(recipe, side, play, turn, name, joint)
    for name in side.fools:
        found |= _fool(recipe, side, play, turn, name, joint)
    for term in side.terms:
        if turn.index % term.every == 0:
            part = name_of(term)
            key = unique(part, found)
            charge = term(play, turn)
            turn.note(f"{side.name}.{part}", charge.mean())
            found[key] = charge * (term.weight * term.every * turn.knob("term") * turn.knob(f"term.{part}"))
    return found


def unique(name: str, taken: Mapping[str, object]) -> str:
    """The name, numbered if a part stands twice on a side."""
    if name not in taken:
        return name
    return next(f"{name}-{i}" for i in range(2, 99) if f"{name}-{i}" not in taken)


def due(side: Side, match: str, turn: Turn) -> list[Penalty]:
    """The penalties on this match whose turn it is."""
    return [p for p in side.penalties if p.match == match and turn.index % p.every == 0]


def _judge(recipe: Recipe, side: Side, play: Play, turn: Turn, name: str, joint: Mapping[str, bool]) -> Losses:
    """Step 3 of algorithm 1: judge real against generated."""
    match = play.match(name)
    penalties = due(side, name, turn)
    # Where sides play together, or codes come from an encoder that learns, points carry a graph that is not ours.
    match = match._replace(
        real=match.real.detach() if match.real is not None else None,
        fake=match.fake.detach() if match.fake is not None else None,
    )
    contest, per = hold(
        play.nets[match.judge], match, play, turn, penalties, recipe.augment, joint[match.judge], name=name
    )
    real = contest.real.score if contest.real is not None else None
    fake = contest.fake.score if contest.fake is not None else None
    on_real, on_fake = recipe.objective.discriminator(real, fake, turn.knobs)
    found: Losses = {}
    if on_real is not None:
        found[f"{name}.real"] = per_example(on_real, match.real_mask) * match.weight
    if on_fake is not None:
        found[f"{name}.fake"] = per_example(on_fake, match.fake_mask) * match.weight
    _note_scores(side, name, real, fake, turn)
    return found | _penalised(side, penalties, per, turn)


def _note_scores(side: Side, name: str, real: Tensor | None, fake: Tensor | None, turn: Turn) -> None:
    """Mean scores, the sign ADA goes by, and the value V(D, G) of the game, for logits of a probability."""
    if real is not None:
        turn.note(f"{side.name}.{name}.real", real.mean())
        turn.note(f"{side.name}.{name}.sign", real.sign().mean())
    if fake is not None:
        turn.note(f"{side.name}.{name}.fake", fake.mean())
    if real is not None and fake is not None:
        turn.note(f"{side.name}.{name}.value", -softplus(-real.detach()).mean() - softplus(fake.detach()).mean())


def _penalised(side: Side, penalties: list[Penalty], per: Mapping[int, Contest], turn: Turn) -> Losses:
    found: Losses = {}
    for i, penalty in enumerate(penalties):
        part = name_of(penalty)
        charge = penalty(per[i])
        turn.note(f"{side.name}.{part}", charge.mean())
        factor = penalty.weight * penalty.every * turn.knob("penalty") * turn.knob(f"penalty.{part}")
        if penalty.slopes:  # mending flattens the judge; class heads and the like are left alone
            factor = factor * turn.knob("mend.penalty")
        found[unique(part, found)] = charge * factor
    return found


def _fool(recipe: Recipe, side: Side, play: Play, turn: Turn, name: str, joint: Mapping[str, bool]) -> Losses:
    """Step 4 of algorithm 1: what the generator loses while the judge stands still."""
    match = play.match(name)
    if match.fake is None:
        raise RecipeError(f"side {side.name!r} cannot fool match {name!r}: it has no fakes")
    penalties = due(side, name, turn)
    judge: Judge = play.nets[match.judge]
    if side.unroll:
        judge = unrolled(recipe, side, play, name, turn)
    want = frozenset({"real", "fake"}) if recipe.objective.paired else frozenset({"fake"})
    contest, per = hold(judge, match, play, turn, penalties, recipe.augment, joint[match.judge], want, name)
    if contest.fake is None:
        return {}
    real = contest.real.score if contest.real is not None and recipe.objective.paired else None
    on_real, on_fake = recipe.objective.generator(real, contest.fake.score, turn.knobs)
    found = {f"{name}.fake": per_example(on_fake, match.fake_mask) * match.weight}
    if on_real is not None:
        found[f"{name}.real"] = per_example(on_real, match.real_mask) * match.weight
    turn.note(f"{side.name}.{name}.fake", contest.fake.score.mean())
    return found | _penalised(side, penalties, per, turn)


def unrolled(recipe: Recipe, side: Side, play: Play, name: str, turn: Turn) -> Judge:
    """The judge as it would stand after `side.unroll` gradient steps on this match (Metz et al. 2016, eq. 5–7);
    the generator's gradient flows through those steps."""
    match = play.match(name)
    net = play.nets[match.judge]
    parameters = {k: p.detach() for k, p in net.named_parameters()}
    real, fake = match.real, match.fake

    def loss(at: dict[str, Tensor]) -> Tensor:
        scores = [None if p is None else functional_call(net, at, (p.x, *p.cond))["score"] for p in (real, fake)]
        parts = recipe.objective.discriminator(scores[0], scores[1], turn.knobs)
        return torch.stack([p.mean() for p in parts if p is not None]).sum()

    for _ in range(side.unroll):
        slopes = torch.func.grad(loss)(parameters)
        parameters = {k: p - side.unroll_lr * slopes[k] for k, p in parameters.items()}
    return lambda x, *cond: functional_call(net, parameters, (x, *cond))


def total(found: Losses) -> Tensor:
    """The side's loss: the sum of the means, 0 for a side that is charged nothing."""
    if not found:
        return torch.zeros(())
    return torch.stack([v.mean() for v in found.values()]).sum()


def freeze(trainable: Mapping[str, list[nn.Parameter]], moving: tuple[str, ...]) -> None:
    """Only the side's own modules require gradients: that alone keeps other graphs from being built."""
    for name, parameters in trainable.items():
        for p in parameters:
            p.requires_grad_(name in moving)
