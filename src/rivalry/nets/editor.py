"""Rewrites by editing: every word is kept or hidden, and what is hidden is filled in anew in the style wanted."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from rivalry.catalogue import Plain, register
from rivalry.errors import RecipeError
from rivalry.nets.channel import Channel, meant
from rivalry.nets.language import check_text
from rivalry.nets.rewriters import (
    MASKED,
    NEVER,
    Layer,
    Rewriter,
    Rewritten,
    Taught,
    few,
    looked_up,
    seen,
    soft,
    waves,
    wide,
)
from rivalry.parts import Net, Wiring
from rivalry.streams import Draw
from rivalry.types import BOS, EOS, PAD, Spec

BLANK = BOS
"""A slot where nothing stands."""
HEARD = 4
"""One text in so many of a batch is read for what its words stand for in another style."""
GUESSES = 32
"""Words that are thought of for each."""
PARTS = 3
"""Turns in which all words of a text are hidden to say how likely they are."""


@dataclass(frozen=True)
class Noise(Plain):
    """Shares of an editor's lessons: of words that are hidden (on average; of a text, any share up to twice that), of blanks that are,
    of words that are replaced by another text's, left out, and put in hidden; of texts whose style is not told."""

    hidden: float = 0.25
    blank: float = 0.05
    replaced: float = 0.1
    left_out: float = 0.05
    put_in: float = 0.03
    untold: float = 0.15

    def __post_init__(self) -> None:
        if not all(0 <= v < 1 for v in vars(self).values()):
            raise RecipeError(f"noise of net 'text-editor' is in shares, from 0 to below 1, not {tuple(vars(self).values())}")


