"""Sentences of two moods that have no partners, for tests: what stands there besides the mood is the same for both."""

from __future__ import annotations

import random

WHAT = ("soup", "bread", "service", "room", "waiter", "coffee", "view", "salad", "staff", "music", "menu", "cake")
WHEN = ("today", "again", "last night", "at noon", "this time", "on friday", "as we came", "in the end")
MOODS = {
    "glad": ("great", "lovely", "tasty", "perfect", "friendly", "fresh"),
    "sour": ("awful", "cold", "bland", "rude", "stale", "terrible"),
}


def sentence(mood: str, draw: random.Random) -> str:
    return f"the {draw.choice(WHAT)} and the {draw.choice(WHAT)} were {draw.choice(MOODS[mood])} {draw.choice(WHEN)} ."


def lines(mood: str, n: int, seed: int = 0) -> list[str]:
    """n different sentences of a mood."""
    draw, found = random.Random(f"{mood}{seed}"), dict[str, None]()
    while len(found) < n:
        found[sentence(mood, draw)] = None
    return list(found)


def turned(line: str, seed: int = 0) -> str:
    """The same in the other mood: what a perfect model would say."""
    draw = random.Random(f"{line}{seed}")
    for mood, words in MOODS.items():
        other = next(w for name, w in MOODS.items() if name != mood)
        for word in words:
            if f" {word} " in line:
                return line.replace(f" {word} ", f" {draw.choice(other)} ")
    return line
