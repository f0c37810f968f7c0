"""Averages of networks, and sums of notes: the same however they are added up."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from rivalry import zoo
from rivalry.training.averages import Averages
from rivalry.training.state import State, build_state
from rivalry.training.tally import Noted, Tally
from tiny import CPU, LABELLED


def net(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    net[3].weight = net[2].weight  # two modules share a matrix: it is averaged once
    net(torch.randn(8, 3))
    return net


def by_hand(average: nn.Module, live: nn.Module, keep: float) -> list[Tensor]:
    return [torch.lerp(a, b, 1 - keep) for a, b in zip(average.parameters(), live.parameters(), strict=True)] + list(live.buffers())


@pytest.mark.parametrize("same", [False, True])
@torch.no_grad()
def test_averages_are_the_half_life_s(same: bool) -> None:
    live, average = net(0), net(1)
    averages, both = Averages(), ({"g": average}, {"g": live})
    for keep in (0.5, 0.9, 0.99):
        right = by_hand(average, live, keep)
        averages.step(*both, keep, same)
        for found, value in zip([*average.parameters(), *average.buffers()], right, strict=True):
            assert torch.equal(found, value)


@torch.no_grad()
def test_a_module_may_put_others_in_the_place_of_its_tensors() -> None:
    live, average = net(0), net(1)
    averages, both = Averages(), ({"g": average}, {"g": live})
    averages.step(*both, 0.5, True)
    live[0].weight = nn.Parameter(torch.ones(4, 3))
    live[1].running_mean = torch.full((4,), 7.0)
    right = by_hand(average, live, 0.5)
    averages.step(*both, 0.5, True)
    for found, value in zip([*average.parameters(), *average.buffers()], right, strict=True):
        assert torch.equal(found, value)
    live.append(nn.Linear(3, 2))
    average.append(nn.Linear(3, 2))
    averages.step(*both, 0.0, False)
    assert torch.equal(average[4].weight, live[4].weight)


def test_sums_are_the_same_however_notes_come() -> None:
    """In one tensor, one by one, of two kinds of step, over a log."""
    one, two = state(), state()
    tally, plain = Tally(), Tally()
    short, long = torch.zeros(2), torch.zeros(3)
    noted = {2: Noted(["a", "b"], short), 3: Noted(["a", "c", "b"], long)}
    for i, size in enumerate((2, 2, 0, 2, 2, 3, 2, 2, -1, 2, 2, 3, 3)):
        if size < 0:
            assert read(one) == read(two)
            for each in (one, two):
                each.sums, each.counts = {}, {}
            continue
        values = dict(zip(("a", "b") if size < 3 else ("a", "c", "b"), (torch.randn(max(size, 2)) + i).unbind(), strict=True))
        plain.add(two, {k: v.clone() for k, v in values.items()})
        if size:
            noted[size].whole.copy_(torch.stack(list(values.values())))
        tally.add(one, noted[size] if size else values)
        short.fill_(99.0)  # as the next step would
        long.fill_(99.0)
        assert read(one) == read(two)


def state() -> State:
    return build_state(zoo.get("gan-small"), LABELLED, 0, CPU)


def read(state: State) -> dict[str, tuple[float, int]]:
    return {k: (float(v), state.counts[k]) for k, v in copy.copy(state.sums).items()}