class TextEditor(Rewriter):
    """A sheet is a blank, a word, a blank, a word ... a blank, EOS, PAD; what is written has the same slots, so a word can be put in for
    a blank, and a blank for a word.

    Layers of attention in both directions read a sheet with hidden slots and the style.  Two answers: what stands in a hidden slot
    (a masked language model of each style, Devlin et al. 2019), and whether a slot should be hidden (`doubt`), which begins as telling
    replaced words (Clark et al. 2020, ELECTRA).  guide: words are taken by l + guide (l - l0), l0 being the logits where no style is told
    (Ho & Salimans 2022, classifier-free guidance).  taught: the share of a discriminator's gradient that reaches the choice of words; all
    of it reaches the doubt.  near: so many slots are mixed by a convolution before any attention, 0 for none: what stands beside a
    slot says most of what belongs there, and attention takes thousands of steps to find out where beside is.  channel: what is filled in
    for a word is likely by what stands around it and, to this power, by what that word stands for in the style wanted (`Channel`),
    which is learned beside the lessons, once texts are rewritten: a network that cannot fill yet would teach it meanings that it does not
    unlearn.  0 for no such knowledge: a hidden word is then forgotten.
    """

    never: Tensor
    begun: Tensor

    def __init__(
        self, vocabulary: int, length: int, styles: int, width: int, layers: int, heads: int, drop: float, noise: Noise, guide: float,
        taught: float, rounds: int, near: int = 0, channel: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.vocabulary, self.length, self.styles, self.drop, self.noise = vocabulary, length, styles, drop, noise
        self.guide, self.share, self.rounds = guide, taught, rounds
        self.embed = nn.Embedding(vocabulary, width)
        self.places = nn.Parameter(waves(4 * length + 4, width) * width**-0.5)
        self.style = nn.Embedding(styles + 1, width)
        nn.init.normal_(self.embed.weight, std=width**-0.5)
        nn.init.normal_(self.style.weight, std=0.1)
        self.near = nn.Conv1d(width, width, near, padding=near // 2) if near else None
        if self.near is not None:
            nn.init.normal_(self.near.weight, std=(width * near) ** -0.5)
        self.layers = nn.ModuleList(Layer(width, heads, drop) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.bias = nn.Parameter(torch.zeros(vocabulary))
        self.doubt = nn.Linear(width, 1)
        nn.init.constant_(self.doubt.bias, -2.0)
        self.power = channel
        self.channel = Channel(vocabulary, styles) if channel else None
        self.register_buffer("begun", torch.zeros((), dtype=torch.bool))
        never = torch.zeros(vocabulary)
        never[[PAD, EOS, MASKED]] = NEVER
        self.register_buffer("never", never, persistent=False)

    def sheet(self, tokens: Tensor) -> Tensor:
        n, t = tokens.shape
        sheet = torch.full((n, 2 * t + 2), BLANK, dtype=torch.long, device=tokens.device)
        sheet[:, 1 : 2 * t + 1 : 2] = tokens
        return _ended(sheet, 2 * _free(tokens).sum(1) + 1)

    def lesson(self, tokens: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
        n, t = tokens.shape
        noise, own = self.noise, _free(tokens)
        others = self._others(tokens, own, draw)
        chance, most = draw.uniform("hide", n, t), 2 * self.noise.hidden * draw.uniform("most", n, 1)
        shown = torch.where(chance < most, MASKED, torch.where(chance > 1 - noise.replaced, others, tokens))
        out = draw.uniform("out", n, t) < noise.left_out
        out[:, 1:] &= ~out[:, :-1]
        out &= own
        added = (draw.uniform("in", n, t) < noise.put_in) & own
        # slots of the noisy text: perhaps a word that was put in, then the text's own
        given = torch.stack([torch.full_like(tokens, MASKED), shown], 2).flatten(1)
        wanted = torch.stack([torch.full_like(tokens, BLANK), tokens], 2).flatten(1)
        there = torch.stack([added, own & ~out], 2).flatten(1)
        rank = there.long().cumsum(1) - 1
        spare = 4 * t + 2
        slot = torch.where(there, 2 * rank + 1, spare)
        missing = torch.where(torch.stack([torch.zeros_like(out), out], 2).flatten(1), 2 * rank + 2, spare)
        sheets = [torch.full((n, spare + 1), BLANK, dtype=torch.long, device=tokens.device) for _ in range(2)]
        sheets[0].masked_fill_(draw.uniform("blank", n, spare + 1) < noise.blank, MASKED)
        sheets[0].scatter_(1, slot, given).scatter_(1, missing, MASKED)
        sheets[1].scatter_(1, slot, wanted).scatter_(1, missing, wanted)
        end = 2 * there.sum(1) + 1
        width = int(end.max()) + 1
        return _ended(sheets[0][:, :width], end), _ended(sheets[1][:, :width], end)

    def _others(self, tokens: Tensor, own: Tensor, draw: Draw) -> Tensor:
        """[N, T] words of this batch at random: as often as they are."""
        pool = tokens[own]
        return pool[draw.integers("others", len(pool), *tokens.shape)] if len(pool) else tokens

    def hidden(self, given: Tensor, shares: Tensor | None, style: Tensor) -> Tensor:
        """[N, S, H] of a sheet; style `styles`: not told."""
        x = looked_up(self.embed.weight, given, shares) + self.places[: given.shape[1]] + self.style(style)[:, None]
        allowed = seen(given)
        if self.near is not None:  # what lies behind the end says nothing, however long the longest text of the batch is
            there = x * (given != PAD)[..., None]
            x = x + self.near(there.transpose(1, 2)).transpose(1, 2)
        x = dropout(x, self.drop, self.training)
        for layer in self.layers:
            x = layer(x, allowed)
        y: Tensor = self.norm(x)
        return y

    def words(self, hidden: Tensor) -> Tensor:
        """[..., H] -> logits of what stands there."""
        logits: Tensor = hidden @ self.embed.weight.T + (self.bias + self.never)
        return logits

    def forward(self, given: Tensor, shares: Tensor | None, style: Tensor, wanted: Tensor) -> Tensor:
        """Logits of what stands in each slot, of those that are hidden; `wanted` is not looked at."""
        return self.words(self.hidden(given, shares, style))

    def counted(self, wanted: Tensor) -> Tensor:
        return _free(wanted).float()

    def taught(self, given: Tensor, shares: Tensor | None, style: Tensor, wanted: Tensor) -> Taught:
        """Words of hidden slots only, but for unknown ones, which are never said, and the doubt of all others that something was replaced there."""
        told = torch.where(torch.rand(len(style), device=style.device) < self.noise.untold, self.styles, style) if self.training else style
        hidden = self.hidden(given, shares, told)
        place, there = _places(given == MASKED)
        under = wanted.gather(1, place)
        if self.training and bool(self.begun):
            self._hear(*(part[::HEARD] for part in (given, style, place, there & meant(under), under)))
        words = self.words(_at(hidden, place)), under, (there & (under != MASKED)).float()
        asked = _free(given) & (given != MASKED)
        doubt = self.doubt(hidden)[..., 0].masked_fill(~asked, NEVER)
        return Taught(words, (doubt, ((given != wanted) & asked).float(), asked.float()))

    @torch.no_grad()
    def _hear(self, given: Tensor, style: Tensor, place: Tensor, asked: Tensor, under: Tensor) -> None:
        """Learns what hidden words `under` [N, M] stand for in another style than the text's own [N]."""
        if self.channel is None or not asked.any():
            return
        other = (style + torch.randint(1, max(2, self.styles), style.shape, device=style.device)) % self.styles
        logits = self.words(_at(self.hidden(given, None, other), place)[asked])
        every, heard = wide(logits).log_softmax(-1), under[asked][:, None]
        logs, tokens = every.topk(min(GUESSES, self.vocabulary))
        logs = torch.cat([logs.masked_fill(tokens == heard, NEVER), every.gather(1, heard)], 1)  # each once: the word itself last
        self.channel.learn(heard[:, 0], other[:, None].expand_as(asked)[asked], torch.cat([tokens, heard], 1), logs)

    def doubted(self, given: Tensor, style: Tensor) -> Tensor:
        """[N, S] the chance that a slot is to be hidden, 0 where there is none."""
        return wide(self.doubt(self.hidden(given, None, style))[..., 0]).sigmoid() * _free(given)

    def rewrite(self, given: Tensor, style: Tensor, temperature: float, uniform: Tensor | None) -> Rewritten:
        if self.training:
            self.begun.fill_(True)
        doubt = self.doubted(given, style)
        hide = doubt > (0.5 if uniform is None else uniform)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.share > 0):
            logits = self._guided(given.masked_fill(hide, MASKED), style, hide, given, self.power)
            tokens, shares = soft(_words_first(logits), temperature, None if uniform is None else _again(uniform[hide]))
        sheet = given.masked_scatter(hide, tokens)
        edits = doubt, _free(given).float()
        # as far as there is doubt: from what stands there to what was filled in, or to nothing known where it was not hidden
        if not self.share:
            return Rewritten(sheet, few(torch.stack([sheet.where(hide, MASKED), given], 2), torch.stack([doubt, -doubt], 2)), edits)
        shares = doubt[hide][:, None] * (self.share * shares + (1 - self.share) * shares.detach())
        spread = torch.zeros(*given.shape, self.vocabulary, device=given.device, dtype=shares.dtype)
        spread = spread.masked_scatter(hide[..., None], shares)
        spread = spread.scatter_add(2, torch.full_like(given, MASKED)[..., None], (doubt * ~hide)[..., None])
        return Rewritten(sheet, spread.scatter_add(2, given[..., None], -doubt[..., None]), edits)

    def _guided(self, sheet: Tensor, style: Tensor, hidden: Tensor, old: Tensor, power: float) -> Tensor:
        """Logits [P, V] of the slots of a sheet [N, S] that are hidden, first to last of each text, where `old` [N, S] stood before."""
        found: Tensor = self.words(self.hidden(sheet, None, style)[hidden])
        if self.guide:
            with torch.no_grad():
                untold = self.words(self.hidden(sheet, None, torch.full_like(style, self.styles))[hidden])
            found = found + self.guide * (found.detach() - untold)
        if self.channel is not None:
            tokens, gains = self.channel(old[hidden], style[:, None].expand_as(old)[hidden])
            found = wide(found)
            found = found.scatter_add(1, tokens, power * gains.to(found.dtype))
        return found

    @torch.no_grad()
    def write(self, given: Tensor, style: Tensor, strength: float = 1.0) -> Tensor:
        """Hidden is what is doubted by more than 1 - strength / 2, and the greater the strength, the less what stood there counts.  The surest of
        the hidden slots are filled first, and those that are left see them (Ghazvininejad et al. 2019, mask-predict)."""
        left = self.doubted(given, style) > 1 - strength / 2
        sheet, power = given.masked_fill(left, MASKED), self.power / max(strength, 1e-3)
        for turn in range(self.rounds, 0, -1):
            best, tokens = _words_first(self._guided(sheet, style, left, given, power)).softmax(-1).max(-1)
            sure = torch.full(given.shape, -1.0, device=given.device, dtype=best.dtype).masked_scatter(left, best)
            many = (left.sum(1, keepdim=True) / turn).ceil().long()
            now = left & (sure.argsort(dim=1, descending=True, stable=True).argsort(dim=1) < many)
            sheet = torch.where(now, sheet.masked_scatter(left, tokens), sheet)
            left = left & ~now
        return self.text(sheet, None)[0]

    @torch.no_grad()
    def likelier(self, given: Tensor, style: Tensor, than: Tensor) -> Tensor:
        """[N] log p(words of a sheet [N, S] | style) less log p(words | than), in nats, each word by all others but those that are hidden with it:
        every PARTS-th (a pseudo-likelihood, after Salazar et al. 2020, arXiv:1910.14659).  Words that were not known say nothing."""
        word = _free(given) & meant(given)
        number = word.long().cumsum(1) % PARTS
        found = torch.zeros(given.shape, device=given.device)
        for part in range(PARTS):
            hide = word & (number == part)
            sheet, heard = given.masked_fill(hide, MASKED), given[hide][:, None]
            sure = [wide(self.words(self.hidden(sheet, None, one)[hide])).log_softmax(-1).gather(1, heard)[:, 0] for one in (style, than)]
            found = found.masked_scatter(hide, (sure[0] - sure[1]).to(found.dtype))
        return found.sum(1)

    def text(self, sheet: Tensor, shares: Tensor | None) -> tuple[Tensor, Tensor | None]:
        gone = (sheet == BLANK) | (sheet == PAD)
        width = max(1, int((~gone).sum(1).max()))
        order = gone.int().argsort(dim=1, stable=True)[:, :width]
        tokens = sheet.gather(1, order).masked_fill(gone.gather(1, order), PAD)
        if shares is None:
            return tokens, None
        return tokens, shares[torch.arange(len(order), device=order.device)[:, None], order]


def _words_first(logits: Tensor) -> Tensor:
    """Nothing stands in a slot only if that is likelier than all words together; one that is likelier than each word alone would take
    out most of what is hidden, since words share what likelihood they have."""
    shares = wide(logits).softmax(-1)
    blank = shares[..., BLANK, None] > 0.5
    odds = torch.arange(logits.shape[-1], device=logits.device) == BLANK
    return wide(logits).masked_fill(odds != blank, NEVER)


def _free(sheet: Tensor) -> Tensor:
    """Slots where something may be written."""
    return (sheet != PAD) & (sheet != EOS)


def _ended(sheet: Tensor, end: Tensor) -> Tensor:
    """EOS in the slot `end` [N] of each row, PAD after it."""
    place = torch.arange(sheet.shape[1], device=sheet.device)
    sheet = torch.where(place > end[:, None], PAD, sheet)
    return torch.where(place == end[:, None], EOS, sheet)


def _places(chosen: Tensor) -> tuple[Tensor, Tensor]:
    """[N, S] -> (slots that are chosen, first to last, [N, M]; which of these there are: rows differ in number)."""
    width = max(1, int(chosen.sum(1).max()))
    place = (~chosen).int().argsort(dim=1, stable=True)[:, :width]
    return place, chosen.gather(1, place)


def _at(hidden: Tensor, place: Tensor) -> Tensor:
    return hidden.gather(1, place[..., None].expand(-1, -1, hidden.shape[2]))


def _again(uniform: Tensor) -> Tensor:
    """Other uniform numbers, of the digits that were not looked at."""
    return (uniform * 4096.0) % 1.0


@register("net", "text-editor")
@dataclass(frozen=True)
class Editor(Net):
    """`TextEditor`: width, layers, heads, dropout, the noise of its lessons, guide, taught; rounds in which hidden slots are filled; near; channel."""

    width: int = 128
    layers: int = 3
    heads: int = 4
    dropout: float = 0.1
    noise: Noise = Noise()
    guide: float = 1.0
    taught: float = 0.0
    rounds: int = 3
    near: int = 0
    channel: float = 0.0

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise RecipeError(f"width {self.width} of net 'text-editor' does not divide into {self.heads} heads")
        if self.near < 0 or (self.near and self.near % 2 == 0):
            raise RecipeError(f"net 'text-editor' mixes an odd number of slots, or 0 for none, not near={self.near}")
        if min(self.guide, self.channel) < 0 or not 0 <= self.taught <= 1 or self.rounds < 1:
            raise RecipeError("net 'text-editor' needs guide and channel of at least 0, taught between 0 and 1, and a round or more")

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        check_text(spec, "text-editor", self.dropout)
        return TextEditor(
            spec.vocabulary, spec.shape[0], wiring.classes, self.width, self.layers, self.heads, self.dropout, self.noise, self.guide,
            self.taught, self.rounds, self.near, self.channel,
        )  # fmt: skip
