"""Rewrites word by word: a transformer that reads a text with the style wanted and writes it anew, from cached keys and values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, gelu

from rivalry.catalogue import register
from rivalry.errors import RecipeError
from rivalry.modes import evaluating
from rivalry.nets.language import SILENT, check_text, picked, shifted
from rivalry.nets.rewriters import MASKED, NEVER, Attention, Layer, Rewriter, Rewritten, looked_up, seen, wide
from rivalry.parts import Net, Wiring
from rivalry.streams import Draw
from rivalry.types import BOS, EOS, PAD, Spec

Cache = list[tuple[Tensor, Tensor]]


def blurred(tokens: Tensor, draw: Draw, hidden: float, left_out: float) -> Tensor:
    """Texts [N, T] with such shares of their tokens masked and left out, EOS never."""
    n, t = tokens.shape
    own = (tokens != PAD) & (tokens != EOS)
    out = (draw.uniform("out", n, t) < left_out) & own
    shown = torch.where((draw.uniform("hide", n, t) < hidden) & own, MASKED, tokens)
    gone = out | (tokens == PAD)
    order = gone.int().argsort(dim=1, stable=True)
    return shown.gather(1, order).masked_fill(gone.gather(1, order), PAD)


class Written(Rewriter):
    """What rewriters share that write word by word: `read` a text, then `step` from word to word.

    noise: shares of tokens that lessons mask and leave out.
    """

    noise: tuple[float, float]

    def lesson(self, tokens: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
        return blurred(tokens, draw, *self.noise), tokens

    def counted(self, wanted: Tensor) -> Tensor:
        return (wanted != PAD).float()

    def read(self, given: Tensor, shares: Tensor | None, style: Tensor) -> list[Tensor]:
        """What the writer keeps of a text."""
        raise NotImplementedError

    def begin(self, kept: list[Tensor]) -> Cache:
        """The state before the first word."""
        raise NotImplementedError

    def step(self, token: Tensor, place: int, kept: list[Tensor], cache: Cache) -> tuple[Tensor, Cache]:
        """([N] the word before, its place) -> (logits [N, V], the new state)."""
        raise NotImplementedError

    def rewrite(self, given: Tensor, style: Tensor, temperature: float, uniform: Tensor | None) -> Rewritten:
        """Written without a gradient, then scored in one pass, in which gradients do not go through the words fed back."""
        with evaluating(self), torch.no_grad():
            tokens = self.written(given, style, uniform)
        logits = self(given, None, style, tokens)
        return Rewritten(tokens, (wide(logits) / temperature).softmax(-1))

    def write(self, given: Tensor, style: Tensor, strength: float = 1.0) -> Tensor:
        if strength != 1:
            raise RecipeError("this run writes a text anew, so it cannot change more or less of it; leave --strength out")
        with torch.no_grad():
            return self.written(given, style, None)

    def written(self, given: Tensor, style: Tensor, uniform: Tensor | None) -> Tensor:
        """[N, T'] word by word; a text may be a few words longer than what was read."""
        own = (given != PAD).sum(1)
        kept = self.read(given, None, style)
        cache, token, out = self.begin(kept), torch.full_like(given[:, 0], BOS), list[Tensor]()
        going = torch.ones_like(token, dtype=torch.bool)
        for t in range(min(self.length, given.shape[1] + 4)):
            logits, cache = self.step(token, t, kept, cache)
            logits = wide(logits).clone()
            logits[:, list(SILENT)] = NEVER
            token = logits.argmax(1) if uniform is None else picked(logits.softmax(1), _mixed(uniform, own, t))
            token = torch.where(going, token, PAD)
            out.append(token)
            going = going & (token != EOS) & (t + 1 < own + 4)
            if not bool(going.any()):
                break
        return torch.stack(out, 1)


def _mixed(uniform: Tensor, own: Tensor, place: int) -> Tensor:
    """[N] a uniform number for a place, beyond the text's own [N] too (Weyl's sequence)."""
    column = (own - 1).clamp(0, place)
    return (uniform.gather(1, column[:, None])[:, 0] + (place - column) * 0.6180339887) % 1.0


class DecoderLayer(nn.Module):
    """Attention to the words before, to the text that was read, then a wider layer (pre-norm)."""

    def __init__(self, width: int, heads: int, drop: float) -> None:
        super().__init__()
        self.drop = drop
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.own, self.other = Attention(width, heads), Attention(width, heads)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(
        self, x: Tensor, past: tuple[Tensor, Tensor] | None, read: tuple[Tensor, Tensor], readable: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """x [N, T, H]; past: keys and values of earlier words, for one word at a time; else all words, each seeing those before."""
        y = self.norms[0](x)
        k, v = self.own.offered(y)
        before: Tensor | None = None
        if past is not None:
            k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
        else:
            before = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).tril()[None, None]
        x = x + dropout(self.own(y, k, v, before), self.drop, self.training)
        x = x + dropout(self.other(self.norms[1](x), *read, readable), self.drop, self.training)
        x = x + dropout(self.narrow(gelu(self.wide(self.norms[2](x)))), self.drop, self.training)
        return x, (k, v)


class StyleTransformerModule(Written):
    """Dai et al. 2019 (arXiv:1905.05621), figure 1: the encoder sees the style as one more token before the text."""

    def __init__(
        self, vocabulary: int, length: int, styles: int, width: int, layers: int, heads: int, drop: float, noise: tuple[float, float]
    ) -> None:
        super().__init__()
        self.vocabulary, self.length, self.styles, self.drop, self.noise = vocabulary, length, styles, drop, noise
        self.heads, self.width = heads, width
        self.embed, self.style = nn.Embedding(vocabulary, width), nn.Embedding(styles, width)
        self.places = nn.Parameter(torch.empty(length + 4, width).normal_(std=0.02))
        nn.init.normal_(self.embed.weight, std=width**-0.5)
        nn.init.normal_(self.style.weight, std=0.1)
        self.encoder = nn.ModuleList(Layer(width, heads, drop) for _ in range(layers))
        self.decoder = nn.ModuleList(DecoderLayer(width, heads, drop) for _ in range(layers))
        self.norm, self.last = nn.LayerNorm(width), nn.LayerNorm(width)
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    def read(self, given: Tensor, shares: Tensor | None, style: Tensor) -> list[Tensor]:
        """[what may be looked at, keys and values of each layer of the decoder ...]."""
        x = looked_up(self.embed.weight, given, shares) + self.places[: given.shape[1]]
        x = dropout(torch.cat([self.style(style)[:, None], x], 1), self.drop, self.training)
        readable = torch.cat([torch.ones_like(given[:, :1], dtype=torch.bool)[:, None, None], seen(given)], 3)
        for layer in self.encoder:
            x = layer(x, readable)
        x = self.norm(x)
        offered = [t for layer in self.decoder for t in cast(DecoderLayer, layer).other.offered(x)]
        return [readable, *offered]

    def begin(self, kept: list[Tensor]) -> Cache:
        empty = kept[1].new_zeros(len(kept[0]), self.heads, 0, self.width // self.heads)
        return [(empty, empty)] * len(self.decoder)

    def step(self, token: Tensor, place: int, kept: list[Tensor], cache: Cache) -> tuple[Tensor, Cache]:
        x, after = (self.embed(token) + self.places[place])[:, None], Cache()
        for i, layer in enumerate(self.decoder):
            x, past = layer(x, cache[i], (kept[1 + 2 * i], kept[2 + 2 * i]), kept[0])
            after.append(past)
        return self._out(x)[:, 0], after

    def forward(self, given: Tensor, shares: Tensor | None, style: Tensor, wanted: Tensor) -> Tensor:
        kept = self.read(given, shares, style)
        x = dropout(self.embed(shifted(wanted)) + self.places[: wanted.shape[1]], self.drop, self.training)
        for i, layer in enumerate(self.decoder):
            x, _ = layer(x, None, (kept[1 + 2 * i], kept[2 + 2 * i]), kept[0])
        return self._out(x)

    def _out(self, x: Tensor) -> Tensor:
        logits: Tensor = self.last(x) @ self.embed.weight.T + self.bias
        return logits


@register("net", "style-transformer")
@dataclass(frozen=True)
class StyleTransformer(Net):
    """`StyleTransformerModule`: width, layers of each of encoder and decoder, heads, dropout, shares of tokens that lessons mask and leave
    out."""

    width: int = 128
    layers: int = 2
    heads: int = 4
    dropout: float = 0.1
    hidden: float = 0.1
    left_out: float = 0.1

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise RecipeError(f"width {self.width} of net 'style-transformer' does not divide into {self.heads} heads")
        check_noise("style-transformer", self.hidden, self.left_out)

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        check_text(spec, "style-transformer", self.dropout)
        return StyleTransformerModule(
            spec.vocabulary, spec.shape[0], wiring.classes, self.width, self.layers, self.heads, self.dropout, (self.hidden, self.left_out)
        )


def check_noise(name: str, hidden: float, left_out: float) -> None:
    if not (0 <= hidden < 1 and 0 <= left_out < 1):
        raise RecipeError(f"noise of net {name!r} is in shares of tokens, from 0 to below 1, not {hidden} and {left_out}")
