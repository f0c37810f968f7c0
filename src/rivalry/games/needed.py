"""As strong as a text needs: the weakest rewriting that the run's own networks hold to be in the style wanted."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from rivalry.games.text import fitted, trimmed
from rivalry.nets.editor import TextEditor
from rivalry.nets.style_judges import StyleJudgeModule

RUNGS = (1 / 3, 2 / 3, 5 / 6, 1.0, 1.23, 1.5)
"""What is tried, the weakest first, in strengths at which a dictionary is taken at its word."""
STRONGEST = 1.9
"""At 2 all words would go."""
SURE = 0.95
"""So sure, by the odds of `leaning`, is sure enough."""


def as_needed(net: TextEditor, nets: Mapping[str, nn.Module], tokens: Tensor, style: Tensor) -> Tensor:
    """Texts [N, T] in styles [N] -> [N, T]: of each text as it is and rewritten at each of `strengths`, the first that is in its style by SURE, or
    that rewriting which comes nearest.  What is sure is not tried further, so most texts take two or three rungs, and none more than all."""
    bar = math.log(SURE / (1 - SURE))
    found = tokens.clone()
    left = torch.nonzero(leaning(net, nets, tokens, style) < bar)[:, 0]
    most = torch.full((len(tokens),), -math.inf, device=tokens.device)
    for strength in strengths(net):
        if not len(left):
            break
        made = fitted(net.write(net.sheet(trimmed(tokens[left])), style[left], strength), tokens.shape[1])
        now = leaning(net, nets, made, style[left])
        better = now > most[left]
        found[left[better]], most[left[better]] = made[better], now[better]
        left = left[now < bar]
    return found


def strengths(net: TextEditor) -> tuple[float, ...]:
    """RUNGS as this net counts them: its dictionary's power is divided by the strength."""
    return tuple(sorted({min(rung * (net.power or 1.0), STRONGEST) for rung in RUNGS}))


def leaning(net: TextEditor, nets: Mapping[str, nn.Module], tokens: Tensor, style: Tensor) -> Tensor:
    """[N] log odds that texts [N, T] are in their styles [N] rather than in another.

    Two opinions are added: how much likelier the editor holds the words to be in the one style than in the other (`TextEditor.likelier`), and
    how much rather the discriminator takes the text for a true one of the one than of the other, so that what it has against all
    that is rewritten drops out.  The other is the likeliest to the discriminator; without one of ours, to the editor.
    """
    x = trimmed(tokens)
    others = [(style + k) % net.styles for k in range(1, net.styles)]
    judge = nets.get("discriminator")
    if not isinstance(judge, StyleJudgeModule):
        return torch.stack([net.likelier(net.sheet(x), style, other) for other in others]).amin(0)
    scores = torch.stack([judge(x, other)["score"] for other in others])
    best = scores.max(0)
    rather: Tensor = judge(x, style)["score"] - best.values
    return rather + net.likelier(net.sheet(x), style, torch.stack(others).gather(0, best.indices[None])[0])


__all__ = ["RUNGS", "SURE", "as_needed", "leaning", "strengths"]
