"""Networks that rewrite texts: straight-through words, sheets of slots, cached writing."""

from __future__ import annotations

import pytest
import torch

from rivalry.errors import RecipeError
from rivalry.nets import CrossAligned, Editor, StyleJudge, StyleTransformer
from rivalry.nets.cross_aligned import CrossAlignedModule
from rivalry.nets.editor import BLANK, Noise, TextEditor, _words_first
from rivalry.nets.rewriters import MASKED, Rewriter, few, looked_up, soft
from rivalry.nets.style_transformer import StyleTransformerModule
from rivalry.parts import Net, Wiring
from rivalry.streams import Draw
from rivalry.types import EOS, PAD, Spec

SPEC = Spec("tokens", (8,), (0.0, 19.0), ("plain", "old"), 20)
TEXTS = torch.tensor([[4, 5, 6, 2, 0, 0, 0, 0], [7, 8, 9, 10, 11, 12, 2, 0], [12, 13, 14, 15, 16, 17, 18, 19]])
STYLE = torch.tensor([0, 1, 0])
NETS = (Editor(16, heads=2, dropout=0.0, near=5), StyleTransformer(16, heads=2, dropout=0.0), CrossAligned(8, 12, 4, 0.0))


def built(net: Net, seed: int = 0) -> Rewriter:
    torch.manual_seed(seed)
    found = net.build(SPEC, Wiring(classes=2))
    assert isinstance(found, Rewriter)
    return found.double().eval()


def test_straight_through_words_are_one_hot_and_their_gradient_is_that_of_the_shares() -> None:
    torch.manual_seed(0)
    shares = torch.randn(2, 3, 5, dtype=torch.float64).softmax(-1).requires_grad_()
    tokens = shares.argmax(-1)
    same = looked_up(torch.eye(5, dtype=torch.float64), tokens, shares)
    assert torch.equal(same, torch.nn.functional.one_hot(tokens, 5).double())  # not shares + shares + one-hot, as some code has it
    slope = torch.randn(2, 3, 5, dtype=torch.float64)
    (found,) = torch.autograd.grad((same * slope).sum(), shares)
    assert torch.equal(found, slope)
    weight = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    slope = torch.randn(2, 3, 4, dtype=torch.float64)
    to_shares, to_weight = torch.autograd.grad((looked_up(weight, tokens, shares) * slope).sum(), (shares, weight))
    (as_if,) = torch.autograd.grad(((shares @ weight) * slope).sum(), shares)
    (plain,) = torch.autograd.grad((weight[tokens] * slope).sum(), weight)
    assert torch.allclose(to_shares, as_if, rtol=0, atol=1e-12)
    assert torch.allclose(to_weight, plain, rtol=0, atol=1e-12)
    assert torch.equal(looked_up(weight, tokens, shares), weight[tokens])


def test_shares_are_those_of_the_temperature_and_words_are_drawn_by_them() -> None:
    logits = torch.tensor([[[0.0, 1.0, 2.0]]], dtype=torch.float64)
    tokens, shares = soft(logits, 0.5, None)
    assert int(tokens) == 2
    assert torch.allclose(shares.double(), (logits / 0.5).softmax(-1), atol=1e-6)
    many, _ = soft(logits.expand(1, 20_000, 3), 0.5, (torch.arange(20_000)[None] + 0.5) / 20_000)
    counts = torch.bincount(many.flatten(), minlength=3) / 20_000
    assert torch.allclose(counts.double(), (logits / 0.5).softmax(-1).flatten(), atol=1e-3)


def test_a_sheet_is_a_text_with_blanks_between() -> None:
    net = built(NETS[0])
    sheet = net.sheet(TEXTS)
    assert sheet[0].tolist() == [BLANK, 4, BLANK, 5, BLANK, 6, BLANK, EOS, *[PAD] * 10]
    back, _ = net.text(sheet, None)
    assert torch.equal(back[:, :8], torch.where(TEXTS == PAD, PAD, TEXTS))
    assert back[2].tolist() == [*TEXTS[2].tolist(), EOS]


