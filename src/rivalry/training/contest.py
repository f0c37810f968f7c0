"""One judge, one match: every point in as few passes as the maths allows, scores and slopes together.

What happens here is a function of (judge, points) without side effects, so the same code serves the plain step,
unrolled opponents (`functional_call`) and per-example gradients (`vmap(grad)`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rivalry.parts import Augment, Contest, Judge, Penalty, Play, Turn
from rivalry.types import Heads, Judged, Match, Point


@dataclass
class _Ask:
    """A point to be judged, and of how many of its first rows the slope is wanted."""

    point: Point
    slopes: int = 0


def hold(
    judge: Judge,
    match: Match,
    play: Play,
    turn: Turn,
    penalties: Sequence[Penalty] = (),
    augment: Augment | None = None,
    joint: bool = True,
    want: frozenset[str] = frozenset({"real", "fake"}),
    name: str = "main",
) -> tuple[Contest, dict[int, Contest]]:
    """Judges the match; returns the contest, and per penalty (by its place) the contest with the points it asked for.

    joint: one pass over all points; never for judges whose examples influence one another.
    want: which of 'real' and 'fake' the caller needs; penalties may add to it.
    """
    match = _prepared(match, turn, augment, name)
    for p in penalties:
        want = want | p.needs
    sides = {"real": match.real, "fake": match.fake}
    asks: dict[str, _Ask] = {k: _Ask(v) for k, v in sides.items() if k in want and v is not None}
    owners: list[list[str]] = []
    for i, p in enumerate(penalties):
        own = p.ask(match, turn)
        owners.append([f"{i}.{j}" for j in range(len(own))])
        for key, point in zip(owners[-1], own, strict=True):
            asks[key] = _Ask(point, len(point.x) if "asked" in p.slopes else 0)
        for key in p.slopes & sides.keys() & asks.keys():
            asks[key].slopes = max(asks[key].slopes, _rows(p, asks[key].point))
    judged = dict(zip(asks, _judge_all(judge, list(asks.values()), joint), strict=True))
    base = Contest(match, judged.get("real"), judged.get("fake"), (), judge, play, turn)
    per = {i: base._replace(asked=tuple(judged[k] for k in keys)) for i, keys in enumerate(owners)}
    return base, per


def _rows(penalty: Penalty, point: Point) -> int:
    """On how many rows the penalty is computed: its share of the batch, at least one."""
    n = point.x.shape[0]
    return max(1, min(n, round(n * penalty.share)))


def _prepared(match: Match, turn: Turn, augment: Augment | None, name: str) -> Match:
    """Augments, then packs, what the judge is to see."""

    def prepare(point: Point | None, which: str) -> Point | None:
        if point is None:
            return None
        if augment is not None and match.augment:
            x = augment(point.x, turn.draw.at("augment", name, which), turn.knob("augment"))
            point = point._replace(x=x)
        return packed(point, match.pack)

    return match._replace(real=prepare(match.real, "real"), fake=prepare(match.fake, "fake"))


def packed(point: Point, pack: int) -> Point:
    """PacGAN (Lin et al. 2017): each `pack` examples become one, joined along their first axis."""
    if pack == 1:
        return point
    n = max(pack, point.x.shape[0] // pack * pack)
    rows = torch.arange(n, device=point.x.device) % point.x.shape[0]  # a batch smaller than a pack is repeated
    x = point.x[rows]
    x = x.reshape(n // pack, pack * x.shape[1], *x.shape[2:])
    cond = tuple(c[rows].reshape(n // pack, pack, *c.shape[1:])[:, 0] for c in point.cond)
    return Point(x, cond, None)


def _judge_all(judge: Judge, asks: list[_Ask], joint: bool) -> list[Judged]:
    """All points: those with slopes in one group, the others in another; each group one pass if `joint`."""
    if not joint or not _alike([a.point for a in asks]):
        return [_one(judge, a) for a in asks]
    pieces: list[tuple[int, Point, bool]] = []
    for i, a in enumerate(asks):
        n = a.point.x.shape[0]
        if a.slopes:
            pieces.append((i, _cut(a.point, 0, a.slopes), True))
        if a.slopes < n:
            pieces.append((i, _cut(a.point, a.slopes, n), False))
    found: dict[int, list[Judged]] = {i: [] for i in range(len(asks))}
    for with_slope in (True, False):
        group = [(i, p) for i, p, s in pieces if s is with_slope]
        for batch in _batches(group):
            for (i, _), judged in zip(batch, _pass(judge, [p for _, p in batch], with_slope), strict=True):
                found[i].append(judged)
    return [_joined(a.point, found[i]) for i, a in enumerate(asks)]


def _batches(group: list[tuple[int, Point]]) -> list[list[tuple[int, Point]]]:
    """One pass for all on an accelerator, which likes large batches; on a CPU each its own, which fits the cache
    better (13 % faster on 32 px ResNets, see docs/lab/speed.md)."""
    if group and group[0][1].x.device.type == "cpu":
        return [[one] for one in group]
    return [group]


def _one(judge: Judge, ask: _Ask) -> Judged:
    """A pass of its own; slopes are of all rows, since rows may influence one another."""
    (judged,) = _pass(judge, [ask.point], ask.slopes > 0)
    return judged


def _alike(points: list[Point]) -> bool:
    shapes = {(p.x.shape[1:], p.x.dtype, tuple((c.shape[1:], c.dtype) for c in p.cond)) for p in points}
    return len(shapes) == 1


def _cut(point: Point, start: int, stop: int) -> Point:
    if start == 0 and stop == point.x.shape[0]:
        return point
    latent = None if point.latent is None else point.latent[start:stop]
    return Point(point.x[start:stop], tuple(c[start:stop] for c in point.cond), latent)


def _pass(judge: Judge, points: list[Point], slope: bool) -> list[Judged]:
    """One forward pass over the points' rows, with d(sum of scores)/dx if `slope`."""
    if not points:
        return []
    single = len(points) == 1
    x = points[0].x if single else torch.cat([p.x for p in points])
    cond = points[0].cond if single else tuple(map(torch.cat, zip(*(p.cond for p in points), strict=True)))
    slopes: Tensor | None = None
    if slope:

        def total(at: Tensor) -> tuple[Tensor, Heads]:
            heads = judge(at, *cond)
            return heads["score"].sum(), heads

        slopes, heads = torch.func.grad(total, has_aux=True)(x)
    else:
        heads = judge(x, *cond)
    if single:
        return [Judged(points[0], heads, slopes)]
    out, start = [], 0
    for p in points:
        stop = start + p.x.shape[0]
        out.append(
            Judged(p, {k: v[start:stop] for k, v in heads.items()}, None if slopes is None else slopes[start:stop])
        )
        start = stop
    return out


def _joined(point: Point, parts: list[Judged]) -> Judged:
    """A point's rows back together; the slope covers only the rows it was wanted for."""
    if len(parts) == 1:
        return Judged(point, parts[0].heads, parts[0].slope)
    heads = {k: torch.cat([p.heads[k] for p in parts]) for k in parts[0].heads}
    return Judged(point, heads, parts[0].slope)
