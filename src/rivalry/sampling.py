"""Samples from trained networks: in chunks, by seed, with labels where the game wants them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import torch
from torch import Tensor, nn

from rivalry.data import Dataset
from rivalry.data.base import Store
from rivalry.errors import RecipeError
from rivalry.games.levels import Levels
from rivalry.modes import evaluating
from rivalry.parts import Game, Settles, Wiring
from rivalry.room import check_room
from rivalry.streams import Draw, key
from rivalry.types import Block

CHUNK = 256
CORNERS, BETWEEN = 5, 12
WALKED = (CORNERS - 1) * BETWEEN
"""Samples that a walk shows."""


@dataclass(frozen=True)
class Sampler:
    """(n, seed) -> encoded samples [n, *shape] on the device.

    classes: shares of the classes among the training data, for games with labels.  asked: the option of a table's
    category that all rows are to have, for games that can be asked (see `steered`).  A sample depends on the seed and
    its chunk's number only, so the first n of more samples are the same when n is a multiple of CHUNK.

    rows: of games that change pictures, the rows that they change: `picked` by the seed.  told: hears how many have been drawn, chunk
    by chunk.
    """

    game: Game
    wiring: Wiring
    nets: Mapping[str, nn.Module]
    device: torch.device
    classes: tuple[float, ...] = ()
    asked: int | None = None
    rows: Store | None = None
    told: Callable[[int], None] = field(default=lambda drawn: None, compare=False)

    def __call__(self, n: int, seed: int) -> Tensor:
        return self.draw(n, seed)[0]

    def draw(
        self, n: int, seed: int, label: int | Sequence[int] | None = None, truncation: float = 1.0
    ) -> tuple[Tensor, Tensor | None]:
        """(samples, labels).  label: a class for all, or one for each; by the data's shares without it.  RecipeError for fewer than one,
        and for more than memory holds."""
        if n < 1:
            raise RecipeError(f"the number of samples must be at least 1, not {n}")
        _check_truncation(truncation)
        check_room(n, 8, self.device)  # the labels
        labels = self._labels(n, seed, label)
        out: list[Tensor] = []
        with evaluating(*self.nets.values()), torch.inference_mode():
            for start in range(0, n, CHUNK):
                draw = Draw(seed, ("sample", start // CHUNK), self.device)
                draw.seed_globally("modules")
                mine = None if labels is None else labels[start : start + CHUNK].to(self.device)
                size = min(CHUNK, n - start)
                out.append(self._made(draw, size, mine, truncation, n, seed, start))
                self.told(size)
                if not start:
                    check_room(n, out[0].nbytes // size, self.device)
        return torch.cat(out).clone(), labels

    def _made(
        self, draw: Draw, size: int, label: Tensor | None, truncation: float, n: int, seed: int, start: int
    ) -> Tensor:
        """Samples [start, start + size) of n."""
        if self.rows is None:
            return self.game.sample(self.nets, self.wiring, draw, size, label, truncation)
        mine = picked(len(self.rows), n, seed)[start : start + size]
        made = [self._changed(part, draw.at(i)) for i, part in enumerate(mine.split(AT_ONCE if self.game.changes else CHUNK))]
        return torch.cat(made)

    def _changed(self, index: Tensor, draw: Draw) -> Tensor:
        assert self.rows is not None
        batch = self.rows.batch(index, self.device)
        return self.game.change(self.nets, self.game.source(batch, draw), draw)

    def surprise(self, x: Tensor) -> Tensor | None:
        """-log p of each entry of real rows x [n, ...], in nats; None where the generator has no likelihood."""
        with evaluating(*self.nets.values()), torch.inference_mode():
            found = [self.game.surprise(self.nets, part.to(self.device)) for part in x.split(CHUNK)]
        known = [part.clone() for part in found if part is not None]
        return torch.cat(known) if known else None

    def _labels(self, n: int, seed: int, label: int | Sequence[int] | None) -> Tensor | None:
        if self.asked is not None:
            return torch.full((n,), self.asked)
        if not self.wiring.classes:
            if label is not None:
                raise RecipeError("this run was trained without labels, so no class can be chosen")
            return None
        if isinstance(label, int):
            label = [label] * n
        if label is not None:
            given = torch.tensor(label)
            if len(given) != n or int(given.min()) < 0 or int(given.max()) >= self.wiring.classes:
                raise RecipeError(f"labels must be {n} numbers from 0 to {self.wiring.classes - 1}")
            return given
        shares = torch.tensor(self.classes or [1.0] * self.wiring.classes)
        generator = torch.Generator().manual_seed(Draw(seed, ("labels",)).key("label"))
        return torch.multinomial(shares, n, replacement=True, generator=generator)

    def walk(self, seed: int, corners: int = CORNERS, between: int = BETWEEN, label: int = 0, truncation: float = 1.0) -> Tensor:
        """[(corners - 1) * between, *shape]: from one random latent to the next, along great circles, or straight where noise fills a cube."""
        _check_truncation(truncation)
        with torch.inference_mode():
            draw = Draw(seed, ("walk",), self.device)
            ends = self.game.latents(draw, corners, self.wiring, truncation)
            t = torch.linspace(0, 1, between + 1, device=self.device)[:-1]
            z = torch.cat([slerp(a, b, t) if self.game.spherical else torch.lerp(a, b, t[:, None]) for a, b in pairwise(ends)])
            cond: tuple[Tensor, ...] = ()
            if self.wiring.classes:
                cond = (torch.full((len(z),), label, device=self.device),)
            return self.game.from_latent(self.nets, z, cond, truncation).clone()


AT_ONCE = 32
"""Pictures that are changed at a time: they are larger than those that are made of noise."""
CHANGED = 2
"""Times AT_ONCE that are changed for standing statistics."""


def _check_truncation(truncation: float) -> None:
    if not 0 <= truncation <= 1:  # NaN, too
        raise RecipeError(f"truncation lies between 0, the most typical, and 1, as trained, not {truncation:g}")


def picked(rows: int, n: int, seed: int) -> Tensor:
    """[n] int64: rows that a seed picks among so many, each once before any twice."""
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(key(seed, "picked")))
    return order.repeat(-(-n // rows))[:n]


ROUND = 8192
"""Rows drawn at a time where only some are kept."""
MOST = 2_000_000
"""Rows that are drawn before conditions that none of them meets are given up."""
PATIENCE = 40_000_000
"""Rows that may be drawn in all, where some are kept."""
FIRM = 20
"""Rows kept before their rate is trusted to say that the others will take too long."""

Tick = Callable[[str, float], None]
"""Told what is done, and its share."""


def silent(what: str, share: float) -> None:
    """A Tick for nobody."""


def counting(sampler: Sampler, n: int, tick: Tick, whole: float = 1.0) -> Sampler:
    """The sampler, telling how far it is with n samples, which are so much of the whole; what is left is measuring them."""
    done = 0

    def told(drawn: int) -> None:
        nonlocal done
        done += drawn
        tick("drawing samples" if done < n or whole == 1 else "measuring", whole * min(1.0, done / max(n, 1)))

    return replace(sampler, told=told)


def filled(
    draw: Callable[[int, int], Tensor], group: Callable[[Tensor], Tensor], wanted: Sequence[int], seed: int, tick: Tick = silent
) -> Tensor:
    """The first wanted[g] samples of every group g that `draw` (n, seed) makes, in the order they were drawn; group:
    [N, ...] -> [N] int64, negative for none.  This is rejection sampling: within a group samples are distributed as the
    model's own that fall into it.

    RecipeError once MOST rows were drawn and none of a group kept, or as soon as it is plain that PATIENCE rows will not do.
    """
    if min(wanted, default=0) < 0 or sum(wanted) < 1:
        raise RecipeError(f"the number of samples must be at least 1, not {sum(wanted)}")
    goal = torch.tensor(list(wanted))
    count, drawn, found = torch.zeros_like(goal), 0, list[Tensor]()
    while bool((count < goal).any()):
        _check_patience(goal, count, drawn)
        x = draw(ROUND, key(seed, "kept", drawn))
        drawn += len(x)
        mine = group(x).cpu()
        place = mine.clamp_min(0)
        found.append(x[((mine >= 0) & (count[place] + _earlier(mine) < goal[place])).to(x.device)])
        count = count + torch.bincount(mine[mine >= 0], minlength=len(goal))
        tick(_rate(goal, count, drawn), float(torch.minimum(count, goal).sum() / goal.sum()))
    return torch.cat(found)


def _earlier(group: Tensor) -> Tensor:
    """[N] int64: how many rows before it are in each row's group.

    >>> _earlier(torch.tensor([2, 0, 2, 2]))
    tensor([0, 0, 1, 2])
    """
    order = group.argsort(stable=True)
    ascending = group[order]
    earlier = torch.empty_like(group)
    earlier[order] = torch.arange(len(group)) - torch.searchsorted(ascending, ascending)
    return earlier


def _slowest(goal: Tensor, count: Tensor) -> int:
    """The group that has the largest part of its samples yet to come."""
    return int(((goal - count) / goal.clamp_min(1)).argmax())


def _rate(goal: Tensor, count: Tensor, drawn: int) -> str:
    """'one row in 1,200 is kept', of the group that holds things up."""
    hits = int(count[_slowest(goal, count)])
    return f"one row in {drawn / hits:,.0f} is kept" if hits else f"none of {drawn:,} rows is kept yet"


def _check_patience(goal: Tensor, count: Tensor, drawn: int) -> None:
    slowest = _slowest(goal, count)
    hits, n = int(count[slowest]), int(goal[slowest])
    if not hits and drawn >= MOST:
        raise RecipeError(
            f"none of {drawn:,} samples meets the conditions (at most one in {drawn / 3:,.0f} does, with 95 % confidence); loosen "
            "the conditions, or look with `rivalry data inspect` whether the data have such rows"
        )
    if hits >= FIRM and drawn / hits * n > PATIENCE:
        most = max(1, int(PATIENCE * hits / drawn))
        raise RecipeError(
            f"one sample in {drawn / hits:,.0f} meets the conditions, so {n:,} of them would take {drawn / hits * n:,.0f} draws; ask "
            f"for {most:,} or fewer, or loosen the conditions"
        )
    if drawn >= PATIENCE:
        raise RecipeError(
            f"only {hits:,} of {drawn:,} samples meet the conditions, and {n:,} were asked for; ask for fewer, or loosen the conditions"
        )


def steered(sampler: Sampler, blocks: Sequence[Block], wanted: Sequence[tuple[str, int]]) -> Sampler:
    """The sampler, asking for the rarest of the wanted (category, level number) where its game can be asked for levels;
    it gives mostly rows that have it, and `filled` sees to the rest."""
    if not sampler.wiring.beside or not wanted:
        return sampler
    levels = Levels(blocks)
    shares = torch.tensor([share for b in levels.blocks for share in b.shares or (1 / b.width,) * b.width])
    options = [levels.option(name, level) for name, level in wanted]
    return replace(sampler, asked=min(options, key=lambda o: float(shares[o])))


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """[T, D]: spherical interpolation from a [D] to b [D] at t [T] (Shoemake 1985)."""
    cosine = torch.dot(a, b) / (a.norm() * b.norm()).clamp_min(1e-12)
    angle = torch.acos(cosine.clamp(-1 + 1e-6, 1 - 1e-6))
    left, right = torch.sin((1 - t) * angle), torch.sin(t * angle)
    return (left[:, None] * a + right[:, None] * b) / torch.sin(angle)


@torch.no_grad()
def settle(sampler: Sampler, seed: int, batches: int = 10) -> None:
    """Standing statistics (Brock et al. 2019, BigGAN): averaged weights have other activations than those that were
    averaged, so batch norm's running statistics are taken anew, from `batches` batches of samples; then modules that
    ask for it (`Settles`) see four times as many."""
    modules = [m for net in sampler.nets.values() for m in net.modules()]
    norms = [m for m in modules if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.track_running_stats]
    with evaluating(*sampler.nets.values()):
        if norms:
            _standing(sampler, norms, seed, batches)
        for module in modules:
            if isinstance(module, Settles):
                _settle(module, sampler, seed, batches)


def _settle(module: Settles, sampler: Sampler, seed: int, batches: int) -> None:
    module.settle(lambda: _draw_batches(sampler, seed, module.appetite * batches))


def _standing(sampler: Sampler, norms: Sequence[nn.modules.batchnorm._BatchNorm], seed: int, batches: int) -> None:
    momenta = {m: m.momentum for m in norms}
    for m in norms:
        m.reset_running_stats()
        m.momentum = None  # a plain mean over the batches
        m.train()
    _draw_batches(sampler, seed, batches)
    for m in norms:
        m.momentum = momenta[m]
        m.eval()


def _draw_batches(sampler: Sampler, seed: int, batches: int) -> None:
    """Samples that are drawn for what modules see of them, and thrown away; of pictures that are changed a few are enough, since every
    place of them counts."""
    if sampler.rows is not None:
        for i in range(CHANGED):
            sampler._made(Draw(seed, ("settle", i), sampler.device), AT_ONCE, None, 1.0, AT_ONCE, seed + i, 0)
        return
    labels = sampler._labels(batches * CHUNK, seed, None)
    for i in range(batches):
        draw = Draw(seed, ("settle", i), sampler.device)
        draw.seed_globally("modules")
        mine = None if labels is None else labels[i * CHUNK : (i + 1) * CHUNK].to(sampler.device)
        sampler.game.sample(sampler.nets, sampler.wiring, draw, CHUNK, mine)


def sampler_of(game: Game, wiring: Wiring, nets: Mapping[str, nn.Module], device: torch.device, data: Dataset) -> Sampler:
    """The sampler while data are at hand: games that change pictures change held-out ones, and those that answer answer them."""
    return Sampler(game, wiring, nets, device, class_shares(data), rows=data.held if game.changes or game.answers else None)


def class_shares(data: Dataset) -> tuple[float, ...]:
    """Shares of the classes among the training data; () without labels."""
    labels = data.train.labels
    if labels is None or not data.spec.classes:
        return ()
    counts = torch.bincount(labels, minlength=data.spec.classes)
    return tuple((counts / counts.sum()).tolist())
