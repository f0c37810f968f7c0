"""A side's turn under differential privacy (DP-SGD, Abadi et al. 2016, algorithm 1), and what it keeps from others.

The unit is a tuple (real row, fake, draws): its whole charge, the objective on its pair and all penalties, gives one
gradient, by `vmap(grad(...))` through the same contest that ordinary turns hold.  Fakes and draws of different units
are independent of one another and of all rows, and come from a seed that nobody knows; so to add or remove one row is
to add or remove one unit, which moves the sum of gradients by the clip at most.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from rivalry.catalogue import name_of
from rivalry.errors import RecipeError
from rivalry.parts import Objective, Play, Turn
from rivalry.privacy import Ledger, admit
from rivalry.privacy.draws import Recorded, Replayed
from rivalry.privacy.secure import SecureDraw, normal
from rivalry.recipe import Private, Recipe, Side
from rivalry.training.sources import FixedRows
from rivalry.training.state import State, draw_for
from rivalry.training.step import due, freeze, losses, total
from rivalry.types import Batch, Knobs, Match, Point, Spec

if TYPE_CHECKING:
    from rivalry.training.loop import Store

FLOATS, FLOATS_THERE = 2**22, 2**27
"""About so many gradient entries are held at once, on a CPU and on an accelerator: 16 MB, which fits a cache and is
twice as fast as 128 MB (165,000 parameters, 500 rows), and 512 MB."""
SLACK = 1 - 1e-5
"""Norms are summed in float32; what is cut is cut by a little more, so that rounding does not exceed the clip."""

Units = dict[str, Tensor]
"""[n, ...] each: '<match>/real', '<match>/fake', and the penalties' draws by their place."""


# -- one unit's charge ----------------------------------------------------------------------------------------------