def test_lessons_of_an_editor_ask_for_the_text_itself_whatever_the_noise() -> None:
    net = Editor(16, heads=2, noise=Noise(hidden=0.2, replaced=0.2, left_out=0.3, put_in=0.3)).build(SPEC, Wiring(classes=2))
    assert isinstance(net, TextEditor)
    texts = TEXTS.repeat(50, 1)
    given, wanted = net.lesson(texts, Draw(3))
    back, _ = net.text(wanted, None)
    ended = torch.cat([texts, torch.full_like(texts[:, :1], PAD)], 1)
    ended[texts[:, -1] > EOS, -1] = EOS
    assert torch.equal(back, ended[:, : back.shape[1]])
    assert torch.equal(given == EOS, wanted == EOS)
    assert torch.equal(given == PAD, wanted == PAD)
    slots = (given != PAD) & (given != EOS)
    asked = slots & (given != wanted)
    hidden, replaced = asked & (given == MASKED), asked & (given != MASKED)
    assert hidden.any()
    assert replaced.any()
    assert bool((hidden & (wanted == BLANK)).any())
    assert bool((torch.stack([wanted[replaced], given[replaced]]) > EOS).all()), "words are replaced by words"
    words, doubt = net.eval().taught(given, None, STYLE.repeat(50), wanted)
    assert doubt is not None
    assert int(words[2].sum()) == int((given == MASKED).sum()), "words are asked of hidden slots only"
    assert torch.equal(words[1][words[2].bool()].sort()[0], wanted[given == MASKED].sort()[0])
    assert torch.equal(doubt[2].bool(), slots & (given != MASKED))
    assert torch.equal(doubt[1].bool(), replaced)
    strange = torch.where(TEXTS == 5, MASKED, TEXTS).repeat(50, 1)  # a word that the tokenizer does not know
    given, wanted = net.lesson(strange, Draw(3))
    words, _ = net.taught(given, None, STYLE.repeat(50), wanted)
    assert bool(((given == MASKED) & (wanted == MASKED)).any())
    assert not bool((words[1][words[2].bool()] == MASKED).any()), "what is never said is not asked for"
    assert int(words[2].sum()) == int(((given == MASKED) & (wanted != MASKED)).sum())
    quiet = Editor(16, heads=2, noise=Noise(hidden=0, blank=0, replaced=0, left_out=0, put_in=0)).build(SPEC, Wiring(classes=2))
    assert isinstance(quiet, TextEditor)
    same, also = quiet.lesson(TEXTS, Draw(0))
    assert torch.equal(same, also)
    assert torch.equal(same, net.sheet(TEXTS)[:, : same.shape[1]])


@pytest.mark.parametrize("near", [0, 5])
def test_longer_texts_beside_a_short_one_change_nothing_of_it(near: int) -> None:
    net = built(Editor(16, heads=2, dropout=0.0, near=near))
    sheet = net.sheet(TEXTS)
    longer = torch.cat([sheet, torch.full((3, 12), PAD)], 1)
    logits = [net(one, None, STYLE, one)[:, : sheet.shape[1]] for one in (sheet, longer)]
    there = sheet != PAD
    assert torch.allclose(logits[0][there], logits[1][there], rtol=0, atol=1e-12)


def test_a_convolution_lets_a_slot_see_what_stands_beside_it_before_any_attention() -> None:
    net = Editor(16, heads=2, dropout=0.0, near=3, layers=0).build(SPEC, Wiring(classes=2)).double().eval()
    sheet = net.sheet(TEXTS)  # type: ignore[operator]
    other = sheet.clone()
    other[0, 3] = 9
    moved = (net(sheet, None, STYLE, sheet) - net(other, None, STYLE, other))[0].abs().amax(1) > 0
    assert moved.nonzero().flatten().tolist() == [2, 3, 4]


