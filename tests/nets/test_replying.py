"""Networks of dialogue: nothing depends on padding or on who else is in the batch, and what is drawn is what was scored."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rivalry.errors import RecipeError
from rivalry.nets import LSTMLM, ReplyJudge, ReplyLM
from rivalry.nets.replying import ReplyLanguageModel, ThoughtJudge
from rivalry.parts import Wiring
from rivalry.types import BOS, EOS, PAD
from tiny import DIALOGUE, POINTS, TOKENS, talks

CPU = torch.device("cpu")
C, R = DIALOGUE.context, DIALOGUE.shape[0] - DIALOGUE.context


def model(double: bool = True) -> ReplyLanguageModel:
    torch.manual_seed(0)
    found = ReplyLM(16, 2, 2, 0.0).build(DIALOGUE, Wiring()).eval()
    assert isinstance(found, ReplyLanguageModel)
    with torch.no_grad():
        found.places.normal_(std=0.5)
    return found.double() if double else found


def replied(net: ReplyLanguageModel, context: Tensor, tokens: Tensor, whose: Tensor | None = None) -> Tensor:
    """Logits [N, r, V] of each token of the replies."""
    return net.read(net.thought(context, tokens, whose)[:, :-1])


def rows(n: int = 6) -> Tensor:
    return talks().batch(torch.arange(n), CPU).x


def test_trimmed_rows_score_as_whole_ones() -> None:
    net, x = model(), rows()
    whole = net(x)[:, C:]
    context, reply = x[:, :C], x[:, C:]
    assert int((context[:, :2] != PAD).sum()) == 0, "the case has padding on the left"
    for c, r in ((context, reply), (context[:, 2:], reply[:, :5])):
        assert torch.allclose(replied(net, c, r), whole[:, : r.shape[1]], atol=1e-12)


def test_a_reply_does_not_depend_on_who_else_is_in_the_batch() -> None:
    net, x = model(), rows()
    longer = x.clone()
    longer[0, :2] = torch.tensor([5, EOS])
    alone = replied(net, x[1:2, 2:C], x[1:2, C:])
    beside = replied(net, longer[:2, :C], longer[:2, C:])[1:]
    assert torch.allclose(alone, beside, atol=1e-12)


def test_nothing_looks_ahead() -> None:
    net, x = model(), rows(2)
    other = x.clone()
    other[:, C + 2 :] = 7
    a, b = net(x), net(other)
    assert torch.allclose(a[:, 2 : C + 3], b[:, 2 : C + 3], atol=1e-12)
    assert not torch.allclose(a[:, C + 3], b[:, C + 3])


def test_contexts_are_read_once_for_several_replies() -> None:
    net, x = model(), rows()
    whose = torch.tensor([0, 0, 3, 5, 3])
    reply = x[torch.tensor([0, 1, 2, 3, 4]), C:]
    apart = replied(net, x[whose, :C], reply)
    assert torch.allclose(replied(net, x[:, :C], reply, whose), apart, atol=1e-12)


def test_what_is_drawn_token_by_token_is_what_one_pass_says() -> None:
    """Keys and values that are kept against the whole row, in float64: at temperature 0 each token is the likeliest."""
    net, x = model(), rows()
    context = x[:, 1:C]
    drawn = net.answer(context, torch.rand(len(x) * 2, R), temperature=0.0)
    assert torch.equal(drawn[0::2], drawn[1::2])
    logits = replied(net, context, drawn[0::2]).clone()
    logits[..., [PAD, BOS, 3]] = -torch.inf
    going = (drawn[0::2] != PAD).double()
    assert bool(((logits.argmax(2) == drawn[0::2]) | (going == 0)).all())
    _, state = net.advance(context[:, -1], net.told(context), C)
    hidden, _ = net.advance(x[:, C], state, C + 1)
    assert torch.allclose(net.read(hidden), replied(net, context, x[:, C:])[:, 1], atol=1e-12)


def test_markers_are_never_said() -> None:
    net = model(double=False)
    drawn = net.answer(rows()[:, :C], torch.rand(600, R, generator=torch.Generator().manual_seed(0)))
    assert not bool(((drawn == BOS) | (drawn == DIALOGUE.vocabulary - 1)).any())
    shares = replied(net, rows()[:, :C], rows()[:, C:]).detach().softmax(2)
    assert float(shares[..., [BOS, DIALOGUE.vocabulary - 1]].max()) < 1e-6


def test_lessons_are_all_that_was_said_and_nothing_else() -> None:
    net, x = model(), rows(3)
    logits, tokens, mask = net.lesson(x[:, 2:C], x[:, C:], whole=True)
    said = (tokens != PAD) & (tokens != BOS) & (tokens != DIALOGUE.vocabulary - 1)
    assert torch.equal(mask.bool(), said)
    assert torch.allclose(logits[:, C - 2 :], replied(net, x[:, 2:C], x[:, C:]), atol=1e-12)
    only = net.lesson(x[:, 2:C], x[:, C:], whole=False)[2]
    assert torch.equal(only.bool(), said & (torch.arange(tokens.shape[1]) >= C - 2))


def test_surprise_is_the_log_of_a_softmax() -> None:
    net, x = model(), rows()
    found = net.surprise_of(x[:, :C], x[:, C:])
    shares = replied(net, x[:, :C], x[:, C:]).log_softmax(2)
    for i in range(len(x)):
        for t in range(R):
            wanted = -shares[i, t, x[i, C + t]] if x[i, C + t] != PAD else torch.tensor(0.0, dtype=torch.float64)
            assert torch.allclose(found[i, t], wanted, atol=1e-12)
    thoughts = net.thoughts_of(x[:, :C], x[:, C:])
    assert torch.allclose(thoughts[..., -1], found, atol=1e-12)


def judge(whole: bool = False) -> ThoughtJudge:
    torch.manual_seed(1)
    found = ReplyJudge(16, 16, 0.0, whole).build(DIALOGUE, Wiring()).double().eval()
    assert isinstance(found, ThoughtJudge)
    return found


def shown(net: ReplyLanguageModel, x: Tensor) -> tuple[Tensor, ...]:
    return x[:, C:], net.thoughts_of(x[:, :C], x[:, C:]), net.words(x[:, C:]), net.words(x[:, :C])


def test_a_judge_is_causal_and_takes_the_last_token_for_the_whole() -> None:
    net, x = model(), rows()
    with torch.no_grad():
        by_token, whole = judge()(*shown(net, x))["score"], judge(True)(*shown(net, x))["score"]
        last = (x[:, C:] != PAD).sum(1) - 1
        assert torch.allclose(whole, by_token[torch.arange(len(x)), last], atol=1e-12)
        other = x.clone()
        other[:, C + 1] = 9
        changed = judge()(*shown(net, other))["score"]
    assert torch.allclose(changed[:, 0], by_token[:, 0], atol=1e-12)
    assert not torch.allclose(changed[:, 1], by_token[:, 1])


def test_matching_is_the_cosine_of_gated_means() -> None:
    net, x, one = model(), rows(4), judge()
    words, heard = net.words(x[:, C:]), net.words(x[:, :C])
    with torch.no_grad():
        found = one.matching(words, heard)
        for i in range(4):
            for j in range(4):
                a, b = (sum(_gate(layer, w) for w in side if bool((w != 0).any())) for layer, side in ((one.asks, heard[i]), (one.says, words[j])))
                assert isinstance(a, Tensor)
                assert isinstance(b, Tensor)
                assert torch.allclose(found[i, j], 10 * a @ b / (a.norm() * b.norm()), atol=1e-10)


def _gate(layer: torch.nn.Linear, word: Tensor) -> Tensor:
    y: Tensor = layer(word)
    return y[:-1] * y[-1].sigmoid()


def test_nets_are_for_conversations_only() -> None:
    with pytest.raises(RecipeError, match="replies in conversations"):
        ReplyLM().build(TOKENS, Wiring())
    with pytest.raises(RecipeError, match="is for text"):
        ReplyLM().build(POINTS, Wiring())
    with pytest.raises(RecipeError, match="for lines of text"):
        LSTMLM().build(DIALOGUE, Wiring())
    with pytest.raises(RecipeError, match="does not divide"):
        ReplyLM(width=30, heads=4).build(DIALOGUE, Wiring())
