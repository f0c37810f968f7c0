"""Games that rewrite texts in another style, learned from texts of each style that have no partners."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from rivalry.catalogue import register
from rivalry.errors import RecipeError
from rivalry.games.by_length import STREAM as SORTED
from rivalry.games.lazy import LazyPlay, lazy, need_label
from rivalry.games.needed import as_needed
from rivalry.games.text import fitted, there, trimmed
from rivalry.modes import evaluating
from rivalry.nets.cross_aligned import CrossAlignedModule
from rivalry.nets.editor import TextEditor
from rivalry.nets.rewriters import Rewriter, Rewritten, Taught
from rivalry.parts import Game, Play, Source, Turn, Wiring
from rivalry.streams import Draw
from rivalry.types import PAD, Batch, Match, Point, Spec


@dataclass(frozen=True)
class Restyling(Game):
    """What games share that rewrite texts.  strength: see `rivalry.nets.rewriters.Rewriter.write`; None: as
    strong as each text needs (`rivalry.games.needed`), which is 1 of nets that write a text anew.  What is put in is a row [1 + T]: the number of the style wanted (negative:
    see `source`), then the text."""

    changes: ClassVar[bool] = True
    strength: float | None = 1.0

    def used(self, run: str) -> str:
        return f'rivalry apply {run} --style STYLE "a text"'

    def wiring(self, spec: Spec) -> Wiring:
        if spec.kind != "tokens":
            raise RecipeError(f"this recipe rewrites text, and these data are of kind {spec.kind!r}; pick another row")
        if spec.classes < 2:
            raise RecipeError(
                "this recipe goes between styles of text, and the data name none; give a folder with a text file for each style, or "
                "--task style and a table with a column of texts and one of styles"
            )
        return Wiring(classes=spec.classes)

    def source(self, batch: Batch, draw: Draw) -> Tensor:
        """Rows [N, 1 + T] that ask for any style but the text's own, s: -1 - s."""
        return asked(batch.x, -1 - need_label(batch.label, "this game"))

    def change(self, nets: Mapping[str, nn.Module], source: Tensor, draw: Draw) -> Tensor:
        """[N, T] texts."""
        style, tokens = source[:, 0], source[:, 1:]
        net = rewriter(nets)
        style = torch.where(style < 0, another((-1 - style).clamp_min(0), net.styles, draw), style)
        if self.strength is None and isinstance(net, TextEditor):
            return as_needed(net, nets, tokens, style)
        strength = 1.0 if self.strength is None else self.strength
        return fitted(net.write(net.sheet(trimmed(tokens)), style, strength), tokens.shape[1])

    def sample(
        self, nets: Mapping[str, nn.Module], wiring: Wiring, draw: Draw, n: int, label: Tensor | None = None, truncation: float = 1.0
    ) -> Tensor:
        raise RecipeError('this run rewrites texts, it makes none of noise; use: rivalry apply RUN --style STYLE "a text"')

    def from_latent(self, nets: Mapping[str, nn.Module], z: Tensor, cond: tuple[Tensor, ...], truncation: float = 1.0) -> Tensor:
        raise RecipeError('this run rewrites texts, so there is no way between samples; use: rivalry apply RUN --style STYLE "a text"')


@register("game", "restyle")
@dataclass(frozen=True)
class Restyle(Restyling):
    """Net 'generator' is a `rivalry.nets.rewriters.Rewriter`, 'discriminator' judges (text, style).

    Matches: 'main', a text with its style against one that was rewritten in that style; 'mismatched', only fakes: texts with a style
    they do not have; 'fooling', the rewritten ones straight-through.  Pairs of (logits, tokens, mask): 'self', a text from itself with
    noise; 'same', from itself as it is; 'cycle', from what was rewritten of it; of nets that edit: 'doubt' = (logits, whether a word was
    replaced, mask), 'edits' = (chance that a slot is changed, 0, mask); pairs of (logits [M, styles + 1], class [M]): 'told', of true and
    rewritten texts, the latter of the last class; 'fooling', of rewritten texts and the style they should have.

    temperature: of the shares that gradients go to; the knob 'tau' is a factor.  drawn: tokens are drawn while training, not the likeliest.
    """

    temperature: float = 1.0
    drawn: bool = False

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise RecipeError(f"temperature of game 'restyle' must be above 0, not {self.temperature:g}")
        if self.strength is not None and not 0 <= self.strength <= 2:
            raise RecipeError(f"strength lies between 0, which changes nothing, and 2, not {self.strength:g}")

    def play(self, nets: Mapping[str, nn.Module], source: Source, turn: Turn) -> Play:
        net = rewriter(nets)
        # what was rewritten has about the lengths of what it was made of, so a discriminator may see texts sorted by length
        batch = lazy(lambda: source.batch(SORTED, turn))
        x = lazy(lambda: trimmed(batch().x))
        style = lazy(lambda: need_label(batch().label, "this game"))
        other = lazy(lambda: another(style(), net.styles, turn.draw))
        sheet = lazy(lambda: net.sheet(x()))

        def written() -> Rewritten:
            uniform = turn.draw.uniform("tokens", *sheet().shape) if self.drawn else None
            return net.rewrite(sheet(), other(), float(turn.knob("tau")) * self.temperature, uniform)

        made = lazy(written)
        read = lazy(lambda: net.text(made().sheet, made().shares))

        def pair(given: Tensor, shares: Tensor | None, wanted: Tensor) -> tuple[Tensor, ...]:
            return net.taught(given, shares, style(), wanted).words

        def taught() -> Taught:
            given, wanted = net.lesson(x(), turn.draw.at("lesson"))
            return net.taught(given, None, style(), wanted)

        lesson = lazy(taught)

        def doubt() -> tuple[Tensor, ...]:
            found = lesson().doubt
            if found is None:
                raise RecipeError("this net has no doubt that could be taught; 'text-editor' has")
            return found

        def edits() -> tuple[Tensor, ...]:
            found = made().edits
            if found is None:
                raise RecipeError("this net writes a text anew, so it has no edits that could be charged; 'text-editor' has")
            return found[0], torch.zeros_like(found[0]), found[1]

        def classes(tokens: Tensor, wanted: Tensor, shares: Tensor | None = None) -> Tensor:
            heads: dict[str, Tensor] = nets["discriminator"](tokens, wanted, shares)
            return heads["class"]

        def told() -> tuple[Tensor, ...]:
            logits = torch.cat([classes(x(), style()), classes(read()[0], other())])
            return logits, torch.cat([style(), torch.full_like(style(), net.styles)])

        def fooling() -> Match:
            tokens, shares = read()
            assert shares is not None
            return Match("discriminator", None, Point(tokens, (other(), shares)), augment=False)

        matches = {
            "main": lazy(lambda: Match("discriminator", Point(x(), (style(),)), Point(read()[0], (other(),)), augment=False)),
            "mismatched": lazy(lambda: Match("discriminator", None, Point(x(), (other(),)), augment=False)),
            "fooling": lazy(fooling),
        }
        pairs = {
            "self": lazy(lambda: lesson().words),
            "doubt": lazy(doubt),
            "edits": lazy(edits),
            "same": lazy(lambda: pair(sheet(), None, sheet())),
            "cycle": lazy(lambda: pair(made().sheet, made().shares, sheet())),
            "told": lazy(told),
            "fooling": lazy(lambda: (classes(read()[0], other(), read()[1]), other())),
        }
        return LazyPlay(nets, matches, pairs)