def test_an_editor_without_doubt_keeps_all_and_one_that_doubts_all_never_moves_the_end() -> None:
    net = built(NETS[0])
    assert isinstance(net, TextEditor)
    with torch.no_grad():
        net.doubt.bias.fill_(-50.0)
    sheet = net.sheet(TEXTS)
    assert torch.equal(net.write(sheet, STYLE)[:, :8], TEXTS)
    with torch.no_grad():
        net.doubt.bias.fill_(50.0)
    written = net.rewrite(sheet, STYLE, 1.0, torch.rand(3, 18))
    assert torch.equal(written.sheet == EOS, sheet == EOS)
    assert torch.equal(written.sheet == PAD, sheet == PAD)
    assert not bool((written.sheet == MASKED).any())
    assert not bool((net.write(sheet, STYLE) == MASKED).any())


@pytest.mark.parametrize("taught", [0.0, 0.5])
def test_a_discriminator_s_gradient_goes_to_the_doubt_by_what_hiding_a_slot_would_change(taught: float) -> None:
    net = built(Editor(16, heads=2, dropout=0.0, near=5, taught=taught))
    assert isinstance(net, TextEditor)
    sheet = net.sheet(TEXTS)
    uniform = torch.full((3, 18), 0.9, dtype=torch.float64)
    uniform[:, 3] = 0.0  # the slot of each second word is hidden, and no other
    made = net.rewrite(sheet, STYLE, 1.0, uniform)
    assert made.edits is not None
    doubt, hide = made.edits[0], torch.zeros_like(sheet, dtype=torch.bool)
    hide[:, 3] = True
    assert bool(((made.sheet != sheet) <= hide).all())
    weight = torch.randn(20, 5, dtype=torch.float64)
    slope = torch.randn(3, 18, 5, dtype=torch.float64)
    (found,) = torch.autograd.grad((looked_up(weight, made.sheet, made.shares.double()) * slope).sum(), doubt, retain_graph=True)
    words = _words_first(net._guided(sheet.masked_fill(hide, MASKED), STYLE, hide, sheet, 0.0)).softmax(-1) @ weight
    filled = words[:, None] if taught else weight[made.sheet]  # all that might be filled in, or what was
    other = torch.where(hide[..., None], filled, weight[MASKED])
    expected = ((other - weight[sheet]) * slope).sum(2)
    assert torch.allclose(found, expected, atol=1e-5)
    to_words = torch.autograd.grad((made.shares * torch.randn_like(made.shares)).sum(), net.bias, allow_unused=True)[0]
    reached = to_words is not None and float(to_words.abs().max()) > 0
    assert reached == bool(taught), "words are taught by the discriminator where that is asked for, and only there"


def test_strength_says_how_much_is_changed_by_networks_that_edit() -> None:
    net = built(NETS[0])
    assert isinstance(net, TextEditor)
    sheet = net.sheet(TEXTS)
    hidden = [int((net.doubted(sheet, STYLE) > 1 - s / 2).sum()) for s in (0.0, 1.0, 1.8, 2.0)]
    assert hidden[0] == 0
    assert hidden == sorted(hidden)
    assert hidden[-1] == int(net.counted(sheet).sum())
    assert torch.equal(net.write(sheet, STYLE, 0.0)[:, :8], TEXTS)
    writer = built(NETS[1])
    with pytest.raises(RecipeError, match="leave --strength out"):
        writer.write(TEXTS, STYLE, 0.5)


def test_a_slot_is_emptied_only_where_that_is_likelier_than_all_words_together() -> None:
    shares = torch.full((2, 20), 0.6 / 18, dtype=torch.float64)
    shares[:, BLANK], shares[:, 7] = 0.3, 0.1
    shares[1, BLANK], shares[1, 7] = 0.7, 0.0001
    found = _words_first(shares.log()).softmax(-1)
    assert found.argmax(-1).tolist() == [7, BLANK]
    assert float(found[0, BLANK]) < 1e-9
    assert torch.allclose(found[0, 4:] / found[0, 7], shares[0, 4:] / shares[0, 7])


