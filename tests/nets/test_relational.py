"""Relational memory, relaxed texts and the discriminator of many views, against plain computations."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from rivalry.errors import RecipeError
from rivalry.nets import RelationalLM, TextViews
from rivalry.nets.relational import RelationalMemory, ViewsJudge
from rivalry.parts import Wiring
from rivalry.types import BOS, EOS, PAD, Spec

SPEC = Spec("tokens", (6,), (0.0, 10.0), vocabulary=11)


def memory(**settings: int) -> RelationalMemory:
    torch.manual_seed(0)
    module = RelationalLM(**{"slots": 2, "heads": 3, "head": 4, "embed": 5, **settings}).build(SPEC, Wiring()).double()
    assert isinstance(module, RelationalMemory)
    return module


def by_hand(m: RelationalMemory, word: Tensor, old: Tensor) -> Tensor:
    """One text, head by head: Santoro et al. 2018, eq. 1 to 8."""
    new = m.into(word)
    seen = torch.cat([old, new[None]])
    width = m.heads * m.head
    found = torch.zeros_like(old)
    for h in range(m.heads):
        part = slice(h * m.head, (h + 1) * m.head)
        q, k, v = (seen @ m.qkv.weight[i * width : (i + 1) * width][part].T + m.qkv.bias[i * width : (i + 1) * width][part] for i in range(3))
        found[:, part] = (q[:-1] @ k.T / math.sqrt(m.head)).softmax(1) @ v
    x = m.first(old + found)
    x = m.second(x + m.wide(x))
    gates = m.gates_new(new)[None] + m.gates_old(old.tanh())
    take, keep = gates[:, :width], gates[:, width:]
    return take.sigmoid() * x.tanh() + (keep + 1).sigmoid() * old


def test_a_step_of_memory_is_that_of_the_equations() -> None:
    m = memory()
    word, old = torch.randn(2, 5, dtype=torch.float64), torch.randn(2, 2, 12, dtype=torch.float64)
    torch.testing.assert_close(m.stepped(word, old), torch.stack([by_hand(m, w, o) for w, o in zip(word, old, strict=True)]))


def test_one_pass_and_step_by_step_agree() -> None:
    m = memory()
    tokens = torch.randint(4, 11, (3, 6))
    logits, state, before = m(tokens), m.start(3, tokens.device), torch.full((3,), BOS)
    state = [s.double() for s in state]
    for t in range(6):
        hidden, state = m.advance(before, state, t)
        torch.testing.assert_close(m.read(hidden), logits[:, t])
        before = tokens[:, t]


def test_sharp_relaxed_texts_are_the_drawn_ones_and_soft_ones_carry_gradients() -> None:
    """At a high sharpness shares are one-hot, of the token that Gumbel's maximum picks (Maddison et al. 2014)."""
    m = memory()
    uniform = torch.rand(4, 6, 11, dtype=torch.float64)
    sharp = m.relaxed(uniform, 1e6)
    torch.testing.assert_close(sharp, one_hot(sharp.argmax(2), 11).double())
    noise = -torch.log(-torch.log(uniform))
    before, state = torch.full((4,), BOS), [s.double() for s in m.start(4, uniform.device)]
    alive = torch.ones(4, dtype=torch.bool)
    for t in range(6):
        hidden, state = m.advance(before, state, t)
        scores = m.read(hidden) + noise[:, t]
        scores[:, [PAD, BOS, 3]] = -torch.inf
        token = torch.where(alive, scores.argmax(1), PAD)
        assert torch.equal(sharp[:, t].argmax(1), token)
        alive = alive & (token != EOS)
        before = torch.where(alive | (token == EOS), token, before)
    soft = m.relaxed(uniform, 1.0)
    torch.testing.assert_close(soft.sum(2), torch.ones(4, 6, dtype=torch.float64))
    assert float(soft.detach().max(2).values[:, 0].max()) < 0.99
    soft[:, 0, 5].sum().backward()
    assert m.out.weight.grad is not None
    assert float(m.out.weight.grad.abs().sum()) > 0


def test_gumbels_trick_draws_in_proportion() -> None:
    m = memory()
    with torch.no_grad():
        for p in m.parameters():
            p.zero_()
        m.out.bias[5], m.out.bias[6] = math.log(6.0), math.log(3.0)
    first = m.relaxed(torch.rand(20_000, 1, 11, dtype=torch.float64), 50.0)[:, 0].argmax(1)
    shares = torch.bincount(first, minlength=11) / 20_000
    whole = 6 + 3 + 6  # EOS and five others weigh 1 each
    assert float(shares[5]) == pytest.approx(6 / whole, abs=0.012)
    assert float(shares[6]) == pytest.approx(3 / whole, abs=0.012)
    assert float(shares[[PAD, BOS, 3]].sum()) == 0


def test_views_share_filters_and_nothing_else() -> None:
    """The score of a view is that of a one-view judge with its embedding."""
    torch.manual_seed(0)
    whole = TextViews(views=3, embed=6, widths=(2, 3), filters=4, dropout=0.0).build(SPEC, Wiring()).double()
    one = TextViews(views=1, embed=2, widths=(2, 3), filters=4, dropout=0.0).build(SPEC, Wiring()).double()
    assert isinstance(whole, ViewsJudge)
    shares = torch.rand(2, 6, 11, dtype=torch.float64)
    score = whole(shares)["score"]
    assert score.shape == (2, 3)
    for view in range(3):
        own = {k: v for k, v in whole.state_dict().items() if k != "embed.weight"}
        one.load_state_dict({**own, "embed.weight": whole.embed.weight[2 * view : 2 * view + 2]})
        torch.testing.assert_close(one(shares)["score"][:, 0], score[:, view])
    assert isinstance(one, nn.Module)


def test_settings_that_make_no_net_are_refused() -> None:
    with pytest.raises(RecipeError, match="does not divide into 5 views"):
        TextViews(views=5, embed=64).build(SPEC, Wiring())
    with pytest.raises(RecipeError, match="at least 1"):
        RelationalLM(slots=0).build(SPEC, Wiring())
    with pytest.raises(RecipeError, match="is for text"):
        RelationalLM().build(Spec("image", (1, 8, 8), (-1.0, 1.0)), Wiring())
