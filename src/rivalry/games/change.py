"""Games that make pictures out of pictures: of damaged or paired ones, and between two sets without pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from rivalry.augment.light import shifted
from rivalry.catalogue import register
from rivalry.degrade.basic import Masked
from rivalry.degrade.resize import bicubic
from rivalry.errors import RecipeError
from rivalry.games.lazy import LazyPlay, latent, lazy, need_label
from rivalry.nets.translators import ResNetTranslatorModule
from rivalry.parts import Degradation, Game, Play, Source, Turn, Wiring
from rivalry.streams import Draw
from rivalry.types import Batch, Match, Point, Spec

Turned = Literal["no", "mirrored", "all"]


def turned(pictures: tuple[Tensor, ...], how: Turned, draw: Draw) -> tuple[Tensor, ...]:
    """The pictures of an example, all alike: mirrored by chance, or in one of the eight ways a square can lie."""
    if how == "no":
        return pictures
    n = len(pictures[0])

    def by_chance(name: str, pairs: tuple[Tensor, ...], others: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        chance = (draw.uniform(name, n) < 0.5).view(-1, 1, 1, 1)
        return tuple(torch.where(chance, b, a) for a, b in zip(pairs, others, strict=True))

    pictures = by_chance("mirrored", pictures, tuple(p.flip(3) for p in pictures))
    if how == "mirrored":
        return pictures
    pictures = by_chance("upside", pictures, tuple(p.flip(2) for p in pictures))
    if pictures[0].shape[2] != pictures[0].shape[3]:
        return pictures
    return by_chance("transposed", pictures, tuple(p.transpose(2, 3) for p in pictures))


def moved(pictures: tuple[Tensor, ...], most: float, draw: Draw) -> tuple[Tensor, ...]:
    """The pictures of an example, all by the same whole pixels: down and right, uniformly up to the share `most` of each side; what comes in is
    the picture's reflection.  (The jitter of Isola et al. 2017, section 6.2, without what resizing does to thin lines.)"""
    if most == 0:
        return pictures
    u = draw.uniform("moved", len(pictures[0]), 2)
    far = [int(side * most + 0.5) for side in pictures[0].shape[2:]]
    down, right = ((u[:, i] * (2 * m + 1)).floor().long().clamp(max=2 * m) - m for i, m in enumerate(far))
    return tuple(shifted(p, down, right, reflect=True) for p in pictures)


def from_two_sets(source: Source, turn: Turn, how: Turned) -> tuple[Callable[[], Tensor], Callable[[], Tensor]]:
    """(a, b) of two sets: each from a row of its own, so that nothing pairs them, and turned by itself."""
    b = lazy(lambda: turned((source.batch("real", turn).x,), how, turn.draw.at("b"))[0])
    a = lazy(lambda: turned((source.batch("source", turn).extra["source"],), how, turn.draw.at("a"))[0])
    return a, b


def need_two_sets(spec: Spec) -> None:
    if not spec.source:
        raise RecipeError("this recipe learns from two sets of pictures, and the data are one; give a folder with trainA and trainB")


class Changing(Game):
    """What games share that make pictures out of pictures."""

    changes: ClassVar[bool] = True

    def sample(
        self, nets: Mapping[str, nn.Module], wiring: Wiring, draw: Draw, n: int, label: Tensor | None = None, truncation: float = 1.0
    ) -> Tensor:
        raise RecipeError("this run changes pictures, it makes none of noise; use: rivalry apply RUN FILES -o OUT")

    def from_latent(self, nets: Mapping[str, nn.Module], z: Tensor, cond: tuple[Tensor, ...], truncation: float = 1.0) -> Tensor:
        raise RecipeError("this run changes pictures, so there is no way between samples; use: rivalry apply RUN FILES -o OUT")


