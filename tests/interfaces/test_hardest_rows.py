"""The hardest rows in small, through the one loop: each trains a few hundred steps and must have learnt something."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from interfaces import plugins
from rivalry import zoo
from rivalry.afters import Clip
from rivalry.controllers import ADA, PathMean
from rivalry.games import Autoencode, Partitioned, Pate, Sample
from rivalry.games.lazy import draw_codes, join_codes
from rivalry.nets import StyleGAN2, StyleGAN2Trunk, Teachers
from rivalry.nets.dcgan import DCGAN, DCGANTrunk
from rivalry.nets.discriminators import Discriminator, Encoder
from rivalry.nets.mlp import MLP, MLPTrunk
from rivalry.objectives import GAN, Null, Wasserstein
from rivalry.optimisers import Adam, RMSprop
from rivalry.penalties import MutualInformation
from rivalry.recipe import EMA, Recipe, Side, Stage
from rivalry.streams import Draw
from rivalry.terms import KL, L2, CrossEntropy, Gaussian, Taught, Voted
from rivalry.training.state import State
from rivalry.types import Spec
from tiny import PICTURES, POINTS, Rows, bars, ring, run

FAST = Adam(lr=2e-3)
POINT_NETS = {"generator": MLP((64, 64), out="none"), "discriminator": Discriminator(MLPTrunk((64, 64)))}


def samples(state: State, n: int = 1000) -> torch.Tensor:
    with torch.no_grad():
        return state.recipe.game.sample({**state.nets, **state.ema}, state.wiring, Draw(7, ("test",)), n)


def test_wgan_clipping_keeps_every_weight_in_the_box_and_learns() -> None:
    recipe = Recipe(
        "wgan",
        POINT_NETS,
        Sample(latent=8),
        (
            Stage(
                (
                    Side("discriminator", ("discriminator",), ("main",), turns=5, optimiser=RMSprop(1e-3),
                         after=(Clip(0.1),)),
                    Side("generator", ("generator",), fools=("main",), optimiser=RMSprop(1e-3)),
                )
            ),
        ),
        Wasserstein(),
        batch=128,
    )  # fmt: skip
    state = run(recipe, POINTS, ring(), 200)
    assert max(float(p.abs().max()) for p in state.nets["discriminator"].parameters()) < 0.1 + 1e-6
    assert abs(float(samples(state).norm(dim=1).mean()) - 1) < 0.35


def test_unrolled_reaches_all_modes_of_a_ring() -> None:
    recipe = Recipe(
        "unrolled",
        POINT_NETS,
        Sample(latent=8),
        (
            Stage(
                (
                    Side("generator", ("generator",), fools=("main",), unroll=3, unroll_lr=0.1, optimiser=FAST),
                    Side("discriminator", ("discriminator",), ("main",), optimiser=FAST),
                )
            ),
        ),
        GAN(),
        batch=128,
    )
    x = samples(run(recipe, POINTS, ring(), 500))
    angle = torch.atan2(x[:, 1], x[:, 0])
    modes = (angle / (math.pi / 2)).round().long() % 4
    close = (x.norm(dim=1) - 1).abs() < 0.4
    assert len(modes[close].unique()) == 4


def test_a_vae_needs_no_discriminator() -> None:
    recipe = Recipe(
        "vae",
        {"encoder": Encoder(DCGANTrunk(8)), "generator": DCGAN(8)},
        Autoencode(latent=8),
        (Stage((Side("both", ("encoder", "generator"), terms=(Gaussian(sigma=0.3), KL()), optimiser=FAST),)),),
        Null(),
        batch=32,
    )
    first = run(recipe, PICTURES, bars(), 1)
    state = run(recipe, PICTURES, bars(), 250)
    before, after = first.sums["both.loss"], state.sums["both.loss"] / 250
    assert after < before / 2
    # a black picture with one bright bar has 3/16 of its pixels lit; the mean picture would be grey everywhere
    lit = (samples(state, 64) > 0).float().mean()
    assert 0.05 < float(lit) < 0.3


def test_text_with_a_reward_per_token_after_maximum_likelihood() -> None:
    size = 6
    likelihood = Side("generator", ("generator",), terms=(CrossEntropy(pair="next"),), optimiser=Adam(5e-3))
    player = replace(likelihood, terms=(plugins.PolicyGradient(),), optimiser=Adam(1e-3))
    judge = Side("discriminator", ("discriminator",), ("main",), optimiser=Adam(5e-3))
    recipe = Recipe(
        "text",
        {"generator": plugins.LanguageModelNet(), "discriminator": plugins.TokenJudgeNet()},
        plugins.Rollout(),
        (Stage((likelihood,), "likelihood", 0.15), Stage((judge, player), "adversarial", 0.85, fresh=True)),
        GAN(),
        ema=EMA(modules=()),
        batch=64,
    )
    spec = Spec("tokens", (8,), (0.0, size - 1.0), vocabulary=size)
    rows = Rows(plugins.counting(2000, size, 8))
    steps = 300
    start = run(replace(recipe, stages=recipe.stages[:1]), spec, rows, round(steps * 0.15))
    state = run(recipe, spec, rows, steps)
    before, after = (plugins.valid(samples(s), size) for s in (start, state))
    assert 1 - after < (1 - before) / 2  # halves the share of wrong steps that likelihood left


def test_timegan_in_three_stages() -> None:
    t = torch.arange(12) / 12 * 2 * math.pi
    phase = torch.rand(1000, 1, 1, generator=torch.Generator().manual_seed(0)) * 6
    x = torch.sin(t[None, :, None] + phase).expand(-1, -1, 2) * torch.tensor([1.0, 0.5])
    code = Side("code", ("embedder", "recovery"), terms=(L2(weight=10.0),), optimiser=FAST)
    order = Side("order", ("supervisor",), terms=(L2(pair="supervision"),), optimiser=FAST)
    maker = Side(
        "generator",
        ("generator", "supervisor"),
        fools=("supervised", "made"),
        terms=(L2(pair="supervision", weight=10.0), L2(pair="moments", weight=10.0)),
        turns=2,
        optimiser=FAST,
    )
    judge = Side("discriminator", ("discriminator",), ("supervised", "made"), optimiser=FAST)
    recipe = Recipe(
        "timegan",
        {
            "embedder": plugins.RecurrentNet("data", "hidden"),
            "recovery": plugins.RecurrentNet("hidden", "data"),
            "supervisor": plugins.RecurrentNet("hidden", "hidden"),
            "generator": plugins.RecurrentNet("noise", "hidden"),
            "discriminator": plugins.RecurrentNet("hidden", "score"),
        },
        plugins.TimeGame(),
        (Stage((code,), "code", 0.3), Stage((order,), "order", 0.2), Stage((maker, code, judge), "joint", 0.5)),
        GAN(),
        ema=EMA(modules=()),
        batch=64,
    )
    state = run(recipe, Spec("series", (12, 2)), Rows(x), 300)
    made = samples(state)
    assert made.shape == (1000, 12, 2)
    assert torch.allclose(made.std((0, 1)), x.std((0, 1)), atol=0.25)
    # neighbouring values of a smooth series are alike, unlike those of noise
    a, b = made[:, :-1].flatten(), made[:, 1:].flatten()
    assert float(torch.corrcoef(torch.stack([a, b]))[0, 1]) > 0.5


def test_pate_gan_with_teachers_on_parts_of_their_own() -> None:
    k = 3
    judge, slow = POINT_NETS["discriminator"], Adam(lr=1e-3)
    teachers = Side("teachers", ("teachers",), terms=(Taught(),), optimiser=slow)
    student = Side("student", ("student",), terms=(Voted(),), optimiser=slow)
    maker = Side("generator", ("generator",), fools=("student",), optimiser=slow)
    recipe = Recipe(
        "pate",
        {"generator": POINT_NETS["generator"], "student": judge, "teachers": Teachers(k, (64, 64))},
        Pate(latent=8, teachers=k),
        (Stage((teachers, student, maker)),),
        GAN(),
        sampler=Partitioned(k),
        batch=64,
    )
    seen: dict[int, set[int]] = {i: set() for i in range(k)}

    class Watched(Rows):
        def batch(self, index, device):  # type: ignore[no-untyped-def]
            for i, own in enumerate(index.view(k, -1)):
                seen[i].update(own.tolist())
            return super().batch(index, device)

    centre = torch.tensor([0.6, -0.4])
    x = centre + 0.7 * torch.randn(3000, 2, generator=torch.Generator().manual_seed(0))
    state = run(recipe, POINTS, Watched(x), 600)
    assert all(seen[i] and all(r % k == i for r in seen[i]) for i in range(k))
    made = samples(state)
    assert float((made.mean(0) - centre).norm()) < 0.35, made.mean(0)


def test_stylegan2_ada_path_length_and_controller() -> None:
    small = zoo.get("stylegan2-ada-small")
    recipe = replace(
        small,
        nets={
            "generator": StyleGAN2(style=16, depth=1, width=4, cap=8),
            "discriminator": Discriminator(StyleGAN2Trunk(width=4, cap=8)),
        },
        game=replace(small.game, latent=8),
        controllers=(ADA(speed_kimg=2.0), PathMean(decay=0.1)),
        batch=16,
        schedules={},
    )
    state = run(recipe, PICTURES, bars(), 200)
    p, length = float(state.knobs["augment"]), float(state.knobs["path.mean"])
    assert 0 < p <= 1, "the controller should have turned augmentation on against 512 pictures"
    assert length > 0
    lit = (samples(state, 64) > 0).float().mean()
    assert 0.03 < float(lit) < 0.5


def test_infogan_third_head_reads_the_code_back() -> None:
    game = Sample(latent=6, codes=(2,))
    code = MutualInformation(codes=(2,))
    heads = ("score", "code")
    judge = Discriminator(DCGANTrunk(8), heads=heads, hidden=16)
    recipe = Recipe(
        "infogan",
        {"generator": DCGAN(8), "discriminator": judge},
        game,
        (
            Stage(
                (
                    Side("discriminator", ("discriminator",), ("main",), penalties=(code,), optimiser=FAST),
                    Side("generator", ("generator",), fools=("main",), penalties=(code,), optimiser=FAST),
                )
            ),
        ),
        GAN(),
        batch=32,
    )
    state = run(recipe, PICTURES, bars(), 300)
    draw = Draw(3, ("codes",))
    categories, reals = draw_codes(draw, 200, state.wiring)
    z = join_codes(draw.normal("z", 200, 6), categories, reals, state.wiring)
    with torch.no_grad():
        said = state.nets["discriminator"](state.nets["generator"](z))["code"].argmax(1)
    assert float((said == categories[:, 0]).float().mean()) > 0.9
