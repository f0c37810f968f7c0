"""What rewrites texts in another style: the interface that games speak to, and straight-through tokens."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, gelu

from rivalry.nets.language import picked
from rivalry.streams import Draw
from rivalry.types import PAD, UNKNOWN

MASKED = UNKNOWN
"""Stands for a word that was hidden by noise; byte pairs never make it themselves."""
NEVER = -1e4
"""The logit of what cannot be."""


class _StraightThrough(torch.autograd.Function):
    """weight [V, H], tokens [N, T], shares [N, T, V] -> weight[tokens]; its gradient to the shares is that of shares @ weight."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, tokens: Tensor, shares: Tensor) -> Tensor:
        ctx.save_for_backward(weight, tokens)
        ctx.fast = torch.is_autocast_enabled(weight.device.type)
        return weight[tokens]

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, None, Tensor | None]:
        (slope,) = slopes
        weight, tokens = ctx.saved_tensors
        to_weight, to_shares = None, None
        if ctx.needs_input_grad[0]:
            to_weight = torch.zeros_like(weight).index_add_(0, tokens.flatten(), slope.flatten(0, 1).to(weight.dtype))
        if ctx.needs_input_grad[2]:
            with torch.autocast(slope.device.type, enabled=ctx.fast):
                to_shares = slope @ weight.T.to(slope.dtype)
        return to_weight, None, to_shares