def test_words_are_guided_by_what_the_style_adds() -> None:
    net = built(Editor(16, heads=2, dropout=0.0, guide=1.5))
    assert isinstance(net, TextEditor)
    sheet = net.sheet(TEXTS)
    third = torch.zeros_like(sheet, dtype=torch.bool)
    third[:, 3] = True
    told, untold = (net(sheet, None, s, sheet)[:, 3] for s in (STYLE, torch.full_like(STYLE, 2)))
    guided = net._guided(sheet, STYLE, third, sheet, 0.0)
    assert torch.allclose(guided, told + 1.5 * (told - untold), atol=1e-10)
    knowing = built(Editor(16, heads=2, dropout=0.0, guide=1.5, channel=2.0))
    assert isinstance(knowing, TextEditor)
    assert knowing.channel is not None
    knowing.load_state_dict(net.state_dict(), strict=False)
    found = knowing._guided(sheet, STYLE, third, sheet, 2.0)
    tokens, gains = knowing.channel(sheet[:, 3], STYLE)
    assert float(gains.max()) > 1
    assert torch.allclose(found.gather(1, tokens), guided.gather(1, tokens) + 2 * gains, atol=1e-6)
    assert torch.allclose(found.sum(1), guided.sum(1) + 2 * gains.sum(1), atol=1e-4), "and nothing else"
    assert torch.allclose(knowing._guided(sheet, STYLE, third, torch.full_like(sheet, BLANK), 2.0), guided, atol=1e-10)


def test_few_shares_teach_as_all_of_them_would() -> None:
    torch.manual_seed(0)
    weight = torch.randn(20, 5, dtype=torch.float64, requires_grad=True)
    tokens, named = torch.randint(20, (2, 6)), torch.randint(20, (2, 6, 3))
    shares = torch.rand(2, 6, 3, dtype=torch.float64, requires_grad=True)
    slope = torch.randn(2, 6, 5, dtype=torch.float64)
    every = torch.zeros(2, 6, 20, dtype=torch.float64).scatter_add(2, named, shares)
    grads = []
    for given in (every, few(named, shares)):
        found = looked_up(weight, tokens, given)
        assert torch.equal(found, weight[tokens])
        grads.append(torch.autograd.grad((found * slope).sum(), (weight, shares), retain_graph=True))
    for a, b in zip(*grads, strict=True):
        assert torch.allclose(a, b, atol=1e-12)


def test_words_are_heard_for_the_other_style_while_training_and_only_then() -> None:
    net = Editor(16, heads=2, dropout=0.0, channel=1.0).build(SPEC, Wiring(classes=2))
    assert isinstance(net, TextEditor)
    assert net.channel is not None
    given = net.sheet(TEXTS)
    hidden = given.clone()
    hidden[:, 1] = MASKED
    net.eval().taught(hidden, None, STYLE, given)
    assert float(net.channel.total) == 0
    net.train().taught(hidden, None, STYLE, given)
    assert float(net.channel.total) == 0, "before texts are rewritten the network cannot fill well enough"
    net.rewrite(given, STYLE, 1.0, None)
    torch.manual_seed(0)
    net.train().taught(hidden, None, STYLE, given)  # one text in four is heard: the first of the three
    assert float(net.channel.total) == 1
    assert float(net.channel.mass.sum(1)[1 - STYLE[0]]) == pytest.approx(1, abs=1e-4)
    assert torch.nonzero(net.channel.uses)[:, 0].tolist() == [int(TEXTS[0, 0])]


@pytest.mark.parametrize("net", NETS, ids=lambda n: type(n).__name__)
def test_padding_and_neighbours_do_not_bear_on_a_text(net: Net) -> None:
    model = built(net)
    sheet = model.sheet(TEXTS)
    together = model(sheet, None, STYLE, sheet)
    alone = model.sheet(TEXTS[:1, :4])
    n = 7 if isinstance(model, TextEditor) else 4
    assert torch.allclose(model(alone, None, STYLE[:1], alone)[0, :n], together[0, :n], atol=1e-10)


