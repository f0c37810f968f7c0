"""The cross-aligned autoencoder (Shen et al. 2017, arXiv:1705.09655): a recurrent encoder and writer, and the judges of its states."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, pad, relu

from rivalry.catalogue import register
from rivalry.errors import RecipeError
from rivalry.nets.language import check_text, shifted
from rivalry.nets.rewriters import looked_up, wide
from rivalry.nets.style_transformer import Cache, Written, check_noise
from rivalry.parts import Net, Wiring
from rivalry.types import BOS, EOS, PAD, Heads, Spec


class CrossAlignedModule(Written):
    """z of a text is the last state of a GRU that begins with the text's own style; a second GRU begins with the style wanted and
    z, and writes (section 4.2).  The encoder needs the text's own style: of two styles it is the other one, else none is told.
    """

    def __init__(
        self, vocabulary: int, length: int, styles: int, width: int, code: int, told: int, drop: float, noise: tuple[float, float]
    ) -> None:
        super().__init__()
        self.vocabulary, self.length, self.styles, self.drop, self.noise = vocabulary, length, styles, drop, noise
        self.embed = nn.Embedding(vocabulary, width)
        self.own, self.wanted = nn.Embedding(styles + 1, told + code), nn.Embedding(styles, told)
        self.encode, self.decode = nn.GRU(width, told + code, batch_first=True), nn.GRU(width, told + code, batch_first=True)
        self.out = nn.Linear(told + code, vocabulary)
        self.code = code
        nn.init.normal_(self.embed.weight, std=width**-0.5)

    def read(self, given: Tensor, shares: Tensor | None, style: Tensor) -> list[Tensor]:
        return [self.first(given, shares, style, self._unknown(style))]

    def first(self, given: Tensor, shares: Tensor | None, style: Tensor, own: Tensor) -> Tensor:
        """[N, H] the writer's first state: the style wanted, and z of a text of style `own` (`styles`: not told)."""
        x = dropout(looked_up(self.embed.weight, given, shares), self.drop, self.training)
        states, _ = self.encode(x, self.own(own)[None].contiguous())
        last = ((given != PAD).sum(1) - 1).clamp_min(0)
        z = states[torch.arange(len(given), device=given.device), last, -self.code :]
        return torch.cat([self.wanted(style), z], 1)

    def _unknown(self, style: Tensor) -> Tensor:
        """What is told of a text's own style where only the one wanted is known."""
        return 1 - style if self.styles == 2 else torch.full_like(style, self.styles)

    def begin(self, kept: list[Tensor]) -> Cache:
        return [(kept[0], kept[0])]

    def step(self, token: Tensor, place: int, kept: list[Tensor], cache: Cache) -> tuple[Tensor, Cache]:
        state = self._next(self.embed(token), cache[0][0])
        logits: Tensor = self.out(state)
        return logits, [(state, state)]

    def _next(self, x: Tensor, state: Tensor) -> Tensor:
        """[N, E], [N, H] -> the next state [N, H]."""
        after: Tensor = self.decode(x[:, None], state[None].contiguous())[1][0]
        return after

    def forward(self, given: Tensor, shares: Tensor | None, style: Tensor, wanted: Tensor) -> Tensor:
        logits: Tensor = self.out(self.states(self.first(given, shares, style, self._unknown(style)), wanted))
        return logits

    def states(self, first: Tensor, wanted: Tensor) -> Tensor:
        """[N, T, H] states of the writer that is told every word of the text."""
        x = dropout(self.embed(shifted(wanted)), self.drop, self.training)
        states: Tensor = self.decode(x, first[None].contiguous())[0]
        return dropout(states, self.drop, self.training)

    def free(self, first: Tensor, most: int, temperature: float) -> tuple[Tensor, Tensor]:
        """(states [N, most, H] of the writer that is fed its own words, as softmax(logits / temperature) of the embedding; [N, most] 1 up
        to the likeliest end)."""
        x, state, states, going = self.embed(torch.full((len(first),), BOS, device=first.device)), first, list[Tensor](), list[Tensor]()
        alive = torch.ones(len(first), device=first.device)
        for _ in range(most):
            state = self._next(x, state)
            logits = self.out(state)
            states.append(state)
            going.append(alive)
            alive = alive * (logits.argmax(1) != EOS)
            x = (wide(logits) / temperature).softmax(1) @ self.embed.weight
        return torch.stack(states, 1), torch.stack(going, 1)


@register("net", "cross-aligned")
@dataclass(frozen=True)
class CrossAligned(Net):
    """`CrossAlignedModule`: widths of embedding, of z and of the style, dropout, shares of tokens that lessons mask and leave out."""

    width: int = 128
    code: int = 256
    told: int = 64
    dropout: float = 0.1
    hidden: float = 0.0
    left_out: float = 0.0

    def __post_init__(self) -> None:
        check_noise("cross-aligned", self.hidden, self.left_out)
        if min(self.width, self.code, self.told) < 1:
            raise RecipeError("widths of net 'cross-aligned' must be at least 1")

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        check_text(spec, "cross-aligned", self.dropout)
        return CrossAlignedModule(
            spec.vocabulary, spec.shape[0], wiring.classes, self.width, self.code, self.told, self.dropout, (self.hidden, self.left_out)
        )


class StatesJudgeModule(nn.Module):
    """(states [N, T, H], style [N], mask [N, T]) -> 'score' [N]: for each style convolutions of its own, of which the one asked for answers."""

    def __init__(self, width: int, styles: int, widths: tuple[int, ...], filters: int, drop: float) -> None:
        super().__init__()
        self.drop, self.longest = drop, max(widths)
        self.filters = nn.ModuleList(nn.Conv1d(width, styles * filters, w) for w in widths)
        self.styles, self.each = styles, filters
        self.out = nn.Parameter(torch.empty(styles, filters * len(widths)).normal_(std=0.02))
        self.bias = nn.Parameter(torch.zeros(styles))

    def forward(self, states: Tensor, style: Tensor, mask: Tensor) -> Heads:
        x = (states * mask[..., None]).transpose(1, 2)
        x = pad(x, (0, max(0, self.longest - x.shape[2])))
        found = [relu(f(x)).amax(2).view(len(x), self.styles, self.each) for f in self.filters]
        mine = torch.cat(found, 2)[torch.arange(len(x), device=x.device), style]
        mine = dropout(mine, self.drop, self.training)
        return {"score": (mine * self.out[style]).sum(1) + self.bias[style]}


@register("net", "states-judge")
@dataclass(frozen=True)
class StatesJudge(Net):
    """`StatesJudgeModule`: `width` of the states it judges (a writer's told + code), widths of filters, filters of each width and style, dropout."""

    width: int = 320
    widths: tuple[int, ...] = (1, 2, 3, 4, 5)
    filters: int = 64
    dropout: float = 0.2

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        check_text(spec, "states-judge", self.dropout)
        return StatesJudgeModule(self.width, wiring.classes, self.widths, self.filters, self.dropout)
