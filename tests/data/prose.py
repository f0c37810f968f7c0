"""Sentences for tests: a small grammar, so that lines are many, alike and not the same."""

from __future__ import annotations

import random

WHO = ("dog", "cat", "man", "woman", "child", "horse", "bird", "farmer", "doctor", "singer")
HOW = ("old", "small", "happy", "quiet", "brave", "tired", "clever", "lonely")
DOES = ("sees", "follows", "hears", "paints", "remembers", "watches", "greets", "avoids")
WHERE = ("in the garden", "by the river", "near the old mill", "on the hill", "under a tree", "behind the house")


def sentence(draw: random.Random) -> str:
    first, second = draw.choice(WHO), draw.choice(WHO)
    return f"the {draw.choice(HOW)} {first} {draw.choice(DOES)} a {draw.choice(HOW)} {second} {draw.choice(WHERE)} ."


def lines(n: int, seed: int = 0) -> list[str]:
    """n different sentences."""
    draw, found = random.Random(seed), dict[str, None]()
    while len(found) < n:
        found[sentence(draw)] = None
    return list(found)