class _FewStraightThrough(torch.autograd.Function):
    """The same with `few` shares [N, T, K, 2]."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, tokens: Tensor, shares: Tensor) -> Tensor:
        ctx.save_for_backward(weight, tokens, shares)
        return weight[tokens]

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, None, Tensor | None]:
        (slope,) = slopes
        weight, tokens, shares = ctx.saved_tensors
        to_weight, to_shares = None, None
        if ctx.needs_input_grad[0]:
            to_weight = torch.zeros_like(weight).index_add_(0, tokens.flatten(), slope.flatten(0, 1).to(weight.dtype))
        if ctx.needs_input_grad[2]:
            along = (weight[shares[..., 0].long()] * slope[:, :, None].to(weight.dtype)).sum(3)
            to_shares = torch.stack([torch.zeros_like(along), along], 3).to(shares.dtype)
        return to_weight, None, to_shares


def few(tokens: Tensor, shares: Tensor) -> Tensor:
    """Words [N, T, K] and their shares [N, T, K] -> [N, T, K, 2], which stands for shares [N, T, V] that are 0 for all other words: thousands
    of times less to move about.  (Numbers of words are exact in float32 up to 16 million.)"""
    return torch.stack([tokens.to(shares.dtype if shares.dtype == torch.float64 else torch.float32), shares], 3)


def looked_up(weight: Tensor, tokens: Tensor, shares: Tensor | None) -> Tensor:
    """[V, H], [N, T] -> the tokens' vectors [N, T, H].

    With shares [N, T, V] they are straight-through (Bengio et al. 2013, arXiv:1308.3432): the value is that of the tokens, exactly,
    and the gradient goes to the shares as if it were shares @ weight.  Shares may be `few`, [N, T, K, 2].
    """
    if shares is None:
        return weight[tokens]
    if shares.dim() == 4:
        made: Tensor = _FewStraightThrough.apply(weight, tokens, shares)  # type: ignore[no-untyped-call]
        return made
    found: Tensor = _StraightThrough.apply(weight, tokens, shares)  # type: ignore[no-untyped-call]
    return found


Pair = tuple[Tensor, Tensor, Tensor]


class Taught(NamedTuple):
    """Of a lesson: words, (logits [N, M, V], tokens [N, M], mask) of what is to be found; doubt, (logits [N, S], 1 where a word is not
    the text's own [N, S], mask), of networks that have any."""

    words: Pair
    doubt: Pair | None = None


class Rewritten(NamedTuple):
    """sheet [N, S'] and the shares [N, S', V] its words were taken from, or few of them [N, S', K, 2]; edits, (the chance that each slot is changed [N, S], 1 where there
    is a slot), of networks that edit."""

    sheet: Tensor
    shares: Tensor
    edits: tuple[Tensor, Tensor] | None = None


class Rewriter(nn.Module):
    """Texts in, texts of a given style out.  It works on *sheets* [N, S]: texts as it lays them out.

    What is written may be read again straight-through: tokens with the shares [N, S, V] that they were taken from.
    """

    vocabulary: int
    length: int
    styles: int

    def sheet(self, tokens: Tensor) -> Tensor:
        """Texts [N, T] -> sheets [N, S]."""
        return tokens

    @abstractmethod
    def lesson(self, tokens: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
        """Texts [N, T] -> (sheets with noise, sheets as they should be)."""

    @abstractmethod
    def forward(self, given: Tensor, shares: Tensor | None, style: Tensor, wanted: Tensor) -> Tensor:
        """Logits [N, S, V] of `wanted`, for sheets `given` and styles [N]; a network that writes word by word sees the wanted words
        before each."""

    @abstractmethod
    def counted(self, wanted: Tensor) -> Tensor:
        """[N, S] 1 where a token of the sheet has to be found, 0 where there is nothing to find."""

    def taught(self, given: Tensor, shares: Tensor | None, style: Tensor, wanted: Tensor) -> Taught:
        """What is learned of finding `wanted` from `given`."""
        return Taught((self(given, shares, style, wanted), wanted, self.counted(wanted)))

    @abstractmethod
    def rewrite(self, given: Tensor, style: Tensor, temperature: float, uniform: Tensor | None) -> Rewritten:
        """Shares are softmax(logits / temperature); words are drawn by uniform numbers [N, S], or the likeliest."""

    @abstractmethod
    def write(self, given: Tensor, style: Tensor, strength: float = 1.0) -> Tensor:
        """Sheets -> texts [N, T'], the likeliest, without a gradient and with what helps: caches.  strength: of networks that edit, from 0,
        which changes nothing, over 1, as trained, to 2; RecipeError for others than 1 where a text is written anew."""

    def text(self, sheet: Tensor, shares: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """What was written as a reader sees it: texts [N, T'] and their shares."""
        return sheet, shares


class Attention(nn.Module):
    """Attention of `heads` over keys that a mask allows (Vaswani et al. 2017), of what was normed before."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.ask, self.offer, self.out = nn.Linear(width, width), nn.Linear(width, 2 * width), nn.Linear(width, width)

    def offered(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[N, S, H] -> keys and values [N, heads, S, H / heads]."""
        n, s, width = x.shape
        k, v = self.offer(x).view(n, s, 2, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        return k, v

    def forward(self, x: Tensor, k: Tensor, v: Tensor, allowed: Tensor | None) -> Tensor:
        """x [N, T, H]; allowed: [N, 1, 1 or T, S], true where a key may be seen."""
        n, t, width = x.shape
        q = self.ask(x).view(n, t, self.heads, width // self.heads).transpose(1, 2)
        # by hand: for texts this short the fused kernel takes several times as long on a CPU
        agree = (q @ k.transpose(2, 3)) / math.sqrt(width // self.heads)
        if allowed is not None:
            agree = agree.masked_fill(~allowed, NEVER)
        mixed = agree.softmax(3).to(v.dtype) @ v
        y: Tensor = self.out(mixed.transpose(1, 2).reshape(n, t, width))
        return y


class Layer(nn.Module):
    """Attention to itself, then a wider layer, each after a norm and added (pre-norm)."""

    def __init__(self, width: int, heads: int, drop: float) -> None:
        super().__init__()
        self.drop = drop
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attend = Attention(width, heads)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor, allowed: Tensor | None) -> Tensor:
        y = self.before(x)
        x = x + dropout(self.attend(y, *self.attend.offered(y), allowed), self.drop, self.training)
        return x + dropout(self.narrow(gelu(self.wide(self.after(x)))), self.drop, self.training)


def waves(places: int, width: int) -> Tensor:
    """[places, width] sines and cosines of wavelengths from 2 pi to 10,000 times that (Vaswani et al. 2017, section 3.5): a start from which
    neighbours are told apart at once."""
    angle = torch.arange(places)[:, None] / 10_000 ** (torch.arange(0, width, 2) / width)
    return torch.stack([angle.sin(), angle.cos()], 2).flatten(1)[:, :width]


def seen(tokens: Tensor) -> Tensor:
    """[N, S] -> [N, 1, 1, S]: which places attention may look at."""
    return (tokens != PAD)[:, None, None]


def wide(logits: Tensor) -> Tensor:
    """In 32 bits at least, as sums over a vocabulary want it."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def soft(logits: Tensor, temperature: float, uniform: Tensor | None) -> tuple[Tensor, Tensor]:
    """[..., V] -> (tokens [...], shares [..., V] = softmax(logits / temperature)): the likeliest, or drawn from the shares by uniform
    numbers [N, S]."""
    shares = (wide(logits) / temperature).softmax(-1)
    if uniform is None:
        return shares.argmax(-1), shares
    flat = shares.detach().flatten(0, -2)
    return picked(flat, uniform.flatten()).view(uniform.shape), shares
