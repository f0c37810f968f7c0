"""Games between two sets of pictures that meet in a shared code: UNIT and MUNIT.  'generator' goes both ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor, nn

from rivalry.catalogue import register
from rivalry.errors import RecipeError
from rivalry.games.change import Changing, Turned, from_two_sets, need_two_sets
from rivalry.games.lazy import LazyPlay, latent, lazy
from rivalry.nets.two_sets import SOURCE, TARGET, MUNITModule, Set, TwoSetsModule, UNITModule
from rivalry.parts import Play, Source, Turn, Wiring
from rivalry.streams import Draw
from rivalry.types import Batch, Match, Point, Spec

M = TypeVar("M", bound=TwoSetsModule)
Ask = Callable[[], Tensor]
BACK = {SOURCE: "", TARGET: "-back"}
"""How pairs are called that begin with a picture of that set."""
OTHER: Mapping[Set, Set] = {SOURCE: TARGET, TARGET: SOURCE}


def between(nets: Mapping[str, nn.Module], kind: type[M], name: str) -> M:
    """The generator, if it is of that kind."""
    net = nets["generator"]
    if not isinstance(net, kind):
        raise RecipeError(f"game {name!r} needs the net {name!r} as generator")
    return net


def matches(a: Ask, b: Ask, to_a: Ask, to_b: Ask) -> dict[str, Callable[[], Match]]:
    """'main': b against what is made of a, by 'discriminator'; 'back': a against what is made of b, by 'judge-back'."""
    return {
        "main": lazy(lambda: Match("discriminator", Point(b()), Point(to_b()))),
        "back": lazy(lambda: Match("judge-back", Point(a()), Point(to_a()))),
    }


@dataclass(frozen=True)
class Shared(Changing):
    """What both games share.  turned: how pictures are turned by chance."""

    turned: Turned = "mirrored"

    def wiring(self, spec: Spec) -> Wiring:
        need_two_sets(spec)
        return Wiring(source=spec.source)

    def source(self, batch: Batch, draw: Draw) -> Tensor:
        return batch.extra["source"]


@register("game", "unit")
@dataclass(frozen=True)
class SharedCode(Shared):
    """Two autoencoders with one code, z ~ N(E(x), 1) (Liu et al. 2017, UNIT): a picture of the one set, decoded as one of the other.

    Matches 'main' (b against G_b(z_a)) and 'back'.  Pairs 'reconstruction' = (G_a(z_a), a), 'posterior' = (E(a),), 'cycle' =
    (G_a(z of G_b(z_a)), a), 'posterior-cycle' = (E(G_b(z_a)),), and each with '-back' for b.  Eq. 3 to 7 are made of these.
    """

    def play(self, nets: Mapping[str, nn.Module], source: Source, turn: Turn) -> Play:
        net = between(nets, UNITModule, "unit")
        pictures = dict(zip((SOURCE, TARGET), from_two_sets(source, turn, self.turned), strict=True))
        pairs: dict[str, Callable[[], tuple[Tensor, ...]]] = {}
        made: dict[Set, Ask] = {}
        for which, x in pictures.items():
            made[which] = self._way(net, which, x, turn.draw.at("code", which), pairs)
        return LazyPlay(nets, matches(pictures[SOURCE], pictures[TARGET], made[TARGET], made[SOURCE]), pairs)

    @staticmethod
    def _way(net: UNITModule, which: Set, x: Ask, draw: Draw, pairs: dict[str, Callable[[], tuple[Tensor, ...]]]) -> Ask:
        """Enters the pairs that begin with x; gives what is made of it in the other set."""
        other, back = OTHER[which], BACK[which]

        def drawn(mean: Tensor, name: str) -> Tensor:
            return mean + draw.normal(name, *mean.shape).to(mean.dtype)

        mean = lazy(lambda: net.encode(x(), which).float())
        z = lazy(lambda: drawn(mean(), "there"))
        made = lazy(lambda: net.decode(z(), other, x().shape[2:]).float())
        again = lazy(lambda: net.encode(made(), other).float())
        pairs |= {
            f"reconstruction{back}": lambda: (net.decode(z(), which, x().shape[2:]).float(), x()),
            f"posterior{back}": lambda: (mean(),),
            f"cycle{back}": lambda: (net.decode(drawn(again(), "back"), which, x().shape[2:]).float(), x()),
            f"posterior-cycle{back}": lambda: (again(),),
        }
        return made

    def change(self, nets: Mapping[str, nn.Module], source: Tensor, draw: Draw) -> Tensor:
        """By the code's mean."""
        made: Tensor = nets["generator"](source)
        return made.float()


@register("game", "munit")
@dataclass(frozen=True)
class Styles(Shared):
    """A picture is content, which both sets share, and style, which is a set's own, N(0, 1) (Huang et al. 2018, MUNIT): a's content in
    drawn styles of b gives many answers.

    Matches 'main' (b against G_b(content of a, z)) and 'back'.  Pairs 'reconstruction' = (G_a(content, style of a), a), 'content' =
    (the content of what was made, the content of a), 'style' = (the style of what was made, z), 'cycle' = (G_a(the content of what was
    made, style of a), a), and each with '-back' for b: eq. 1 to 4, and the style-augmented cycle of section 5.1.
    """

    latent: int = 8

    def wiring(self, spec: Spec) -> Wiring:
        need_two_sets(spec)
        return Wiring(self.latent, source=spec.source)

    def play(self, nets: Mapping[str, nn.Module], source: Source, turn: Turn) -> Play:
        net = between(nets, MUNITModule, "munit")
        pictures = dict(zip((SOURCE, TARGET), from_two_sets(source, turn, self.turned), strict=True))
        pairs: dict[str, Callable[[], tuple[Tensor, ...]]] = {}
        made: dict[Set, Ask] = {}
        for which, x in pictures.items():
            made[which] = self._way(net, which, x, turn, pairs)
        return LazyPlay(nets, matches(pictures[SOURCE], pictures[TARGET], made[TARGET], made[SOURCE]), pairs)

    def _way(self, net: MUNITModule, which: Set, x: Ask, turn: Turn, pairs: dict[str, Callable[[], tuple[Tensor, ...]]]) -> Ask:
        """Enters the pairs that begin with x; gives what is made of it in the other set."""
        other, back = OTHER[which], BACK[which]
        z = lazy(lambda: latent(turn.draw.at("style", which), turn.batch, self.latent, "normal"))
        content = lazy(lambda: net.encode(x(), which))
        style = lazy(lambda: net.style(x(), which))
        made = lazy(lambda: net.decode(content(), z(), other, x().shape[2:]).float())
        again = lazy(lambda: net.encode(made(), other))
        pairs |= {
            f"reconstruction{back}": lambda: (net.decode(content(), style(), which, x().shape[2:]).float(), x()),
            f"content{back}": lambda: (again().float(), content().float()),
            f"style{back}": lambda: (net.style(made(), other).float(), z()),
            f"cycle{back}": lambda: (net.decode(again(), style(), which, x().shape[2:]).float(), x()),
        }
        return made

    def change(self, nets: Mapping[str, nn.Module], source: Tensor, draw: Draw) -> Tensor:
        """In a drawn style."""
        made: Tensor = nets["generator"](source, latent(draw, len(source), self.latent, "normal"))
        return made.float()
