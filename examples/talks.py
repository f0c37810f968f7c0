"""Conversations of a made-up grammar, to try dialogue on: a list of turns a line.

    python examples/talks.py > talks.jsonl
    rivalry train talks.jsonl --budget 5m --run talks

What is replied depends on what was said: on the thing that was asked about, on its kind, and on the answer before.
"""

from __future__ import annotations

import argparse
import json
import random

LIKED = {
    "music": ("jazz", "opera", "choirs", "drums"),
    "drinks": ("tea", "coffee", "cocoa", "cider"),
    "weather": ("rain", "snow", "fog", "sunshine"),
    "sport": ("football", "chess", "skating", "rowing"),
}
OFTEN = {"music": "every evening", "drinks": "every morning", "weather": "from my window", "sport": "every weekend"}
PLACES = ("rome", "oslo", "lima", "kyoto", "cairo")
WAYS = ("by train", "by boat", "on foot", "by bike")


def tastes(draw: random.Random) -> list[str]:
    """One thing, then another of the same kind."""
    kind = draw.choice(sorted(LIKED))
    first, second = draw.sample(LIKED[kind], 2)
    if draw.random() < 0.5:
        told = [f"yes , i love {first} .", f"and {second} ?", f"only with {first} ."]
    else:
        told = [f"no , not {first} .", f"and {second} ?", f"oh yes , {second} , {OFTEN[kind]} ."]
    return [f"do you like {first} ?", *told]


def journeys(draw: random.Random) -> list[str]:
    """A place; how it was is asked of those who were there alone."""
    place, way = draw.choice(PLACES), draw.choice(WAYS)
    asked = f"have you ever been to {place} ?"
    if draw.random() < 0.5:
        return [asked, f"yes , i went to {place} {way} .", "how was it ?", f"{place} was lovely , but {way} it is far ."]
    return [asked, f"no , never to {place} .", "would you like to ?", f"yes , {way} if i can ."]


def conversation(draw: random.Random) -> list[str]:
    parts = [tastes(draw), journeys(draw)]
    draw.shuffle(parts)
    return [turn for part in parts for turn in part]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("conversations", type=int, nargs="?", default=2000, help="how many (2,000)")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    draw = random.Random(given.seed)
    for _ in range(given.conversations):
        print(json.dumps({"turns": conversation(draw)}))


if __name__ == "__main__":
    main()
