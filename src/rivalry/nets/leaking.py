"""LeakGAN's generator: a manager sees what the discriminator sees in the text so far and sets goals, a worker writes towards them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, normalize, pad

from rivalry.catalogue import register
from rivalry.errors import RecipeError
from rivalry.modes import evaluating
from rivalry.nets.language import LanguageModel, check_text, shifted
from rivalry.nets.text_judges import TextCNNJudge
from rivalry.parts import Net, Wiring
from rivalry.types import PAD, Spec

AT_ONCE = 4096
"""Beginnings of texts that are judged together: of N texts of T tokens there are N T, each as long as a text."""


class LeakModel(LanguageModel):
    """Guo et al. 2018 (arXiv:1709.08624), section 'Leaked features' to 'Generation with hierarchical policy'.

    A goal is a direction in the discriminator's features, of length 1.  The last `reach` goals, added and projected to `hint` numbers
    w, weigh the worker's state h: logits are linear in the products h w.  What the worker learns does not reach the manager.
    """

    def __init__(self, vocabulary: int, length: int, features: int, width: int, hint: int, reach: int, drop: float) -> None:
        super().__init__()
        self.vocabulary, self.length, self.features, self.width = vocabulary, length, features, width
        self.hint, self.reach, self.drop = hint, reach, drop
        self.embed = nn.Embedding(vocabulary, width)
        self.worker, self.manager = nn.LSTM(width, width, batch_first=True), nn.LSTM(features, width, batch_first=True)
        self.goal, self.project = nn.Linear(width, features), nn.Linear(features, hint, bias=False)
        self.out = nn.Linear(width * hint, vocabulary)
        self._heard: tuple[TextCNNJudge, ...] = ()

    def hear(self, judge: nn.Module) -> None:
        """The discriminator whose features leak; it stays no part of this net."""
        if not isinstance(judge, TextCNNJudge) or judge.features != self.features:
            raise RecipeError(
                f"the net 'leak-lm' hears a 'text-cnn' of {self.features} features (filters of all widths together); set its features accordingly"
            )
        self._heard = (judge,)

    @torch.no_grad()
    def leaked(self, prefixes: Tensor) -> Tensor:
        """[n, T] beginnings of texts, padded -> features [n, F] of the discriminator without its dropout."""
        (judge,) = self._heard
        with evaluating(judge):
            return torch.cat([judge(part)["features"] for part in prefixes.split(AT_ONCE)])

    def seen(self, tokens: Tensor) -> Tensor:
        """[N, T] -> features [N, T + 1, F] of nothing, of the first token, ... of all."""
        n, length = tokens.shape
        tokens = pad(tokens, (0, self.length - length), value=PAD)  # as wide as when they are written
        upto = torch.ones(length + 1, self.length, device=tokens.device, dtype=torch.bool).tril(-1)
        return self.leaked(torch.where(upto[None], tokens[:, None], PAD).flatten(0, 1)).view(n, length + 1, -1)

    def goals(self, seen: Tensor) -> Tensor:
        """Features [N, T, F] -> goals [N, T, F] of length 1."""
        return normalize(self.goal(self.manager(seen)[0]), dim=2)

    def hidden(self, inputs: Tensor) -> Tensor:
        tokens = torch.cat([inputs[:, 1:], torch.full_like(inputs[:, :1], PAD)], 1)
        return self.led(inputs, self.goals(self.seen(tokens)[:, :-1]).detach())

    def led(self, inputs: Tensor, goals: Tensor) -> Tensor:
        """(what each token follows [N, T], goals [N, T, F]) -> [N, T, width hint]."""
        before = goals.cumsum(1)
        recent = before - torch.cat([torch.zeros_like(before[:, : self.reach]), before[:, : -self.reach]], 1)[:, : before.shape[1]]
        state = self.worker(dropout(self.embed(inputs), self.drop, self.training))[0]
        return self._joined(dropout(state, self.drop, self.training), recent)

    def _joined(self, state: Tensor, recent: Tensor) -> Tensor:
        joined: Tensor = state[..., :, None] * self.project(recent)[..., None, :]
        return joined.flatten(-2)

    def start(self, n: int, device: torch.device) -> list[Tensor]:
        """The text so far [n, T], manager's and worker's states, and the last goals [n, reach, F]."""
        text = torch.full((n, self.length), PAD, device=device)
        empty = [torch.zeros(1, n, self.width, device=device) for _ in range(4)]
        return [text, *empty, torch.zeros(n, self.reach, self.features, device=device)]

    def advance(self, token: Tensor, state: list[Tensor], place: int) -> tuple[Tensor, list[Tensor]]:
        text, *states, recent = state
        if place:
            text = text.clone()
            text[:, place - 1] = token
        seen, (mh, mc) = self.manager(self.leaked(text)[:, None], (states[0], states[1]))
        recent = torch.cat([recent[:, 1:], normalize(self.goal(seen), dim=2)], 1)
        y, (wh, wc) = self.worker(self.embed(token)[:, None], (states[2], states[3]))
        return self._joined(y[:, 0], recent.sum(1)), [text, mh, mc, wh, wc, recent]

    def taken(self, state: list[Tensor], index: Tensor) -> list[Tensor]:
        text, *states, recent = state
        return [text[index], *(s[:, index] for s in states), recent[index]]

    def read(self, hidden: Tensor) -> Tensor:
        logits: Tensor = self.out(hidden)
        return logits

    def plan(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[N, T] -> (features [N, T + 1, F], goals [N, T, F] with the manager's gradient, logits [N, T, V] with the worker's)."""
        seen = self.seen(tokens)
        goals = self.goals(seen[:, :-1])
        return seen, goals, self.read(self.led(shifted(tokens), goals.detach()))


@register("net", "leak-lm")
@dataclass(frozen=True)
class LeakLM(Net):
    """`LeakModel`: features of the discriminator (its filters, all widths together), width of both states, numbers of a hint,
    tokens that a goal reaches ahead, dropout (theirs: 1720, 32, 16, 4, .25)."""

    features: int = 400
    width: int = 128
    hint: int = 16
    reach: int = 4
    dropout: float = 0.25

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        check_text(spec, "leak-lm", self.dropout)
        if min(self.features, self.width, self.hint, self.reach) < 1:
            raise RecipeError("features, width, hint and reach of net 'leak-lm' must be at least 1")
        return LeakModel(spec.vocabulary, spec.shape[0], self.features, self.width, self.hint, self.reach, self.dropout)
