"""Discriminators of styled texts: is it a true text of that style?  They read what was written straight-through."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, pad, relu

from rivalry.catalogue import register
from rivalry.nets.language import check_text
from rivalry.nets.rewriters import MASKED, looked_up
from rivalry.parts import Net, Wiring
from rivalry.types import PAD, Heads, Spec


class StyleJudgeModule(nn.Module):
    """(tokens [N, T], style [N], shares [N, T, V], few of them [N, T, K, 2], or none) -> 'score' [N]: a logit for each style, of the one that
    is asked; 'class' [N, styles + 1]: of which style it is, the last being 'written by a network'.

    Convolutions over neighbouring words, the largest answer of each anywhere in the text (Kim 2014).  hide: share of words that it does
    not see while training, so that it has an opinion of texts that lack some.
    """

    def __init__(self, vocabulary: int, styles: int, embed: int, widths: tuple[int, ...], filters: int, drop: float, hide: float) -> None:
        super().__init__()
        self.drop, self.hide, self.longest = drop, hide, max(widths)
        self.embed = nn.Embedding(vocabulary, embed)
        nn.init.normal_(self.embed.weight, std=0.1)
        self.filters = nn.ModuleList(nn.Conv1d(embed, filters, w) for w in widths)
        total = filters * len(widths)
        self.mix = nn.Linear(total, total)
        self.score, self.classes = nn.Linear(total, styles), nn.Linear(total, styles + 1)

    def forward(self, tokens: Tensor, style: Tensor, shares: Tensor | None = None) -> Heads:
        x = looked_up(self.embed.weight, tokens, shares)
        if self.training:
            hide = torch.rand(tokens.shape, device=x.device) < self.hide
            x = torch.where(hide[..., None], self.embed.weight[MASKED], x)
        x = x * (tokens != PAD)[..., None]
        x = dropout(x, self.drop, self.training).transpose(1, 2)
        x = pad(x, (0, max(0, self.longest - x.shape[2])))
        found = torch.cat([relu(f(x)).amax(2) for f in self.filters], 1)
        found = dropout(found + relu(self.mix(found)), self.drop, self.training)
        return {"score": self.score(found).gather(1, style[:, None])[:, 0], "class": self.classes(found)}


@register("net", "style-judge")
@dataclass(frozen=True)
class StyleJudge(Net):
    """`StyleJudgeModule`: embedding, widths of filters in words, filters of each width, dropout, share of words hidden from it."""

    embed: int = 96
    widths: tuple[int, ...] = (1, 2, 3, 4)
    filters: int = 96
    dropout: float = 0.2
    hidden: float = 0.1

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        check_text(spec, "style-judge", self.dropout)
        return StyleJudgeModule(spec.vocabulary, wiring.classes, self.embed, self.widths, self.filters, self.dropout, self.hidden)
