"""LeakGAN's generator and what it is paid, against plain computations."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from rivalry import zoo
from rivalry.errors import RecipeError
from rivalry.games.leaking import Leak, intrinsic, moved, ranked
from rivalry.nets import LSTMLM, LeakLM, TextCNN
from rivalry.nets.leaking import LeakModel
from rivalry.parts import Turn, Wiring
from rivalry.streams import Draw
from rivalry.terms import Goals
from rivalry.training.sources import FixedRows
from rivalry.types import BOS, PAD, Spec
from tiny import CPU, TOKENS, counted_up, run, sentences

SPEC = Spec("tokens", (6,), (0.0, 10.0), vocabulary=11)


def players(reach: int = 2) -> dict[str, nn.Module]:
    torch.manual_seed(0)
    judge = TextCNN(8, (2, 3), 4, 0.3).build(SPEC, Wiring())
    model = LeakLM(8, 7, 5, reach, 0.0).build(SPEC, Wiring())
    assert isinstance(model, LeakModel)
    model.hear(judge)
    return {"generator": model, "discriminator": judge}


def model_of(nets: dict[str, nn.Module]) -> LeakModel:
    model = nets["generator"]
    assert isinstance(model, LeakModel)
    return model


def test_one_pass_and_step_by_step_agree() -> None:
    """Also of texts that are shorter than the data's longest: what leaks is that of equally padded beginnings."""
    model = model_of(players())
    tokens = torch.randint(4, 11, (3, 5))
    with torch.no_grad():
        logits, state, before = model(tokens), model.start(3, CPU), torch.full((3,), BOS)
        for t in range(5):
            hidden, state = model.advance(before, state, t)
            torch.testing.assert_close(model.read(hidden), logits[:, t])
            before = tokens[:, t]
        state = model.taken(state, torch.tensor([2, 0]))
        hidden, _ = model.advance(before[[2, 0]], state, 5)
    assert hidden.shape == (2, 35)


def test_what_leaks_is_the_judges_and_is_no_part_of_the_generator() -> None:
    nets = players()
    model, judge = model_of(nets), nets["discriminator"]
    tokens = torch.randint(4, 11, (2, 6))
    judge.eval()
    with torch.no_grad():
        for t in range(7):
            beginning = torch.where(torch.arange(6) < t, tokens, PAD)
            torch.testing.assert_close(model.seen(tokens)[:, t], judge(beginning)["features"])
    assert not {id(p) for p in judge.parameters()} & {id(p) for p in model.parameters()}
    assert not any("heard" in k for k in model.state_dict())


def test_the_worker_s_lesson_does_not_reach_the_manager() -> None:
    model = model_of(players())
    tokens = torch.randint(4, 11, (2, 6))
    _, goals, logits = model.plan(tokens)
    logits.sum().backward()
    assert all(p.grad is None for p in (*model.manager.parameters(), *model.goal.parameters()))
    assert model.out.weight.grad is not None
    assert goals.requires_grad
    torch.testing.assert_close(goals.detach().norm(dim=2), torch.ones(2, 6))


@pytest.mark.parametrize("reach", [1, 3, 9])
def test_rewards_and_ways_are_those_of_a_plain_loop(reach: int) -> None:
    torch.manual_seed(1)
    seen, goals = torch.randn(2, 6, 4, dtype=torch.float64), torch.randn(2, 5, 4, dtype=torch.float64)
    way, _, _ = moved(seen, goals, reach, torch.ones(2, 5))
    for n in range(2):
        for t in range(5):
            # the token at place t takes features from seen[t] to seen[t + 1]; the goal of place s was set on seeing seen[s]
            terms = [cosine_similarity(seen[n, t + 1] - seen[n, s], goals[n, s], dim=0) for s in range(max(0, t - reach + 1), t + 1)]
            assert float(intrinsic(seen.float(), goals.float(), reach)[n, t]) == pytest.approx(float(torch.stack(terms).mean()), abs=1e-5)
            torch.testing.assert_close(way[n, t], seen[n, min(t + reach, 5)] - seen[n, t])


def test_worth_goes_by_rank() -> None:
    worth = ranked(torch.tensor([0.1, 99.0, -5.0]), 12.0)
    expected = [1 / (1 + math.exp(-12 * (0.5 - rank / 3))) for rank in (2, 1, 3)]
    torch.testing.assert_close(worth, torch.tensor(expected))


def test_the_manager_is_charged_where_the_way_leads_elsewhere() -> None:
    way, goals = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]]), torch.tensor([[[1.0, 0.0], [0.0, -1.0]]])

    class Play:
        def pair(self, name: str) -> tuple[Tensor, ...]:
            return way, goals, torch.tensor([[1.0, 1.0]]), torch.tensor([0.5])

    turn = Turn("generator", 0, 0, 0, Draw(0, ("t",)), {}, {}, 1)
    assert float(Goals(length=2.0)(Play(), turn)) == pytest.approx(-0.5 * (1 - 1) / 2)  # type: ignore[arg-type]
    goals = -goals
    way = way.abs()
    assert float(Goals(length=2.0)(Play(), turn)) == pytest.approx(-0.5 * (-1 + 1) / 2)  # type: ignore[arg-type]


def test_it_learns_to_count_and_is_paid_for_it() -> None:
    nets = {"generator": LeakLM(64, 32, 8, 3, 0.0), "discriminator": TextCNN(16, (2, 3), 32, 0.0)}
    recipe = replace(zoo.get("leakgan-small"), nets=nets, batch=64)
    state = run(recipe, TOKENS, sentences(), 130)
    made = recipe.game.sample(state.nets, state.wiring, Draw(0, ("made",)), 400)
    assert counted_up(made) > 0.9
    assert len(made.unique(dim=0)) > 15


def test_other_nets_are_refused() -> None:
    turn = Turn("generator", 0, 0, 0, Draw(0, ("t",)), {}, {}, 4)
    rows = FixedRows(sentences().batch(torch.arange(4), CPU))
    nets = players()
    with pytest.raises(RecipeError, match="'leak-lm' as generator"):
        Leak(judged="texts").play({**nets, "generator": LSTMLM(8).build(SPEC, Wiring())}, rows, turn)
    with pytest.raises(RecipeError, match="'text-cnn' of 8 features"):
        Leak(judged="texts").play({**nets, "discriminator": TextCNN(8, (2,), 3).build(SPEC, Wiring())}, rows, turn)
