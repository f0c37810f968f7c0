"""Random streams: functions of (seed, place, name), shares of one common draw."""

from __future__ import annotations

import torch

from rivalry.streams import Draw


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
