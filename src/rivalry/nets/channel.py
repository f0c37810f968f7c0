"""What words of other styles stand for: a dictionary that nobody wrote, learned by deciphering."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from rivalry.types import BOS, UNKNOWN

BELIEF = 0.3
"""Words' worth of evidence by which, before any is heard, a word stands half for itself and half for any other."""
FLOOR = 1e-5
"""The least chance that a word stands for another."""
MEMORY = 3
"""What was heard when a share s of all words had been counts s to this power, since a young network hears badly."""


class Channel(nn.Module):
    """C(w | v), the chance that what would be v in a style is w in a text of another.

    It is learned as a cipher is broken (Ravi & Knight 2011, Deciphering foreign language): a language model of the style says what may stand in
    a hidden place, p(v | around it); what did stand there, w, has the likelihood sum_v p(v | around it) C(w | v), and C is fitted to it
    by expectation-maximisation, a batch at a time (Cappé & Moulines 2009, arXiv:0712.4273).  It begins with every word standing for
    itself, so only what the style would hardly say finds another meaning.  Of each word the `kept` likeliest meanings are remembered.

    words, counts [styles, V, kept]: of each word w, by the style wanted, the v that it stood for, -1 for none, and how often; mass [styles, V]: how
    often each v was meant; uses [V]: how often each w was heard; total: words heard.  Of several processes each hears its share, and what
    the first one heard is kept.
    """

    words: Tensor
    counts: Tensor
    mass: Tensor
    uses: Tensor
    total: Tensor

    def __init__(self, vocabulary: int, styles: int, kept: int = 16) -> None:
        super().__init__()
        self.vocabulary, self.kept = vocabulary, kept
        self.register_buffer("words", torch.full((styles, vocabulary, kept), -1, dtype=torch.int32))
        self.register_buffer("counts", torch.zeros(styles, vocabulary, kept))
        self.register_buffer("mass", torch.zeros(styles, vocabulary))
        self.register_buffer("uses", torch.zeros(vocabulary))
        self.register_buffer("total", torch.zeros((), dtype=torch.float64))

    def forward(self, heard: Tensor, style: Tensor) -> tuple[Tensor, Tensor]:
        """Words heard [P] in the styles [P] -> (what each may stand for [P, kept + 1], log C(heard | v) less the log of FLOOR of these, which is
        0 for all other v, and for all where nothing was heard: a blank, or a word that was not known)."""
        stored = self.words[style, heard].long()
        tokens = torch.cat([stored.clamp_min(0), heard[:, None]], 1)
        once = torch.cat([stored >= 0, ~(stored == heard[:, None]).any(1, keepdim=True)], 1) & meant(heard)[:, None]
        return tokens, (self.of(heard, style, tokens) - math.log(FLOOR)).clamp_min(0) * once

    def of(self, heard: Tensor, style: Tensor, tokens: Tensor) -> Tensor:
        """log C(heard [P] | tokens [P, C]) [P, C] in the styles [P]."""
        words, counts = self.words[style, heard], self.counts[style, heard]
        stood = (counts[:, None] * (tokens[..., None] == words[:, None])).sum(2)
        stood = stood + 0.5 * BELIEF * (tokens == heard[:, None]) + self._any(heard)[:, None]
        log: Tensor = (stood / (self.mass[style[:, None], tokens] + BELIEF) + FLOOR).log()
        return log

    def _any(self, heard: Tensor) -> Tensor:
        """What is believed of a word whatever it may stand for, by how often it is heard."""
        total = self.uses.sum() + self.vocabulary
        found: Tensor = 0.5 * BELIEF * (self.uses[heard] + 1) / total
        return found

    @torch.no_grad()
    def learn(self, heard: Tensor, style: Tensor, tokens: Tensor, logs: Tensor) -> None:
        """A batch: words heard [P], the styles that were asked for [P], what the style would say there, tokens [P, C], each once, with
        its log p [P, C]."""
        forget = (self.total / (self.total + max(len(heard), 1))).float() ** MEMORY
        chance = (logs + self.of(heard, style, tokens)).softmax(1)
        for old in (self.counts, self.mass, self.uses):
            old.mul_(forget)
        self.mass.index_put_((style[:, None].expand_as(tokens), tokens), chance, accumulate=True)
        self.uses.index_add_(0, heard, torch.ones_like(heard, dtype=self.uses.dtype))
        self._remember(style * self.vocabulary + heard, tokens, chance)
        self.total += len(heard)

    def _remember(self, row: Tensor, tokens: Tensor, chance: Tensor) -> None:
        """Adds to the counts of rows [P] of (style, word), and keeps the largest of each row."""
        rows, place = row.unique(return_inverse=True)
        words, counts = self.words.flatten(0, 1), self.counts.flatten(0, 1)
        old, known = words[rows].long(), words[rows] >= 0
        before = torch.arange(len(rows), device=row.device)[:, None].expand_as(old)
        keys = torch.cat([(place[:, None] * self.vocabulary + tokens).flatten(), (before * self.vocabulary + old)[known]])
        keys, where = keys.unique(return_inverse=True)
        sums = counts.new_zeros(len(keys)).index_add_(0, where, torch.cat([chance.flatten(), counts[rows][known]]))
        most = sums.argsort(descending=True, stable=True)
        order = most[(keys[most] // self.vocabulary).argsort(stable=True)]
        mine = keys[order] // self.vocabulary
        rank = torch.arange(len(order), device=row.device) - torch.searchsorted(mine, mine)
        kept = rank < self.kept
        at, mine, rank = order[kept], mine[kept], rank[kept]
        words[rows], counts[rows] = -1, 0.0
        words[rows[mine], rank] = (keys[at] % self.vocabulary).int()
        counts[rows[mine], rank] = sums[at]


def meant(heard: Tensor) -> Tensor:
    """Where a word stands that may mean something."""
    return (heard != BOS) & (heard != UNKNOWN)


__all__ = ["BELIEF", "FLOOR", "Channel", "meant"]
