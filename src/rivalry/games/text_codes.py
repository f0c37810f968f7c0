"""Text GANs whose gradients need no tokens drawn: among the codes of an autoencoder, and on texts in shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from rivalry.catalogue import register
from rivalry.errors import RecipeError
from rivalry.games.by_length import STREAM as LESSONS
from rivalry.games.lazy import LazyPlay, latent, lazy
from rivalry.games.text import Text, language_model, there, trimmed
from rivalry.nets.relational import RelationalMemory
from rivalry.nets.text_codes import CodeWriter, worn
from rivalry.parts import Play, Source, Turn, Wiring
from rivalry.streams import Draw
from rivalry.types import Match, Point, Spec


@register("game", "text-codes")
@dataclass(frozen=True)
class TextCodes(Text):
    """Nets 'reader' and 'writer' are an autoencoder of texts, 'generator' makes codes of noise [N, latent], 'discriminator'
    judges codes (Donahue & Rumshisky 2018, arXiv:1810.06640).

    Pair 'tokens' = (logits, tokens, mask) of texts written from their own codes, read with `drop` of their tokens unknown and
    with normal noise of deviation `noise` on the code, so that near codes write near texts.  Match 'main': codes of real texts against made ones.
    """

    likelihood: ClassVar[bool] = False
    latent: int = 100
    drop: float = 0.1
    noise: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.latent < 1 or not 0 <= self.drop < 1 or self.noise < 0:
            raise RecipeError("the game 'text-codes' needs a latent of at least 1, a drop of at least 0 and below 1, and noise of at least 0")

    def wiring(self, spec: Spec) -> Wiring:
        super().wiring(spec)
        return Wiring(latent=self.latent)

    def play(self, nets: Mapping[str, nn.Module], source: Source, turn: Turn) -> Play:
        lessons = lazy(lambda: trimmed(source.batch(LESSONS, turn).x))

        def again() -> tuple[Tensor, ...]:
            tokens = lessons()
            code: Tensor = nets["reader"](worn(tokens, turn.draw.uniform("worn", *tokens.shape), self.drop))
            code = code + self.noise * turn.draw.normal("noise", *code.shape)
            return writer(nets).told(tokens, code), tokens, there(tokens)

        def main() -> Match:
            with torch.no_grad():
                real = nets["reader"](trimmed(source.batch("real", turn).x))
            made = nets["generator"](latent(turn.draw, turn.batch, self.latent, "normal"))
            return Match("discriminator", Point(real), Point(made), augment=False)

        return LazyPlay(nets, {"main": lazy(main)}, {"tokens": lazy(again)})

    def drawn(self, nets: Mapping[str, nn.Module], draw: Draw, n: int) -> Tensor:
        code = nets["generator"](latent(draw, n, self.latent, "normal"))
        return self._written(nets, code, draw.uniform("tokens", n, writer(nets).length), self.temperature)

    def _written(self, nets: Mapping[str, nn.Module], code: Tensor, uniform: Tensor, temperature: float) -> Tensor:
        return writer(nets).write(code, uniform, self.prompt, temperature, self.top_p)

    def surprise(self, nets: Mapping[str, nn.Module], x: Tensor) -> Tensor | None:
        return None

    def from_latent(self, nets: Mapping[str, nn.Module], z: Tensor, cond: tuple[Tensor, ...], truncation: float = 1.0) -> Tensor:
        """The likeliest text of each code."""
        net = writer(nets)
        return self._written(nets, nets["generator"](truncation * z), torch.zeros(len(z), net.length, device=z.device), 0.0)


def writer(nets: Mapping[str, nn.Module]) -> CodeWriter:
    net = nets["writer"]
    if not isinstance(net, CodeWriter):
        raise RecipeError("the game 'text-codes' needs the net 'code-writer' as its writer")
    return net


@register("game", "relaxed-text")
@dataclass(frozen=True)
class RelaxedText(Text):
    """RelGAN, Nie et al. 2019 (ICLR): the discriminator reads shares of tokens [N, T, V], so that its gradient reaches the generator.

    Match 'main': one-hot real texts against relaxed ones, whose sharpness (inverse temperature) is the knob 'sharpness'.  Samples are
    drawn as any language model's.
    """

    def play(self, nets: Mapping[str, nn.Module], source: Source, turn: Turn) -> Play:
        lessons = lazy(lambda: trimmed(source.batch(LESSONS, turn).x))

        def main() -> Match:
            net = language_model(nets)
            if not isinstance(net, RelationalMemory):
                raise RecipeError("the game 'relaxed-text' needs the net 'relational-lm' as generator")
            real = one_hot(source.batch("real", turn).x, net.vocabulary).float()
            noise = turn.draw.uniform("gumbel", turn.batch, net.length, net.vocabulary)
            return Match("discriminator", Point(real), Point(net.relaxed(noise, float(turn.knob("sharpness")))), augment=False)

        return LazyPlay(nets, {"main": lazy(main)}, {"tokens": lazy(lambda: (nets["generator"](lessons()), lessons(), there(lessons())))})
