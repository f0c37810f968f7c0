"""Rows that are told the class: conditional and semi-supervised GANs."""

from __future__ import annotations

from dataclasses import replace

from rivalry.games import Sample
from rivalry.nets import DCGAN, MLP, DCGANTrunk, Discriminator, MLPTrunk, ResNet, ResNetTrunk
from rivalry.objectives import GAN, Hinge, Null
from rivalry.optimisers import Adam
from rivalry.parts import Penalty
from rivalry.penalties import (
    ADC,
    D2DCE,
    Classification,
    Contrastive2C,
    CrammerSinger,
    FeatureMatching,
    SemiSupervised,
    Twin,
)
from rivalry.recipe import About
from rivalry.zoo.rows import Duel, Player, Row, make, row, small_discriminator, small_generator, smaller

GROUP = "conditional"
CLASSES = ("generate", "generate by class")
LABELLED = Sample(conditional=True)
CRITIC = Adam(2e-4, 0.0, 0.9)
SMALL_CRITIC = Adam(1e-3, 0.0, 0.9)


def _resnet(heads: tuple[str, ...], projection: bool = False) -> Discriminator:
    return Discriminator(ResNetTrunk(), heads=heads, spectral=True, condition="projection" if projection else "none")


def _resnet_duel(
    heads: tuple[str, ...], on_d: tuple[Penalty, ...] = (), on_g: tuple[Penalty, ...] = (), projection: bool = False
) -> Duel:
    """The setting that StudioGAN's and mimicry's comparisons share: SNGAN's ResNets, hinge, five critic turns."""
    return Duel(
        Hinge(),
        ResNet(),
        _resnet(heads, projection),
        LABELLED,
        d=Player(on_d, optimiser=CRITIC, turns=5),
        g=Player(on_g, optimiser=CRITIC),
        steps=100_000,
    )


def _small(duel: Duel, heads: tuple[str, ...], projection: bool = False, spectral: bool = True) -> Duel:
    optimiser = SMALL_CRITIC
    return smaller(
        duel,
        generator=small_generator(condition=True),
        discriminator=small_discriminator(
            heads, norm="none" if spectral else "batch", spectral=spectral, projection=projection
        ),
        d=replace(duel.d, turns=1, optimiser=optimiser),
        g=replace(duel.g, optimiser=optimiser),
    )


@row("cgan")
def cgan() -> Row:
    about = About(
        "Conditional GAN",
        "Mirza and Osindero 2014, Conditional Generative Adversarial Nets, arXiv:1411.1784",
        2014,
        GROUP,
        "Both players get the label as a further input.",
        CLASSES,
    )
    judge = Discriminator(MLPTrunk(sizes=(240, 240), dropout=0.5), condition="concat")
    duel = Duel(
        GAN(), MLP(sizes=(200, 1200)), judge, replace(LABELLED, latent=100, distribution="uniform"), batch=100
    )
    small = smaller(duel, generator=small_generator(condition=True), game=LABELLED,
                    discriminator=Discriminator(DCGANTrunk(16), condition="concat"))  # fmt: skip
    return make("cgan", about, duel, small)


@row("sgan")
def sgan() -> Row:
    about = About(
        "Semi-supervised GAN",
        "Odena 2016, arXiv:1606.01583; Salimans et al. 2016, Improved Techniques for Training GANs, arXiv:1606.03498",
        2016,
        "semi-supervised, latent, inverse",
        "One classifier of K classes is the discriminator too: its score is the logsumexp of the class logits.",
        (*CLASSES, "semi-supervised classification"),
    )
    judge = Discriminator(DCGANTrunk(), heads=("score", "class"), score="logsumexp")
    # the label goes to nobody but the classifier's loss: the generator ignores it
    duel = Duel(GAN(), DCGAN(), judge, LABELLED, d=Player((SemiSupervised(),)), g=Player((FeatureMatching(),)))
    small = smaller(duel, generator=small_generator(condition=True),
                    discriminator=replace(judge, trunk=DCGANTrunk(16)))  # fmt: skip
    return make("sgan", about, duel, small)


