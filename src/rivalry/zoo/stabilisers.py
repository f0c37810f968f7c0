"""Rows that are a plain GAN with one stabiliser: each is a part that any row can take."""

from __future__ import annotations

from dataclasses import replace

from rivalry.afters import HistoricalAveraging
from rivalry.augment import DiffAugment
from rivalry.controllers import ADA as Steer
from rivalry.controllers import LeCam as Anchor
from rivalry.games import Sample
from rivalry.nets import DCGAN, DCGANTrunk, Discriminator
from rivalry.objectives import GAN, Hinge, TopK
from rivalry.parts import Penalty
from rivalry.penalties import (
    GP0,
    R1,
    ApproximateR1,
    ApproximateR2,
    Consistency,
    FeatureMatching,
    LatentConsistency,
    LeCam,
)
from rivalry.recipe import About
from rivalry.schedules import Linear
from rivalry.terms import L2
from rivalry.zoo.rows import Duel, Player, Row, make, row, small_discriminator, smaller

GROUP = "stabilisers"
GENERATE = ("generate",)
FEW = ("generate", "few pictures")
BASE = Duel(GAN(), DCGAN(), Discriminator(DCGANTrunk()), Sample(latent=100), batch=64)
PLAIN = replace(BASE, discriminator=Discriminator(DCGANTrunk(norm="none")))
SPECTRAL = replace(BASE, objective=Hinge(), discriminator=Discriminator(DCGANTrunk(norm="none"), spectral=True))


def _row(name: str, about: About, duel: Duel) -> Row:
    """A small discriminator of the same kind as the published one's."""
    judge = duel.discriminator
    if not isinstance(judge, Discriminator) or not isinstance(judge.trunk, DCGANTrunk):
        raise TypeError(f"{name} should stand on a DCGAN")
    small = smaller(duel, discriminator=small_discriminator(norm=judge.trunk.norm, spectral=judge.spectral))
    return make(name, about, duel, small)


def _penalised(duel: Duel, *penalties: Penalty) -> Duel:
    return replace(duel, d=replace(duel.d, penalties=penalties))


@row("r1-gan")
def r1_gan() -> Row:
    about = About(
        "GAN with R1",
        "Mescheder et al. 2018, Which Training Methods for GANs do actually Converge?, arXiv:1801.04406",
        2018,
        GROUP,
        "The squared slope on real examples alone makes the game locally convergent.",
        GENERATE,
    )
    return _row("r1-gan", about, _penalised(PLAIN, R1(weight=1.0)))


@row("gp0-gan")
def gp0_gan() -> Row:
    about = About(
        "GAN with zero-centred gradient penalty",
        "Thanh-Tung et al. 2019, Improving Generalization and Stability of GANs, arXiv:1902.03984",
        2019,
        GROUP,
        "The slope between real and generated points is held at 0, which helps D to generalise.",
        GENERATE,
    )
    return _row("gp0-gan", about, _penalised(PLAIN, GP0(weight=10.0)))


@row("approximate-r1-gan")
def approximate_r1_gan() -> Row:
    about = About(
        "GAN with approximate R1 and R2",
        "Lin et al. 2025, Diffusion Adversarial Post-Training, arXiv:2501.08316",
        2025,
        GROUP,
        "Finite differences of the score under small noise stand in for slopes: no double gradient.",
        GENERATE,
    )
    duel = _penalised(PLAIN, ApproximateR1(weight=1.0), ApproximateR2(weight=1.0))
    return _row("approximate-r1-gan", about, duel)


@row("unrolled-gan")
def unrolled_gan() -> Row:
    about = About(
        "Unrolled GAN",
        "Metz et al. 2016, Unrolled Generative Adversarial Networks, arXiv:1611.02163",
        2016,
        GROUP,
        "The generator plays against the discriminator as it will stand some steps later, so hopping between modes "
        "does not pay.",
        GENERATE,
        "at the small setting samples are blobs after three minutes on a core (1,057 steps, Fashion-MNIST): a step costs several.",
    )
    duel = replace(PLAIN, generator_first=True, g=replace(PLAIN.g, unroll=5, unroll_lr=5e-3))
    row_ = _row("unrolled-gan", about, duel)
    return row_


@row("pacgan")
def pacgan() -> Row:
    about = About(
        "PacGAN",
        "Lin et al. 2017, PacGAN: The power of two samples in generative adversarial networks, arXiv:1712.04086",
        2017,
        GROUP,
        "D sees two examples at once, so a lack of variety gives fakes away.",
        GENERATE,
    )
    return _row("pacgan", about, replace(BASE, game=Sample(latent=100, pack=2), batch=128))