class _Held(nn.Module):
    """A network at given parameters."""

    def __init__(self, net: nn.Module, at: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.net, self.at = net, dict(at)

    def forward(self, *inputs: Tensor) -> Any:
        return functional_call(self.net, self.at, inputs)


@dataclass
class _UnitPlay:
    """The play of a single unit."""

    nets: Mapping[str, nn.Module]
    matches: Mapping[str, Match]

    def match(self, name: str) -> Match:
        return self.matches[name]

    def pair(self, name: str) -> tuple[Tensor, ...]:
        raise RecipeError(
            f"not under differential privacy: a penalty of the private side reads pair {name!r} of the whole batch; "
            "leave it out"
        )


def gather(recipe: Recipe, side: Side, play: Play, turn: Turn) -> tuple[Units, dict[str, Match]]:
    """All units of a play, and its matches; augmentation is applied here, since slopes are of what it gives."""
    units: Units = {}
    matches: dict[str, Match] = {}
    for name in side.judges:
        match, real, fake = _simple(play.match(name), name)
        for which, point in (("real", real), ("fake", fake)):
            x = point.x.detach()
            if recipe.augment is not None and match.augment:
                x = recipe.augment(x, turn.draw.at("augment", name, which), turn.knob("augment"))
            units[f"{name}/{which}"] = x
        matches[name] = match
        units |= _drawn(side, match, units, name, turn)
    return units, matches


def _simple(match: Match, name: str) -> tuple[Match, Point, Point]:
    """(match, real, fake) of a match between rows and fakes; RecipeError where the judge sees more than those."""
    real, fake = match.real, match.fake
    if real is None or fake is None or real.cond or fake.cond:
        raise RecipeError(
            f"not under differential privacy: match {name!r} is not simply between rows and fakes (labels, codes of an "
            "encoder); take a recipe of the game 'sample' without labels, such as 'house-table'"
        )
    return match, real, fake


def _drawn(side: Side, match: Match, units: Units, name: str, turn: Turn) -> Units:
    """What the match's penalties draw, [n, ...] each."""
    real, fake = units[f"{name}/real"], units[f"{name}/fake"]
    draw = Recorded(turn.draw.seed, turn.draw.place, turn.draw.device, inner=turn.draw)
    seen = match._replace(real=Point(real), fake=Point(fake))
    for penalty in due(side, name, turn):
        before = set(draw.kept)
        whole: Any = penalty
        replace(whole, share=1.0).ask(seen, replace(turn, draw=draw))
        if any(len(draw.kept[k]) != len(real) for k in draw.kept.keys() - before):
            raise RecipeError(
                f"not under differential privacy: penalty {name_of(penalty)!r} does not draw once for every row; leave it out"
            )
    return draw.kept


def charge(
    recipe: Recipe, side: Side, play: Play, turn: Turn, matches: Mapping[str, Match], at: Mapping[str, Tensor], unit: Units
) -> Tensor:
    """0-d: all that one unit (without the first axis) is charged, the judge at parameters `at` ('net.parameter')."""
    one = {k: v[None] for k, v in unit.items()}
    nets = {name: _Held(play.nets[name], _under(at, name)) for name in side.modules}
    unit_play = _UnitPlay(
        {**play.nets, **nets},
        {
            k: m._replace(real=Point(one[f"{k}/real"]), fake=Point(one[f"{k}/fake"]), augment=False)
            for k, m in matches.items()
        },
    )
    draw = Replayed(turn.draw.seed, turn.draw.place, turn.draw.device, kept=one)
    apart = dict.fromkeys(play.nets, True)
    return total(losses(recipe, side, unit_play, replace(turn, draw=draw, notes={}, batch=1), apart))


def _under(at: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    return {k.removeprefix(f"{name}."): v for k, v in at.items() if k.startswith(f"{name}.")}


# -- the sum of cut gradients ---------------------------------------------------------------------------------------


def unit_gradients(
    recipe: Recipe, side: Side, play: Play, turn: Turn, at: Mapping[str, Tensor]
) -> Iterator[dict[str, Tensor]]:
    """Gradients [m, *parameter] of the units, by parameter, a chunk of them at a time."""
    units, matches = gather(recipe, side, play, turn)
    n = len(next(iter(units.values())))
    room = FLOATS if next(iter(units.values())).device.type == "cpu" else FLOATS_THERE
    chunk = max(1, min(n, room // max(1, sum(p.numel() for p in at.values()))))
    slope = vmap(
        grad(lambda p, unit: charge(recipe, side, play, turn, matches, p, unit)), (None, 0), randomness="different"
    )
    for start in range(0, n, chunk):
        found: dict[str, Tensor] = slope(dict(at), {k: v[start : start + chunk] for k, v in units.items()})
        yield found


def cut_sum(slopes: Mapping[str, Tensor], clip: float) -> dict[str, Tensor]:
    """Gradients [m, *parameter] -> their sum, each unit's, as one vector, cut to norm `clip` before, in float32 or
    better; a unit whose gradient is no number counts as zero."""
    flat = {k: g.flatten(1).to(torch.promote_types(g.dtype, torch.float32)) for k, g in slopes.items()}
    norms = torch.stack([torch.linalg.vector_norm(g, dim=1) for g in flat.values()]).norm(dim=0)
    sound = torch.isfinite(norms)
    if not bool(sound.all()):
        flat = {k: g[sound] for k, g in flat.items()}
        norms = norms[sound]
    factor = (clip * SLACK / norms.clamp_min(1e-30)).clamp_max(1.0)
    return {k: (factor @ g).view(slopes[k].shape[1:]) for k, g in flat.items()}


def clipped_sum(
    recipe: Recipe, side: Side, play: Play, turn: Turn, at: Mapping[str, Tensor], clip: float
) -> dict[str, Tensor]:
    """float64, by parameter: the sum of the units' gradients, each cut to norm `clip`, before any noise.  One row more
    or less moves it by `clip` at most."""
    sums = {k: torch.zeros_like(p, dtype=torch.float64) for k, p in at.items()}
    for slopes in unit_gradients(recipe, side, play, turn, at):
        for k, g in cut_sum(slopes, clip).items():
            sums[k] += g
    return sums


def noised(sums: Mapping[str, Tensor], private: Private, expected: float) -> dict[str, Tensor]:
    """(sums + N(0, (noise clip)^2)) / the expected batch size, float32.  All noise is drawn at once, in float64."""
    sizes = [v.numel() for v in sums.values()]
    pieces = (normal(sum(sizes)) * (private.noise * private.clip)).split(sizes)
    return {
        k: ((v + piece.to(v.device).view_as(v)) / expected).float()
        for (k, v), piece in zip(sums.items(), pieces, strict=True)
    }


# -- turns ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Veiled:
    """A recipe's Source for sides without privacy: as many rows as they ask for, all of them `value`, so that nothing of
    real rows can reach them, and (at NaN) whoever uses one is found out."""

    spec: Spec
    device: torch.device
    value: float = math.nan

    def batch(self, stream: str, turn: Turn) -> Batch:
        return Batch(torch.full((turn.batch, *self.spec.shape), self.value, device=self.device))


@dataclass(frozen=True)
class Unpaired(Objective):
    """For sides that must not see real rows: where the generator's loss compares with the scores of real rows, the mean
    score of its own rows stands in, a constant; so the loss, too, minds no shift of all scores."""

    base: Objective
    couples: ClassVar[bool] = True

    def discriminator(
        self, real: Tensor | None, fake: Tensor | None, knobs: Knobs
    ) -> tuple[Tensor | None, Tensor | None]:
        return self.base.discriminator(real, fake, knobs)

    def generator(self, real: Tensor | None, fake: Tensor, knobs: Knobs) -> tuple[Tensor | None, Tensor]:
        stand_in = fake.detach().mean(0, keepdim=True).expand_as(fake)
        return None, self.base.generator(stand_in, fake, knobs)[1]


class PrivateTurns:
    """The turns of a recipe's private side, paid for by a ledger; without one only to try things out, for what is made
    then must not leave the machine."""

    def __init__(self, state: State, store: Store, ledger: Ledger | None, world: int) -> None:
        if world > 1:
            raise RecipeError("differential privacy is for one process yet; start it without torchrun")
        admit(state.recipe, state.nets, state.wiring)
        self.state, self.store, self.ledger = state, store, ledger
        self.public = replace(state.recipe, objective=Unpaired(state.recipe.objective))
        self.source = Veiled(state.spec, state.device)
        self._try_out()

    def affords(self, turns: int) -> bool:
        return self.ledger is None or self.ledger.affords(turns)

    def take(self, side: Side, turn: Turn) -> None:
        """Draws a batch, and leaves the noised mean of its cut gradients in the side's parameters' `.grad`.

        turn.batch is the expected size.  Nothing of the rows, not even their number, goes into the turn's notes.
        """
        assert side.private is not None
        if self.ledger is not None:
            self.ledger.spend()
        state, expected = self.state, turn.batch
        draw = SecureDraw.like(turn.draw)
        draw.seed_globally("modules")
        owned = {id(p) for name in side.modules for p in state.trainable[name]}
        live = {f"{n}.{k}": p for n in side.modules for k, p in state.nets[n].named_parameters() if id(p) in owned}
        at = {k: p.detach() for k, p in live.items()}
        index = state.recipe.sampler.index("real", len(self.store), turn)
        sums = {k: torch.zeros_like(p, dtype=torch.float64) for k, p in at.items()}
        if len(index):
            secret = replace(turn, draw=draw, batch=len(index))
            play = state.recipe.game.play(state.nets, FixedRows(self.store.batch(index, state.device)), secret)
            sums = clipped_sum(state.recipe, side, play, secret, at, side.private.clip)
        for k, g in noised(sums, side.private, expected).items():
            live[k].grad = g.to(live[k].dtype)

    def _try_out(self) -> None:
        """Plays every side's turn on veiled rows of two kinds: RecipeError where it makes a difference to what the
        generator makes, or to what a side without privacy is charged.  Such sides never get real rows anyway; this is
        to say so before training starts."""
        for stage in self.state.recipe.stages:
            for side in stage.sides:
                one, two = (self._played(side, value) for value in (math.nan, 0.5))
                for name, value in one.items():
                    if not torch.equal(value, two[name]):
                        raise RecipeError(
                            f"not under differential privacy: {name!r} of side {side.name!r} depends on real rows that "
                            "nobody pays for; take a recipe whose generator sees noise only, such as 'house-table'"
                        )

    def _played(self, side: Side, value: float) -> dict[str, Tensor]:
        """What a side without privacy is charged, or the fakes a private one sees, with all real rows at `value`."""
        state = self.state
        draw = draw_for(state, "privacy", side.name)
        draw.seed_globally("privacy")
        turn = Turn(side.name, 0, 0, 0, draw, dict(state.knobs), {}, 4)
        freeze(state.trainable, side.modules)
        play = state.recipe.game.play(state.nets, replace(self.source, value=value), turn)
        if side.private is None:
            return {k: v.detach() for k, v in losses(self.public, side, play, turn, state.joint).items()}
        return {name: _simple(play.match(name), name)[2].x.detach() for name in side.judges}
