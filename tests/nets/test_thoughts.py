"""A discriminator that reads a language model's thoughts."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from rivalry import zoo
from rivalry.errors import RecipeError
from rivalry.games import Energy
from rivalry.nets import LSTMLM, TextThoughts, TransformerLM
from rivalry.nets.language import LanguageModel, shifted
from rivalry.parts import Wiring
from rivalry.streams import Draw
from rivalry.types import PAD, Spec
from tiny import TOKENS, counted_up, run, sentences

SPEC = Spec("tokens", (6,), (0.0, 10.0), vocabulary=11)


@pytest.mark.parametrize("net", [LSTMLM(8, 1, 0.5), TransformerLM(8, 1, 2, 0.5)])
def test_thoughts_are_states_and_surprise_without_dropout_and_carry_no_gradient(net: LSTMLM | TransformerLM) -> None:
    torch.manual_seed(0)
    model = net.build(SPEC, Wiring())
    assert isinstance(model, LanguageModel)
    tokens = torch.tensor([[5, 6, 2, PAD], [7, 8, 9, 2]])
    model.train()
    found = model.thoughts(tokens)
    assert model.training
    assert not found.requires_grad
    model.eval()
    torch.testing.assert_close(found[..., :-1], model.hidden(shifted(tokens)).detach())
    torch.testing.assert_close(found[..., -1], model.surprise(tokens).detach())
    assert float(found[0, 3, -1]) == 0


def test_padding_changes_no_score() -> None:
    torch.manual_seed(0)
    judge = TextThoughts(4, 6, 0.0).build(SPEC, Wiring())
    thoughts, tokens = torch.randn(2, 3, 5), torch.tensor([[5, 2, PAD], [7, 8, 2]])
    wide = torch.cat([thoughts, torch.randn(2, 3, 5)], 1)
    padded = torch.cat([tokens, torch.zeros(2, 3, dtype=torch.long)], 1)
    score = judge(tokens, thoughts)["score"]
    assert score.shape == (2,)
    torch.testing.assert_close(judge(padded, wide)["score"], score)
    other = torch.cat([tokens[1:], tokens[:1]])
    assert float((judge(other, thoughts)["score"] - score).detach().abs().max()) > 1e-4  # where a text ends matters


def test_it_chooses_the_texts_that_count() -> None:
    """After too little likelihood, what the discriminator learned in a few steps makes more of the proposals count."""
    recipe = zoo.get("thought-energy-small")
    nets = {"generator": LSTMLM(24, 1, 0.0), "discriminator": TextThoughts(24, 16, 0.0)}
    first, second = recipe.stages
    brisk = tuple(replace(s, optimiser=replace(s.optimiser, lr=1e-2)) for s in second.sides)
    small = replace(recipe, nets=nets, batch=64, stages=(replace(first, share=0.6), replace(second, share=0.4, sides=brisk)))
    state = run(small, TOKENS, sentences(), 250)
    game = small.game
    assert isinstance(game, Energy)
    chosen = counted_up(game.sample(state.nets, state.wiring, Draw(0, ("made",)), 600))
    plain = counted_up(replace(game, proposals=1).sample(state.nets, state.wiring, Draw(0, ("made",)), 600))
    assert 1 - chosen < 0.8 * (1 - plain)


def test_a_language_model_of_another_width_is_a_sentence() -> None:
    judge = TextThoughts(24, 16, 0.0).build(SPEC, Wiring())
    with pytest.raises(RecipeError, match="set its reads to 12"):
        judge(torch.full((2, 5), 5), torch.zeros(2, 5, 13))