@row("logan")
def logan() -> Row:
    about = About(
        "LOGAN",
        "Wu et al. 2019, LOGAN: Latent Optimisation for Generative Adversarial Networks, arXiv:1912.00953",
        2019,
        GROUP,
        "Noise first takes a step along the discriminator's slope, which couples the players' gradients.",
        GENERATE,
    )
    return _row("logan", about, replace(SPECTRAL, game=Sample(latent=128, latent_step=0.9)))


@row("topk-gan")
def topk_gan() -> Row:
    about = About(
        "Top-k GAN",
        "Sinha et al. 2020, Top-k Training of GANs, arXiv:2002.06224",
        2020,
        GROUP,
        "The generator learns from its better samples only, ever fewer of them.",
        GENERATE,
    )
    duel = replace(BASE, objective=TopK(GAN()), schedules={"topk": Linear(1.0, 0.5, until=0.5)})
    made = _row("topk-gan", about, duel)
    return replace(made, small=replace(made.small, schedules={**made.small.schedules, **duel.schedules}))


@row("cr-gan")
def cr_gan() -> Row:
    about = About(
        "Consistency-regularised GAN",
        "Zhang et al. 2019, Consistency Regularization for GANs, arXiv:1910.12027",
        2019,
        GROUP,
        "D must score a real picture and its shifted or mirrored self alike.",
        FEW,
    )
    return _row("cr-gan", about, _penalised(SPECTRAL, Consistency(weight=10.0, on=("real",))))


@row("bcr-gan")
def bcr_gan() -> Row:
    about = About(
        "Balanced consistency regularisation",
        "Zhao et al. 2020, Improved Consistency Regularization for GANs, arXiv:2002.04724",
        2020,
        GROUP,
        "Consistency on generated pictures too, so that no artefacts of the augmentation appear.",
        FEW,
    )
    return _row("bcr-gan", about, _penalised(SPECTRAL, Consistency(weight=10.0, on=("real", "fake"))))


@row("icr-gan")
def icr_gan() -> Row:
    about = About(
        "Improved consistency regularisation",
        "Zhao et al. 2020, Improved Consistency Regularization for GANs, arXiv:2002.04724",
        2020,
        GROUP,
        "bCR, and D scores neighbours in latent space alike while G keeps them apart (zCR).",
        FEW,
    )
    duel = _penalised(SPECTRAL, Consistency(weight=10.0, on=("real", "fake")), LatentConsistency(weight=5.0))
    duel = replace(duel, g=replace(duel.g, terms=(L2(weight=-0.5, pair="latent-neighbour"),)))
    return _row("icr-gan", about, duel)


@row("diffaugment-gan")
def diffaugment_gan() -> Row:
    about = About(
        "GAN with differentiable augmentation",
        "Zhao et al. 2020, Differentiable Augmentation for Data-Efficient GAN Training, arXiv:2006.10738",
        2020,
        GROUP,
        "Real and generated pictures alike are shifted, recoloured and cut out before D sees them.",
        FEW,
    )
    return _row("diffaugment-gan", about, replace(SPECTRAL, augment=DiffAugment()))


@row("apa-gan")
def apa_gan() -> Row:
    about = About(
        "Adaptive pseudo augmentation",
        "Jiang et al. 2021, Deceive D: Adaptive Pseudo Augmentation, arXiv:2111.06849",
        2021,
        GROUP,
        "Now and then a generated picture is shown as real, as often as D's overconfidence asks for.",
        FEW,
    )
    duel = replace(BASE, game=Sample(latent=100, pseudo=True), controllers=(Steer(knob="apa", ceiling=0.8),))
    return _row("apa-gan", about, duel)


@row("lecam-gan")
def lecam_gan() -> Row:
    about = About(
        "LeCam GAN",
        "Tseng et al. 2021, Regularizing Generative Adversarial Networks under Limited Data, arXiv:2104.03310",
        2021,
        GROUP,
        "Scores are anchored to the running mean of the other side's scores, so D cannot drift apart from few data.",
        FEW,
    )
    duel = replace(_penalised(SPECTRAL, LeCam(weight=0.1)), controllers=(Anchor(),))
    return _row("lecam-gan", about, duel)


@row("improved-gan")
def improved_gan() -> Row:
    about = About(
        "Improved techniques (feature matching, historical averaging, smoothed labels)",
        "Salimans et al. 2016, Improved Techniques for Training GANs, arXiv:1606.03498",
        2016,
        GROUP,
        "The generator matches D's mean features; parameters are held near their history; real counts as .9.",
        GENERATE,
    )
    duel = replace(
        BASE,
        objective=GAN(label_smoothing=0.1),
        d=Player(after=(HistoricalAveraging(),)),
        g=Player((FeatureMatching(weight=1.0),), after=(HistoricalAveraging(),)),
    )
    return _row("improved-gan", about, duel)
