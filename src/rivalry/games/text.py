"""Games of text: maximum likelihood, and sampled texts against real ones with a reward for each token."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from rivalry.catalogue import register
from rivalry.errors import RecipeError
from rivalry.games.by_length import STREAM as LESSONS
from rivalry.games.lazy import LazyPlay, lazy
from rivalry.modes import evaluating
from rivalry.nets.language import LanguageModel
from rivalry.parts import Game, Play, Source, Turn, Wiring
from rivalry.streams import Draw
from rivalry.types import EOS, PAD, SURVEYED, Match, Point, Spec


@register("game", "text")
@dataclass(frozen=True)
class Text(Game):
    """Net 'generator' is a language model; 'discriminator', where there is one, scores texts [N] or their tokens [N, T].

    temperature, top_p: of drawing, once training is over and while it lasts.  prompt: tokens that every sample begins with.
    Pairs: 'tokens' = (logits [N, T, V] of real texts, tokens, mask); 'policy' = (log p of each token of sampled texts [N, T],
    the discriminator's score of it [N, T], mask [N, T]).  Match 'main': real texts
    against sampled ones.

    judged: what has a score of its own: 'tokens'; 'pairs' of tokens at the same place of a real and a sampled text, for
    relativistic objectives; or whole 'texts'.  thoughts: the discriminator is told the language model's thoughts of each text.
    """

    likelihood: ClassVar[bool] = True
    temperature: float = 1.0
    top_p: float = 1.0
    prompt: tuple[int, ...] = ()
    judged: Literal["tokens", "pairs", "texts"] = "tokens"
    thoughts: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < math.inf or not 0 < self.top_p <= 1:
            raise RecipeError(
                f"temperature must be at least 0 and top-p above 0 and at most 1, not {self.temperature:g} and {self.top_p:g}"
            )

    def wiring(self, spec: Spec) -> Wiring:
        if spec.context:
            raise RecipeError("this recipe is for lines of text, and these data are conversations; pick another row, such as 'dialogue'")
        if spec.kind != "tokens":
            raise RecipeError(f"this recipe is for text, and these data are of kind {spec.kind!r}; pick another row")
        return Wiring()

    def play(self, nets: Mapping[str, nn.Module], source: Source, turn: Turn) -> Play:
        batch = lazy(lambda: source.batch("real", turn))
        own = lazy(lambda: trimmed(batch().x))
        sampled = lazy(lambda: trimmed(self.drawn(nets, turn.draw, turn.batch)))
        lessons = lazy(lambda: trimmed(source.batch(LESSONS, turn).x))
        width = lazy(lambda: max(own().shape[1], sampled().shape[1]))
        real, made = lazy(lambda: padded(own(), width())), lazy(lambda: padded(sampled(), width()))

        def policy() -> tuple[Tensor, ...]:
            tokens = made()
            return -language_model(nets).surprise(tokens), self.rewards(nets, tokens, turn.draw), there(tokens)

        def main() -> Match:
            masks: tuple[Tensor | None, Tensor | None] = (None, None)
            if self.judged != "texts":
                masks = (there(real()), there(made()))
            if self.judged == "pairs":
                masks = (there(real()) * there(made()),) * 2
            return Match("discriminator", Point(real(), self.told(nets, real(), batch().extra.get(SURVEYED))), Point(made(), self.told(nets, made())), *masks, augment=False)

        pairs = {"tokens": lazy(lambda: (nets["generator"](lessons()), lessons(), there(lessons()))), "policy": lazy(policy)}
        return LazyPlay(nets, {"main": lazy(main)}, pairs)

    def told(self, nets: Mapping[str, nn.Module], tokens: Tensor, own: Tensor | None = None) -> tuple[Tensor, ...]:
        """What the discriminator gets beside texts.  own [N]: 1 for those that it has counted itself; none are without it."""
        return (language_model(nets).thoughts(tokens),) if self.thoughts else ()

    def rewards(self, nets: Mapping[str, nn.Module], tokens: Tensor, draw: Draw) -> Tensor:
        """[N, T] -> [N, T]: what the discriminator says of each token, or of its text."""
        score = judged(nets["discriminator"], tokens, *self.told(nets, tokens))
        return score if score.dim() == 2 else score[:, None].expand(tokens.shape)

    def drawn(self, nets: Mapping[str, nn.Module], draw: Draw, n: int) -> Tensor:
        """[n, T] drawn by the generator, as it will be used."""
        return self.written(nets, draw.uniform("tokens", n, language_model(nets).length))

    def written(self, nets: Mapping[str, nn.Module], uniform: Tensor) -> Tensor:
        """[n, T] by the generator without its dropout; uniform [n, T] in [0, 1) decides each token."""
        model = language_model(nets)
        with evaluating(model):
            return model.generate(uniform, self.prompt, self.temperature, self.top_p)

    def sample(
        self, nets: Mapping[str, nn.Module], wiring: Wiring, draw: Draw, n: int,
        label: Tensor | None = None, truncation: float = 1.0,
    ) -> Tensor:  # fmt: skip
        return self.drawn(nets, draw, n)

    def surprise(self, nets: Mapping[str, nn.Module], x: Tensor) -> Tensor | None:
        return language_model(nets).surprise(x)

    def from_latent(
        self, nets: Mapping[str, nn.Module], z: Tensor, cond: tuple[Tensor, ...], truncation: float = 1.0
    ) -> Tensor:
        raise RecipeError("text is drawn token by token, from no latent that one could walk along")


@torch.no_grad()
def judged(judge: nn.Module, tokens: Tensor, *told: Tensor) -> Tensor:
    """Scores without the noise of the judge's dropout: a reward is what it says."""
    with evaluating(judge):
        score: Tensor = judge(tokens, *told)["score"]
    return score


def language_model(nets: Mapping[str, nn.Module]) -> LanguageModel:
    model = nets["generator"]
    if not isinstance(model, LanguageModel):
        raise RecipeError("the game 'text' needs a language model as generator, such as the net 'lstm-lm'")
    return model


def trimmed(tokens: Tensor) -> Tensor:
    """[N, T] without the places that are padding in all rows."""
    longest = int((tokens != PAD).sum(1).max())
    return tokens[:, : max(longest, 1)]


def padded(tokens: Tensor, width: int) -> Tensor:
    """[N, T] -> [N, width], width >= T."""
    return tokens if tokens.shape[1] == width else pad(tokens, (0, width - tokens.shape[1]), value=PAD)


def fitted(tokens: Tensor, length: int) -> Tensor:
    """[N, T'] -> [N, length]: cut or padded, PAD after the end."""
    tokens = tokens[:, :length] if tokens.shape[1] >= length else pad(tokens, (0, length - tokens.shape[1]), value=PAD)
    ended = ((tokens == EOS).long().cumsum(1) - (tokens == EOS).long()) > 0
    return tokens.masked_fill(ended, PAD)


def there(tokens: Tensor) -> Tensor:
    """[N, T] 1 where there is a token, 0 for padding."""
    return (tokens != PAD).float()
