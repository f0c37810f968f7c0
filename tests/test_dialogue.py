"""Games of dialogue: what is judged, what each token is credited, and trainings in small."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from rivalry import zoo
from rivalry.errors import RecipeError
from rivalry.games import Reply, ReplyRollout, Text
from rivalry.games.reply import by_roll, completions, judged, mismatched
from rivalry.nets import ReplyJudge, ReplyLM
from rivalry.nets.replying import ReplyLanguageModel, ThoughtJudge
from rivalry.parts import Turn, Wiring
from rivalry.recipe import set_value
from rivalry.streams import Draw
from rivalry.terms import Policy, advantages
from rivalry.training.sources import FixedRows
from rivalry.types import PAD, Batch
from tiny import CPU, DIALOGUE, POINTS, TOKENS, run, talks

C = DIALOGUE.context


def turn(n: int = 8) -> Turn:
    return Turn("generator", 0, 0, 0, Draw(0, ("test",)), {}, {}, n)


def players(judge: nn.Module | None = None, whole: bool = False) -> dict[str, nn.Module]:
    torch.manual_seed(0)
    return {
        "generator": ReplyLM(16, 1, 2, 0.0).build(DIALOGUE, Wiring()),
        "discriminator": judge or ReplyJudge(16, 16, 0.0, whole).build(DIALOGUE, Wiring()),
    }


class Marks(ThoughtJudge):
    """Gives each token its own number, and each reply the sum of them: whose reward is whose cannot be mixed up."""

    def __init__(self, whole: bool = False) -> None:
        super().__init__(DIALOGUE.vocabulary, 16, 16, 0.0, whole)

    def forward(self, tokens: Tensor, thoughts: Tensor, reply: Tensor, context: Tensor) -> dict[str, Tensor]:
        marks = tokens.float() / 10 + torch.arange(tokens.shape[1])
        return {"score": (marks * (tokens != PAD)).sum(1) / 100 if self.whole else marks}


def test_fakes_are_generated_replies_and_human_ones_that_do_not_fit() -> None:
    nets, batch = players(), talks().batch(torch.arange(8), CPU)
    game = Reply(group=4)
    match = game.play(nets, FixedRows(batch), turn()).match("main")
    assert match.real is not None
    assert match.fake is not None
    reply = batch.x[:, C:]
    width = match.real.x.shape[1]
    assert torch.equal(match.real.x, reply[:, :width])
    assert len(match.fake.x) == 16
    assert torch.equal(match.fake.x[8:], reply.roll(-1, 0)[:, :width])
    thoughts = nets["generator"].eval().thoughts_of(batch.x[:, :C], reply.roll(-1, 0)[:, :width])  # type: ignore[operator]
    assert torch.allclose(match.fake.cond[0][8:], thoughts, atol=1e-5), "what does not fit is thought of after the context it does not fit"
    assert match.fake_mask is not None
    assert torch.equal(match.fake_mask, (match.fake.x != PAD).float())


def test_replies_of_the_same_conversation_are_no_negatives() -> None:
    nets, batch = players(), talks().batch(torch.arange(8), CPU)
    batch = Batch(batch.x, None, None, {"talk": torch.tensor([0, 0, 0, 1, 2, 2, 3, 0])})
    assert mismatched(batch.x, batch)[1].tolist() == [True, True, False, False, True, False, False, True]
    play = Reply().play(nets, FixedRows(batch), turn())
    mask = play.match("main").fake_mask
    assert mask is not None
    assert (mask[8:].sum(1) == 0).tolist() == [True, True, False, False, True, False, False, True]
    logits, own = play.pair("matching")
    alike = batch.extra["talk"][:, None] == batch.extra["talk"]
    assert torch.equal(own, torch.arange(8))
    assert torch.equal(logits < -1e3, alike & ~torch.eye(8, dtype=torch.bool))
    whole = Reply().play(players(whole=True), FixedRows(batch), turn()).match("main")
    assert whole.fake_mask is not None
    assert whole.fake_mask.tolist() == [1.0] * 8 + [0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0]


def test_each_token_gets_its_own_reward_and_each_reply_its_own_context() -> None:
    nets, batch = players(Marks()), talks().batch(torch.arange(8), CPU)
    play = Reply(group=2).play(nets, FixedRows(batch), turn())
    logp, reward, mask, group = play.pair("policy")
    assert group.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    match = play.match("main")
    assert match.fake is not None
    tokens = match.fake.x[:8, : logp.shape[1]]
    assert torch.allclose(reward, tokens.float() / 10 + torch.arange(tokens.shape[1]))
    assert torch.equal(mask, (tokens != PAD).float())
    model = nets["generator"]
    assert isinstance(model, ReplyLanguageModel)
    assert torch.allclose(logp, -model.surprise_of(batch.x[group, :C], tokens), atol=1e-5)
    assert logp.requires_grad
    assert not reward.requires_grad


def test_rewards_of_rollouts_are_those_of_their_own_reply() -> None:
    """A bug of others: rewards of [roll-outs * length, batch] viewed as [batch, length, roll-outs].  Every completion is judged alone here."""
    nets, batch = players(Marks(whole=True), whole=True), talks().batch(torch.arange(6), CPU)
    model = nets["generator"]
    assert isinstance(model, ReplyLanguageModel)
    game, draw = ReplyRollout(rollouts=3), Draw(0, ("roll",))
    context, whose = batch.x[:3, :C], torch.arange(6) // 2
    tokens = game.drawn(model, context, Draw(0, ("draw",)), 2)
    found = game.rewards(nets, context, tokens, whose, draw)
    texts = completions(model, context[whose], tokens, 3, draw)
    assert len(texts) == tokens.shape[1] - 1
    for i, t in product(range(6), range(tokens.shape[1] - 1)):
        assert bool((texts[t][i, :, : t + 1] == tokens[i, : t + 1]).all())
        one_by_one = [judged(nets, context[whose[i : i + 1]], texts[t][i, k : k + 1]).sigmoid() for k in range(3)]
        assert float(found[i, t]) == pytest.approx(float(torch.stack(one_by_one).mean()), abs=1e-6)
    assert torch.allclose(found[:, -1], judged(nets, context, tokens, whose).sigmoid())
    flat = torch.arange(12.0)
    assert by_roll(flat, 3).tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]


def test_baselines_of_groups_are_plain_means() -> None:
    draw = torch.Generator().manual_seed(0)
    reward = torch.randn(6, 5, generator=draw, dtype=torch.float64)
    mask = (torch.arange(5) < torch.tensor([[5], [3], [1], [4], [5], [2]])).double()
    group = torch.tensor([0, 0, 1, 1, 1, 0])
    found = advantages(reward, mask, 0.9, False, group)
    returns = torch.zeros(6, 5, dtype=torch.float64)
    for i, t in product(range(6), range(5)):
        returns[i, t] = sum(0.9 ** (s - t) * reward[i, s] * mask[i, s] for s in range(t, 5))
    for i, t in product(range(6), range(5)):
        others = [returns[j, t] for j in range(6) if group[j] == group[i] and mask[j, t]]
        wanted = (returns[i, t] - sum(others) / len(others)) * mask[i, t] if others else torch.tensor(0.0)
        assert float(found[i, t]) == pytest.approx(float(wanted), abs=1e-12)
    assert torch.allclose(advantages(reward, mask, 0.9, True), advantages(reward, mask, 0.9, True, torch.zeros(6, dtype=torch.long)))


class Given(nn.Module):
    """A play that hands out a policy pair."""

    def __init__(self, *pair: Tensor) -> None:
        super().__init__()
        self.nets: Mapping[str, nn.Module] = {}
        self._pair = pair

    def pair(self, name: str) -> tuple[Tensor, ...]:
        return self._pair

    def match(self, name: str) -> None:
        raise NotImplementedError


def test_gains_of_the_best_judge_are_the_gradient_of_the_divergence() -> None:
    """All replies of two tokens out of three, in float64.  The best judge of prefixes knows log p - log q; then E_q of the term with 'gain',
    undiscounted and without a baseline, has the gradient of KL(q | p)."""
    draw = torch.Generator().manual_seed(0)
    theta = torch.randn(3 + 9, generator=draw, dtype=torch.float64, requires_grad=True)
    first = torch.rand(3, generator=draw, dtype=torch.float64).log_softmax(0)
    second = torch.rand(3, 3, generator=draw, dtype=torch.float64).log_softmax(1)
    text = torch.tensor(list(product(range(3), range(3))))
    q = torch.stack([theta[:3].log_softmax(0)[text[:, 0]], theta[3:].view(3, 3).log_softmax(1)[text[:, 0], text[:, 1]]], 1)
    p = torch.stack([first[text[:, 0]], second[text[:, 0], text[:, 1]]], 1)
    divergence = (q.sum(1).exp() * (q - p).sum(1)).sum()
    (wanted,) = torch.autograd.grad(divergence, theta, retain_graph=True)
    score = (p - q).cumsum(1).detach()
    assert torch.allclose(Policy(reward="gain")._rewards(score).cumsum(1), score)
    weight = q.sum(1).exp().detach()
    returns = torch.stack([score[:, 1], score[:, 1] - score[:, 0]], 1)
    surrogate = -(weight[:, None] * returns * q).sum()
    (found,) = torch.autograd.grad(surrogate, theta, retain_graph=True)
    assert torch.allclose(found, wanted, atol=1e-12)
    ones = torch.ones_like(score)
    ours = advantages(Policy(reward="gain")._rewards(score), ones, 1.0, False)
    assert torch.allclose(ours, returns - returns.mean(0))
    term = Policy(reward="gain", discount=1.0, normed=False, length=1.0, grouped=True)
    charge = term(Given(q, score, ones, torch.arange(9)), turn())  # type: ignore[arg-type]
    assert torch.allclose(charge, torch.zeros(9, dtype=torch.float64)), "alone in its group nobody is better than the mean"


def test_the_best_of_several_candidates_is_given() -> None:
    nets, batch = players(Marks()), talks().batch(torch.arange(5), CPU)
    game = Reply(candidates=6)
    made = game.change(nets, batch.x, Draw(3, ("x",)))
    assert torch.equal(made[:, :C], batch.x[:, :C])
    model = nets["generator"]
    assert isinstance(model, ReplyLanguageModel)
    drawn = game.drawn(model, batch.x[:, :C], Draw(3, ("x",)), 6)
    whose = torch.arange(30) // 6
    rating = game.rated(nets, batch.x[:, :C], drawn, whose).view(5, 6)
    assert torch.equal(made[:, C:], drawn.view(5, 6, -1)[torch.arange(5), rating.argmax(1)])
    alone = {"generator": model}
    mask = (drawn != PAD).float()
    likely = -(model.surprise_of(batch.x[whose, :C], drawn)).sum(1) / mask.sum(1)
    assert torch.allclose(game.rated(alone, batch.x[:, :C], drawn, whose), likely, atol=1e-5)


def right(state_nets: Mapping[str, nn.Module]) -> float:
    """Share of replies that begin as the context asks for."""
    x = talks(400).batch(torch.arange(400), CPU).x
    for net in state_nets.values():
        net.eval()
    made = Reply().change(state_nets, x, Draw(1, ("t",)))
    return float((made[:, C] == x[:, C]).float().mean())


def test_a_row_learns_to_reply_and_its_judge_what_fits() -> None:
    recipe = replace(zoo.get("dialogue-small"), nets={"generator": ReplyLM(24, 1, 2, 0.0), "discriminator": ReplyJudge(24, 24)}, batch=32)
    recipe = set_value(recipe, "stages.likelihood.sides.generator.optimiser.lr", "5e-3")
    state = run(recipe, DIALOGUE, talks(), 260)
    assert right(state.nets) > 0.6  # a guess is right in a sixth of all cases
    x = talks().batch(torch.arange(200), CPU).x
    fits, other = (judged(state.nets, x[:, :C], r)[:, 0] for r in (x[:, C:], x[:, C:].roll(1, 0)))
    unlike = x[:, C] != x.roll(1, 0)[:, C]
    assert float((fits > other)[unlike].float().mean()) > 0.75


def test_games_say_what_they_are_for() -> None:
    with pytest.raises(RecipeError, match="is for conversations"):
        Reply().wiring(TOKENS)
    with pytest.raises(RecipeError, match="is for conversations"):
        Reply().wiring(POINTS)
    with pytest.raises(RecipeError, match="for lines of text"):
        Text().wiring(DIALOGUE)
    with pytest.raises(RecipeError, match="says nothing by itself"):
        Reply().sample({}, Wiring(), Draw(0), 1)
    with pytest.raises(RecipeError, match="candidates and group"):
        Reply(candidates=0)
    with pytest.raises(RecipeError, match="temperature must be"):
        Reply(top_p=0.0)
