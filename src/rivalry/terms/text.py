"""Terms of text: likelihoods, rewards, goals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, cross_entropy

from rivalry.catalogue import register
from rivalry.parts import Play, Turn
from rivalry.terms.charges import Charge


@register("term", "likelihood")
@dataclass(frozen=True)
class Likelihood(Charge):
    """-log p of texts in nats, of the pair (logits [N, T, V], tokens [N, T], mask [N, T]): [N], each the sum over its tokens by
    `length`, which is the same for all batches, so that every token of the data weighs the same whatever is batched with it.
    Padding counts nowhere.  The note '<side>.nll' is the mean over the batch's tokens."""

    pair: str = "tokens"
    length: float = 16.0

    def __call__(self, play: Play, turn: Turn) -> Tensor:
        logits, tokens, mask = play.pair(self.pair)
        loss = cross_entropy(logits.flatten(0, 1), tokens.flatten(), reduction="none").view(tokens.shape)
        turn.note(f"{turn.side}.nll", (loss * mask).sum() / mask.sum().clamp_min(1))
        return (loss * mask).sum(1) / self.length


@register("term", "policy")
@dataclass(frozen=True)
class Policy(Charge):
    """REINFORCE (Williams 1992) with a reward for each token and no roll-outs, of pair 'policy' (see game 'text'): [N], the sum of
    -A_t log p(x_t | x_<t) over a text's tokens by `length`.

    The return is G_t = r_t + discount G_t+1 (de Masson d'Autume et al. 2019, ScratchGAN, eq. 4).  reward: of the score D_t,
    'probability' 2 sigmoid(D_t) - 1, 'raw' D_t, 'ratio' exp(D_t) cut at e^3, as MaliGAN weighs texts by the odds that they
    are real (Che et al. 2017, eq. 9), or 'gain' D_t - D_t-1: what a token adds to the log odds of what stood before it, which sum to
    those of the text.  advantage: the return less the mean at that place, over the batch or, 'grouped', over replies to the same
    context; 'normed' by its deviation over all tokens.
    """

    reward: Literal["probability", "raw", "ratio", "gain"] = "probability"
    discount: float = 0.23
    normed: bool = True
    length: float = 16.0
    grouped: bool = False
    couples: ClassVar[bool] = True

    def __call__(self, play: Play, turn: Turn) -> Tensor:
        logp, score, mask, *group = play.pair("policy")
        advantage = advantages(self._rewards(score), mask, self.discount, self.normed, group[0] if self.grouped else None)
        turn.note(f"{turn.side}.reward", (score * mask).sum() / mask.sum())
        return -(advantage * logp * mask).sum(1) / self.length

    def _rewards(self, score: Tensor) -> Tensor:
        if self.reward == "probability":
            return 2 * score.sigmoid() - 1
        if self.reward == "gain":
            return score.diff(dim=1, prepend=torch.zeros_like(score[:, :1]))
        return score if self.reward == "raw" else score.clamp_max(3.0).exp()


def advantages(reward: Tensor, mask: Tensor, discount: float, normed: bool, group: Tensor | None = None) -> Tensor:
    """[N, T] discounted returns over the places that the mask counts, less their mean over the batch, or over the rows of the same
    group [N] (numbers from 0), at each place, by their deviation if `normed`; 0 where the mask is."""
    following, out = torch.zeros_like(reward[:, 0]), []
    for t in range(reward.shape[1] - 1, -1, -1):
        following = (reward[:, t] + discount * following) * mask[:, t]
        out.append(following)
    returns = torch.stack(out[::-1], 1)
    if group is None:
        mean = (returns * mask).sum(0) / mask.sum(0).clamp_min(1)
    else:  # no more groups than rows, so the device need not be asked for their number
        sums = torch.zeros(2, *mask.shape, dtype=returns.dtype, device=mask.device)
        sums = sums.index_add(1, group, torch.stack([returns * mask, mask.to(returns.dtype)]))
        mean = (sums[0] / sums[1].clamp_min(1))[group]
    centred = (returns - mean) * mask
    if not normed:
        return centred
    deviation = (centred.square().sum() / mask.sum().clamp_min(1)).sqrt()
    return centred / (deviation + 1e-6)


@register("term", "goals")
@dataclass(frozen=True)
class Goals(Charge):
    """LeakGAN's manager (Guo et al. 2018, eq. 7): -worth cos(way, goal), of the pair (way [N, T, F], goals [N, T, F], mask [N, T],
    worth [N]): [N], the sum over a text's tokens by `length`."""

    pair: str = "goals"
    length: float = 16.0

    def __call__(self, play: Play, turn: Turn) -> Tensor:
        way, goals, mask, worth = play.pair(self.pair)
        aimed = cosine_similarity(way, goals, dim=2) * mask
        turn.note(f"{turn.side}.aim", aimed.sum() / mask.sum().clamp_min(1))
        return -worth * aimed.sum(1) / self.length
