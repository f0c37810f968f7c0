"""A discriminator that is told in how many other texts each sequence of words stands."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from unittest.mock import patch

import pytest
import torch
from torch import Tensor

from rivalry import zoo
from rivalry.data.text_store import TokenRows
from rivalry.errors import RecipeError
from rivalry.games import Energy
from rivalry.games.rollouts import mean_log_p
from rivalry.nets import LSTMLM, TextCounts
from rivalry.nets.text_counts import CountingJudge, NGramCounts
from rivalry.parts import Turn, Wiring
from rivalry.recipe import Private
from rivalry.streams import Draw
from rivalry.training.loop import StoreSource, Trainer
from rivalry.training.sources import FixedRows
from rivalry.types import BOS, PAD, Spec
from tiny import TOKENS, counted_up, run, sentences, trainer

SPEC = Spec("tokens", (6,), (0.0, 10.0), vocabulary=11)


def some_texts(n: int, seed: int = 0) -> Tensor:
    """[n, 6] texts of 1 to 5 of four tokens, then the end and padding."""
    draw = torch.Generator().manual_seed(seed)
    out = torch.full((n, 6), PAD)
    for row in out:
        length = int(torch.randint(1, 6, (), generator=draw))
        row[:length] = torch.randint(5, 9, (length,), generator=draw)
        row[length] = 2
    return out


def grams(row: Tensor, n: int) -> list[tuple[int, ...]]:
    """What ends at each of a text's tokens, BOS before its first."""
    words = [BOS] * (n - 1) + [w for w in row.tolist() if w != PAD]
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def test_counts_are_of_texts_that_have_an_n_gram_and_leave_out_a_text_that_was_counted() -> None:
    rows, others = some_texts(300), some_texts(40, 1)
    counts = NGramCounts(orders=4, bits=16, fewest=5)
    counts.survey(TokenRows(rows), torch.device("cpu"))
    for own, texts in ((0.0, others), (1.0, rows[:40])):
        found = counts.counts(texts, torch.full((40,), own))
        for n in range(1, 5):
            have = Counter(g for row in rows for g in set(grams(row, n)))
            for i, row in enumerate(texts):
                for t, gram in enumerate(grams(row, n)):
                    left = have[gram] - own if have[gram] < 255 else 255  # at the ceiling nothing says who was counted
                    assert float(found[i, t, n - 1]) == (left if left >= 5 else 0), (n, gram)
    assert not bool(counts.counts(others, torch.zeros(40))[others == PAD].any())


def test_a_small_table_counts_too_many_and_never_too_few() -> None:
    rows = torch.randint(5, 2000, (500, 12), generator=torch.Generator().manual_seed(0))
    small, large = NGramCounts(orders=3, bits=10), NGramCounts(orders=3, bits=20)
    for counts in (small, large):
        counts.survey(TokenRows(rows), torch.device("cpu"))
    a, b = (c.counts(rows, torch.zeros(500)) for c in (small, large))
    assert bool((a >= b).all())
    assert bool((a > b).any())


def test_shares_are_of_texts_that_have_what_came_before() -> None:
    """Of a word after others: log of (texts with all of it + .1) over (texts with what came before it + 1)."""
    rows = torch.tensor([[5, 6, 2, PAD, PAD, PAD]] * 7 + [[5, 7, 2, PAD, PAD, PAD]] * 6)
    counts = NGramCounts(orders=2, bits=16)
    counts.survey(TokenRows(rows), torch.device("cpu"))
    told = counts(rows[7:8], torch.zeros(1))[0]
    assert told.shape == (6, 3)
    torch.testing.assert_close(told[:2, 2], torch.tensor([math.log(13.1 / 14), math.log(6.1 / 14)]))
    torch.testing.assert_close(told[:2, 0], torch.tensor([math.log(14), math.log(7)]))
    assert not bool(told[3:].any())
    own = counts(rows[7:8], torch.ones(1))[0]
    torch.testing.assert_close(own[:2, 0], torch.tensor([math.log(13), math.log(6)]))


def test_what_few_texts_have_is_forgotten() -> None:
    """Who has the table and the tokenizer cannot read lines back: walking from the empty text along what is counted reaches only what five texts have."""
    rare = torch.arange(1000, 1000 + 300 * 6).view(300, 6)
    often = torch.tensor([[401, 402, 403, 404, 405, 2]] * 5)
    counts = NGramCounts(orders=4, bits=16, fewest=5)
    counts.survey(TokenRows(torch.cat([rare, often])), torch.device("cpu"))
    texts = torch.cat([rare, often])
    found = counts.counts(texts, torch.zeros(len(texts)))
    assert bool((found[300:] >= 5).all())
    assert not bool(found[:300].any())
    assert int((counts.seen > 0).sum()) == 2 * 4 * 6  # in both rows of each order the six n-grams that five texts have


def test_real_texts_are_told_of_without_themselves_and_others_as_they_are() -> None:
    recipe = replace(zoo.get("count-energy-small"), nets={"generator": LSTMLM(8, 1, 0.0), "discriminator": TextCounts(6, 0.0, 3, 12)})
    trained = trainer(recipe, TOKENS, sentences(), 4)
    turn = Turn("discriminator", 0, 0, 0, Draw(0, ("t",)), {}, {}, 8)
    match = recipe.game.play(trained.state.nets, trained.source, turn).match("main")
    assert match.real is not None
    assert match.fake is not None
    assert match.real.cond[-1].tolist() == [1.0] * 8
    assert match.fake.cond[-1].tolist() == [0.0] * 8
    strangers = sentences().batch(torch.arange(8), torch.device("cpu"))  # as an audit shows rows: nobody says whose they are
    shown = recipe.game.play(trained.state.nets, FixedRows(strangers), turn).match("main")
    assert shown.real is not None
    assert shown.real.cond[-1].tolist() == [0.0] * 8


