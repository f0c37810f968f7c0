"""What a discriminator says of rows it knows, rows it does not, and fakes; and that looking leaves no trace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from rivalry.data import Dataset
from rivalry.report import _memory
from rivalry.training.engine import Engine
from rivalry.training.loop import Trainer
from rivalry.training.remembering import remembering
from rivalry.training.state import State, build_state
from rivalry.types import PAD
from rivalry.zoo import get
from tiny import CLASSES, CPU, PICTURES, POINTS, TOKENS, Rows, bars, ring, sentences


@dataclass
class Data:
    train: Rows
    held: Rows


def split(rows: Rows, at: int) -> Dataset:
    labels = (None, None) if rows.labels is None else (rows.labels[:at], rows.labels[at:])
    return cast(Dataset, Data(Rows(rows.x[:at], labels[0]), Rows(rows.x[at:], labels[1])))


class ByHeart(nn.Module):
    """1 for the rows it knows, 0 for everything else."""

    def __init__(self, known: Tensor) -> None:
        super().__init__()
        self.register_buffer("known", known)
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, *cond: Tensor) -> dict[str, Tensor]:
        return {"score": ((x[:, None] - cast(Tensor, self.known)).abs().amax(2).amin(1) == 0).float() + 0 * self.weight}


class Fair(ByHeart):
    """1 for all that lies where the ring does, known or not; 0 for what is outside."""

    def forward(self, x: Tensor, *cond: Tensor) -> dict[str, Tensor]:
        return {"score": ((x.norm(dim=1) - 1).abs() < 0.6).float() + 0 * self.weight}


def state(judge: type[ByHeart], data: Dataset) -> State:
    known = data.train.batch(torch.arange(len(data.train)), CPU).x
    return build_state(get("gan-small"), POINTS, 0, CPU, {"discriminator": judge(known)})


def test_a_judge_that_knows_its_rows_by_heart_is_seen_through() -> None:
    data = split(ring(1000), 800)
    found = remembering(state(ByHeart, data), data)
    assert found["main.train"] == 1
    assert found["main.held"] == found["main.fake"] == 0
    assert found["main.memory"] == 1
    assert "overfitted" in _memory([{"memory": found}])[0]


def test_a_fair_judge_is_not_accused() -> None:
    data = split(ring(1000), 800)
    found = remembering(state(Fair, data), data)
    assert found["main.train"] == found["main.held"] == 1
    assert found["main.memory"] == 0
    assert _memory([{"memory": found}]) == []


@pytest.mark.parametrize("name", ["dcgan-small", "acgan-small", "pacgan-small", "wgan-gp-small", "logan-small"])
def test_looking_leaves_no_trace(name: str) -> None:
    data = split(bars(128), 64)
    s = build_state(get(name), CLASSES if name == "acgan-small" else PICTURES, 0, CPU)
    before = {f"{k}.{n}": v.clone() for k, m in s.nets.items() for n, v in m.state_dict().items()}
    found = remembering(s, data)
    assert {"main.train", "main.held", "main.fake"} <= set(found)
    assert found == remembering(s, data)
    assert all(torch.equal(v, before[f"{k}.{n}"]) for k, m in s.nets.items() for n, v in m.state_dict().items())
    assert all(m.training for m in s.nets.values())


def test_knobs_are_those_that_the_last_step_was_played_with() -> None:
    recipe = get("relgan-small")
    trainer = Trainer(build_state(recipe, TOKENS, 0, CPU), split(sentences(), 400).train, 100, Engine("cpu"))
    last = trainer.layout[-1]
    assert trainer.knobs()["sharpness"] == recipe.schedules["sharpness"](0.0)
    trainer.state.step = 100
    assert trainer.knobs()["sharpness"] == recipe.schedules["sharpness"](last.progress(100))


def test_games_without_a_judge_and_few_rows_say_nothing() -> None:
    data: Any = split(bars(128), 64)
    assert remembering(build_state(get("vae-small"), PICTURES, 0, CPU), data) == {}
    few = split(bars(80), 64)
    assert remembering(build_state(get("dcgan-small"), PICTURES, 0, CPU), few) == {}


class OfTokens(nn.Module):
    """1 for a token, 100 for padding."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"score": torch.where(x == PAD, 100.0, 1.0) + 0 * self.weight}


def test_padding_is_no_part_of_a_text_s_score() -> None:
    data = split(sentences(), 400)
    found = remembering(build_state(get("token-gan-small"), TOKENS, 0, CPU, {"discriminator": OfTokens()}), data)
    assert found["main.train"] == found["main.held"] == found["main.fake"] == 1