@row("acgan")
def acgan() -> Row:
    about = About(
        "Auxiliary classifier GAN",
        "Odena et al. 2016, Conditional Image Synthesis with Auxiliary Classifier GANs, arXiv:1610.09585",
        2016,
        GROUP,
        "D also names the class; both players gain when it is right, on real and on generated pictures.",
        CLASSES,
    )
    heads = ("score", "class")
    duel = Duel(GAN(), DCGAN(), Discriminator(DCGANTrunk(), heads=heads), replace(LABELLED, latent=100),
                d=Player((Classification(on=("real", "fake")),)), g=Player((Classification(on=("fake",)),)),
                batch=100)  # fmt: skip
    return make("acgan", about, duel, _small(duel, heads, spectral=False))


@row("projection-cgan")
def projection_cgan() -> Row:
    about = About(
        "Projection discriminator",
        "Miyato and Koyama 2018, cGANs with Projection Discriminator, arXiv:1802.05637",
        2018,
        GROUP,
        "The label enters D as an inner product with its features; the generator's batch norm is conditional.",
        CLASSES,
    )
    duel = _resnet_duel(("score",), projection=True)
    return make("projection-cgan", about, duel, _small(duel, ("score",), projection=True))


@row("tac-gan")
def tac_gan() -> Row:
    about = About(
        "Twin auxiliary classifiers GAN",
        "Gong et al. 2019, Twin Auxiliary Classifiers GAN, arXiv:1907.02690",
        2019,
        GROUP,
        "A second classifier, trained on fakes alone, tells the generator when ACGAN makes classes too clear-cut.",
        CLASSES,
    )
    heads = ("score", "class", "twin")
    duel = _resnet_duel(
        heads,
        (Classification(on=("real",)), Twin(role="judge")),
        (Classification(on=("fake",)), Twin(role="fool")),
    )
    return make("tac-gan", about, duel, _small(duel, heads))


@row("mhgan")
def mhgan() -> Row:
    about = About(
        "Multi-hinge GAN",
        "Kavalerov et al. 2019, A Multi-Class Hinge Loss for Conditional GANs, arXiv:1912.04216",
        2019,
        GROUP,
        "One Crammer–Singer hinge over K + 1 classes replaces both the adversarial loss and the classifier's.",
        CLASSES,
    )
    heads = ("score", "class+1")
    duel = replace(
        _resnet_duel(heads, (CrammerSinger(role="judge"),), (CrammerSinger(role="fool"),)), objective=Null()
    )
    return make("mhgan", about, duel, _small(duel, heads))


@row("contragan")
def contragan() -> Row:
    about = About(
        "ContraGAN",
        "Kang and Park 2020, ContraGAN: Contrastive Learning for Conditional Image Generation, arXiv:2006.12681",
        2020,
        GROUP,
        "A contrastive loss (2C) over the batch: embeddings lie near their class's proxy and near their class.",
        CLASSES,
    )
    heads = ("score", "embedding")
    duel = _resnet_duel(heads, (Contrastive2C(on="real"),), (Contrastive2C(on="fake"),))
    return make("contragan", about, duel, _small(duel, heads))


@row("reacgan")
def reacgan() -> Row:
    about = About(
        "ReACGAN (rebooting ACGAN)",
        "Kang et al. 2021, Rebooting ACGAN: Auxiliary Classifier GANs with Stable Training, arXiv:2111.01118",
        2021,
        GROUP,
        "ACGAN's classifier on the unit sphere, with margins that cut off easy pairs (D2D-CE): no gradient explodes.",
        CLASSES,
    )
    heads = ("score", "embedding")
    duel = _resnet_duel(heads, (D2DCE(on="real"),), (D2DCE(on="fake"),))
    return make("reacgan", about, duel, _small(duel, heads))


@row("adcgan")
def adcgan() -> Row:
    about = About(
        "Auxiliary discriminative classifier GAN",
        "Hou et al. 2021, Conditional GANs with Auxiliary Discriminative Classifier, arXiv:2107.10060",
        2021,
        GROUP,
        "The classifier tells real classes from generated ones (2K classes), which removes ACGAN's bias.",
        CLASSES,
    )
    heads = ("score", "class*2")
    duel = _resnet_duel(heads, (ADC(role="judge"),), (ADC(role="fool"),))
    return make("adcgan", about, duel, _small(duel, heads))
