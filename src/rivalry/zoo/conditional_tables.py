"""Rows for tables from the literature: CTGAN and CTAB-GAN+, TableGAN, medGAN; DP-GAN."""

from __future__ import annotations

from dataclasses import replace

from rivalry.afters import Clip
from rivalry.games import ByColumn, ByLevel, Decode, Partitioned, Pate, Poisson, Sample
from rivalry.nets import (
    DCGAN,
    Averaged,
    CodeNet,
    ColumnClassifier,
    DCGANTrunk,
    Discriminator,
    Encoder,
    MLPTrunk,
    SquareTable,
    SquareTrunk,
    TableNet,
    Teachers,
)
from rivalry.objectives import GAN, Wasserstein
from rivalry.optimisers import Adam, RMSprop
from rivalry.penalties import GP, Information
from rivalry.recipe import EMA, About, Private, Recipe, Side, Stage
from rivalry.terms import CrossEntropy, RowLikelihood, Target, Taught, Voted
from rivalry.zoo.rows import NO_EMA, Duel, Player, Row, row

GROUP = "tables"
USES = ("generate", "tables")
CONDITIONED = ("generate", "generate by condition", "tables")
OBEY = CrossEntropy(pair="condition")
AVERAGED = EMA(halflife=1e9, ramp=0.05)
"""At the small settings; the published ones average nothing."""


@row("ctgan")
def ctgan() -> Row:
    about = About(
        "CTGAN",
        "Xu et al. 2019, Modeling Tabular Data using Conditional GAN, arXiv:1907.00503",
        2019,
        GROUP,
        "A conditional vector asks for a level of one category, drawn by the logarithm of its frequency while training "
        "(training by sampling) and by its true frequency afterwards; cross-entropy makes the generator obey; packs of ten "
        "rows, WGAN-GP. Numbers are encoded as the house recipe does, by quantiles, not by their mixture of "
        "Gaussians (its mode-specific normalisation), which the one encoding of tables has no place for.",
        CONDITIONED,
    )

    def recipe(name: str, width: int, rate: float, ema: EMA, steps: int) -> Recipe:
        duel = Duel(
            Wasserstein(),
            TableNet(sizes=(width, width), norm="batch", slope=0.0, residual=False, joined=True, margins=False),
            Discriminator(MLPTrunk(sizes=(width, width), dropout=0.5)),
            ByColumn(latent=128, pack=10),
            d=Player((GP(10.0),), optimiser=Adam(rate, 0.5, 0.9)),
            g=Player(terms=(OBEY,), optimiser=Adam(rate, 0.5, 0.9, weight_decay=1e-6)),
            ema=ema,
            batch=500,
            steps=steps,
        )
        return replace(duel.recipe(name, about), sampler=ByLevel())

    return Row(recipe("ctgan", 256, 2e-4, NO_EMA, 20_000), recipe("ctgan-small", 128, 5e-4, AVERAGED, 3_000))


def _three(duel: Duel, classifier: ColumnClassifier, optimiser: Adam, name: str, about: About) -> Recipe:
    """The duel with a third side that learns to foretell the target from real rows."""
    recipe = duel.recipe(name, about)
    (stage,) = recipe.stages
    third = Side("classifier", ("classifier",), terms=(Target(on="real"),), optimiser=optimiser)
    d, g = stage.sides
    return replace(recipe, nets={**recipe.nets, "classifier": classifier}, stages=(replace(stage, sides=(d, third, g)),))


