"""Evaluation mode is lent, and given back as it was."""

from __future__ import annotations

import pytest
from torch import nn

from rivalry.modes import evaluating


def test_parts_frozen_on_purpose_stay_frozen() -> None:
    net = nn.Sequential(nn.Dropout(), nn.Sequential(nn.BatchNorm1d(2)))
    net[1].eval()
    with evaluating(net):
        assert not any(m.training for m in net.modules())
    assert [m.training for m in net.modules()] == [True, True, False, False]


def test_an_error_gives_the_mode_back_too() -> None:
    nets = nn.Dropout(), nn.Dropout().eval()
    with pytest.raises(ValueError), evaluating(*nets):
        raise ValueError
    assert [m.training for m in nets] == [True, False]
