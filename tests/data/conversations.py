"""Conversations for tests: small talk of which the reply can be told from the context."""

from __future__ import annotations

import json
import random
from pathlib import Path

import torch
from torch import Tensor

from rivalry.data.dialogue import DialogueModality
from rivalry.types import EOS, PAD

THINGS = ("music", "movies", "football", "jazz", "opera", "chess", "tea", "coffee", "rain", "snow", "books", "cats")


def conversation(draw: random.Random) -> list[str]:
    a, b, c = (draw.choice(THINGS) for _ in range(3))
    return [
        f"do you like {a} ?", f"yes , {a} is what i love .", f"and what about {b} ?", f"no , i never cared for {b} .",
        f"then perhaps {c} ?", f"{c} is fine with me .",
    ]  # fmt: skip


def conversations(n: int, seed: int = 0) -> list[list[str]]:
    draw = random.Random(seed)
    return [conversation(draw) for _ in range(n)]


def write(path: Path, n: int = 120, seed: int = 0) -> Path:
    path.write_text("".join(json.dumps({"turns": turns}) + "\n" for turns in conversations(n, seed)))
    return path


def replies(modality: DialogueModality, texts: list[str]) -> Tensor:
    """Texts as [N, reply] tokens."""
    ended = [[*own[: modality.reply], EOS][: modality.reply] for own in modality.coder.encode(texts)]
    return torch.tensor([row + [PAD] * (modality.reply - len(row)) for row in ended])
