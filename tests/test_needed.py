"""As strong as a text needs: what the run's own networks think of a text's style, and which rewriting is kept."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from rivalry import zoo
from rivalry.games import needed
from rivalry.games.needed import RUNGS, STRONGEST, as_needed, leaning, strengths
from rivalry.games.restyle import restyled
from rivalry.games.text import trimmed
from rivalry.nets.editor import PARTS, TextEditor
from rivalry.nets.rewriters import MASKED
from rivalry.training.state import build_state
from rivalry.types import BOS, EOS, PAD, UNKNOWN, Spec
from tiny import CPU, STYLES, styled

THREE = Spec("tokens", (8,), (0.0, 9.0), ("plain", "old", "odd"), 10)


def networks(spec: Spec = STYLES) -> tuple[TextEditor, dict[str, torch.nn.Module]]:
    """An editor and a judge whose styles differ, in float64."""
    nets = build_state(zoo.get("style-editor-small"), spec, 0, CPU).nets
    net = nets["generator"]
    assert isinstance(net, TextEditor)
    torch.nn.init.normal_(net.style.weight, generator=torch.Generator().manual_seed(1))
    for one in nets.values():
        one.double().eval()
    return net, dict(nets)


@torch.no_grad()
def test_how_much_likelier_words_are_in_one_style_is_summed_over_words_each_by_the_others() -> None:
    net, _ = networks()
    text = torch.tensor([[5, 6, UNKNOWN, 7, 8, 9, EOS, PAD]])
    sheet = net.sheet(trimmed(text))
    style, than = torch.tensor([1]), torch.tensor([0])
    words = [place for place in range(sheet.shape[1]) if int(sheet[0, place]) not in (BOS, EOS, PAD, UNKNOWN)]
    total = 0.0
    for part in range(PARTS):
        places = [place for number, place in enumerate(words, 1) if number % PARTS == part]
        given = sheet.clone()
        given[0, places] = MASKED
        for place in places:
            logs = [net.words(net.hidden(given, None, one)[0, place]).log_softmax(0)[sheet[0, place]] for one in (style, than)]
            total += float(logs[0] - logs[1])
    assert float(net.likelier(sheet, style, than)) == pytest.approx(total, rel=1e-5)
    assert abs(total) > 0.01
    assert float(net.likelier(sheet, than, style)) == pytest.approx(-total, rel=1e-5)
    wider = torch.cat([text, torch.tensor([[5] * 7 + [EOS]])])
    assert float(net.likelier(net.sheet(wider), torch.tensor([1, 1]), torch.tensor([0, 0]))[0]) == pytest.approx(total, rel=1e-5)
    nothing = net.sheet(torch.tensor([[EOS, PAD]]))
    assert float(net.likelier(nothing, style, than)) == 0


def test_both_networks_are_asked_and_the_other_style_is_the_likeliest() -> None:
    net, nets = networks(THREE)
    x, style = styled().x[:12], torch.arange(12) % 3
    judge = nets["discriminator"]
    scores = torch.stack([judge(trimmed(x), torch.full_like(style, k))["score"] for k in range(3)], 1)
    others = scores.scatter(1, style[:, None], -math.inf)
    wanted = scores.gather(1, style[:, None])[:, 0] - others.amax(1) + net.likelier(net.sheet(trimmed(x)), style, others.argmax(1))
    assert torch.allclose(leaning(net, nets, x, style), wanted)
    alone = leaning(net, {"generator": net}, x, style)
    each = [net.likelier(net.sheet(trimmed(x)), style, (style + k) % 3) for k in (1, 2)]
    assert torch.allclose(alone, torch.minimum(*each))


def test_the_weakest_rewriting_that_is_sure_is_kept_or_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    net, nets = networks()
    rungs = strengths(net)
    tried: list[tuple[float, int]] = []

    def write(given: Tensor, style: Tensor, strength: float = 1.0) -> Tensor:
        """The text, its first word being the number of the rung."""
        tried.append((strength, len(given)))
        text = net.text(given, None)[0].clone()
        text[:, 0] = 4 + rungs.index(strength)
        return text

    # of texts by their second word: how they lean as they are (first word 10), and at each rung
    leans = {4: [5.0] + [0.0] * 6, 5: [-5.0, 4.0] + [9.0] * 5, 6: [-5.0, 0.0, 1.0, 3.0] + [9.0] * 3, 7: [2.0, -3.0, -1.0, 1.0, 0.0, -2.0, -1.0]}

    def lean(net: TextEditor, nets: dict[str, torch.nn.Module], tokens: Tensor, style: Tensor) -> Tensor:
        return torch.tensor([leans[second][0 if first == 10 else first - 3] for first, second in tokens[:, :2].tolist()])

    monkeypatch.setattr(net, "write", write)
    monkeypatch.setattr(needed, "leaning", lean)
    x = torch.tensor([[10, kind, 8, EOS, PAD, PAD, PAD, PAD] for kind in (4, 5, 6, 7)])
    found = as_needed(net, nets, x, torch.tensor([0, 1, 0, 1]))
    assert found[:, 0].tolist() == [10, 4, 6, 6], "as it is; at the first rung; at the third; at the third, which comes nearest, not as it is"
    assert torch.equal(found[:, 1:], x[:, 1:])
    assert tried == list(zip(rungs, (3, 2, 2, 1, 1, 1), strict=True)), "what is sure is not tried further"


def test_strengths_are_those_at_which_what_stood_there_counts_the_same() -> None:
    net, _ = networks()
    for power in (0.5, 1.0, 1.25):
        net.power = power
        assert [power / strength for strength in strengths(net)] == pytest.approx([1 / rung for rung in RUNGS])
    net.power = 0.0
    assert strengths(net) == RUNGS
    net.power = 3.0
    assert strengths(net) == (1.0, STRONGEST), "never 2, where all words would go"


@pytest.mark.parametrize("name", ["style-editor-small", "style-transformer-small", "cross-aligned-small"])
def test_lines_do_not_depend_on_one_another_and_those_written_anew_are_as_ever(name: str) -> None:
    recipe = zoo.get(name)
    nets = build_state(recipe, STYLES, 0, CPU).nets
    x, style = styled().x[:20], torch.arange(20) % 2
    found = restyled(replace(recipe.game, strength=None), nets, x, style, at_once=7)
    assert found.shape == x.shape
    assert torch.equal(restyled(replace(recipe.game, strength=None), nets, x[3:4], style[3:4])[0], found[3])
    if name != "style-editor-small":
        assert torch.equal(found, restyled(recipe.game, nets, x, style))
