"""Random streams: functions of (seed, place, name), shares of one common draw."""

from __future__ import annotations

import traceback

import pytest
import torch

from rivalry.streams import Draw, key


def test_a_draw_depends_on_its_place_only() -> None:
    a = Draw(1, ("x", 3))
    first = a.normal("z", 4, 2)
    a.normal("other", 100)
    assert torch.equal(first, Draw(1, ("x", 3)).normal("z", 4, 2))
    assert not torch.equal(first, Draw(1, ("x", 4)).normal("z", 4, 2))
    assert not torch.equal(first, Draw(2, ("x", 3)).normal("z", 4, 2))


def test_shares_make_up_the_whole() -> None:
    whole = Draw(0, ("p",)).normal("z", 8, 3)
    halves = [Draw(0, ("p",), share=(i, 2)).normal("z", 4, 3) for i in range(2)]
    assert torch.equal(whole, torch.cat(halves))


def test_places_do_not_run_together() -> None:
    assert Draw(0, ("a", "b")).key("c") != Draw(0, ("a",)).key("bc")
    assert Draw(0, (1, 23)).key("z") != Draw(0, (12, 3)).key("z")


def test_modules_that_draw_by_themselves_draw_as_after_a_seed_of_torch() -> None:
    draw = Draw(5, ("step", 7), share=(1, 2))
    draw.seed_globally("modules")
    drawn = torch.rand(4)
    torch.manual_seed(key(5, "step", 7, "modules", 1))
    assert torch.equal(drawn, torch.rand(4))


def test_seeding_does_not_note_the_call_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    """As torch's own function does for every kind of device that the machine lacks: half a millisecond a step."""
    if torch.accelerator.is_available():
        pytest.skip("the machine has an accelerator")
    monkeypatch.setattr(traceback, "format_stack", lambda: pytest.fail("the stack is noted"))
    Draw(0).seed_globally("modules")