@pytest.mark.parametrize("net", NETS, ids=lambda n: type(n).__name__)
def test_what_is_written_reads_the_same_straight_through(net: Net) -> None:
    model = built(net).train()
    sheet, shares, _ = model.rewrite(model.sheet(TEXTS), STYLE, 0.7, None)
    assert shares.shape == (*sheet.shape, *((2, 2) if isinstance(model, TextEditor) else (20,))), "of an editor that is told of hiding only: few"
    hard, straight = (model(sheet, s, 1 - STYLE, sheet) for s in (None, shares.double()))
    assert torch.equal(hard, straight)
    grads = torch.autograd.grad(straight.square().sum(), [p for p in model.parameters() if p.requires_grad], allow_unused=True)
    assert all(bool(torch.isfinite(g).all()) for g in grads if g is not None)


@pytest.mark.parametrize("net", NETS[1:], ids=lambda n: type(n).__name__)
def test_writing_with_a_cache_agrees_with_the_pass_over_all_words(net: Net) -> None:
    model = built(net, seed=1)
    assert isinstance(model, StyleTransformerModule | CrossAlignedModule)
    uniform = torch.rand(3, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    tokens = model.written(TEXTS, STYLE, uniform)
    logits = model(TEXTS, None, STYLE, tokens)
    kept, cache = model.read(TEXTS, None, STYLE), None
    cache, token = model.begin(kept), torch.full((3,), 1)
    for t in range(tokens.shape[1]):
        step, cache = model.step(token, t, kept, cache)
        there = tokens[:, t] != PAD
        assert torch.allclose(step[there], logits[there, t], atol=1e-10)
        token = tokens[:, t]


def test_the_judge_reads_soft_words_as_hard_ones_and_answers_for_the_style_asked() -> None:
    torch.manual_seed(0)
    judge = StyleJudge(6, filters=5, dropout=0.0).build(SPEC, Wiring(classes=2)).double().eval()
    shares = torch.randn(3, 8, 20, dtype=torch.float64).softmax(-1).requires_grad_()
    hard, straight = judge(TEXTS, STYLE), judge(TEXTS, STYLE, shares)
    assert torch.equal(hard["score"], straight["score"])
    assert hard["class"].shape == (3, 3)
    (slope,) = torch.autograd.grad(straight["score"].sum(), shares)
    assert bool((slope[:, :3].abs().sum(2) > 0).any())
    assert bool((slope[TEXTS == PAD] == 0).all())
    assert not torch.allclose(hard["score"], judge(TEXTS, 1 - STYLE)["score"])


def test_free_running_states_are_those_of_told_ones_where_words_agree() -> None:
    model = built(CrossAligned(8, 12, 4, 0.0), seed=2)
    assert isinstance(model, CrossAlignedModule)
    first = model.first(TEXTS, None, STYLE, 1 - STYLE)
    states, mask = model.free(first, 6, 1e-6)  # cold: the likeliest word is fed back
    logits = model.out(states)
    words = logits.argmax(-1)
    assert torch.allclose(model.states(first, words), states, atol=1e-9)
    assert mask.shape == (3, 6)
    assert bool((mask[:, 0] == 1).all())


@pytest.mark.parametrize(
    "make", [lambda: Noise(hidden=1.0), lambda: Editor(width=10, heads=4), lambda: Editor(taught=2.0), lambda: Editor(rounds=0), lambda: StyleTransformer(left_out=1.0),
             lambda: CrossAligned(code=0)],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(make: object) -> None:
    assert callable(make)
    with pytest.raises(RecipeError):
        make()


def test_nets_of_texts_refuse_pictures() -> None:
    for net in (*NETS, StyleJudge()):
        with pytest.raises(RecipeError, match="text"):
            net.build(Spec("image", (1, 8, 8)), Wiring(classes=2))


