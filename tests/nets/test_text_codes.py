"""Texts as codes and back, relaxed texts, and texts that a discriminator chose: nets and games on a language that counts."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from rivalry import zoo
from rivalry.errors import RecipeError
from rivalry.games import RelaxedText, TextCodes
from rivalry.nets import LSTMLM, CodeCritic, CodeLM, CodeMaker, RelationalLM, TextReader, TextViews
from rivalry.nets.text_codes import CodeWriter, worn
from rivalry.parts import Turn, Wiring
from rivalry.streams import Draw
from rivalry.training.sources import FixedRows
from rivalry.types import PAD, UNKNOWN, Spec
from tiny import TOKENS, counted_up, run, sentences

SPEC = Spec("tokens", (6,), (0.0, 10.0), vocabulary=11)


def writer(code: int = 7) -> CodeWriter:
    torch.manual_seed(0)
    module = CodeLM(8, code, 0.0).build(SPEC, Wiring())
    assert isinstance(module, CodeWriter)
    return module


def test_told_and_written_step_by_step_agree() -> None:
    """The likeliest text of a code is the one whose every token is the likeliest after those before it."""
    net = writer()
    code = torch.randn(5, 7)
    tokens = net.write(code, torch.zeros(5, 6), (), 0.0, 1.0)
    logits = net.told(tokens, code)
    logits[..., [0, 1, 3]] = -torch.inf
    there = tokens != PAD
    assert torch.equal(logits.argmax(2)[there], tokens[there])
    assert len(tokens.unique(dim=0)) > 1


def test_codes_have_mean_0_and_deviation_1_and_padding_does_not_matter() -> None:
    torch.manual_seed(0)
    reader = TextReader(8, 16).build(SPEC, Wiring())
    tokens = torch.tensor([[5, 6, 2, 0], [7, 8, 9, 2]])
    code = reader(tokens)
    torch.testing.assert_close(code.mean(1), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(code.var(1, unbiased=False), torch.ones(2), atol=1e-3, rtol=0)
    made = CodeMaker(8, 2, 16).build(SPEC, Wiring(latent=3))(torch.randn(4, 3))
    torch.testing.assert_close(made.var(1, unbiased=False), torch.ones(4), atol=1e-3, rtol=0)


def test_worn_texts_lose_words_and_nothing_else() -> None:
    tokens = torch.tensor([[5, 6, 2, 0]])
    assert worn(tokens, torch.tensor([[0.0, 0.5, 0.0, 0.0]]), 0.3).tolist() == [[UNKNOWN, 6, 2, 0]]
    assert torch.equal(worn(tokens, torch.zeros(1, 4), 0.0), tokens)


def test_the_autoencoder_hears_its_code_and_the_game_makes_texts_that_count() -> None:
    recipe = replace(zoo.get("latextgan-small"), batch=64)
    nets = {
        "reader": TextReader(48, 24), "writer": CodeLM(48, 24, 0.0), "generator": CodeMaker(64, 2, 24),
        "discriminator": CodeCritic(64, 2, 24),
    }  # fmt: skip
    state = run(replace(recipe, nets=nets), TOKENS, sentences(), 320)
    with torch.no_grad():
        x = sentences().batch(torch.arange(200), torch.device("cpu")).x
        written = state.nets["writer"].write(state.nets["reader"](x), torch.zeros(200, 8), (), 0.0, 1.0)  # type: ignore[operator]
        game = recipe.game
        made = game.sample(state.nets, state.wiring, Draw(0, ("made",)), 400)
        way = game.from_latent(state.nets, torch.linspace(-1, 1, 5)[:, None].expand(5, 100), ())
    assert float((written == x).all(1).float().mean()) > 0.9
    assert counted_up(made) > 0.6
    assert len(made.unique(dim=0)) > 15  # of 30 there are
    assert counted_up(way) > 0.5


def test_relaxed_texts_are_learned_from() -> None:
    """After little likelihood, the adversarial stage makes more texts that count, by its gradient alone."""
    nets = {"generator": RelationalLM(1, 2, 24, 16), "discriminator": TextViews(4, 32, filters=16, dropout=0.0)}
    whole = replace(zoo.get("relgan-small"), nets=nets, batch=64)
    likelihood, adversarial = whole.stages
    brisk = tuple(replace(s, optimiser=replace(s.optimiser, lr=1e-3)) for s in adversarial.sides)
    whole = replace(whole, stages=(replace(likelihood, share=0.075), replace(adversarial, share=0.925, sides=brisk)))
    before = run(replace(whole, stages=(replace(likelihood, share=1.0),)), TOKENS, sentences(), 15)
    after = run(whole, TOKENS, sentences(), 200)
    share = [counted_up(whole.game.sample(s.nets, s.wiring, Draw(0, ("made",)), 400)) for s in (before, after)]
    assert share[1] > share[0] + 0.1


def test_a_language_model_learns_from_what_its_discriminator_chose() -> None:
    """Pair 'resampled': the texts that `sample` draws, and what the model says of each token."""
    state = run(replace(zoo.get("residual-energy-distilled-small"), batch=16), TOKENS, sentences(), 10)
    turn = Turn("generator", 0, 0, 0, Draw(3, ("turn",)), {}, {}, 16)
    rows = FixedRows(sentences().batch(torch.arange(16), torch.device("cpu")))
    logits, tokens, mask = state.recipe.game.play(state.nets, rows, turn).pair("resampled")
    drawn = state.recipe.game.sample(state.nets, state.wiring, turn.draw.at("resampled"), 16)
    assert torch.equal(tokens, drawn[:, : tokens.shape[1]])
    assert torch.equal(mask, (tokens != PAD).float())
    assert logits.shape == (*tokens.shape, 10)
    assert [s.name for s in state.recipe.stages] == ["likelihood", "critic 1", "distil 1", "critic 2", "distil 2", "critic"]


def test_other_nets_and_settings_are_refused() -> None:
    with pytest.raises(RecipeError, match="latent of at least 1"):
        TextCodes(latent=0)
    turn = Turn("generator", 0, 0, 0, Draw(0, ("t",)), {}, {}, 4)
    rows = FixedRows(sentences().batch(torch.arange(4), torch.device("cpu")))
    plain = {"generator": LSTMLM(8, 1, 0.0).build(TOKENS, Wiring())}
    with pytest.raises(RecipeError, match="'relational-lm'"):
        RelaxedText().play(plain, rows, turn).match("main")
    with pytest.raises(RecipeError, match="'code-writer'"):
        TextCodes().sample({**plain, "writer": plain["generator"], "generator": CodeMaker(8, 1).build(TOKENS, Wiring(latent=100))}, Wiring(latent=100), turn.draw, 2)
