"""RelGAN's networks: a language model with relational memory, which also writes text softly, and a discriminator of many views."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, one_hot, relu, scaled_dot_product_attention

from rivalry.catalogue import register
from rivalry.errors import RecipeError
from rivalry.nets.language import SILENT, LanguageModel, check_text
from rivalry.parts import Net, Wiring
from rivalry.types import BOS, EOS, PAD, Heads, Spec, constant


class RelationalMemory(LanguageModel):
    """Santoro et al. 2018 (arXiv:1806.01822), section 3: the memory [slots, H] attends to itself and the new input in several
    heads, and what comes out passes gates of input and forgetting.  The next token is read from all slots."""

    def __init__(self, vocabulary: int, length: int, slots: int, heads: int, head: int, embed: int) -> None:
        super().__init__()
        self.vocabulary, self.length, self.slots, self.heads, self.head = vocabulary, length, slots, heads, head
        width = heads * head
        self.embed = nn.Embedding(vocabulary, embed)
        self.into, self.qkv = nn.Linear(embed, width), nn.Linear(width, 3 * width)
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.wide = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        self.gates_new, self.gates_old = nn.Linear(width, 2 * width), nn.Linear(width, 2 * width)
        self.out = nn.Linear(slots * width, vocabulary)

    def start(self, n: int, device: torch.device) -> list[Tensor]:
        """Memory is the identity, cut or padded (as theirs)."""
        own = torch.eye(self.slots, self.heads * self.head, device=device, dtype=self.embed.weight.dtype)
        return [own.expand(n, -1, -1)]

    def stepped(self, word: Tensor, memory: Tensor) -> Tensor:
        """(embedded word [n, E], memory [n, S, H]) -> the new memory."""
        new = self.into(word)[:, None]
        seen = torch.cat([memory, new], 1)
        n, s = memory.shape[:2]
        q, k, v = (p.view(n, s + 1, self.heads, self.head).transpose(1, 2) for p in self.qkv(seen).chunk(3, 2))
        mixed = scaled_dot_product_attention(q[:, :, :s], k, v).transpose(1, 2).reshape(n, s, -1)
        proposed = self.first(memory + mixed)
        proposed = self.second(proposed + self.wide(proposed))
        take, keep = (self.gates_new(new) + self.gates_old(memory.tanh())).chunk(2, 2)
        new_memory: Tensor = take.sigmoid() * proposed.tanh() + (keep + 1).sigmoid() * memory
        return new_memory

    def advance(self, token: Tensor, state: list[Tensor], place: int) -> tuple[Tensor, list[Tensor]]:
        memory = self.stepped(self.embed(token), state[0])
        return memory.flatten(1), [memory]

    def hidden(self, inputs: Tensor) -> Tensor:
        words, (memory,), found = self.embed(inputs), self.start(len(inputs), inputs.device), list[Tensor]()
        for t in range(inputs.shape[1]):  # each memory needs the one before
            memory = self.stepped(words[:, t], memory)
            found.append(memory.flatten(1))
        return torch.stack(found, 1)

    def taken(self, state: list[Tensor], index: Tensor) -> list[Tensor]:
        return [s[index] for s in state]

    def read(self, hidden: Tensor) -> Tensor:
        logits: Tensor = self.out(hidden)
        return logits

    def relaxed(self, uniform: Tensor, sharpness: float) -> Tensor:
        """[N, T, V] texts in shares: softmax(sharpness (logits + Gumbel noise)) at each place (Nie et al. 2019, eq. 5), fed
        back as the mean of the embeddings; uniform [N, T, V] in (0, 1) gives the noise.  After the end there is padding."""
        n, length, _ = uniform.shape
        noise = -torch.log(-torch.log(uniform.clamp(1e-6, 1 - 1e-6)))
        word, (memory,) = self.embed(torch.full((n,), BOS, device=uniform.device)), self.start(n, uniform.device)
        nothing = one_hot(torch.full((n,), PAD, device=uniform.device), self.vocabulary).to(noise.dtype)
        silent = torch.zeros(self.vocabulary, device=uniform.device, dtype=uniform.dtype).index_fill(0, constant(tuple(SILENT), uniform.device, torch.long), -torch.inf)
        ended = torch.zeros(n, 1, dtype=torch.bool, device=uniform.device)
        out = list[Tensor]()
        for t in range(length):
            memory = self.stepped(word, memory)
            shares = (sharpness * (self.read(memory.flatten(1)).to(noise.dtype) + silent + noise[:, t])).softmax(1)
            out.append(torch.where(ended, nothing, shares))
            word = shares.to(self.embed.weight.dtype) @ self.embed.weight
            ended = ended | (shares.argmax(1, keepdim=True) == EOS)
        return torch.stack(out, 1)


@register("net", "relational-lm")
@dataclass(frozen=True)
class RelationalLM(Net):
    """`RelationalMemory`: slots of memory, heads, width of a head, width of the embedding (theirs: 1, 2, 256, 32)."""

    slots: int = 1
    heads: int = 2
    head: int = 256
    embed: int = 32

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        check_text(spec, "relational-lm", 0.0)
        if min(self.slots, self.heads, self.head, self.embed) < 1:
            raise RecipeError("slots, heads, head and embed of net 'relational-lm' must be at least 1")
        return RelationalMemory(spec.vocabulary, spec.shape[0], self.slots, self.heads, self.head, self.embed)


class ViewsJudge(nn.Module):
    """Shares [N, T, V] -> score [N, views]: each view has an embedding of its own, filters and what follows are shared."""

    def __init__(self, vocabulary: int, views: int, embed: int, widths: tuple[int, ...], filters: int, drop: float) -> None:
        super().__init__()
        self.views, self.part, self.drop, self.longest = views, embed // views, drop, max(widths)
        self.embed = nn.Linear(vocabulary, embed, bias=False)
        self.filters = nn.ModuleList(nn.Conv1d(self.part, filters, w) for w in widths)
        total = filters * len(widths)
        self.gate, self.carry = nn.Linear(total, total), nn.Linear(total, total)
        self.narrow, self.out = nn.Linear(total, 100), nn.Linear(100, 1)

    def forward(self, shares: Tensor) -> Heads:
        n, length, _ = shares.shape
        x = self.embed(shares).view(n, length, self.views, self.part).permute(0, 2, 3, 1).flatten(0, 1)
        x = nn.functional.pad(x, (0, max(0, self.longest - length)))
        found = torch.cat([relu(f(x)).amax(2) for f in self.filters], 1)
        gate = torch.sigmoid(self.gate(found))
        mixed = dropout(gate * relu(self.carry(found)) + (1 - gate) * found, self.drop, self.training)
        score: Tensor = self.out(self.narrow(mixed))
        return {"score": score.view(n, self.views)}


@register("net", "text-views")
@dataclass(frozen=True)
class TextViews(Net):
    """RelGAN's discriminator (Nie et al. 2019, section 2.3): `embed` numbers of a token in as many `views`, each judged by the same
    filters (theirs: 64 of 64)."""

    views: int = 64
    embed: int = 64
    widths: tuple[int, ...] = (2, 3, 4, 5)
    filters: int = 300
    dropout: float = 0.25

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        check_text(spec, "text-views", self.dropout)
        if self.embed % self.views:
            raise RecipeError(f"embed {self.embed} of net 'text-views' does not divide into {self.views} views")
        return ViewsJudge(spec.vocabulary, self.views, self.embed, self.widths, self.filters, self.dropout)
