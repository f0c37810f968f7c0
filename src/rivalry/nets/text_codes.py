"""Texts as codes: an encoder, a language model that writes what a code says, and a game's two players among codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, layer_norm, leaky_relu

from rivalry.catalogue import register
from rivalry.nets.language import LSTMLanguageModel, check_text, shifted
from rivalry.parts import Net, Wiring
from rivalry.types import BOS, PAD, UNKNOWN, Heads, Spec

CODE = 100
"""Numbers of a code."""


class Reader(nn.Module):
    """[N, T] tokens -> codes [N, code] of mean 0 and deviation 1 over their numbers: the mean of an LSTM's states, read both ways."""

    def __init__(self, vocabulary: int, width: int, code: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width, padding_idx=PAD)
        self.lstm = nn.LSTM(width, width, batch_first=True, bidirectional=True)
        self.out = nn.Linear(2 * width, code)

    def forward(self, tokens: Tensor) -> Tensor:
        there = (tokens != PAD)[..., None]
        states = self.lstm(self.embed(tokens))[0] * there
        code: Tensor = self.out(states.sum(1) / there.sum(1).clamp_min(1))
        return layer_norm(code.float(), code.shape[1:])


@register("net", "text-reader")
@dataclass(frozen=True)
class TextReader(Net):
    """`Reader`: width of embedding and state, numbers of a code."""

    width: int = 192
    code: int = CODE

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        check_text(spec, "text-reader", 0.0)
        return Reader(spec.vocabulary, self.width, self.code)


class CodeWriter(LSTMLanguageModel):
    """A language model that is told a code at every place; states are those of one layer, and the code."""

    def __init__(self, vocabulary: int, length: int, width: int, code: int, drop: float) -> None:
        super().__init__(vocabulary, length, width, 1, drop)
        self.lstm = nn.LSTM(width + code, width, batch_first=True)
        self.code = code

    def told(self, tokens: Tensor, code: Tensor) -> Tensor:
        """(tokens [N, T], codes [N, code]) -> logits [N, T, V] of each token, given the code and those before it."""
        words = dropout(self.embed(shifted(tokens)), self.drop, self.training)
        x = torch.cat([words, code[:, None].expand(-1, tokens.shape[1], -1).to(words.dtype)], 2)
        return self.read(dropout(self.lstm(x)[0], self.drop, self.training))

    def advance(self, token: Tensor, state: list[Tensor], place: int) -> tuple[Tensor, list[Tensor]]:
        h, c, code = state
        x = torch.cat([self.embed(token), code[0]], 1)[:, None]
        y, (h, c) = self.lstm(x, (h, c))
        return y[:, 0], [h, c, code]

    def write(self, code: Tensor, uniform: Tensor, prompt: Sequence[int], temperature: float, top_p: float) -> Tensor:
        """Codes [N, code] -> [N, T] tokens; see `LanguageModel.generate`."""
        token = torch.full((len(code),), BOS, device=code.device)
        state = [*self.start(len(code), code.device), code[None]]
        return self.completed(token, state, 0, uniform, prompt, temperature, top_p)


@register("net", "code-writer")
@dataclass(frozen=True)
class CodeLM(Net):
    """`CodeWriter`: width of embedding and state, numbers of a code, dropout."""

    width: int = 256
    code: int = CODE
    dropout: float = 0.2

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        check_text(spec, "code-writer", self.dropout)
        return CodeWriter(spec.vocabulary, spec.shape[0], self.width, self.code, self.dropout)


class CodeBlocks(nn.Module):
    """[N, inputs] -> [N, outputs] through residual layers."""

    def __init__(self, inputs: int, width: int, layers: int, outputs: int) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(inputs, width), nn.Linear(width, outputs)
        self.inner = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for layer in self.inner:
            x = x + layer(leaky_relu(x, 0.2))
        out: Tensor = self.last(leaky_relu(x, 0.2))
        return out


class Maker(CodeBlocks):
    def forward(self, z: Tensor) -> Tensor:
        code = super().forward(z)
        return layer_norm(code.float(), code.shape[1:])


@register("net", "code-maker")
@dataclass(frozen=True)
class CodeMaker(Net):
    """z [N, latent] -> codes [N, code], of mean 0 and deviation 1 as the reader's."""

    width: int = 256
    layers: int = 4
    code: int = CODE

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        check_text(spec, "code-maker", 0.0)
        return Maker(wiring.latent, self.width, self.layers, self.code)


class CodeJudge(nn.Module):
    """Codes [N, code] -> score [N]."""

    def __init__(self, code: int, width: int, layers: int) -> None:
        super().__init__()
        self.blocks = CodeBlocks(code, width, layers, 1)

    def forward(self, code: Tensor) -> Heads:
        return {"score": self.blocks(code)[:, 0]}


@register("net", "code-judge")
@dataclass(frozen=True)
class CodeCritic(Net):
    """`CodeJudge` of residual layers."""

    width: int = 256
    layers: int = 4
    code: int = CODE

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        check_text(spec, "code-judge", 0.0)
        return CodeJudge(self.code, self.width, self.layers)


def worn(tokens: Tensor, chance: Tensor, drop: float) -> Tensor:
    """Tokens with some unknown: those whose chance [N, T] in [0, 1) is below `drop` (Vincent et al. 2008)."""
    return torch.where((chance < drop) & (tokens > UNKNOWN), UNKNOWN, tokens)
