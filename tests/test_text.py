"""Games of text: rewards for each token, batches of like length, and trainings in small."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from rivalry import zoo
from rivalry.errors import RecipeError
from rivalry.games import ByLength, Energy, LazyPlay, Likeliest, Rollout, Text
from rivalry.games.by_length import STREAM
from rivalry.games.rollouts import completions
from rivalry.nets import LSTMLM, TokenJudge, TransformerLM
from rivalry.nets.language import LanguageModel
from rivalry.parts import Turn, Wiring
from rivalry.recipe import set_value
from rivalry.streams import Draw
from rivalry.terms import Likelihood, Policy, advantages
from rivalry.training.sources import FixedRows
from rivalry.types import BOS, EOS, PAD, Batch, Spec
from tiny import CPU, TOKENS, counted_up, run, sentences


def turn(n: int = 8, position: int = 0, share: tuple[int, int] = (0, 1)) -> Turn:
    return Turn("generator", 0, 0, position, Draw(0, ("test",), share=share), {}, {}, n)


def players(judge: nn.Module | None = None) -> dict[str, nn.Module]:
    torch.manual_seed(0)
    return {
        "generator": LSTMLM(16, 1, 0.0).build(TOKENS, Wiring()),
        "discriminator": judge or TokenJudge(16, 0.0).build(TOKENS, Wiring()),
    }


def test_returns_are_those_of_a_plain_sum() -> None:
    draw = torch.Generator().manual_seed(0)
    reward = torch.randn(5, 6, generator=draw, dtype=torch.float64)
    mask = (torch.arange(6) < torch.tensor([[6], [4], [1], [3], [6]])).double()
    found = advantages(reward, mask, 0.5, normed=False)
    returns = torch.zeros(5, 6, dtype=torch.float64)
    for i, t in product(range(5), range(6)):
        returns[i, t] = sum(0.5 ** (s - t) * reward[i, s] * mask[i, s] for s in range(t, 6))
    for t in range(6):
        there = mask[:, t] > 0
        wanted = returns[there, t] - returns[there, t].mean()
        assert torch.allclose(found[there, t], wanted)
        assert bool((found[~there, t] == 0).all())
    normed = advantages(reward, mask, 0.5, normed=True)
    assert float((normed.square() * mask).sum() / mask.sum()) == pytest.approx(1, abs=1e-4)


class Marks(nn.Module):
    """A judge that gives each token its own number: whose reward is whose cannot be mixed up."""

    def forward(self, tokens: Tensor) -> dict[str, Tensor]:
        return {"score": tokens.float() + 100 * torch.arange(len(tokens))[:, None]}


def test_each_token_gets_its_own_reward() -> None:
    """A bug of others: rewards of [roll-outs * length, batch] viewed as [batch, length, roll-outs]."""
    nets, rows = players(Marks()), sentences(8).batch(torch.arange(8), CPU)
    play = Text().play(nets, FixedRows(rows), turn())
    logp, reward, mask = play.pair("policy")
    match = play.match("main")
    assert match.fake is not None
    tokens = match.fake.x
    assert torch.equal(reward, tokens.float() + 100 * torch.arange(8)[:, None])
    assert torch.equal(mask, (tokens != PAD).float())
    assert torch.allclose(logp, -nets["generator"].surprise(tokens))


def test_the_policys_gradient_is_that_of_the_expected_reward() -> None:
    """All texts of two tokens, weighed by their probability: the term's gradient with undiscounted returns is that of
    -E[reward], since a baseline that is the same for all adds nothing (float64)."""
    spec = Spec("tokens", (2,), (0.0, 6.0), vocabulary=7)
    torch.manual_seed(0)
    model = LSTMLM(8, 1, 0.0).build(spec, Wiring()).double()
    tokens = torch.tensor(list(product(range(4, 7), range(4, 7))))
    value = torch.tensor([[0.1 * a - b, 0.3 * a * b] for a, b in tokens.tolist()], dtype=torch.float64)
    value[:, 0] = tokens[:, 0] * 0.7  # a reward is a function of what came before it

    def logp(x: Tensor) -> Tensor:
        full = model(x)[..., 4:].log_softmax(-1)  # as if the specials could not be drawn
        return full.gather(2, (x - 4)[..., None])[..., 0]

    weight = logp(tokens).sum(1).exp()
    expected = -(weight * value.sum(1)).sum()
    wanted = torch.autograd.grad(expected, list(model.parameters()))
    returns = torch.stack([value.sum(1), value[:, 1]], 1)
    surrogate = -(weight.detach()[:, None] * returns * logp(tokens)).sum()
    found = torch.autograd.grad(surrogate, list(model.parameters()))
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(wanted, found, strict=True))
    ours = advantages(value, torch.ones_like(value), 1.0, normed=False)
    assert torch.allclose(ours, returns - returns.mean(0))


def test_rewards_carry_no_gradient_and_the_judges_dropout_is_off() -> None:
    nets = players()
    nets["discriminator"] = TokenJudge(16, 0.9).build(TOKENS, Wiring()).train()
    play = Text().play(nets, FixedRows(sentences(8).batch(torch.arange(8), CPU)), turn())
    pair = play.pair("policy")
    assert not pair[1].requires_grad
    assert pair[0].requires_grad
    assert nets["discriminator"].training
    match = play.match("main")
    assert match.fake is not None
    assert torch.allclose(pair[1], nets["discriminator"].eval()(match.fake.x)["score"], atol=1e-6)


def test_likelihood_weighs_every_token_the_same() -> None:
    nets, rows = players(), sentences(6)
    x = rows.batch(torch.arange(6), CPU).x
    at = turn(6)
    play = Text().play(nets, FixedRows(Batch(x)), at)
    found = Likelihood(length=4.0)(play, at)
    nll = nets["generator"].surprise(x).detach()
    assert torch.allclose(found, nll.sum(1) / 4)
    assert float(at.notes["generator.nll"]) == pytest.approx(float(nll.sum() / (x != PAD).sum()), rel=1e-5)
    wide = torch.nn.functional.pad(x, (0, 1))[:, :8]
    again = Likelihood(length=4.0)(Text().play(nets, FixedRows(Batch(wide)), turn(6)), turn(6))
    assert torch.allclose(found, again)


def test_batches_of_like_length_take_every_text_once_an_epoch() -> None:
    rows = sentences(64 * 16)
    sampler = ByLength().over(TOKENS, rows)
    seen, spreads = [], []
    for position in range(64):
        index = sampler.index(STREAM, len(rows), turn(16, position))
        lengths = (rows.batch(index, CPU).x != PAD).sum(1).float()
        seen += index.tolist()
        spreads.append(float(lengths.max() - lengths.min()))
        halves = [sampler.index(STREAM, len(rows), turn(8, position, (i, 2))) for i in range(2)]
        assert torch.equal(torch.cat(halves), index)
    assert sorted(seen) == list(range(len(rows)))
    assert sum(spreads) / len(spreads) < 1
    plain = sampler.index("real", len(rows), turn(16, 3))
    assert not torch.equal(plain, sampler.index(STREAM, len(rows), turn(16, 3)))


def test_likelihood_then_rewards_of_tokens_make_texts_that_count() -> None:
    recipe = zoo.get("token-gan-small")
    nets = {"generator": LSTMLM(24, 1, 0.0), "discriminator": TokenJudge(24, 0.0)}
    small = replace(recipe, nets=nets, batch=64)
    settings = {
        "likelihood.share": 0.6,
        "critic.share": 0.08,
        "adversarial.share": 0.32,
        "likelihood.sides.generator.optimiser.lr": 4e-3,
        "critic.sides.discriminator.optimiser.lr": 1e-2,
        "adversarial.sides.discriminator.optimiser.lr": 1e-2,
        "adversarial.sides.generator.optimiser.lr": 5e-3,
        "adversarial.sides.generator.terms.likelihood.weight": 0.0,  # rewards alone
    }
    for key, value in settings.items():
        small = set_value(small, f"stages.{key}", str(value))
    started = run(replace(small, stages=small.stages[:1]), TOKENS, sentences(), 150)
    ended = run(small, TOKENS, sentences(), 250)
    before, after = (counted_up(s.recipe.game.sample(s.nets, s.wiring, Draw(1, ("t",)), 500)) for s in (started, ended))
    assert 1 - after < 0.7 * (1 - before), "rewards should mend a good part of the wrong steps that likelihood left"


def test_the_game_is_for_text_and_has_no_latents() -> None:
    with pytest.raises(RecipeError, match="is for text, and these data are of kind 'points'"):
        Text().wiring(Spec("points", (2,)))
    with pytest.raises(RecipeError, match="no latent"):
        Text().from_latent({}, torch.zeros(1, 1), ())
    with pytest.raises(RecipeError, match="temperature must be at least 0"):
        Text(temperature=-1)
    with pytest.raises(RecipeError, match="needs a language model"):
        Text().sample({"generator": nn.Linear(1, 1)}, Wiring(), Draw(0, ()), 1)


def test_a_policy_of_texts_weighs_whole_texts() -> None:
    logp, score = torch.zeros(3, 4, requires_grad=True), torch.tensor([[0.0], [1.0], [2.0]]).expand(3, 4)
    play = LazyPlay({}, {}, {"policy": lambda: (logp, score, torch.ones(3, 4))})
    Policy(reward="ratio", discount=0.0, normed=False, length=1.0)(play, turn(3)).sum().backward()
    odds = torch.tensor([0.0, 1.0, 2.0]).exp()
    assert logp.grad is not None
    assert torch.allclose(logp.grad, -(odds - odds.mean())[:, None].expand(3, 4))


@pytest.mark.parametrize("net", [LSTMLM(16, 2, 0.0), TransformerLM(16, 2, 2, 0.0)], ids=["lstm", "transformer"])
def test_rollouts_keep_what_was_written_and_are_averaged_by_place(net: LSTMLM | TransformerLM) -> None:
    torch.manual_seed(0)
    model = net.build(TOKENS, Wiring())
    tokens = sentences(5).batch(torch.arange(5), CPU).x
    found = completions(model, tokens, 3, Draw(0, ("r",)))  # type: ignore[arg-type]
    assert len(found) == 7
    for t, texts in enumerate(found):
        assert texts.shape == (5, 3, 8)
        assert bool((texts[:, :, : t + 1] == tokens[:, None, : t + 1]).all())
        ended = (tokens[:, : t + 1] == EOS).any(1)
        assert bool((texts[ended][:, :, t + 1 :] == PAD).all())

    class Counts(nn.Module):
        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"score": ((x == 5).sum(1).float() / 8).logit(eps=1e-9)}

    reward = Rollout(judged="texts", rollouts=3).rewards({"generator": model, "discriminator": Counts()}, tokens, Draw(0, ("r",)))
    wanted = torch.stack([*((texts == 5).sum(2).float().mean(1) / 8 for texts in found), (tokens == 5).sum(1) / 8], 1)
    assert torch.allclose(reward, wanted, atol=1e-6)


def test_a_rollout_goes_on_from_the_state_that_one_pass_has() -> None:
    """With the same draws a completion is what `generate` writes."""
    torch.manual_seed(0)
    model = LSTMLM(16, 2, 0.0).build(TOKENS, Wiring())
    assert isinstance(model, LanguageModel)
    uniform = torch.rand(6, 8, generator=torch.Generator().manual_seed(1))
    whole = model.generate(uniform)
    state, token = model.start(6, CPU), torch.full((6,), BOS)
    for t in range(4):
        _, state = model.advance(token, state, t)
        token = whole[:, t]
    assert torch.equal(model.completed(token, state, 4, uniform[:, 4:]), whole[:, 4:])


def test_the_best_of_proposals_is_that_of_the_greatest_score_and_likelihood() -> None:
    """Texts of one token.  The judge finds 4 three times as real as others, the model 5 thirty times as likely."""
    spec = Spec("tokens", (1,), (0.0, 9.0), vocabulary=10)
    model = LSTMLM(8, 1, 0.0).build(spec, Wiring())
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()
        model.bias[5] = math.log(30)  # type: ignore[index]

    class Likes(nn.Module):
        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"score": torch.where(x[:, 0] == 4, 3.0, 1.0).log()}

    nets = {"generator": model, "discriminator": Likes()}

    def made(**more: object) -> Tensor:
        game = Energy(judged="texts", proposals=400, **more)  # type: ignore[arg-type]
        return game.sample(nets, Wiring(), Draw(0, ("best",)), 50)[:, 0]

    assert bool((made(pick="best") == 4).all())
    assert bool((made(pick="best", likely=0.2) == 4).all())  # log 3 > .2 log 30
    assert bool((made(pick="best", likely=0.5) == 5).all())  # log 3 < .5 log 30
    drawn = Energy(judged="texts", proposals=64, likely=-1.0).sample(nets, Wiring(), Draw(0, ("drawn",)), 8000)[:, 0]
    assert float((drawn == 4).float().mean()) == pytest.approx(3 / 9, abs=0.05)  # p exp(D) / p


def test_an_opening_that_all_proposals_share_is_not_chosen() -> None:
    """Texts of three tokens.  Judge and model like 5; the opening has it as often as the model writes it, and what comes after far more often; of texts
    that begin with a prompt the opening is what follows it."""
    spec = Spec("tokens", (3,), (0.0, 9.0), vocabulary=10)
    model = LSTMLM(8, 1, 0.0).build(spec, Wiring())
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()
        model.bias[EOS] = -30.0
        model.bias[5] = 0.1

    class Likes(nn.Module):
        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"score": (x == 5).sum(1).float()}

    nets = {"generator": model, "discriminator": Likes()}
    share = torch.full((10,), 0.0).index_fill(0, torch.arange(EOS + 1, 10), 1.0)
    share[5] = math.exp(0.1)
    wanted = float(share[5] / share.sum())
    for game, opening in ((Energy(judged="texts", pick="best", proposals=64, opening=1), 1), (Likeliest(proposals=64, opening=1), 1),
                          (Energy(judged="texts", pick="best", proposals=64, opening=1, prompt=(7,)), 2), (Likeliest(proposals=64, opening=2), 2)):  # fmt: skip
        made = game.sample(nets, Wiring(), Draw(0, ("opening",)), 4000)
        assert float((made[:, opening - 1] == 5).float().mean()) == pytest.approx(wanted, abs=0.03)
        assert bool((made[:, opening:] == 5).float().mean() > 0.7)
    assert torch.equal(
        Likeliest(proposals=8).sample(nets, Wiring(), Draw(0, ("a",)), 20), Likeliest(proposals=8, opening=0).sample(nets, Wiring(), Draw(0, ("a",)), 20)
    )
    for wrong in (Energy, Likeliest):
        with pytest.raises(RecipeError, match="opening"):
            wrong(judged="texts", opening=-1)


def test_residual_energy_draws_in_proportion_to_the_odds() -> None:
    """Texts of one token from a uniform model; a judge that finds token 4 three times as real as others doubles its share
    as importance weights say, up to the bias of few proposals."""
    spec = Spec("tokens", (1,), (0.0, 9.0), vocabulary=10)
    torch.manual_seed(0)
    model = LSTMLM(8, 1, 0.0).build(spec, Wiring())
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()

    class Likes(nn.Module):
        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"score": torch.where(x[:, 0] == 4, 3.0, 1.0).log()}

    nets = {"generator": model, "discriminator": Likes()}
    made = Energy(judged="texts", proposals=64).sample(nets, Wiring(), Draw(0, ("e",)), 8000)
    seen = float((made == 4).float().mean())
    assert seen == pytest.approx(3 / (3 + 6), abs=0.03)  # EOS and six tokens can be drawn
    plain = Energy(judged="texts", proposals=1).sample(nets, Wiring(), Draw(0, ("e",)), 8000)
    assert float((plain == 4).float().mean()) == pytest.approx(1 / 7, abs=0.02)
    likeliest = Likeliest(proposals=16).sample(nets, Wiring(), Draw(0, ("e",)), 500)
    with torch.no_grad():
        model.bias[5] = 2.0
        picked = Likeliest(proposals=16).sample(nets, Wiring(), Draw(0, ("e",)), 500)
    assert len(likeliest.unique()) == 7  # all alike: the first is taken
    assert bool((picked == 5).all())
    with pytest.raises(RecipeError, match="the game 'energy' needs"):
        Energy(judged="tokens")
