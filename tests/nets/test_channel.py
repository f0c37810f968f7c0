"""The dictionary between styles, against expectation-maximisation in float64 and against ciphers whose key is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from rivalry.nets.channel import BELIEF, FLOOR, Channel
from rivalry.types import BOS, UNKNOWN

FIRST = 4
"""The first token that is a word."""


def spread(channel: Channel, heard: Tensor, style: Tensor) -> Tensor:
    """[N, M, V] log C(heard | v), of what it remembers."""
    tokens, gains = channel(heard.flatten(), style[:, None].expand_as(heard).flatten())
    every = torch.zeros(heard.numel(), channel.vocabulary).scatter_add(1, tokens, gains) + math.log(FLOOR)
    return every.view(*heard.shape, channel.vocabulary)


def hear(n: int, vocabulary: int, key: Tensor, seed: int, sure: float = 4.0) -> tuple[Tensor, Tensor, Tensor]:
    """Words heard [n] of a text whose words v were turned into key[v], and (tokens, logs) [n, V] of a language model that has an idea
    of what stood there."""
    draw = torch.Generator().manual_seed(seed)
    true = torch.randint(FIRST, vocabulary, (n,), generator=draw)
    logits = torch.randn(n, vocabulary, generator=draw) + sure * torch.nn.functional.one_hot(true, vocabulary)
    logits[:, :FIRST] = -20
    return key[true], torch.arange(vocabulary).repeat(n, 1), logits.log_softmax(1)


def dense(heard: Tensor, style: Tensor, tokens: Tensor, logs: Tensor, counts: Tensor, mass: Tensor, uses: Tensor) -> Tensor:
    """[P, C] what each of a batch stood for, from dense counts [S, v, w], in float64."""
    anything = 0.5 * BELIEF * (uses + 1) / (uses.sum() + len(uses))
    found = torch.zeros(tokens.shape, dtype=torch.float64)
    for i, (w, s) in enumerate(zip(heard.tolist(), style.tolist(), strict=True)):
        for j, v in enumerate(tokens[i].tolist()):
            c = (counts[s, v, w] + 0.5 * BELIEF * (v == w) + anything[w]) / (mass[s, v] + BELIEF) + FLOOR
            found[i, j] = logs[i, j].double() + c.log()
    return found.softmax(1)


def test_a_batch_at_a_time_is_expectation_maximisation() -> None:
    vocabulary, styles = 9, 2
    channel = Channel(vocabulary, styles, kept=vocabulary)
    counts = torch.zeros(styles, vocabulary, vocabulary, dtype=torch.float64)
    mass, uses = torch.zeros(styles, vocabulary, dtype=torch.float64), torch.zeros(vocabulary, dtype=torch.float64)
    for turn in range(6):
        heard, tokens, logs = hear(40, vocabulary, torch.arange(vocabulary).roll(1), turn)
        style = torch.arange(40) % styles
        stood = dense(heard, style, tokens, logs, counts, mass, uses)
        for whole in (counts, mass, uses):
            whole *= (turn / (turn + 1)) ** 3
        for i, (w, s) in enumerate(zip(heard.tolist(), style.tolist(), strict=True)):
            uses[w] += 1
            for j, v in enumerate(tokens[i].tolist()):
                counts[s, v, w] += stood[i, j]
                mass[s, v] += stood[i, j]
        channel.learn(heard, style, tokens, logs)
    assert torch.allclose(channel.mass.double(), mass, atol=1e-4)
    assert torch.allclose(channel.uses.double(), uses, atol=1e-4)
    words = torch.arange(FIRST, vocabulary - 1)  # the key never makes the last
    log = spread(channel, words.repeat(styles, 1), torch.arange(styles))
    anything = 0.5 * BELIEF * (uses + 1) / (uses.sum() + vocabulary)
    for s in range(styles):
        for i, w in enumerate(words.tolist()):
            for v in range(vocabulary):
                c = (counts[s, v, w] + 0.5 * BELIEF * (v == w) + anything[w]) / (mass[s, v] + BELIEF) + FLOOR
                assert float(log[s, i, v]) == pytest.approx(float(c.log()), abs=1e-3)  # every meaning is remembered here


def test_what_is_asked_of_some_is_what_is_asked_of_all() -> None:
    channel = Channel(30, 2, kept=5)
    for turn in range(4):
        heard, tokens, logs = hear(60, 30, torch.arange(30).roll(2), turn)
        channel.learn(heard, torch.arange(60) % 2, tokens, logs)
    heard = torch.randint(FIRST, 30, (3, 7), generator=torch.Generator().manual_seed(0))
    style = torch.tensor([0, 1, 1])
    every = spread(channel, heard, style)
    stored = channel.words[style[:, None], heard].long()
    assert (stored >= 0).float().mean() > 0.8
    known = torch.where(stored >= 0, stored, heard[..., None])  # of a word that was not heard: itself
    found = channel.of(heard.flatten(), style[:, None].expand_as(heard).flatten(), known.flatten(0, 1))
    assert torch.allclose(every.gather(2, known).flatten(0, 1), found, atol=1e-5)
    told = torch.zeros(3, 7, 30, dtype=torch.bool).scatter(2, known, True).scatter(2, heard[..., None], True)
    assert torch.allclose(every[~told], torch.tensor(FLOOR).log(), atol=1e-6)


def test_a_cipher_is_broken_and_what_is_no_cipher_stays() -> None:
    """Half of the words are turned into words that the style does not have, the other half are the same in both."""
    vocabulary = 44
    key = torch.arange(vocabulary)
    key[FIRST : FIRST + 10] = torch.arange(FIRST + 20, FIRST + 30)
    channel = Channel(vocabulary, 1, kept=8)
    for turn in range(60):
        draw = torch.Generator().manual_seed(turn)
        true = torch.randint(FIRST, FIRST + 20, (200,), generator=draw)
        logits = 1.5 * torch.randn(200, vocabulary, generator=draw) + 2.5 * torch.nn.functional.one_hot(true, vocabulary)
        logits[:, :FIRST] = -12
        logits[:, FIRST + 20 :] -= 8  # the style hardly ever says these
        logs, tokens = logits.log_softmax(1).topk(16)
        channel.learn(key[true], torch.zeros(200, dtype=torch.long), tokens, logs)
    heard = key[FIRST : FIRST + 20]
    meaning = spread(channel, heard[None], torch.zeros(1, dtype=torch.long))[0].argmax(1)
    assert (meaning == torch.arange(FIRST, FIRST + 20)).float().mean() >= 0.95


def test_before_anything_is_heard_a_word_stands_for_itself() -> None:
    channel = Channel(12, 2)
    heard = torch.tensor([[5, 7], [BOS, UNKNOWN]])
    log = spread(channel, heard, torch.tensor([0, 1]))
    assert log[0].argmax(1).tolist() == [5, 7]
    assert float(log[0, 0, 5].exp()) == pytest.approx(0.5 + 0.5 / 12 + FLOOR, abs=1e-4)
    assert torch.allclose(log[1], torch.full((2, 12), math.log(FLOOR)))


def test_what_is_remembered_hardly_depends_on_how_a_batch_is_parted() -> None:
    whole, parts = Channel(30, 1, kept=30), Channel(30, 1, kept=30)
    for turn in range(20):
        heard, tokens, logs = hear(40, 30, torch.arange(30).roll(1), turn)
        style = torch.zeros(40, dtype=torch.long)
        whole.learn(heard, style, tokens, logs)
        for part in torch.arange(40).split(20):
            parts.learn(heard[part], style[part], tokens[part], logs[part])
    assert float(parts.total) == float(whole.total) == 800
    assert float(parts.uses.sum()) == pytest.approx(float(whole.uses.sum()), rel=0.05)
    assert torch.allclose(parts.mass, whole.mass, rtol=0.3, atol=0.5)


def test_only_the_likeliest_meanings_are_remembered() -> None:
    channel = Channel(20, 1, kept=3)
    tokens = torch.arange(6, 16)[None]
    shares = torch.tensor([[0.3, 0.2, 0.15, 0.1, 0.08, 0.06, 0.05, 0.03, 0.02, 0.01]])
    channel.learn(torch.tensor([19]), torch.tensor([0]), tokens, shares.log())
    assert channel.words[0, 19].tolist() == [6, 7, 8]
    assert float(channel.mass.sum()) == pytest.approx(1)
    assert (channel.words[0, :19] == -1).all()
