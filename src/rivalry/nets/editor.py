"""Rewrites by editing: every token is kept, replaced or taken out, and one may be put in before it, all at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from rivalry.catalogue import register
from rivalry.errors import RecipeError
from rivalry.nets.language import check_text
from rivalry.nets.rewriters import MASKED, NEVER, Layer, Rewriter, looked_up, seen, soft
from rivalry.parts import Net, Wiring
from rivalry.streams import Draw
from rivalry.types import BOS, EOS, PAD, Spec

BLANK = BOS
"""A slot where nothing stands."""


class TextEditor(Rewriter):
    """A sheet is a blank, a token, a blank, a token ... a blank, EOS, PAD; what is written has the same slots.

    Layers of attention in both directions see all slots and the style; logits are those of a tied embedding, and `keep` more for
    what stands there already.  noise: shares of tokens that lessons hide, replace by another text's, leave out, and put in.
    """

    never: Tensor

    def __init__(
        self, vocabulary: int, length: int, styles: int, width: int, layers: int, heads: int, drop: float, noise: tuple[float, ...],
        keep: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.vocabulary, self.length, self.styles, self.drop, self.noise = vocabulary, length, styles, drop, noise
        self.embed = nn.Embedding(vocabulary, width)
        self.places = nn.Parameter(torch.empty(4 * length + 4, width).normal_(std=0.02))
        self.style = nn.Embedding(styles, width)
        nn.init.normal_(self.embed.weight, std=width**-0.5)
        nn.init.normal_(self.style.weight, std=0.02)
        self.layers = nn.ModuleList(Layer(width, heads, drop) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.bias = nn.Parameter(torch.zeros(vocabulary))
        self.keep = nn.Parameter(torch.tensor(keep))
        never = torch.zeros(vocabulary)
        never[[PAD, EOS, MASKED]] = NEVER
        self.register_buffer("never", never, persistent=False)

    def sheet(self, tokens: Tensor) -> Tensor:
        n, t = tokens.shape
        ends = (tokens != PAD) & (tokens != EOS)
        last = ends.sum(1)
        sheet = torch.full((n, 2 * t + 2), BLANK, dtype=torch.long, device=tokens.device)
        sheet[:, 1 : 2 * t + 1 : 2] = tokens
        return _ended(sheet, 2 * last + 1)

    def lesson(self, tokens: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
        n, t = tokens.shape
        hidden, replaced, left_out, put_in = self.noise
        own = (tokens != PAD) & (tokens != EOS)
        others = self._others(tokens, own, draw)
        chance = draw.uniform("hide", n, t)
        shown = torch.where(chance < hidden, MASKED, torch.where(chance < hidden + replaced, others, tokens))
        out = draw.uniform("out", n, t) < left_out
        out[:, 1:] &= ~out[:, :-1]
        out &= own
        added = (draw.uniform("in", n, t) < put_in) & own
        # places of the text with noise: perhaps an added token, then the text's own
        given = torch.stack([others.roll(1, 0), shown], 2).flatten(1)
        wanted = torch.stack([torch.full_like(tokens, BLANK), tokens], 2).flatten(1)
        there = torch.stack([added, own & ~out], 2).flatten(1)
        rank = there.long().cumsum(1) - 1
        spare = 4 * t + 2
        slot = torch.where(there, 2 * rank + 1, spare)
        missing = torch.where(torch.stack([torch.zeros_like(out), out], 2).flatten(1), 2 * rank + 2, spare)
        sheets = [torch.full((n, spare + 1), BLANK, dtype=torch.long, device=tokens.device) for _ in range(2)]
        sheets[0].scatter_(1, slot, given)
        sheets[1].scatter_(1, slot, wanted).scatter_(1, missing, wanted)
        end = 2 * there.sum(1) + 1
        width = int(end.max()) + 1
        return _ended(sheets[0][:, :width], end), _ended(sheets[1][:, :width], end)

    def _others(self, tokens: Tensor, own: Tensor, draw: Draw) -> Tensor:
        """[N, T] tokens of this batch at random: as often as they are."""
        pool = tokens[own]
        return pool[draw.integers("others", max(len(pool), 1), *tokens.shape) % max(len(pool), 1)] if len(pool) else tokens

    def forward(self, given: Tensor, shares: Tensor | None, style: Tensor, wanted: Tensor) -> Tensor:
        x = looked_up(self.embed.weight, given, shares) + self.places[: given.shape[1]] + self.style(style)[:, None]
        x = dropout(x, self.drop, self.training)
        allowed = seen(given)
        for layer in self.layers:
            x = layer(x, allowed)
        logits = self.norm(x) @ self.embed.weight.T + (self.bias + self.never)
        kept = self.keep.to(logits.dtype).expand(*given.shape, 1) * (given != MASKED)[..., None].to(logits.dtype)
        found: Tensor = logits.scatter_add(2, given[..., None], kept)
        return found

    def counted(self, wanted: Tensor) -> Tensor:
        return _free(wanted).float()

    def rewrite(self, given: Tensor, style: Tensor, temperature: float, uniform: Tensor | None) -> tuple[Tensor, Tensor]:
        tokens, shares = soft(self(given, None, style, given), temperature, uniform)
        return torch.where(_free(given), tokens, given), shares

    @torch.no_grad()
    def write(self, given: Tensor, style: Tensor) -> Tensor:
        written, _ = self.rewrite(given, style, 1.0, None)
        return self.text(written, None)[0]

    def text(self, sheet: Tensor, shares: Tensor | None) -> tuple[Tensor, Tensor | None]:
        gone = (sheet == BLANK) | (sheet == PAD)
        width = max(1, int((~gone).sum(1).max()))
        order = gone.int().argsort(dim=1, stable=True)[:, :width]
        tokens = sheet.gather(1, order).masked_fill(gone.gather(1, order), PAD)
        if shares is None:
            return tokens, None
        return tokens, shares.gather(1, order[..., None].expand(-1, -1, shares.shape[2]))


def _free(sheet: Tensor) -> Tensor:
    """Slots where something may be written."""
    return (sheet != PAD) & (sheet != EOS)


def _ended(sheet: Tensor, end: Tensor) -> Tensor:
    """EOS in the slot `end` [N] of each row, PAD after it."""
    place = torch.arange(sheet.shape[1], device=sheet.device)
    sheet = torch.where(place > end[:, None], PAD, sheet)
    return torch.where(place == end[:, None], EOS, sheet)


@register("net", "text-editor")
@dataclass(frozen=True)
class Editor(Net):
    """`TextEditor`: width, layers, heads, dropout; shares of tokens that lessons hide, replace, leave out and put in; keep: how much
    is added at first to the logit of what stands there."""

    width: int = 128
    layers: int = 2
    heads: int = 4
    dropout: float = 0.1
    hidden: float = 0.15
    replaced: float = 0.1
    left_out: float = 0.05
    put_in: float = 0.05
    keep: float = 3.0

    def __post_init__(self) -> None:
        noise = (self.hidden, self.replaced, self.left_out, self.put_in)
        if min(noise) < 0 or self.hidden + self.replaced > 1 or max(noise) > 1:
            raise RecipeError(f"noise of net 'text-editor' is in shares of tokens, hidden and replaced at most 1 together, not {noise}")
        if self.width % self.heads:
            raise RecipeError(f"width {self.width} of net 'text-editor' does not divide into {self.heads} heads")

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        check_text(spec, "text-editor", self.dropout)
        noise = (self.hidden, self.replaced, self.left_out, self.put_in)
        return TextEditor(
            spec.vocabulary, spec.shape[0], wiring.classes, self.width, self.layers, self.heads, self.dropout, noise, self.keep
        )