@row("ctab-gan-plus")
def ctab_gan_plus() -> Row:
    about = About(
        "CTAB-GAN+-like",
        "Zhao et al. 2022, CTAB-GAN+: Enhancing Tabular Data Synthesis, arXiv:2204.00401",
        2022,
        GROUP,
        "A conditional vector with training by sampling, convolutions on rows as squares, WGAN-GP, and on the generator an "
        "information loss (first two moments of the critic's features) and an auxiliary classifier's loss on a target "
        "column. Like theirs, not theirs: numbers by the house encoding, so conditions are on categories only, not on "
        "modes of numbers; no log transform; the target is the last category unless classifier.target says another.",
        CONDITIONED,
    )

    def recipe(name: str, conv: int, width: int, rate: float, ema: EMA, batch: int, steps: int) -> Recipe:
        adam = Adam(rate, 0.5, 0.9, weight_decay=1e-5)
        duel = Duel(
            Wasserstein(),
            SquareTable(DCGAN(width=conv, out="none")),
            Discriminator(SquareTrunk(DCGANTrunk(width=conv, norm="layer"))),
            ByColumn(latent=100),
            d=Player((GP(10.0),), optimiser=adam),
            g=Player((Information(),), (OBEY, Target()), optimiser=adam),
            ema=ema,
            batch=batch,
            steps=steps,
        )
        judge = ColumnClassifier(MLPTrunk(sizes=(width,) * 4, dropout=0.5))
        return replace(_three(duel, judge, adam, name, about), sampler=ByLevel())

    return Row(
        recipe("ctab-gan-plus", 64, 256, 2e-4, NO_EMA, 500, 10_000),
        recipe("ctab-gan-plus-small", 16, 64, 1e-3, AVERAGED, 200, 1_500),
    )


@row("tablegan")
def tablegan() -> Row:
    about = About(
        "TableGAN",
        "Park et al. 2018, Data Synthesis based on Generative Adversarial Networks, arXiv:1806.03384",
        2018,
        GROUP,
        "Rows padded to a square and DCGAN's convolutions on them; an information loss whose deltas say how far from real "
        "rows is near enough (low privacy: 0, theirs); a classifier that keeps rows consistent with their target column. "
        "Choices by Gumbel-softmax in place of rounded numbers; moments of a batch in place of running averages.",
        USES,
    )

    def recipe(name: str, conv: int, width: int, ema: EMA, steps: int) -> Recipe:
        adam = Adam(2e-4, 0.5, 0.999)
        duel = Duel(
            GAN(),
            SquareTable(DCGAN(width=conv, out="none")),
            Discriminator(SquareTrunk(DCGANTrunk(width=conv))),
            Sample(latent=100, distribution="uniform"),
            d=Player(optimiser=adam),
            g=Player((Information(),), (Target(),), optimiser=adam),
            ema=ema,
            batch=500,
            steps=steps,
        )
        return _three(duel, ColumnClassifier(MLPTrunk(sizes=(width, width))), adam, name, about)

    return Row(recipe("tablegan", 64, 256, NO_EMA, 10_000), recipe("tablegan-small", 16, 64, AVERAGED, 1_500))


@row("medgan")
def medgan() -> Row:
    about = About(
        "medGAN",
        "Choi et al. 2017, Generating Multi-label Discrete Patient Records using GANs, arXiv:1703.06490",
        2017,
        GROUP,
        "For tables of binary and count columns, patients by codes for example: an autoencoder learns first, then a generator "
        "with shortcuts makes codes that its decoder, which goes on learning, turns into rows; the discriminator sees each "
        "row beside the mean of its batch (minibatch averaging). Choices are drawn (Gumbel-softmax) where theirs are "
        "probabilities that are rounded.",
        (*USES, "patient records"),
    )

    def recipe(name: str, latent: int, width: int, learn: Adam, play: Adam, ema: EMA, batch: int, steps: int) -> Recipe:
        nets = {
            "encoder": Encoder(MLPTrunk(sizes=(width,), slope=0.0), gaussian=False),
            "decoder": TableNet(sizes=(width,), slope=0.0, residual=False, outputs="scores", margins=False),
            "generator": CodeNet(),
            "discriminator": Discriminator(Averaged(MLPTrunk(sizes=(2 * width, width), slope=0.0))),
        }
        coder = Side("autoencoder", ("encoder", "decoder"), terms=(RowLikelihood(decoder="decoder"),), optimiser=learn)
        judge = Side("discriminator", ("discriminator",), ("main",), turns=2, optimiser=play)
        maker = Side("generator", ("generator", "decoder"), fools=("main",), optimiser=play)
        stages = (Stage((coder,), "pretraining", share=0.1), Stage((judge, maker), "game", share=0.9))
        return Recipe(
            name, nets, Decode(latent=latent), stages, GAN(), about=about, ema=ema, batch=batch, steps=steps
        )

    published = Adam(1e-3, 0.9, 0.999, weight_decay=1e-3)
    both = replace(AVERAGED, modules=("generator", "decoder"))
    return Row(
        recipe("medgan", 128, 128, published, published, NO_EMA, 1_000, 50_000),
        recipe("medgan-small", 64, 64, Adam(1e-3), Adam(2e-4), both, 250, 5_000),
    )


