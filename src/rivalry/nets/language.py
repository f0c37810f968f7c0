"""Language models: what comes next?  Both kinds score a whole batch in one pass, and make text token by token from carried
state (LSTM) or cached keys and values (transformer), without gradients."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, dropout, gelu, scaled_dot_product_attention

from rivalry.catalogue import register
from rivalry.errors import RecipeError
from rivalry.modes import evaluating
from rivalry.parts import Net, Wiring
from rivalry.types import BOS, EOS, PAD, UNKNOWN, Spec

SILENT = (PAD, BOS, UNKNOWN)
"""Tokens that are never drawn."""


class LanguageModel(nn.Module):
    """[N, T] tokens -> logits [N, T, V] of each token, given those before it (teacher-forced).

    Tokens are those of `rivalry.types`: BOS stands before the first, and places after EOS hold PAD.
    """

    vocabulary: int
    length: int

    @abstractmethod
    def hidden(self, inputs: Tensor) -> Tensor:
        """[N, T] what each token follows (BOS first) -> [N, T, H], causal."""

    @abstractmethod
    def start(self, n: int, device: torch.device) -> list[Tensor]:
        """The state before the first token, of n texts."""

    @abstractmethod
    def advance(self, token: Tensor, state: list[Tensor], place: int) -> tuple[Tensor, list[Tensor]]:
        """([n] the token before, state, its place) -> (hidden [n, H], the new state)."""

    @abstractmethod
    def taken(self, state: list[Tensor], index: Tensor) -> list[Tensor]:
        """The state of the texts `index` [m] of n."""

    @abstractmethod
    def read(self, hidden: Tensor) -> Tensor:
        """[..., H] -> logits [..., V]."""

    def forward(self, tokens: Tensor) -> Tensor:
        return self.read(self.hidden(shifted(tokens)))

    def surprise(self, tokens: Tensor) -> Tensor:
        """[N, T] -> -log p of each token [N, T] in nats, 0 where there is none."""
        return self.surprised(self.hidden(shifted(tokens)), tokens)

    def surprised(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        """[N, T, H] what is thought before each of the tokens [N, T] -> -log p [N, T]; as above.  Only what is there is read: half and more of a
        batch of lines is padding, and the vocabulary is what costs."""
        there = tokens != PAD
        logits = self.read(hidden[there])
        loss = cross_entropy(logits.to(torch.promote_types(logits.dtype, torch.float32)), tokens[there], reduction="none")
        return torch.zeros(tokens.shape, dtype=loss.dtype, device=tokens.device).masked_scatter(there, loss)

    @torch.no_grad()
    def thoughts(self, tokens: Tensor) -> Tensor:
        """[N, T] -> [N, T, H + 1]: what is thought before each token, and how surprising it then was; without dropout."""
        with evaluating(self):
            hidden = self.hidden(shifted(tokens)).float()
            surprise = self.surprised(hidden, tokens)
        return torch.cat([hidden, surprise[..., None]], 2)

    @torch.no_grad()
    def generate(
        self, uniform: Tensor, prompt: Sequence[int] = (), temperature: float = 1.0, top_p: float = 1.0
    ) -> Tensor:
        """[N, T] tokens that begin with the prompt; uniform [N, T] in [0, 1) decides each draw, so a text is a function of its
        own row.  Stops early where all texts have ended."""
        token = torch.full((len(uniform),), BOS, device=uniform.device)
        return self.completed(token, self.start(len(uniform), uniform.device), 0, uniform, prompt, temperature, top_p)

    @torch.no_grad()
    def completed(
        self, token: Tensor, state: list[Tensor], place: int, uniform: Tensor, prompt: Sequence[int] = (), temperature: float = 1.0,
        top_p: float = 1.0,
    ) -> Tensor:  # fmt: skip
        """[N, T] what follows [N] tokens, which stood before `place`, given the state there; texts that have ended stay so, and
        are left out of the batch once half of it has."""
        out = torch.full(uniform.shape, PAD, device=uniform.device)
        alive = torch.arange(len(token), device=uniform.device)
        going = (token != EOS) & (token != PAD)
        for t in range(uniform.shape[1]):
            left = int(going.sum())
            if not left:
                break
            if 2 * left <= len(alive):
                token, state, alive = token[going], self.taken(state, going.nonzero()[:, 0]), alive[going]
                going = going[going]
            hidden, state = self.advance(token, state, place + t)
            if t < len(prompt):
                token = torch.full_like(token, prompt[t])
            else:
                token = chosen(self.read(hidden), uniform[alive, t], temperature, top_p)
            token = torch.where(going, token, PAD)
            out[alive, t] = token
            going = (token != EOS) & going
        return out


def shifted(tokens: Tensor) -> Tensor:
    """[N, T] -> what stands before each: BOS, then all but the last."""
    return torch.cat([torch.full_like(tokens[:, :1], BOS), tokens[:, :-1]], 1)


def chosen(logits: Tensor, uniform: Tensor, temperature: float, top_p: float) -> Tensor:
    """[n, V], [n] in [0, 1) -> [n]: the token at which the cumulative share passes the uniform number.

    temperature: logits are divided by it; 0 takes the likeliest.  top_p: only the likeliest tokens that together have that
    share are drawn from (Holtzman et al. 2020)."""
    logits = logits.float().clone()
    logits[:, list(SILENT)] = -torch.inf
    if temperature <= 0:
        return logits.argmax(1)
    shares = (logits / temperature).softmax(1)
    if top_p < 1:
        ordered, index = shares.sort(dim=1, descending=True)
        ordered = ordered.masked_fill(ordered.cumsum(1) - ordered >= top_p, 0.0)
        return index.gather(1, picked(ordered, uniform)[:, None])[:, 0]
    return picked(shares, uniform)


def picked(shares: Tensor, uniform: Tensor) -> Tensor:
    """[n]: by the inverse of the cumulative shares, which need not add to 1; never one of share 0."""
    reached = shares.cumsum(1)
    place = torch.searchsorted(reached, (uniform * reached[:, -1])[:, None], right=True)[:, 0]
    return place.clamp_max(shares.shape[1] - 1)


class LSTMLanguageModel(LanguageModel):
    """Layers of LSTM between an embedding and the same weights read backwards (tied, Press & Wolf 2017)."""

    def __init__(self, vocabulary: int, length: int, width: int, layers: int, drop: float) -> None:
        super().__init__()
        self.vocabulary, self.length, self.width, self.layers, self.drop = vocabulary, length, width, layers, drop
        self.embed = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.embed.weight, std=1 / math.sqrt(width))
        self.lstm = nn.LSTM(width, width, layers, batch_first=True, dropout=drop if layers > 1 else 0.0)
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    def hidden(self, inputs: Tensor) -> Tensor:
        x = dropout(self.embed(inputs), self.drop, self.training)
        return dropout(self.lstm(x)[0], self.drop, self.training)

    def start(self, n: int, device: torch.device) -> list[Tensor]:
        return [torch.zeros(self.layers, n, self.width, device=device) for _ in range(2)]

    def advance(self, token: Tensor, state: list[Tensor], place: int) -> tuple[Tensor, list[Tensor]]:
        y, (h, c) = self.lstm(self.embed(token)[:, None], (state[0], state[1]))
        return y[:, 0], [h, c]

    def taken(self, state: list[Tensor], index: Tensor) -> list[Tensor]:
        return [s[:, index] for s in state]

    def read(self, hidden: Tensor) -> Tensor:
        return hidden @ self.embed.weight.T + self.bias


class Block(nn.Module):
    """Attention, then a wider layer, each after a layer norm and added to what came in (pre-norm, Xiong et al. 2020)."""

    def __init__(self, width: int, heads: int, drop: float) -> None:
        super().__init__()
        self.heads, self.drop = heads, drop
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor, past: list[Tensor] | None = None, allowed: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """x [N, T, H]; past: keys and values [N, heads, S, H / heads] of earlier places, for one new place at a time.  allowed
        [N, 1, T, S + T]: which places each may look at; all up to itself without it."""
        n, t, width = x.shape
        q, k, v = self.qkv(self.before(x)).view(n, t, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        if past is not None:
            k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
        drop = self.drop if self.training else 0.0
        causal = past is None and allowed is None
        mixed = scaled_dot_product_attention(q, k, v, attn_mask=allowed, dropout_p=drop, is_causal=causal)
        x = x + dropout(self.out(mixed.transpose(1, 2).reshape(n, t, width)), self.drop, self.training)
        x = x + dropout(self.narrow(gelu(self.wide(self.after(x)))), self.drop, self.training)
        return x, [k, v]


class TransformerLanguageModel(LanguageModel):
    """A small decoder (Vaswani et al. 2017; Radford et al. 2019): learned places, tied embedding."""

    def __init__(self, vocabulary: int, length: int, width: int, layers: int, heads: int, drop: float) -> None:
        super().__init__()
        self.vocabulary, self.length, self.width, self.heads, self.drop = vocabulary, length, width, heads, drop
        self.embed = nn.Embedding(vocabulary, width)
        self.places = nn.Parameter(torch.empty(length, width).normal_(std=0.02))
        nn.init.normal_(self.embed.weight, std=0.02)
        self.blocks = nn.ModuleList(Block(width, heads, drop) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    def hidden(self, inputs: Tensor) -> Tensor:
        x = dropout(self.embed(inputs) + self.places[: inputs.shape[1]], self.drop, self.training)
        for block in self.blocks:
            x, _ = block(x)
        y: Tensor = self.norm(x)
        return y

    def start(self, n: int, device: torch.device) -> list[Tensor]:
        empty = torch.zeros(n, self.heads, 0, self.width // self.heads, device=device)
        return [empty] * (2 * len(self.blocks))

    def advance(self, token: Tensor, state: list[Tensor], place: int) -> tuple[Tensor, list[Tensor]]:
        x = (self.embed(token) + self.places[place])[:, None]
        after: list[Tensor] = []
        for i, block in enumerate(self.blocks):
            x, kept = block(x, state[2 * i : 2 * i + 2])
            after += kept
        return self.norm(x)[:, 0], after

    def taken(self, state: list[Tensor], index: Tensor) -> list[Tensor]:
        return [s[index] for s in state]

    def read(self, hidden: Tensor) -> Tensor:
        return hidden @ self.embed.weight.T + self.bias


def check_text(spec: Spec, name: str, drop: float, dialogue: bool = False) -> None:
    if spec.context and not dialogue:
        raise RecipeError(f"the net {name!r} is for lines of text, and these data are conversations; pick another row, such as 'dialogue'")
    if spec.kind != "tokens":
        raise RecipeError(f"the net {name!r} is for text, and these data are of kind {spec.kind!r}; pick another row")
    if not 0 <= drop < 1:
        raise RecipeError(f"dropout of net {name!r} must be at least 0 and below 1, not {drop}")


@register("net", "lstm-lm")
@dataclass(frozen=True)
class LSTMLM(Net):
    """`LSTMLanguageModel`: width of embedding and state, layers, dropout."""

    width: int = 256
    layers: int = 1
    dropout: float = 0.4

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        check_text(spec, "lstm-lm", self.dropout)
        return LSTMLanguageModel(spec.vocabulary, spec.shape[0], self.width, self.layers, self.dropout)


@register("net", "transformer-lm")
@dataclass(frozen=True)
class TransformerLM(Net):
    """`TransformerLanguageModel`: width, layers, heads, dropout."""

    width: int = 192
    layers: int = 2
    heads: int = 4
    dropout: float = 0.2

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        check_text(spec, "transformer-lm", self.dropout)
        if self.width % self.heads:
            raise RecipeError(f"width {self.width} of net 'transformer-lm' does not divide into {self.heads} heads")
        return TransformerLanguageModel(spec.vocabulary, spec.shape[0], self.width, self.layers, self.heads, self.dropout)
