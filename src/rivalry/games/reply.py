"""Games of dialogue: replies to what was said, against human replies that fit and human replies that do not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from rivalry.catalogue import register
from rivalry.errors import RecipeError
from rivalry.games.by_length import STREAM as LESSONS
from rivalry.games.lazy import LazyPlay, lazy
from rivalry.games.rollouts import completions as completed_from
from rivalry.games.text import judged as judged_texts
from rivalry.games.text import padded, there, trimmed
from rivalry.modes import evaluating
from rivalry.nets.replying import ReplyLanguageModel, ThoughtJudge
from rivalry.parts import Game, Play, Source, Turn, Wiring
from rivalry.streams import Draw
from rivalry.types import PAD, Batch, Match, Point, Spec

SELF = "use: rivalry apply RUN --chat, or rivalry apply RUN FILE -o OUT"


@register("game", "reply")
@dataclass(frozen=True)
class Reply(Game):
    """Net 'generator' is a language model of replies; 'discriminator', where there is one, scores tokens [N, r] of a reply, or the
    reply [N], from the thoughts that the generator has of it after the context.

    Match 'main': human replies to their contexts are real; fake are generated replies and, beside them, human replies to other
    contexts, taken from the next conversation in the batch.  Without these a judge need not read the context.
    Pairs: 'tokens' = (logits, tokens, mask) of all that was said, or of replies alone ('lesson'); 'policy' = (log p of each
    token of generated replies [M, r], its reward [M, r], mask, group [M]): `group` replies to each of M / group contexts; 'matching' =
    (logits [N, N] of every reply of the batch after every context, those that belong together [N]).

    temperature, top_p: of drawing.  candidates: of so many replies that which is rated best is given (once training is over).
    """

    temperature: float = 1.0
    top_p: float = 1.0
    candidates: int = 1
    group: int = 4
    lesson: Literal["all", "replies"] = "all"
    answers: ClassVar[bool] = True
    likelihood: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < math.inf or not 0 < self.top_p <= 1:
            raise RecipeError(
                f"temperature must be at least 0 and top-p above 0 and at most 1, not {self.temperature:g} and {self.top_p:g}"
            )
        if self.candidates < 1 or self.group < 1:
            raise RecipeError(f"candidates and group must be at least 1, not {self.candidates} and {self.group}")

    def used(self, run: str) -> str:
        return f"rivalry apply {run} --chat"

    def wiring(self, spec: Spec) -> Wiring:
        if not spec.context:
            raise RecipeError(f"this recipe is for conversations, and these data are of kind {spec.kind!r}; pick another row")
        return Wiring()

    def play(self, nets: Mapping[str, nn.Module], source: Source, turn: Turn) -> Play:
        model = reply_model(nets)
        batch = lazy(lambda: source.batch("real", turn))
        real = lazy(lambda: parted(batch().x, model.context))
        lessons = lazy(lambda: parted(source.batch(LESSONS, turn).x, model.context))
        made = lazy(lambda: self._made(model, real()[0], turn))

        def main() -> Match:
            (context, human), (whose, tokens) = real(), made()
            other, same = mismatched(human, batch())
            own = torch.arange(len(human), device=human.device)
            width = max(x.shape[1] for x in (human, tokens))
            every = torch.cat([padded(x, width) for x in (human, tokens, other)])
            shown = judgeable(nets, context, every, torch.cat([own, whose, own]))
            sides = [t.split([len(human), len(every) - len(human)]) for t in shown]
            fits, fake = (Point(x, tuple(cond)) for x, *cond in zip(*sides, strict=True))
            counts = torch.cat([torch.ones(len(tokens), device=same.device), (~same).float()])
            if not self.by_token(nets):
                return Match("discriminator", fits, fake, None, counts, augment=False)
            return Match("discriminator", fits, fake, there(fits.x), there(fake.x) * counts[:, None], augment=False)

        def policy() -> tuple[Tensor, ...]:
            context, (whose, tokens) = real()[0], made()
            asked = context[: int(whose.max()) + 1]
            rewards = self.rewards(nets, asked, tokens, whose, turn.draw)
            return -model.surprise_of(asked, tokens, whose), rewards, there(tokens), whose

        def matching() -> tuple[Tensor, ...]:
            (context, human), talk = real(), batch().extra["talk"]
            with torch.no_grad():
                words = [model.words(x) for x in (human, context)]
            logits = judge_of_replies(nets).matching(*words)
            own = torch.arange(len(talk), device=talk.device)
            alike = (talk[:, None] == talk) & (own[:, None] != own)
            return logits.masked_fill(alike, NONE), own

        pairs = {"tokens": lambda: model.lesson(*lessons(), self.lesson == "all"), "policy": policy, "matching": matching}
        return LazyPlay(
            nets, {"main": lazy(main)}, {name: lazy(made) for name, made in pairs.items()}
        )  # fmt: skip

    def by_token(self, nets: Mapping[str, nn.Module]) -> bool:
        return not judge_of_replies(nets).whole

    def _made(self, model: ReplyLanguageModel, context: Tensor, turn: Turn) -> tuple[Tensor, Tensor]:
        """(the context of each [M], replies [M, r]): `group` to each of the batch's first contexts."""
        each = min(self.group, len(context))
        asked = context[: len(context) // each]
        tokens = self.drawn(model, asked, turn.draw, each)
        return torch.arange(len(tokens), device=tokens.device) // each, trimmed(tokens)

    def drawn(self, model: ReplyLanguageModel, context: Tensor, draw: Draw, each: int) -> Tensor:
        """[N each, R] replies to contexts [N, c], by the generator without its dropout."""
        uniform = draw.uniform("tokens", len(context) * each, model.longest)
        with evaluating(model):
            return model.answer(context, uniform, self.temperature, self.top_p)

    def rewards(self, nets: Mapping[str, nn.Module], context: Tensor, tokens: Tensor, whose: Tensor, draw: Draw) -> Tensor:
        """[M, r]: what the discriminator says of each token, or of its reply; whose [M]: the context of each."""
        score = judged(nets, context, tokens, whose)
        return score if score.dim() == 2 else score[:, None].expand(tokens.shape)

    def rated(self, nets: Mapping[str, nn.Module], context: Tensor, tokens: Tensor, whose: Tensor | None = None) -> Tensor:
        """[N]: how well replies [N, r] go with contexts `whose` [N] of [M, c] (see `rating`); where there is no discriminator, the mean
        of log p over a reply's tokens."""
        if "discriminator" not in nets:
            mask = there(tokens)
            return -reply_model(nets).surprise_of(context, tokens, whose).sum(1) / mask.sum(1).clamp_min(1)
        return rating(judge_of_replies(nets), *judgeable(nets, context, tokens, whose))

    def source(self, batch: Batch, draw: Draw) -> Tensor:
        """The rows themselves: their contexts are read, their replies are not."""
        return batch.x

    @torch.no_grad()
    def change(self, nets: Mapping[str, nn.Module], source: Tensor, draw: Draw) -> Tensor:
        """[n, C + R] rows, or contexts [n, C] -> [n, C + R] with the reply that is rated best of `candidates`."""
        model = reply_model(nets)
        context = source[:, : model.context]
        tokens = self.drawn(model, trimmed_left(context), draw, self.candidates)
        if self.candidates > 1:
            whose = torch.arange(len(tokens), device=tokens.device) // self.candidates
            rating = self.rated(nets, trimmed_left(context), trimmed(tokens), whose).view(-1, self.candidates)
            tokens = tokens.view(len(context), self.candidates, -1)[torch.arange(len(context), device=tokens.device), rating.argmax(1)]
        return torch.cat([context, tokens], 1)

    def sample(
        self, nets: Mapping[str, nn.Module], wiring: Wiring, draw: Draw, n: int,
        label: Tensor | None = None, truncation: float = 1.0,
    ) -> Tensor:  # fmt: skip
        raise RecipeError(f"this run replies to what is said, and says nothing by itself; {SELF}")

    def from_latent(
        self, nets: Mapping[str, nn.Module], z: Tensor, cond: tuple[Tensor, ...], truncation: float = 1.0
    ) -> Tensor:
        raise RecipeError(f"this run replies token by token, from no latent that one could walk along; {SELF}")

    def surprise(self, nets: Mapping[str, nn.Module], x: Tensor) -> Tensor | None:
        """[N, C + R] rows -> -log p of each token of the reply, 0 in the context."""
        model = reply_model(nets)
        context, tokens = x[:, : model.context], x[:, model.context :]
        return torch.cat([torch.zeros_like(context, dtype=torch.float32), model.surprise_of(context, tokens)], 1)


@register("game", "reply-rollout")
@dataclass(frozen=True)
class ReplyRollout(Reply):
    """REGS, Li et al. 2017 (arXiv:1701.06547), section 3.2: the reward of a token is what the discriminator says of whole replies, on
    average over `rollouts` completions of the reply from there on; of the last token, of the reply itself.

    Completions of a place are made in one batch from the keys and values that were kept there."""

    rollouts: int = 5

    def rewards(self, nets: Mapping[str, nn.Module], context: Tensor, tokens: Tensor, whose: Tensor, draw: Draw) -> Tensor:
        texts = completions(reply_model(nets), context[whose], tokens, self.rollouts, draw)
        each = whose.repeat_interleave(self.rollouts)
        means = [by_roll(judged(nets, context, part.flatten(0, 1), each).sigmoid(), self.rollouts).mean(1) for part in texts]
        return torch.stack([*means, judged(nets, context, tokens, whose).sigmoid()], 1)


def by_roll(score: Tensor, times: int) -> Tensor:
    """[N times] scores of the roll-outs, those of a reply one after the other -> [N, times]."""
    return score.view(-1, times)


def completions(model: ReplyLanguageModel, context: Tensor, tokens: Tensor, times: int, draw: Draw) -> list[Tensor]:
    """[N, c], [N, r] -> r - 1 tensors [N, times, r]; see `rollouts.completions`, from the keys and values of the contexts."""
    return completed_from(model, tokens, times, draw, lambda: model.told(context), context[:, -1], model.context)


def reply_model(nets: Mapping[str, nn.Module]) -> ReplyLanguageModel:
    model = nets["generator"]
    if not isinstance(model, ReplyLanguageModel):
        raise RecipeError("the game 'reply' needs a language model of replies as generator: the net 'reply-lm'")
    return model


def trimmed_left(context: Tensor) -> Tensor:
    """[N, C] without the places that are padding in all rows."""
    longest = int((context != PAD).sum(1).max())
    return context[:, context.shape[1] - max(longest, 1) :]


def parted(x: Tensor, context: int) -> tuple[Tensor, Tensor]:
    """[N, C + R] -> contexts and replies, each without the places that are padding in all rows."""
    return trimmed_left(x[:, :context]), trimmed(x[:, context:])


def mismatched(replies: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """(the reply of the next row [N, r], whether that is of the same conversation [N])."""
    talk = batch.extra["talk"]
    return replies.roll(-1, 0), talk == talk.roll(-1, 0)


@torch.no_grad()
def judgeable(nets: Mapping[str, nn.Module], context: Tensor, tokens: Tensor, whose: Tensor | None) -> tuple[Tensor, ...]:
    """What a judge is shown: replies [N, r], what the generator, without its dropout, thinks of them, and its words for reply and context."""
    model = reply_model(nets)
    with evaluating(model):
        thoughts, heard = model.thoughts_of(context, tokens, whose), model.words(context)
    return tokens, thoughts, model.words(tokens), heard if whose is None else heard[whose]


@torch.no_grad()
def judged(nets: Mapping[str, nn.Module], context: Tensor, tokens: Tensor, whose: Tensor | None = None) -> Tensor:
    """Scores [N, r] or [N] without the noise of anybody's dropout."""
    return judged_texts(nets["discriminator"], *judgeable(nets, context, tokens, whose))


@torch.no_grad()
def rating(judge: ThoughtJudge, tokens: Tensor, thoughts: Tensor, reply: Tensor, context: Tensor) -> Tensor:
    """[N]: the score of a reply, on average over its tokens, and the logit that it, among others, belongs to the context; without dropout."""
    with evaluating(judge):
        score, mask, fits = judge(tokens, thoughts, reply, context)["score"], there(tokens), judge.fitting(reply, context)
    mean: Tensor = score if score.dim() == 1 else (score * mask).sum(1) / mask.sum(1).clamp_min(1)
    return mean + fits


def judge_of_replies(nets: Mapping[str, nn.Module]) -> ThoughtJudge:
    judge = nets["discriminator"]
    if not isinstance(judge, ThoughtJudge):
        raise RecipeError("the game 'reply' needs a judge of replies as discriminator: the net 'reply-judge'")
    return judge


NONE = -1e4
"""Logit of what is no answer."""
