"""Small genuine trainings on points in the plane, well and broken, and what the monitor says of them."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from rivalry.health import Diagnosis, Monitor

N = 128


class Duel:
    """A small GAN on eight points of a circle: non-saturating loss, R1 (Mescheder et al. 2018) with weight 0.1."""

    def __init__(self, seed: int, lr: float = 1e-3, r1: float = 0.1) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.g, self.d = self._net(8, 2), self._net(2, 1)
        self.own, self.r1, self.step = torch.Generator().manual_seed(seed), r1, 0
        self.collapsed = False
        self.opt_g, self.opt_d = (torch.optim.Adam(m.parameters(), lr, (0.5, 0.99)) for m in (self.g, self.d))
        self.notes: dict[str, float] = {}

    @staticmethod
    def _net(inputs: int, outputs: int) -> nn.Sequential:
        act = nn.LeakyReLU(0.2)
        return nn.Sequential(nn.Linear(inputs, 64), act, nn.Linear(64, 64), act, nn.Linear(64, outputs))

    def real(self, n: int) -> Tensor:
        angle = torch.randint(8, (n,), generator=self.own) * (math.pi / 4)
        return 1.4 * torch.stack([angle.cos(), angle.sin()], 1) + 0.05 * torch.randn(n, 2, generator=self.own)

    def noise(self, n: int) -> Tensor:
        z = torch.randn(n, 8, generator=self.own)
        return z[:1].expand(n, 8) if self.collapsed else z

    def train(self, steps: int) -> None:
        for _ in range(steps):
            x = self.real(64).requires_grad_()
            real, fake = self.d(x), self.d(self.g(self.noise(64)).detach())
            (slope,) = torch.autograd.grad(real.sum(), x, create_graph=True)
            loss = (softplus(-real) + softplus(fake)).mean() + self.r1 * slope.square().sum(1).mean()
            self.opt_d.zero_grad()
            loss.backward()
            self.opt_d.step()
            self.opt_g.zero_grad()
            softplus(-self.d(self.g(self.noise(64)))).mean().backward()
            self.opt_g.step()
            self.step += 1
        self.notes = {"d.main.real": float(real.detach().mean()), "d.main.fake": float(fake.detach().mean()),
                      "d.main.value": float(-(softplus(-real) + softplus(fake)).detach().mean())}  # fmt: skip

    def watch(self, monitor: Monitor, steps: int) -> list[Diagnosis]:
        """What is found at pulses with the same noise and the same real rows."""
        found: list[Diagnosis] = []
        angle = torch.arange(N) * (math.pi / 4)
        rows = 1.4 * torch.stack([angle.cos(), angle.sin()], 1) + 0.05 * torch.randn(N, 2, generator=torch.Generator().manual_seed(1))
        for _ in range(steps // 100):
            self.train(100)
            z = torch.randn(N, 8, generator=torch.Generator().manual_seed(0))
            with torch.no_grad():
                fakes = self.g(z[:1].expand_as(z) if self.collapsed else z)
            found.append(monitor.pulse(self.step, fakes, rows, self.notes))
        return [d for d in found if d.kind != "healthy"]


@pytest.fixture(scope="module")
def trained() -> tuple[Duel, Monitor]:
    duel, monitor = Duel(0), Monitor()
    assert duel.watch(monitor, 600) == []
    return duel, monitor


def _lr(factor: float, generator: float = 1.0) -> Callable[[Duel], None]:
    def plant(duel: Duel) -> None:
        for optimiser, by in ((duel.opt_d, factor), (duel.opt_g, factor * generator)):
            optimiser.param_groups[0]["lr"] *= by

    return plant


def _ignores_noise(duel: Duel) -> None:
    duel.collapsed = True


def _broken_weight(duel: Duel) -> None:
    with torch.no_grad():
        next(duel.g.parameters())[0, 0] = math.nan


GENUINE: dict[str, Callable[[Duel], None]] = {
    "learning rates x300": _lr(300),
    "generator's rate x300": _lr(1, 300),
    "the noise is ignored": _ignores_noise,
    "a weight is NaN": _broken_weight,
}


@pytest.mark.parametrize("name", GENUINE)
def test_a_genuine_training_that_breaks(name: str, trained: tuple[Duel, Monitor]) -> None:
    duel, monitor = copy.deepcopy(trained[0]), Monitor()
    monitor.restore(trained[1].state())
    GENUINE[name](duel)
    found = duel.watch(monitor, 500)
    assert found, name
    assert found[0].since_step <= 1100


@pytest.mark.parametrize(("seed", "lr"), [(1, 3e-4), (2, 2e-3)])
def test_a_genuine_training_that_is_well(seed: int, lr: float) -> None:
    assert Duel(seed, lr).watch(Monitor(), 700) == []


def test_a_genuine_training_without_gradients() -> None:
    """The generator's rate is 0: it stands still while the discriminator becomes sure."""
    duel = Duel(3)
    duel.opt_g.param_groups[0]["lr"] = 0.0
    found = duel.watch(Monitor(), 500)
    assert found[0].kind == "saturation"