@register("game", "change")
@dataclass(frozen=True)
class Change(Changing):
    """x is made of a source: what `degradation` makes of x, or the partner that the data have (Batch.extra['source']).

    Match 'main': x against G(source), seen with the source if `conditional`; pair 'reconstruction' = (G(source), x); with a
    latent the generator gets z as well, and pair 'latent-neighbour' = (G(s, z), G(s, z')) tells whether it minds.
    turned: how pictures are turned by chance; shift: up to which share of their sides they are moved.  Of pictures with holes only what lies in
    the holes is made.
    """

    degradation: Degradation | None = None
    turned: Turned = "all"
    conditional: bool = False
    latent: int = 0
    zoom: float = 1.0
    shift: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.shift <= 0.5:
            raise RecipeError(f"shift lies between 0 and 0.5 of a picture's side, not {self.shift}")
        if not 0.25 <= self.zoom <= 1:
            raise RecipeError(f"zoom lies between 0.25 and 1, not {self.zoom}")

    def wiring(self, spec: Spec) -> Wiring:
        if self.degradation is not None:
            return Wiring(self.latent, source=self.degradation.shape(spec.shape))
        if not spec.source:
            raise RecipeError("this recipe learns from pairs of pictures, and the data have none; give two folders of equal names, or leave --recipe out: --task denoise alone makes bad twins of good pictures")
        if self.shift and spec.source[1:] != spec.shape[1:]:
            raise RecipeError("pictures of a pair are moved by the same pixels, and here one is larger than the other; leave game.shift at 0")
        return Wiring(self.latent, source=spec.source)

    def source(self, batch: Batch, draw: Draw) -> Tensor:
        if self.degradation is None:
            return batch.extra["source"]
        with torch.no_grad():
            return self.degradation(batch.x, draw.at("damage"))

    def _both(self, batch: Batch, draw: Draw) -> tuple[Tensor, Tensor]:
        """(x, source), turned alike."""
        if self.degradation is None:
            x, source = moved(turned((batch.x, batch.extra["source"]), self.turned, draw), self.shift, draw)
            return x, source
        (x,) = moved(turned((batch.x,), self.turned, draw), self.shift, draw)
        x = self._zoomed(x, draw)
        return x, self.source(Batch(x), draw)

    def _zoomed(self, x: Tensor, draw: Draw) -> Tensor:
        if self.zoom == 1:
            return x
        # a number of the host that all processes share: their squares are of one size, and no device is waited for
        factor = self.zoom + (1 - self.zoom) * (draw.key("zoom") % 1001) / 1000
        # multiples of 24 are multiples of every scale; the smallest square still has something to enlarge
        sides = tuple(max(24, round(s * factor / 24) * 24) if factor < 1 else s for s in x.shape[2:])
        return bicubic(x, (min(sides[0], x.shape[2]), min(sides[1], x.shape[3])))

    def play(self, nets: Mapping[str, nn.Module], source: Source, turn: Turn) -> Play:
        both = lazy(lambda: self._both(source.batch("real", turn), turn.draw))
        made = lazy(lambda: self.change(nets, both()[1], turn.draw))

        def main() -> Match:
            cond = (both()[1],) if self.conditional else ()
            return Match("discriminator", Point(both()[0], cond), Point(made(), cond))

        def again() -> tuple[Tensor, Tensor]:
            return made(), self.change(nets, both()[1], turn.draw.at("again"))

        return LazyPlay(
            nets,
            {"main": lazy(main)},
            {"reconstruction": lambda: (made(), both()[0]), "latent-neighbour": again},
        )

    def change(self, nets: Mapping[str, nn.Module], source: Tensor, draw: Draw) -> Tensor:
        return self.filled(source, self.made(nets, source, draw))

    def made(self, nets: Mapping[str, nn.Module], source: Tensor, draw: Draw) -> Tensor:
        """What the generator makes, in holes and elsewhere."""
        z = (latent(draw, len(source), self.latent, "normal"),) if self.latent else ()
        made: Tensor = nets["generator"](source, *z)
        return made.float()

    def filled(self, source: Tensor, made: Tensor) -> Tensor:
        """Of pictures with holes, what was made in the holes only."""
        if not isinstance(self.degradation, Masked):
            return made
        hole = source[:, -1:]
        return source[:, :-1] * (1 - hole) + made * hole


@register("game", "bicycle")
@dataclass(frozen=True)
class Bicycle(Change):
    """Many answers to one picture (Zhu et al. 2017, BicycleGAN): 'generator' takes a latent too, 'encoder' finds the one of an answer.

    Matches 'main', x against G(source, z from the encoder's N(mean, var) of x), and 'random', x against G(source, z) of drawn z.  Pairs
    'reconstruction' = (the first, x), 'posterior' = (mean, log variance), 'code' = (the encoder's mean of the second, z).
    """

    latent: int = 8

    def play(self, nets: Mapping[str, nn.Module], source: Source, turn: Turn) -> Play:
        both = lazy(lambda: self._both(source.batch("real", turn), turn.draw))
        posterior = lazy(lambda: nets["encoder"](both()[0])[:2])

        def coded() -> Tensor:
            mean, logvar = posterior()
            found: Tensor = mean + torch.exp(0.5 * logvar) * turn.draw.normal("posterior", *mean.shape)
            return found

        z = lazy(lambda: latent(turn.draw, turn.batch, self.latent, "normal", "random"))
        made = lazy(lambda: nets["generator"](both()[1], coded()).float())
        random = lazy(lambda: nets["generator"](both()[1], z()).float())

        def match(fake: Callable[[], Tensor]) -> Match:
            cond = (both()[1],) if self.conditional else ()
            return Match("discriminator", Point(both()[0], cond), Point(fake(), cond))

        return LazyPlay(
            nets,
            {"main": lazy(lambda: match(made)), "random": lazy(lambda: match(random))},
            {
                "reconstruction": lambda: (made(), both()[0]),
                "posterior": posterior,
                "code": lambda: (nets["encoder"](random())[0], z()),
            },
        )


