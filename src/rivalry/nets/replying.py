"""Networks of dialogue: a language model that goes on after a context pushed to the right, and a judge of its replies."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, gelu, normalize, one_hot

from rivalry.catalogue import register
from rivalry.errors import RecipeError
from rivalry.nets.language import TransformerLanguageModel, check_text
from rivalry.parts import Net, Wiring
from rivalry.types import BOS, PAD, Heads, Spec

NEVER = -1e4
"""Logit of markers: nobody says them."""


class ReplyLanguageModel(TransformerLanguageModel):
    """Rows [N, C + R] of `Spec.context` -> logits [N, C + R, V] of each token, given those before it.

    Contexts and replies may be trimmed, of columns that are padding in every row: places are counted from where the reply begins,
    and padding is never looked at, so that nothing depends on who is in the batch.
    """

    silence: Tensor

    def __init__(self, vocabulary: int, length: int, context: int, width: int, layers: int, heads: int, drop: float) -> None:
        super().__init__(vocabulary, length + 1, width, layers, heads, drop)
        self.length, self.context, self.longest = length, context, length - context
        markers = one_hot(torch.tensor([BOS, vocabulary - 1]), vocabulary).sum(0)
        self.register_buffer("silence", markers.float() * NEVER, persistent=False)

    def hidden(self, inputs: Tensor) -> Tensor:
        return self._thinking(inputs, 0)[0]

    def _thinking(self, inputs: Tensor, first: int) -> tuple[Tensor, list[Tensor]]:
        """([N, S, H] of inputs [N, S], which stand before the places from `first` on; keys and values of every layer)."""
        allowed = looked_at(inputs)[:, None]
        x = dropout(self.embed(inputs) + self.places[first : first + inputs.shape[1]], self.drop, self.training)
        kept: list[Tensor] = []
        for block in self.blocks:
            x, own = block(x, allowed=allowed)
            kept += own
        return self.norm(x), kept

    def forward(self, tokens: Tensor) -> Tensor:
        return self.read(self.hidden(after_nothing(tokens)[:, :-1]))

    def read(self, hidden: Tensor) -> Tensor:
        return super().read(hidden) + self.silence

    def thought(self, context: Tensor, tokens: Tensor, whose: Tensor | None = None) -> Tensor:
        """contexts [M, c], replies [N, r] to the contexts `whose` [N] (each to its own without it) -> [N, r + 1, H]: what each token of
        the reply is drawn from; and after the last one.  A context is read once, however many replies there are to it."""
        whose = torch.arange(len(tokens), device=tokens.device) if whose is None else whose
        read = after_nothing(context)[:, :-1]
        _, kept = self._thinking(read, self.context - context.shape[1])
        past = [k[whose] for k in kept]
        inputs = torch.cat([context[whose, -1:], tokens], 1)
        allowed = torch.cat([(read != PAD)[whose, None].expand(-1, inputs.shape[1], -1), looked_at(inputs)], 2)[:, None]
        x = dropout(self.embed(inputs) + self.places[self.context : self.context + inputs.shape[1]], self.drop, self.training)
        for i, block in enumerate(self.blocks):
            x, _ = block(x, past[2 * i : 2 * i + 2], allowed)
        y: Tensor = self.norm(x)
        return y

    def surprise_of(self, context: Tensor, tokens: Tensor, whose: Tensor | None = None) -> Tensor:
        """-log p [N, r] of each token of a reply, in nats; 0 for padding."""
        return self.surprised(self.thought(context, tokens, whose)[:, :-1], tokens)

    def thoughts_of(self, context: Tensor, tokens: Tensor, whose: Tensor | None = None) -> Tensor:
        """[N, r, H + 1]: what is thought once each token of a reply was read, and how surprising it was."""
        hidden = self.thought(context, tokens, whose)
        return torch.cat([hidden[:, 1:], self.surprised(hidden[:, :-1], tokens)[..., None]], 2)

    def words(self, tokens: Tensor) -> Tensor:
        """[N, T] -> [N, T, H] embeddings, zeros for padding."""
        found: Tensor = self.embed(tokens) * (tokens != PAD)[..., None]
        return found

    def lesson(self, context: Tensor, tokens: Tensor, whole: bool) -> tuple[Tensor, Tensor, Tensor]:
        """(logits [N, c + r, V], tokens [N, c + r], mask of what is to be learned: replies or, if `whole`, all that was said)."""
        row = torch.cat([context, tokens], 1)
        inputs = after_nothing(row)[:, :-1]
        logits = self.read(self._thinking(inputs, self.context - context.shape[1])[0])
        mask = (inputs != PAD) & (row != PAD) & (row != BOS) & (row != self.vocabulary - 1)
        if not whole:
            mask[:, : context.shape[1]] = False
        return logits, row, mask.float()

    def start(self, n: int, device: torch.device) -> list[Tensor]:
        return [*super().start(n, device), torch.zeros(n, 0, dtype=torch.bool, device=device)]

    @torch.no_grad()
    def told(self, context: Tensor) -> list[Tensor]:
        """The state after contexts [N, c], their last token still to be put in: keys and values, and which places count."""
        inputs = after_nothing(context)[:, :-1]
        return [*self._thinking(inputs, self.context - context.shape[1])[1], inputs != PAD]

    def advance(self, token: Tensor, state: list[Tensor], place: int) -> tuple[Tensor, list[Tensor]]:
        x = (self.embed(token) + self.places[place])[:, None]
        seen = torch.cat([state[-1], (token != PAD)[:, None]], 1)
        oneself = torch.arange(seen.shape[1], device=seen.device) == seen.shape[1] - 1
        allowed = (seen | oneself)[:, None, None]
        after: list[Tensor] = []
        for i, block in enumerate(self.blocks):
            x, kept = block(x, state[2 * i : 2 * i + 2], allowed)
            after += kept
        return self.norm(x)[:, 0], [*after, seen]

    def answer(self, context: Tensor, uniform: Tensor, temperature: float = 1.0, top_p: float = 1.0) -> Tensor:
        """Replies [N k, r] to contexts [N, c], k of each one after the other; uniform [N k, r] in [0, 1) decides each draw."""
        each = torch.arange(len(uniform), device=context.device) // (len(uniform) // len(context))
        state = self.taken(self.told(context), each)
        return self.completed(context[each, -1], state, self.context, uniform, (), temperature, top_p)


def after_nothing(tokens: Tensor) -> Tensor:
    """[N, T] -> [N, T + 1]: PAD, then the tokens: what stands before each, and what stands before the next one."""
    return torch.cat([torch.full_like(tokens[:, :1], PAD), tokens], 1)


def looked_at(inputs: Tensor) -> Tensor:
    """[N, S] -> [N, S, S]: each place looks at those up to itself that are no padding; padding, too, has to look at something: itself."""
    s = inputs.shape[1]
    causal = torch.ones(s, s, dtype=torch.bool, device=inputs.device).tril()
    oneself = torch.eye(s, dtype=torch.bool, device=inputs.device)
    return (causal & (inputs != PAD)[:, None, :]) | oneself


class ThoughtJudge(nn.Module):
    """(reply [N, r], thoughts [N, r, H + 1], words of the reply [N, r, H], words of the context [N, c, H]) -> score [N, r], of each token
    from what came before it and itself; or [N], that of the last.

    Thoughts and words (embeddings, zeros for padding) are those of a language model that has read both.  What both are about is compared
    besides: gated means of words, of the context and of the reply so far, multiplied.
    """

    def __init__(self, vocabulary: int, reads: int, width: int, drop: float, whole: bool) -> None:
        super().__init__()
        self.drop, self.whole = drop, whole
        self.embed = nn.Embedding(vocabulary, width, padding_idx=PAD)
        nn.init.normal_(self.embed.weight, std=0.1)
        self.reading = nn.Linear(reads + 1, width)
        self.asks, self.says = nn.Linear(reads, ABOUT + 1), nn.Linear(reads, ABOUT + 1)
        self.about = nn.Linear(ABOUT, width)
        self.fits = nn.Parameter(torch.ones(()))
        self.gru = nn.GRU(width, width, batch_first=True)
        self.out = nn.Linear(2 * width, 1)

    def heard(self, context: Tensor) -> Tensor:
        """[N, c, H] -> [N, ABOUT] of length 1: what a context is about."""
        return normalize(_gated(self.asks(context), context).sum(1), dim=1)

    def said(self, reply: Tensor) -> Tensor:
        """[N, r, H] -> [N, r, ABOUT] of length 1: what a reply is about, up to and with each token."""
        return normalize(_gated(self.says(reply), reply).cumsum(1), dim=2)

    def matching(self, reply: Tensor, context: Tensor) -> Tensor:
        """Logits [N, N] of reply j [N, r, H] after context i [N, c, H]."""
        return SHARP * self.heard(context) @ self.said(reply)[:, -1].T

    def fitting(self, reply: Tensor, context: Tensor) -> Tensor:
        """Logits [N] of each reply after its own context: the diagonal of `matching`."""
        return SHARP * (self.heard(context) * self.said(reply)[:, -1]).sum(1)

    def forward(self, tokens: Tensor, thoughts: Tensor, reply: Tensor, context: Tensor) -> Heads:
        about = self.heard(context)[:, None] * self.said(reply)
        x = gelu(self.reading(thoughts) + self.embed(tokens) + self.about(SHARP * about))
        x = dropout(x, self.drop, self.training)
        hidden = torch.cat([self.gru(x)[0], x], 2)
        score = self.out(dropout(hidden, self.drop, self.training))[..., 0] + self.fits * about.sum(2)
        if self.whole:
            score = score.gather(1, (tokens != PAD).sum(1, keepdim=True).clamp_min(1) - 1)[:, 0]
        return {"score": score}


ABOUT, SHARP = 64, 10.0
"""Dimensions of what a text is about; factor of cosines where they are logits."""


def _gated(found: Tensor, words: Tensor) -> Tensor:
    """[N, T, ABOUT + 1] -> [N, T, ABOUT]: the last says how much a word counts; padding (words of zeros) does not."""
    there = (words != 0).any(2, keepdim=True)
    return found[..., :-1] * found[..., -1:].sigmoid() * there


def check_dialogue(spec: Spec, name: str, drop: float) -> None:
    check_text(spec, name, drop, dialogue=True)
    if not spec.context:
        raise RecipeError(f"the net {name!r} replies in conversations, and these data are lines of text; pick another row, such as 'mle'")


@register("net", "reply-lm")
@dataclass(frozen=True)
class ReplyLM(Net):
    """`ReplyLanguageModel`: width, layers, heads, dropout of a small transformer."""

    width: int = 192
    layers: int = 2
    heads: int = 4
    dropout: float = 0.1

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        check_dialogue(spec, "reply-lm", self.dropout)
        if self.width % self.heads:
            raise RecipeError(f"width {self.width} of net 'reply-lm' does not divide into {self.heads} heads")
        return ReplyLanguageModel(spec.vocabulary, spec.shape[0], spec.context, self.width, self.layers, self.heads, self.dropout)


@register("net", "reply-judge")
@dataclass(frozen=True)
class ReplyJudge(Net):
    """`ThoughtJudge`.  reads: width of the language model whose thoughts it is given.  whole: one score for a reply."""

    reads: int = 192
    width: int = 128
    dropout: float = 0.0
    whole: bool = False

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        check_dialogue(spec, "reply-judge", self.dropout)
        return ThoughtJudge(spec.vocabulary, self.reads, self.width, self.dropout, self.whole)