def test_rows_are_counted_before_the_first_step_and_never_again() -> None:
    recipe = replace(zoo.get("count-energy-small"), nets={"generator": LSTMLM(8, 1, 0.0), "discriminator": TextCounts(6, 0.0, 3, 12)})
    first = trainer(recipe, TOKENS, sentences(), 4)
    judge = first.state.nets["discriminator"]
    assert isinstance(judge, CountingJudge)
    assert bool(judge.table.seen.any())
    kept = judge.table.seen.clone()
    first.state.step = 1
    again = Trainer(first.state, TokenRows(torch.full((50, 8), 7)), 4, first.engine)
    assert torch.equal(judge.table.seen, kept)
    assert isinstance(again.source, StoreSource)
    assert again.source.surveyed


def test_a_private_recipe_does_not_count_rows_that_nobody_paid_for() -> None:
    recipe = zoo.get("count-energy-small")
    private = replace(recipe.stages[-1].sides[0], private=Private())
    recipe = replace(
        recipe, nets={"generator": LSTMLM(8, 1, 0.0), "discriminator": TextCounts(6, 0.0, 3, 12)}, stages=(replace(recipe.stages[-1], sides=(private,)),),
    )  # fmt: skip
    with pytest.raises(RecipeError, match="which no privacy budget pays for"):
        trainer(recipe, TOKENS, sentences(), 4)


def test_games_that_tell_it_nothing_are_a_sentence() -> None:
    judge = TextCounts(6, 0.0, 3, 12).build(SPEC, Wiring())
    with pytest.raises(RecipeError, match=r"say game\.thoughts=true and game\.counts=true"):
        judge(torch.full((2, 5), 5))
    with pytest.raises(RecipeError, match="counts go with thoughts"):
        Energy(judged="texts", counts=True)
    with pytest.raises(RecipeError, match="likely must be a number"):
        Energy(judged="texts", likely=math.nan)


def test_padding_changes_no_score() -> None:
    torch.manual_seed(0)
    judge = TextCounts(6, 0.0, 3, 12).build(SPEC, Wiring())
    assert isinstance(judge, CountingJudge)
    judge.table.survey(TokenRows(some_texts(50)), torch.device("cpu"))
    tokens, thoughts, own = torch.tensor([[5, 2, PAD], [7, 8, 2]]), torch.randn(2, 3, 5), torch.zeros(2)
    wide, padded = torch.cat([thoughts, torch.randn(2, 3, 5)], 1), torch.cat([tokens, torch.zeros(2, 3, dtype=torch.long)], 1)
    score = judge(tokens, thoughts, own)["score"]
    assert score.shape == (2,)
    torch.testing.assert_close(judge(padded, wide, own)["score"], score)
    assert float((judge(tokens, thoughts, own + 1)["score"] - score).detach().abs().max()) > 1e-4


def test_what_is_counted_is_kept_and_makes_more_of_the_texts_count() -> None:
    recipe = zoo.get("count-energy-small")
    nets = {"generator": LSTMLM(24, 1, 0.0), "discriminator": TextCounts(16, 0.0, 3, 12)}
    first, second = recipe.stages
    brisk = tuple(replace(s, optimiser=replace(s.optimiser, lr=1e-2)) for s in second.sides)
    small = replace(recipe, nets=nets, batch=64, stages=(replace(first, share=0.6), replace(second, share=0.4, sides=brisk)))
    state = run(small, TOKENS, sentences(), 250)
    judge, game = state.nets["discriminator"], small.game
    assert isinstance(judge, CountingJudge)
    assert isinstance(game, Energy)
    assert float(judge.table.texts) == len(sentences())
    assert judge.table.seen.dtype == torch.uint8
    assert bool(judge.state_dict()["table.seen"].any())
    chosen = counted_up(game.sample(state.nets, state.wiring, Draw(0, ("made",)), 600))
    plain = counted_up(replace(game, proposals=1).sample(state.nets, state.wiring, Draw(0, ("made",)), 600))
    assert 1 - chosen < 0.7 * (1 - plain)


def test_how_likely_texts_are_is_read_off_the_thoughts() -> None:
    recipe = replace(zoo.get("count-energy-small"), nets={"generator": LSTMLM(8, 1, 0.0), "discriminator": TextCounts(6, 0.0, 3, 12)})
    nets = trainer(recipe, TOKENS, sentences(), 4).state.nets
    tokens = sentences().batch(torch.arange(8), torch.device("cpu")).x
    assert isinstance(recipe.game, Energy)
    (thoughts, _) = recipe.game.told(nets, tokens)
    torch.testing.assert_close(mean_log_p(nets, tokens, thoughts), mean_log_p(nets, tokens))
    with patch.object(type(nets["generator"]), "surprise", side_effect=AssertionError("the language model reads what it drew once more")):
        recipe.game.sample(nets, Wiring(), Draw(0, ("once",)), 4)


def test_settings_that_make_no_table_are_refused() -> None:
    for orders, bits, fewest in ((1, 12, 1), (9, 12, 1), (3, 4, 1), (3, 31, 1), (3, 12, 0), (3, 12, 256)):
        with pytest.raises(RecipeError, match="orders between 2 and 8, bits between 8 and 24, and fewest between 1 and 255"):
            TextCounts(6, 0.0, orders, bits, fewest).build(SPEC, Wiring())