@register("game", "cycle")
@dataclass(frozen=True)
class Cycle(Changing):
    """Two sets without pairs (Zhu et al. 2017, CycleGAN): 'generator' makes b of a, 'back' makes a of b.

    Matches 'main' (b against generator(a), judged by 'discriminator') and 'back' (a against back(b), judged by 'judge-back').
    Pairs 'made' = (generator(a), a), 'cycle' = (back(generator(a)), a), 'cycle-back', and 'identity' = (generator(b), b),
    'identity-back', for pictures of equal channels.  one_way: without 'back' (CUT).  a comes from a row of its own, so that nothing pairs them.
    """

    turned: Turned = "mirrored"
    one_way: bool = False

    def wiring(self, spec: Spec) -> Wiring:
        need_two_sets(spec)
        return Wiring(source=spec.source)

    def source(self, batch: Batch, draw: Draw) -> Tensor:
        return batch.extra["source"]

    def play(self, nets: Mapping[str, nn.Module], source: Source, turn: Turn) -> Play:
        a, b = from_two_sets(source, turn, self.turned)
        to_b = lazy(lambda: nets["generator"](a()).float())
        pairs = {"identity": lambda: (nets["generator"](b()).float(), b()), "made": lambda: (to_b(), a())}
        matches = {"main": lazy(lambda: Match("discriminator", Point(b()), Point(to_b())))}
        if not self.one_way:
            to_a = lazy(lambda: nets["back"](b()).float())
            matches["back"] = lazy(lambda: Match("judge-back", Point(a()), Point(to_a())))
            pairs |= {
                "cycle": lambda: (nets["back"](to_b()).float(), a()),
                "cycle-back": lambda: (nets["generator"](to_a()).float(), b()),
                "identity-back": lambda: (nets["back"](a()).float(), a()),
            }
        return LazyPlay(nets, matches, pairs)

    def change(self, nets: Mapping[str, nn.Module], source: Tensor, draw: Draw) -> Tensor:
        made: Tensor = nets["generator"](source)
        return made.float()


@register("game", "domains")
@dataclass(frozen=True)
class Domains(Changing):
    """Several sets without pairs, told apart by labels (Choi et al. 2018, StarGAN): 'generator' makes of a picture one of another class.

    Match 'main': x with its class against generator(x, class'), class' being those of the batch in another order; pair 'cycle' =
    (generator(generator(x, class'), class), x); pair 'identity' = (generator(x, class), x).
    """

    turned: Turned = "mirrored"

    def used(self, run: str) -> str:
        return f"rivalry apply {run} FILES -o OUT --label CLASS"

    def wiring(self, spec: Spec) -> Wiring:
        if spec.classes < 2:
            raise RecipeError("this recipe goes between classes of pictures, and the data have none; put each kind into a sub-folder of its own")
        return Wiring(classes=spec.classes, source=spec.shape)

    def source(self, batch: Batch, draw: Draw) -> Tensor:
        return batch.x

    def play(self, nets: Mapping[str, nn.Module], source: Source, turn: Turn) -> Play:
        batch = lazy(lambda: source.batch("real", turn))
        x = lazy(lambda: turned((batch().x,), self.turned, turn.draw)[0])
        label = lazy(lambda: need_label(batch().label, "this game"))
        wanted = lazy(lambda: label()[turn.draw.permutation("domain", len(label()))])
        made = lazy(lambda: nets["generator"](x(), wanted()).float())
        return LazyPlay(
            nets,
            {"main": lazy(lambda: Match("discriminator", Point(x(), (label(),)), Point(made(), (wanted(),))))},
            {
                "cycle": lambda: (nets["generator"](made(), label()).float(), x()),
                "identity": lambda: (nets["generator"](x(), label()).float(), x()),
            },
        )

    def change(self, nets: Mapping[str, nn.Module], source: Tensor, draw: Draw) -> Tensor:
        """Each picture into a class drawn at random."""
        net = nets["generator"]
        assert isinstance(net, ResNetTranslatorModule)
        made: Tensor = net(source, draw.integers("domain", net.classes, len(source)))
        return made.float()


@dataclass(frozen=True)
class Untouched(Changing):
    """What a game puts in, handed back as it is: at the size and with the channels of what it should become."""

    game: Game
    shape: tuple[int, ...]

    def wiring(self, spec: Spec) -> Wiring:
        return self.game.wiring(spec)

    def play(self, nets: Mapping[str, nn.Module], source: Source, turn: Turn) -> Play:
        return LazyPlay(nets)

    def source(self, batch: Batch, draw: Draw) -> Tensor:
        return self.game.source(batch, draw)

    def change(self, nets: Mapping[str, nn.Module], source: Tensor, draw: Draw) -> Tensor:
        channels, *size = self.shape
        x = source[:, :channels] if source.shape[1] >= channels else source.mean(1, keepdim=True).expand(-1, channels, -1, -1)
        if list(x.shape[2:]) == size:
            return x
        return interpolate(x, size=size, mode="bicubic", align_corners=False)
