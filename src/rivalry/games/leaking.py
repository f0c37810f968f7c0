"""LeakGAN: the discriminator's features leak to the generator, whose manager and worker are paid in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, cross_entropy

from rivalry.catalogue import register
from rivalry.errors import RecipeError
from rivalry.games.by_length import STREAM as LESSONS
from rivalry.games.lazy import LazyPlay, lazy
from rivalry.games.text import Text, judged, padded, there, trimmed
from rivalry.nets.leaking import LeakModel
from rivalry.parts import Play, Source, Turn
from rivalry.types import Match, Point


@register("game", "leak")
@dataclass(frozen=True)
class Leak(Text):
    """Guo et al. 2018 (arXiv:1709.08624) between 'generator' (net 'leak-lm') and 'discriminator' (net 'text-cnn').

    Match 'main': real texts against written ones.  Pairs: 'tokens' as in game 'text'; 'aims' = (the way features moved [N, T, F], goals,
    mask, worth [N]) of real texts, worth 1; 'goals', the same of written texts, worth by the rank of their score in the batch (eq. 13
    with delta `sharp`, no roll-outs); 'policy' = (log p [N, T], intrinsic reward [N, T], mask) of written texts (eq. 9): how far features went where the
    last goals pointed.
    """

    sharp: float = 12.0

    def play(self, nets: Mapping[str, nn.Module], source: Source, turn: Turn) -> Play:
        net = heard(nets)
        own = lazy(lambda: trimmed(source.batch("real", turn).x))
        lessons = lazy(lambda: trimmed(source.batch(LESSONS, turn).x))
        made = lazy(lambda: trimmed(self.drawn(nets, turn.draw, turn.batch)))
        width = lazy(lambda: max(own().shape[1], made().shape[1]))
        planned = lazy(lambda: net.plan(made()))
        known = lazy(lambda: net.plan(lessons()))

        def policy() -> tuple[Tensor, ...]:
            tokens, (seen, goals, logits) = made(), planned()
            logp = -cross_entropy(logits.flatten(0, 1).float(), tokens.flatten(), reduction="none").view(tokens.shape)
            return logp, intrinsic(seen, goals.detach(), net.reach), there(tokens)

        def goals() -> tuple[Tensor, ...]:
            seen, aims, _ = planned()
            return *moved(seen, aims, net.reach, there(made())), ranked(judged(nets["discriminator"], made()), self.sharp)

        def aims() -> tuple[Tensor, ...]:
            seen, wanted, _ = known()
            return *moved(seen, wanted, net.reach, there(lessons())), torch.ones(len(seen), device=seen.device)

        def main() -> Match:
            return Match("discriminator", Point(padded(own(), width())), Point(padded(made(), width())), augment=False)

        pairs = {
            "tokens": lazy(lambda: (known()[2], lessons(), there(lessons()))),
            "aims": lazy(aims), "goals": lazy(goals), "policy": lazy(policy),
        }  # fmt: skip
        return LazyPlay(nets, {"main": lazy(main)}, pairs)

    def written(self, nets: Mapping[str, nn.Module], uniform: Tensor) -> Tensor:
        heard(nets)
        return super().written(nets, uniform)

    def surprise(self, nets: Mapping[str, nn.Module], x: Tensor) -> Tensor | None:
        return heard(nets).surprise(x)


def heard(nets: Mapping[str, nn.Module]) -> LeakModel:
    """The generator, told whom to hear."""
    net = nets["generator"]
    if not isinstance(net, LeakModel):
        raise RecipeError("the game 'leak' needs the net 'leak-lm' as generator")
    net.hear(nets["discriminator"])
    return net


def moved(seen: Tensor, goals: Tensor, reach: int, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(features [N, T + 1, F], goals [N, T, F]) -> (f_t+reach - f_t [N, T, F], goals, mask): of a text's last tokens to its end."""
    length = goals.shape[1]
    after = (torch.arange(length, device=seen.device) + reach).clamp_max(length)
    return seen[:, after] - seen[:, :-1], goals, mask


def intrinsic(seen: Tensor, goals: Tensor, reach: int) -> Tensor:
    """[N, T] of the token at each place: the mean over the last `reach` goals, its own with it, of the cosine between the goal
    and how features moved since it was set (eq. 9); fewer at the beginning."""
    n, length, _ = goals.shape
    total, count = torch.zeros(n, length, device=seen.device), torch.zeros(length, device=seen.device)
    for i in range(min(reach, length)):
        found = cosine_similarity(seen[:, i + 1 :] - seen[:, : length - i], goals[:, : length - i], dim=2)
        total[:, i:] = total[:, i:] + found
        count[i:] += 1
    return total / count


def ranked(score: Tensor, sharp: float) -> Tensor:
    """[N] -> sigmoid(sharp (1/2 - rank / N)), rank 1 for the highest: what texts are worth whatever the scores' scale (eq. 13)."""
    rank = score.argsort(descending=True).argsort() + 1
    return torch.sigmoid(sharp * (0.5 - rank / len(score)))
