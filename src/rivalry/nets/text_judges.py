"""Discriminators of text: one score for a text (convolutions), or one for each token from what came before it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, pad, relu

from rivalry.catalogue import register
from rivalry.errors import RecipeError
from rivalry.nets.language import check_text
from rivalry.parts import Net, Wiring
from rivalry.types import PAD, Heads, Spec


class TextCNNJudge(nn.Module):
    """[N, T] tokens -> score [N]: the largest answer of each filter anywhere in the text, a highway layer, a number."""

    def __init__(self, vocabulary: int, embed: int, widths: tuple[int, ...], filters: int, drop: float) -> None:
        super().__init__()
        self.drop, self.longest = drop, max(widths)
        self.embed = nn.Embedding(vocabulary, embed, padding_idx=PAD)
        self.filters = nn.ModuleList(nn.Conv1d(embed, filters, w) for w in widths)
        total = self.features = filters * len(widths)
        self.gate, self.carry, self.out = nn.Linear(total, total), nn.Linear(total, total), nn.Linear(total, 1)

    def forward(self, tokens: Tensor) -> Heads:
        x = dropout(self.embed(tokens), self.drop, self.training).transpose(1, 2)
        x = pad(x, (0, max(0, self.longest - x.shape[2])))
        found = torch.cat([relu(f(x)).amax(2) for f in self.filters], 1)
        gate = torch.sigmoid(self.gate(found))
        mixed = gate * relu(self.carry(found)) + (1 - gate) * found
        mixed = dropout(mixed, self.drop, self.training)
        return {"score": self.out(mixed)[:, 0], "features": mixed}


@register("net", "text-cnn")
@dataclass(frozen=True)
class TextCNN(Net):
    """Kim 2014 (arXiv:1408.5882) as SeqGAN and Texygen use it: filters of several widths, highway, dropout."""

    embed: int = 64
    widths: tuple[int, ...] = (2, 3, 4, 5)
    filters: int = 100
    dropout: float = 0.4

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        check_text(spec, "text-cnn", self.dropout)
        return TextCNNJudge(spec.vocabulary, self.embed, self.widths, self.filters, self.dropout)


class ThoughtfulJudge(nn.Module):
    """(tokens [N, T], thoughts [N, T, H + 1] of a language model that read them) -> score [N]: mean and largest of an LSTM's states,
    read both ways."""

    def __init__(self, reads: int, width: int, drop: float) -> None:
        super().__init__()
        self.drop = drop
        self.onward, self.homeward = (nn.LSTM(reads + 1, width, batch_first=True) for _ in range(2))
        self.out = nn.Linear(4 * width, 1)

    def forward(self, tokens: Tensor, thoughts: Tensor) -> Heads:
        if thoughts.shape[2] != self.onward.input_size:
            raise RecipeError(
                f"the net 'text-thoughts' reads a language model {self.onward.input_size - 1} wide, and this one is {thoughts.shape[2] - 1}; set "
                f"its reads to {thoughts.shape[2] - 1}"
            )
        there = (tokens != PAD)[..., None]
        x = dropout(thoughts, self.drop, self.training)
        # each text is turned by itself, so that padding comes last both ways and changes nothing
        place = torch.arange(tokens.shape[1], device=tokens.device)
        turned = (there.sum(1) - 1 - place).clamp_min(0)[..., None]
        other = self.homeward(x.gather(1, turned.expand_as(x)))[0]
        states = torch.cat([self.onward(x)[0], other], 2)
        states = dropout(states, self.drop, self.training)
        mean = (states * there).sum(1) / there.sum(1).clamp_min(1)
        largest = states.masked_fill(~there, -torch.inf).amax(1)
        return {"score": self.out(torch.cat([mean, largest], 1))[:, 0]}


@register("net", "text-thoughts")
@dataclass(frozen=True)
class TextThoughts(Net):
    """`ThoughtfulJudge`.  reads: width of the language model whose thoughts it is given."""

    reads: int = 256
    width: int = 128
    dropout: float = 0.3

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        check_text(spec, "text-thoughts", self.dropout)
        return ThoughtfulJudge(self.reads, self.width, self.dropout)


class CausalJudge(nn.Module):
    """[N, T] tokens -> score [N, T]: of each token, from those before it and itself (an LSTM)."""

    def __init__(self, vocabulary: int, width: int, drop: float) -> None:
        super().__init__()
        self.drop = drop
        self.embed = nn.Embedding(vocabulary, width, padding_idx=PAD)
        self.lstm = nn.LSTM(width, width, batch_first=True)
        self.out = nn.Linear(width, 1)

    def forward(self, tokens: Tensor) -> Heads:
        x = dropout(self.embed(tokens), self.drop, self.training)
        hidden = dropout(self.lstm(x)[0], self.drop, self.training)
        return {"score": self.out(hidden)[..., 0]}


@register("net", "token-judge")
@dataclass(frozen=True)
class TokenJudge(Net):
    """ScratchGAN's discriminator (de Masson d'Autume et al. 2019, arXiv:1905.09922) without its layer norms: recurrent, a
    score for each prefix."""

    width: int = 192
    dropout: float = 0.3

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        check_text(spec, "token-judge", self.dropout)
        return CausalJudge(spec.vocabulary, self.width, self.dropout)
