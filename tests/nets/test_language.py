"""Language models and discriminators of text: one pass and step by step agree, nothing looks ahead, padding counts nowhere."""

from __future__ import annotations

import math

import pytest
import torch

from rivalry.errors import RecipeError
from rivalry.nets import LSTMLM, TextCNN, TokenJudge, TransformerLM
from rivalry.nets.language import LanguageModel, chosen, shifted
from rivalry.parts import Net, Wiring
from rivalry.types import BOS, EOS, PAD, Spec

SPEC = Spec("tokens", (9,), (0.0, 11.0), vocabulary=12)
MODELS: dict[str, Net] = {"lstm": LSTMLM(16, 2, 0.3), "transformer": TransformerLM(16, 2, 4, 0.3)}


def model_of(name: str) -> LanguageModel:
    torch.manual_seed(0)
    built = MODELS[name].build(SPEC, Wiring())
    assert isinstance(built, LanguageModel)
    return built.double().eval()


def texts(n: int = 6) -> torch.Tensor:
    x = torch.randint(4, 12, (n, 9), generator=torch.Generator().manual_seed(1))
    length = torch.arange(n) % 8 + 1
    place = torch.arange(9)
    return torch.where(place < length[:, None], x, torch.where(place == length[:, None], EOS, PAD))


@pytest.mark.parametrize("name", MODELS)
def test_step_by_step_is_what_one_pass_says(name: str) -> None:
    """State carried from token to token, and keys and values kept, in float64."""
    model, x = model_of(name), texts()
    whole = model(x)
    state, parts = model.start(len(x), x.device), []
    state = [s.double() for s in state]
    inputs = shifted(x)
    for t in range(x.shape[1]):
        hidden, state = model.advance(inputs[:, t], state, t)
        parts.append(model.read(hidden))
    assert torch.allclose(whole, torch.stack(parts, 1), atol=1e-10)


@pytest.mark.parametrize("name", MODELS)
def test_nothing_looks_ahead(name: str) -> None:
    model, x = model_of(name), texts()
    other = x.clone()
    other[:, 4:] = 7
    assert torch.equal(model(x)[:, :5], model(other)[:, :5])
    assert not torch.equal(model(x)[:, 5:], model(other)[:, 5:])


@pytest.mark.parametrize("name", MODELS)
def test_padding_counts_nowhere(name: str) -> None:
    """A bug of others: a likelihood averaged over padding falls with every place that is added."""
    model, x = model_of(name), texts()
    found = model.surprise(x)
    assert bool((found[x == PAD] == 0).all())
    assert bool((found[x != PAD] > 0).all())
    short = model.surprise(x[:1, :3])
    assert torch.allclose(short.sum(), found[:1].sum())


@pytest.mark.parametrize("name", MODELS)
def test_a_text_is_a_function_of_its_own_draws_and_ends_once(name: str) -> None:
    model = model_of(name).float()
    uniform = torch.rand(40, 9, generator=torch.Generator().manual_seed(2))
    made = model.generate(uniform, (5, 6))
    assert torch.equal(model.generate(uniform[3:5], (5, 6)), made[3:5])
    assert bool((made[:, 0] == 5).all())
    assert bool((made[:, 1] == 6).all())
    for row in made.tolist():
        assert BOS not in row
        ended = row.index(EOS) if EOS in row else len(row) - 1
        assert PAD not in row[: ended + 1]
        assert set(row[ended + 1 :]) <= {PAD}


@pytest.mark.parametrize("name", MODELS)
def test_what_is_drawn_has_the_models_shares(name: str) -> None:
    """First tokens of many texts against the softmax, within five standard errors."""
    model, n = model_of(name).float(), 20_000
    made = model.generate(torch.rand(n, 1, generator=torch.Generator().manual_seed(3)))[:, 0]
    logits = model(torch.full((1, 1), PAD))[0, 0]
    logits[[PAD, BOS, 3]] = -torch.inf
    shares = logits.softmax(0).double()
    seen = torch.bincount(made, minlength=12) / n
    assert bool(((seen - shares).abs() <= 5 * (shares * (1 - shares) / n).sqrt() + 1e-9).all())


def test_temperature_and_top_p() -> None:
    logits = torch.tensor([[0.0, 0, 0, 0, *[math.log(p) for p in (0.5, 0.3, 0.15, 0.05)]]]).repeat(4000, 1)
    logits[:, EOS] = -torch.inf
    uniform = torch.rand(4000, generator=torch.Generator().manual_seed(0))
    assert set(chosen(logits, uniform, 0.0, 1.0).tolist()) == {4}
    assert set(chosen(logits, uniform, 1.0, 0.79).tolist()) == {4, 5}
    assert set(chosen(logits, uniform, 1.0, 0.81).tolist()) == {4, 5, 6}
    cold = torch.bincount(chosen(logits, uniform, 0.5, 1.0), minlength=8)[4:] / 4000
    square = torch.tensor([0.25, 0.09, 0.0225, 0.0025])
    assert torch.allclose(cold, square / square.sum(), atol=0.03)
    nucleus = torch.bincount(chosen(logits, uniform, 1.0, 0.79), minlength=8)[4:6] / 4000
    assert torch.allclose(nucleus, torch.tensor([0.625, 0.375]), atol=0.03)


def test_a_judge_of_tokens_looks_back_only_and_one_of_texts_ignores_more_padding() -> None:
    x = texts()
    tokens = TokenJudge(16, 0.0).build(SPEC, Wiring()).eval()
    other = x.clone()
    other[:, 5:] = 4
    assert torch.equal(tokens(x)["score"][:, :5], tokens(other)["score"][:, :5])
    assert tokens(x)["score"].shape == x.shape
    whole = TextCNN(8, (2, 3, 4, 5), 6, 0.0).build(SPEC, Wiring()).eval()
    assert whole(x)["score"].shape == (len(x),)
    assert whole(x[:1, :2])["score"].shape == (1,)


def test_settings_that_make_no_sense() -> None:
    with pytest.raises(RecipeError, match="is for text, and these data are of kind 'points'"):
        LSTMLM().build(Spec("points", (2,)), Wiring())
    with pytest.raises(RecipeError, match="does not divide into 5 heads"):
        TransformerLM(16, 1, 5).build(SPEC, Wiring())
    with pytest.raises(RecipeError, match="dropout of net 'lstm-lm'"):
        LSTMLM(dropout=1.0).build(SPEC, Wiring())
