"""Games that rewrite texts: what their matches and pairs are, and where gradients go."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy, log_softmax, softplus

from rivalry import zoo
from rivalry.errors import RecipeError
from rivalry.games.restyle import Restyle, another, asked, restyled
from rivalry.games.text import fitted
from rivalry.parts import Turn
from rivalry.recipe import Recipe
from rivalry.streams import Draw
from rivalry.training.loop import StoreSource
from rivalry.training.state import State, build_state
from rivalry.training.step import losses
from rivalry.types import EOS, PAD
from tiny import CPU, STYLES, styled

ROWS = ("style-editor-small", "style-transformer-small", "text-cycle-small", "cross-aligned-small")


def play_of(recipe: Recipe, seed: int = 0, **knobs: float):
    """A play in float64 of eight texts, and its state."""
    state = build_state(recipe, STYLES, seed, CPU)
    for net in state.nets.values():
        net.double().eval()
    turn = Turn("generator", 0, 0, 0, Draw(5), dict(knobs), {}, 8)
    return recipe.game.play(state.nets, StoreSource(styled(), recipe.sampler, CPU), turn), state, turn


def sides(recipe: Recipe, stage: int) -> dict[str, object]:
    return {side.name: side for side in recipe.stages[stage].sides}


def test_texts_and_their_other_styles() -> None:
    style = torch.tensor([0, 1, 2, 0])
    drawn = torch.stack([another(style, 3, Draw(i)) for i in range(200)])
    assert not bool((drawn == style).any())
    assert all(set(column.tolist()) == {0, 1, 2} - {int(s)} for column, s in zip(drawn.T, style, strict=True))
    assert another(torch.tensor([0, 1]), 2, Draw(0)).tolist() == [1, 0]
    assert fitted(torch.tensor([[5, EOS, 7, 7]]), 6).tolist() == [[5, EOS, PAD, PAD, PAD, PAD]]
    assert fitted(torch.tensor([[5, 6, 7, EOS]]), 2).tolist() == [[5, 6]]


@pytest.mark.parametrize("name", ROWS[:3])
def test_pairs_are_what_they_are_called(name: str) -> None:
    recipe = zoo.get(name)
    play, state, turn = play_of(recipe)
    net, judge = state.nets["generator"], state.nets["discriminator"]
    batch = StoreSource(styled(), recipe.sampler, CPU).batch("likelihood", turn)
    x, style = batch.x[:, : int((batch.x != PAD).sum(1).max())], batch.label
    main, mismatched, fooling = (play.match(m) for m in ("main", "mismatched", "fooling"))
    assert torch.equal(main.real.x, x)
    assert torch.equal(main.real.cond[0], style)
    assert torch.equal(mismatched.fake.x, x)
    assert torch.equal(mismatched.fake.cond[0], 1 - style)
    assert mismatched.real is None
    assert torch.equal(main.fake.x, fooling.fake.x)
    assert torch.equal(fooling.fake.cond[0], 1 - style)
    assert fooling.real is None
    if recipe.game.drawn:
        chance, zero, there = play.pair("edits")
        assert chance.shape == net.sheet(x).shape
        assert not zero.any()
        assert bool(((chance > 0) == there.bool()).all())
    else:
        logits, wanted, mask = play.pair("cycle")
        made = net.rewrite(net.sheet(x), 1 - style, 1.0, None).sheet
        assert torch.allclose(logits, net(made, None, style, x), atol=1e-9)
        assert torch.equal(wanted, x)
        assert torch.equal(mask, (x != PAD).float())
        with pytest.raises(RecipeError, match="no edits"):
            play.pair("edits")
        with pytest.raises(RecipeError, match="no doubt"):
            play.pair("doubt")
    told, classes = play.pair("told")
    assert classes.tolist() == [*style.tolist(), *[2] * len(style)]
    assert torch.allclose(told[: len(x)], judge(x, style)["class"])
    own, target = play.pair("fooling")
    assert torch.equal(target, 1 - style)
    assert torch.allclose(own, told[len(x) :], atol=1e-9)


def test_losses_of_the_style_transformer_are_those_of_the_paper() -> None:
    recipe = zoo.get("style-transformer-small")
    assert [(type(t).__name__, t.weight) for t in recipe.stages[1].sides[1].terms] == [
        ("Likelihood", 0.25), ("Likelihood", 0.5), ("CrossEntropy", 1.0),
    ]  # fmt: skip
    assert (recipe.schedules["tau"](0.0), recipe.schedules["tau"](1.0)) == (1.0, 0.5)
    play, _state, turn = play_of(recipe, tau=0.5)
    critic, writer = recipe.stages[1].sides
    found = losses(recipe, writer, play, turn, {"discriminator": True})
    for key, pair, weight in (("likelihood", "self", 0.25), ("likelihood-2", "cycle", 0.5)):
        logits, wanted, mask = play.pair(pair)
        each = -log_softmax(logits, -1).gather(2, wanted[..., None])[..., 0] * mask
        assert torch.allclose(found[key], weight * each.sum(1) / 16, rtol=0, atol=1e-12)
    logits, wanted = play.pair("fooling")
    assert torch.allclose(found["cross-entropy"], -log_softmax(logits, -1)[torch.arange(8), wanted], rtol=0, atol=1e-12)
    told = losses(recipe, critic, play, turn, {"discriminator": True})
    assert told["cross-entropy"].shape == (16,)
    logits, wanted = play.pair("told")
    assert torch.allclose(told["cross-entropy"], cross_entropy(logits, wanted, reduction="none"), rtol=0, atol=1e-12)


def test_the_editor_s_discriminator_is_charged_for_true_texts_of_the_wrong_style() -> None:
    recipe = zoo.get("style-editor-small")
    play, state, turn = play_of(recipe)
    critic, player = recipe.stages[2].sides
    found = losses(recipe, critic, play, turn, {"discriminator": True})
    score = {m: state.nets["discriminator"](p.x, *p.cond)["score"] for m, p in (
        ("real", play.match("main").real), ("fake", play.match("main").fake), ("wrong", play.match("mismatched").fake))}  # fmt: skip
    assert torch.allclose(found["main.real"], softplus(-score["real"]), rtol=0, atol=1e-12)
    assert torch.allclose(found["main.fake"], softplus(score["fake"]), rtol=0, atol=1e-12)
    assert torch.allclose(found["mismatched.fake"], softplus(score["wrong"]), rtol=0, atol=1e-12)
    charged = losses(recipe, player, play, turn, {"discriminator": True})
    chance, _, there = play.pair("edits")
    edits = next(t for t in player.terms if type(t).__name__ == "L1").weight
    assert torch.allclose(charged["l1"], edits * chance.sum(1) / there.sum(1), rtol=0, atol=1e-6)
    assert torch.allclose(charged["fooling.fake"], softplus(-score["fake"]), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ROWS)
def test_gradients_of_being_judged_reach_the_writer(name: str) -> None:
    recipe = zoo.get(name)
    play, state, turn = play_of(recipe)
    writer = next(s for s in recipe.stages[-1].sides if s.name == "generator")
    found = losses(recipe, replace(writer, terms=tuple(t for t in writer.terms if type(t).__name__ == "CrossEntropy")), play, turn, {"discriminator": True})
    sum(v.sum() for v in found.values()).backward()
    slopes = [p.grad for p in state.nets["generator"].parameters() if p.grad is not None]
    assert slopes
    assert max(float(g.abs().max()) for g in slopes) > 0


def test_cross_alignment_compares_states_of_each_style() -> None:
    recipe = zoo.get("cross-aligned-small")
    play, state, _ = play_of(recipe)
    match = play.match("main")
    net = state.nets["generator"]
    x = play.pair("self")[1]
    style, mask = match.real.cond
    assert torch.equal(match.fake.cond[0], 1 - style)
    assert torch.allclose(match.real.x, net.states(net.first(x, None, style, style), x))
    assert torch.allclose(match.fake.x[:, 0], net._next(net.embed(torch.full((8,), 1)), net.first(x, None, 1 - style, style)))
    assert torch.equal(mask, (x != PAD).double()) or torch.equal(mask, (x != PAD).float())


@pytest.mark.parametrize("name", ROWS)
def test_what_is_asked_is_answered_and_lines_do_not_depend_on_one_another(name: str) -> None:
    recipe = zoo.get(name)
    state: State = build_state(recipe, STYLES, 0, CPU)
    x, style = styled().x[:20], torch.arange(20) % 2
    found = restyled(recipe.game, state.nets, x, style, at_once=7)
    assert found.shape == x.shape
    one = restyled(recipe.game, state.nets, x[3:4], style[3:4])
    assert torch.equal(one[0], found[3])
    assert state.nets["generator"].training
    state.nets["generator"].eval()
    made = recipe.game.change(state.nets, asked(x, -1 - style), Draw(0))
    assert torch.equal(made, recipe.game.change(state.nets, asked(x, 1 - style), Draw(1))), "of two styles any but the own is the other"


def test_how_long_a_text_may_become_does_not_depend_on_its_neighbours() -> None:
    state = build_state(zoo.get("style-transformer-small"), STYLES, 0, CPU)
    writer = state.nets["generator"].eval()
    for parameter in writer.parameters():
        if parameter.shape == (STYLES.vocabulary,):
            parameter.data[EOS] = -50.0  # it never ends by itself
    x = torch.full((2, STYLES.shape[0]), PAD)
    x[0, :3], x[1, :-1] = torch.tensor([7, 8, EOS]), 9
    x[1, -1] = EOS
    style, uniform = torch.tensor([1, 1]), torch.rand(2, STYLES.shape[0], generator=torch.Generator().manual_seed(0))
    for chance in (None, uniform):
        both = writer.written(x, style, chance)
        alone = writer.written(x[:1, :3], style[:1], None if chance is None else chance[:1])
        width = min(7, STYLES.shape[0])
        assert torch.equal(both[0, :width], alone[0, :width])
        assert bool((both[0, width:] == PAD).all())


def test_runs_of_other_games_rewrite_nothing() -> None:
    state = build_state(zoo.get("mle-small"), STYLES, 0, CPU)
    with pytest.raises(RecipeError, match="rewrites no texts"):
        restyled(state.recipe.game, state.nets, styled().x[:2], torch.tensor([0, 1]))
    with pytest.raises(RecipeError, match="temperature"):
        Restyle(temperature=0.0)
    with pytest.raises(RecipeError, match="makes none of noise"):
        Restyle().sample({}, Restyle().wiring(STYLES), Draw(0), 1)