@row("dp-gan")
def dp_gan() -> Row:
    about = About(
        "DP-GAN",
        "Xie et al. 2018, Differentially Private Generative Adversarial Network, arXiv:1802.06739",
        2018,
        GROUP,
        "A Wasserstein critic with clipped weights that learns under differential privacy; the generator learns from the "
        "critic only. Theirs bounds gradients by the clipped weights; here the gradient of every row is cut to a norm and "
        "noised, rows are drawn by Poisson sampling, and the accountant is rivalry's (docs/privacy.md). --dp-epsilon changes "
        "what may be spent, 8 without it.",
        (*USES, "differential privacy"),
    )

    def recipe(name: str, width: int, judge: int, rate: float, box: float, batch: int, steps: int) -> Recipe:
        duel = Duel(
            Wasserstein(),
            TableNet(sizes=(width, width), margins=False),
            Discriminator(MLPTrunk(sizes=(judge, judge))),
            Sample(latent=64),
            d=Player(turns=5, optimiser=RMSprop(rate), after=(Clip(box),)),
            g=Player(optimiser=RMSprop(rate)),
            batch=batch,
            steps=steps,
        )
        made = duel.recipe(name, about)
        (stage,) = made.stages
        d, g = stage.sides
        sides = (replace(d, private=Private(epsilon=8.0)), g)
        return replace(made, stages=(replace(stage, sides=sides),), sampler=Poisson())

    # in a box of .01 a critic of three layers says next to nothing, and the generator learns nothing (docs/lab/tables.md)
    return Row(
        recipe("dp-gan", 256, 128, 5e-5, 0.01, 64, 20_000),
        recipe("dp-gan-small", 128, 64, 5e-4, 0.1, 256, 600),
    )


@row("pate-gan")
def pate_gan() -> Row:
    about = About(
        "PATE-GAN",
        "Jordon et al. 2019, PATE-GAN: Generating Synthetic Data with Differential Privacy Guarantees, ICLR",
        2019,
        GROUP,
        "Teachers tell real rows of their own from fakes; a student learns from their noisy votes on fakes only, and the "
        "generator from the student. One Laplace-noised count per vote (theirs: two, which costs twice), accounted for without "
        "a look at the data (docs/privacy.md), where theirs looks; settings whose votes would be coin flips are refused. "
        "--dp-epsilon changes what may be spent, 8 without it.",
        (*USES, "differential privacy"),
        "on Adult at epsilon 8 the small setting hardly learns (shape error 24 % after 60 of 600 steps, 21 % at the end; "
        "docs/lab/tables.md); take house-table with --dp-epsilon.",
    )

    def recipe(
        name: str, k: int, width: int, teacher: int, adam: Adam, maker: Adam, ema: EMA, turns: int, batch: int, steps: int
    ) -> Recipe:
        nets = {
            "generator": TableNet(sizes=(width, width), margins=False),
            "student": Discriminator(MLPTrunk(sizes=(width, width))),
            "teachers": Teachers(k, (teacher,)),
        }
        sides = (
            Side("teachers", ("teachers",), terms=(Taught(),), turns=turns, optimiser=adam),
            Side("student", ("student",), terms=(Voted(),), turns=turns, optimiser=adam),
            Side("generator", ("generator",), fools=("student",), optimiser=maker),
        )
        return Recipe(
            name, nets, Pate(latent=64, teachers=k), (Stage(sides),), GAN(), about=about, sampler=Partitioned(k),
            ema=ema, batch=batch, steps=steps,
        )  # fmt: skip

    slow, fast = Adam(1e-4), Adam(1e-3)  # votes are few: at the small setting the student outruns the generator
    return Row(
        recipe("pate-gan", 30, 128, 64, slow, slow, NO_EMA, 5, 64, 10_000),
        recipe("pate-gan-small", 200, 64, 16, fast, Adam(2e-4), AVERAGED, 1, 32, 600),
    )
