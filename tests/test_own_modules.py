"""One's own modules as players, from Python: trained, resumed, measured and drawn from like the house's."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import rivalry
from rivalry.api import Run
from rivalry.errors import RunError
from rivalry.training import session
from rivalry.training.loop import Trainer


class Maker(nn.Module):
    def __init__(self, latent: int = 12) -> None:
        super().__init__()
        self.linear = nn.Linear(latent, 2)

    def forward(self, z: Tensor) -> Tensor:
        out: Tensor = self.linear(z)
        return out


class Critic(nn.Module):
    """As critics elsewhere: scores [N, 1], no names."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x)
        return out


def ring(run: str, budget: str = "4steps", **more: object) -> Run:
    return rivalry.train(
        "ring8", recipe="house-points-small", budget=budget, run=run, tensorboard=False, say=lambda _: None, **more
    )  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_run_returned_by_train_knows_its_modules() -> None:
    run = ring("own", players={"generator": Maker(), "discriminator": Critic()})
    assert run.sample(3).shape == (3, 2)
    assert "swd" in run.evaluate(200)
    assert run.walk(Path("walk.png"))
    assert run.write_samples(Path("x.csv"), 5)
    assert run.audit(200).attacks


def test_a_run_opened_again_is_given_modules_untrained() -> None:
    run = ring("own", players={"generator": Maker()})
    fresh = Maker()
    before = fresh.linear.weight.detach().clone()
    again = rivalry.load("own", players={"generator": fresh})
    assert torch.equal(again.sample(3), run.sample(3))
    assert torch.equal(fresh.linear.weight, before)  # a copy of it is used
    with pytest.raises(RunError, match=r"rivalry.load\('own', players=\{'generator': YourModule\(\)\}\)"):
        rivalry.load("own").sample(3)


def test_training_goes_on_with_ones_own_modules_as_if_unbroken() -> None:
    def players() -> dict[str, nn.Module]:
        torch.manual_seed(3)
        return {"generator": Maker(), "discriminator": Critic()}

    whole = ring("whole", "6steps", players=players())

    class Stop(Exception):
        pass

    seen = 0

    def stopping(module: nn.Module, given: object, made: object) -> None:
        nonlocal seen
        seen += module.training and torch.is_grad_enabled()
        if Path("runs/part/checkpoints/last/state.safetensors").exists():
            raise Stop

    ours = players()
    ours["generator"].register_forward_hook(stopping)
    with pytest.raises(Stop):
        ring("part", "6steps", players=ours)
    part = rivalry.load("part", players=players()).resume(say=lambda _: None)
    assert torch.equal(part.sample(4, which="last"), whole.sample(4, which="last"))


def test_steps_of_ones_own_modules_are_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their Python may decide anew at every step, which a recording would not."""
    asked: list[bool] = []

    class Seen(Trainer):
        def __init__(self, *given: object, recorded: bool = True) -> None:
            asked.append(recorded)
            super().__init__(*given, recorded=recorded)  # type: ignore[arg-type]

    monkeypatch.setattr(session, "Trainer", Seen)
    ring("own", players={"generator": Maker()})
    rivalry.load("own", players={"generator": Maker()}).resume(say=lambda _: None)
    assert len(asked) == 3  # to measure a step, to train, to go on
    assert not any(asked)
    asked.clear()
    ring("house")
    assert asked == [True, True]


def test_a_critic_that_scores_plainly_is_heard_as_one_that_names_its_scores() -> None:
    class Named(Critic):
        def forward(self, x: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
            return {"score": self.body(x).squeeze(1)}

    scored = []
    for kind in (Critic, Named):
        torch.manual_seed(0)
        critic = kind()
        scored.append(ring(kind.__name__.lower(), players={"discriminator": critic}).sample(4, which="last"))
        assert isinstance(critic(torch.zeros(2, 2)), Tensor) == (kind is Critic)  # answers its owner as ever
    assert torch.equal(*scored)
