"""SeqGAN's rewards by roll-outs, and a discriminator as residual energy that chooses among proposals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from rivalry.catalogue import register
from rivalry.errors import RecipeError
from rivalry.games.lazy import LazyPlay, lazy
from rivalry.games.text import Text, judged, language_model, there, trimmed
from rivalry.modes import evaluating
from rivalry.nets.language import LanguageModel
from rivalry.parts import Play, Source, Turn, Wiring
from rivalry.streams import Draw
from rivalry.types import BOS, per_example


@register("game", "rollout")
@dataclass(frozen=True)
class Rollout(Text):
    """SeqGAN, Yu et al. 2017 (arXiv:1609.05473), eq. 4: the reward of a token is the mean probability of being real of
    `rollouts` completions of the text from there on; of the last token that of the text itself.

    Completions of a place are made in one batch, from the state that was carried there.  The policy that rolls out is the
    generator as it is (theirs lags behind it)."""

    rollouts: int = 16

    def rewards(self, nets: Mapping[str, nn.Module], tokens: Tensor, draw: Draw) -> Tensor:
        texts = completions(language_model(nets), tokens, self.rollouts, draw)
        judge = nets["discriminator"]
        means = [judged(judge, part.flatten(0, 1)).sigmoid().view(part.shape[:2]).mean(1) for part in texts]
        return torch.stack([*means, judged(judge, tokens).sigmoid()], 1)


@torch.no_grad()
def completions(
    model: LanguageModel, tokens: Tensor, times: int, draw: Draw, begun: Callable[[], list[Tensor]] | None = None, before: Tensor | None = None,
    place: int = 0,
) -> list[Tensor]:  # fmt: skip
    """[N, T] -> T - 1 tensors [N, times, T]: texts that agree with the row up to and with place t and go on as the model has
    it, in evaluation mode.  begun, before, place: of texts that go on from something, the state there (asked for in evaluation mode), the
    token that stands before each [N], and its place."""
    n, length = tokens.shape
    each = torch.arange(n, device=tokens.device).repeat_interleave(times)
    token = torch.full((n,), BOS, device=tokens.device) if before is None else before
    found = list[Tensor]()
    with evaluating(model):
        state = model.start(n, tokens.device) if begun is None else begun()
        for t in range(length - 1):
            _, state = model.advance(token, state, place + t)
            token = tokens[:, t]
            uniform = draw.at("rollout", t).uniform("tokens", n * times, length - t - 1)
            rest = model.completed(token[each], model.taken(state, each), place + t + 1, uniform)
            kept = tokens[:, None, : t + 1].expand(n, times, t + 1)
            found.append(torch.cat([kept, rest.view(n, times, -1)], 2))
    return found


def proposed(game: Text, nets: Mapping[str, nn.Module], draw: Draw, n: int, proposals: int, opening: int) -> tuple[Tensor, Tensor]:
    """(texts [n, proposals, T] to choose among, the same as [n proposals, T'] without what is padding in all).  opening: so many tokens after the
    prompt are alike in all proposals of a text: what it begins with, and with it much of what it is about, is not chosen by."""
    uniform = [draw.at("proposal", i).uniform("tokens", n, language_model(nets).length) for i in range(proposals)]
    alike = len(game.prompt) + opening
    texts = torch.stack([game.written(nets, torch.cat([uniform[0][:, :alike], u[:, alike:]], 1)) for u in uniform], 1)
    return texts, trimmed(texts.flatten(0, 1))


@torch.no_grad()
def mean_log_p(nets: Mapping[str, nn.Module], tokens: Tensor, thoughts: Tensor | None = None) -> Tensor:
    """[N, T] -> [N]: log p of each text under the language model, by its tokens.  thoughts: of the model, where it has read them already."""
    model = language_model(nets)
    with evaluating(model):
        surprise = model.surprise(tokens) if thoughts is None else thoughts[..., -1]
    return -per_example(surprise, there(tokens))


@register("game", "energy")
@dataclass(frozen=True)
class Energy(Text):
    """Residual energy, Deng et al. 2020 (arXiv:2004.11714), eq. 2 and algorithm 1: the density is p(x) exp(D(x)), D the logit of a
    discriminator of real texts and the language model's; a sample is one of `proposals` texts, drawn in proportion to
    exp(D), with D cut to -+clip.  While training, texts are the language model's own; pair 'resampled' = (logits, tokens, mask) of texts
    drawn so, for the language model to learn from.

    pick: 'best' gives the text of the greatest D instead, uncut.  likely: what is drawn by, or greatest, is D and so much of the mean log p of a token.
    Both buy quality with variety, as a lower temperature does.  opening: so many tokens are alike in all proposals.  counts: beside thoughts the discriminator is told, 1 or 0, whether a text is one of the rows
    that it has counted before training (`rivalry.nets.text_counts`)."""

    proposals: int = 8
    clip: float = 3.0
    pick: Literal["drawn", "best"] = "drawn"
    likely: float = 0.0
    counts: bool = False
    opening: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.proposals < 1 or self.clip <= 0 or self.opening < 0 or self.judged != "texts":
            raise RecipeError("the game 'energy' needs at least one proposal, a clip above 0, no opening below 0, and whole 'texts' judged")
        if not math.isfinite(self.likely) or (self.counts and not self.thoughts):
            raise RecipeError("of the game 'energy' likely must be a number, and counts go with thoughts; say thoughts=true too")

    def told(self, nets: Mapping[str, nn.Module], tokens: Tensor, own: Tensor | None = None) -> tuple[Tensor, ...]:
        thoughts = super().told(nets, tokens)
        if not self.counts:
            return thoughts
        return (*thoughts, torch.zeros(len(tokens), device=tokens.device) if own is None else own)

    def play(self, nets: Mapping[str, nn.Module], source: Source, turn: Turn) -> Play:
        def resampled() -> tuple[Tensor, ...]:
            tokens = trimmed(self.sample(nets, Wiring(), turn.draw.at("resampled"), turn.batch))
            return nets["generator"](tokens), tokens, there(tokens)

        own = super().play(nets, source, turn)
        assert isinstance(own, LazyPlay)
        return LazyPlay(nets, own.matches, {**own.pairs, "resampled": lazy(resampled)})

    def sample(
        self, nets: Mapping[str, nn.Module], wiring: Wiring, draw: Draw, n: int,
        label: Tensor | None = None, truncation: float = 1.0,
    ) -> Tensor:  # fmt: skip
        texts, flat = proposed(self, nets, draw, n, self.proposals, self.opening)
        told = self.told(nets, flat)
        score = judged(nets["discriminator"], flat, *told)
        score = score.clamp(-self.clip, self.clip) if self.pick == "drawn" else score
        if self.likely:
            score = score + self.likely * mean_log_p(nets, flat, told[0] if self.thoughts else None)
        score = score.view(n, self.proposals)
        if self.pick == "best":
            return texts[torch.arange(n, device=texts.device), score.argmax(1)]
        reached = score.softmax(1).cumsum(1)
        pick = (reached < draw.uniform("pick", n, 1)).sum(1).clamp_max(self.proposals - 1)
        return texts[torch.arange(n, device=texts.device), pick]


@register("game", "likeliest")
@dataclass(frozen=True)
class Likeliest(Text):
    """Of `proposals` texts the one that the language model itself finds likeliest, by log p for each token: what a discriminator that
    chooses among as many has to be better than, at the same cost.  opening: so many tokens are alike in all of them."""

    proposals: int = 8
    opening: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.proposals < 1 or self.opening < 0:
            raise RecipeError(f"the game 'likeliest' needs at least one proposal and no opening below 0, not {self.proposals} and {self.opening}")

    def sample(
        self, nets: Mapping[str, nn.Module], wiring: Wiring, draw: Draw, n: int,
        label: Tensor | None = None, truncation: float = 1.0,
    ) -> Tensor:  # fmt: skip
        texts, flat = proposed(self, nets, draw, n, self.proposals, self.opening)
        score = mean_log_p(nets, flat).view(n, self.proposals)
        return texts[torch.arange(n, device=texts.device), score.argmax(1)]