@register("game", "cross-aligned")
@dataclass(frozen=True)
class CrossAlign(Restyling):
    """Shen et al. 2017 (arXiv:1705.09655), section 4.2: states of a writer that is told the words of a true text of a style, against those
    of one that rewrites a text of another style in it and is fed its own words.

    Match 'main': (states [N, T, H], style, mask [N, T]) of either; pair 'self' = (logits, tokens, mask) of a text from its own z.
    temperature: of the words fed back; the knob 'tau' is a factor.
    """

    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise RecipeError(f"temperature of game 'cross-aligned' must be above 0, not {self.temperature:g}")

    def play(self, nets: Mapping[str, nn.Module], source: Source, turn: Turn) -> Play:
        net = nets["generator"]
        if not isinstance(net, CrossAlignedModule):
            raise RecipeError("the game 'cross-aligned' needs the net 'cross-aligned' as generator")
        batch = lazy(lambda: source.batch(SORTED, turn))
        x = lazy(lambda: trimmed(batch().x))
        style = lazy(lambda: need_label(batch().label, "this game"))
        other = lazy(lambda: another(style(), net.styles, turn.draw))
        given = lazy(lambda: net.lesson(x(), turn.draw.at("lesson"))[0])
        told = lazy(lambda: net.states(net.first(given(), None, style(), style()), x()))

        def main() -> Match:
            first = net.first(x(), None, other(), style())
            free, mask = net.free(first, x().shape[1], float(turn.knob("tau")) * self.temperature)
            return Match(
                "discriminator", Point(told(), (style(), there(x()))), Point(free, (other(), mask)), augment=False
            )

        return LazyPlay(nets, {"main": lazy(main)}, {"self": lazy(lambda: (net.out(told()), x(), there(x())))})


def rewriter(nets: Mapping[str, nn.Module]) -> Rewriter:
    net = nets["generator"]
    if not isinstance(net, Rewriter):
        raise RecipeError("games that rewrite texts need a net that does as generator, such as 'text-editor' or 'style-transformer'")
    return net


def another(style: Tensor, styles: int, draw: Draw) -> Tensor:
    """[N] a style that the text does not have, each of the others equally likely."""
    return (style + 1 + draw.integers("style", styles - 1, len(style)).to(style.device)) % styles


def asked(tokens: Tensor, style: Tensor) -> Tensor:
    """Texts [N, T] and the styles they are to get -> what is put in [N, 1 + T]."""
    return torch.cat([style[:, None].to(tokens.dtype), tokens], 1)


@torch.inference_mode()
def restyled(game: Game, nets: Mapping[str, nn.Module], tokens: Tensor, style: Tensor, at_once: int = 64) -> Tensor:
    """Texts [N, T] in styles [N] -> [N, T], so many at a time, those of like length together."""
    if not isinstance(game, Restyling):
        raise RecipeError("this run rewrites no texts; train one on texts of two styles or more")
    order = (tokens != PAD).sum(1).argsort()
    found = torch.empty_like(tokens)
    draw = Draw(0, ("restyled",), tokens.device)
    with evaluating(*nets.values()):
        for part in order.split(at_once):
            found[part] = game.change(nets, asked(tokens[part], style[part]), draw)
    return found
