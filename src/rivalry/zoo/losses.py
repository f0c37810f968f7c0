"""Rows told apart by what the players want: losses and critics."""

from __future__ import annotations

from dataclasses import replace

from rivalry.afters import Clip
from rivalry.games import Sample
from rivalry.nets import DCGAN, MLP, DCGANTrunk, Discriminator, MLPTrunk
from rivalry.objectives import (
    GAN,
    BoundarySeeking,
    Hinge,
    LeastSquares,
    Relativistic,
    RelativisticAverage,
    Softmax,
    Wasserstein,
)
from rivalry.optimisers import Adam, RMSprop
from rivalry.penalties import DRAGAN, GP, Div, MaxGradient
from rivalry.recipe import About
from rivalry.zoo.rows import (
    SMALL_ADAM,
    Duel,
    Player,
    Row,
    make,
    row,
    small_discriminator,
    smaller,
)

GROUP = "losses and critics"
DCGAN_G, DCGAN_D = DCGAN(), Discriminator(DCGANTrunk())
PLAIN_D = Discriminator(DCGANTrunk(norm="none"))
BOTH = ("generate",)
CRITIC = replace(SMALL_ADAM, beta1=0.0, beta2=0.9)


@row("gan")
def gan() -> Row:
    """Two MLPs, exactly as the first lesson draws them."""
    about = About(
        "Generative adversarial network",
        "Goodfellow et al. 2014, Generative Adversarial Networks, arXiv:1406.2661",
        2014,
        GROUP,
        "The two-player game itself: the discriminator learns the probability that a sample is real, the generator "
        "learns to raise it. At the optimum D is 1/2 everywhere and V = -log 4.",
        BOTH,
    )
    duel = Duel(
        GAN("non-saturating"),
        MLP(sizes=(128, 256)),
        Discriminator(MLPTrunk(sizes=(256, 128))),
        Sample(latent=100),
        batch=128,
        steps=10_000,
    )
    return make("gan", about, duel, smaller(duel, generator=duel.generator, discriminator=duel.discriminator,
                                            d=Player(), g=Player(), schedules={}, batch=128))  # fmt: skip


@row("lsgan")
def lsgan() -> Row:
    about = About(
        "Least squares GAN",
        "Mao et al. 2016, Least Squares Generative Adversarial Networks, arXiv:1611.04076",
        2016,
        GROUP,
        "Scores are regressed to 1 and 0 by squares, so samples far on the right side still get a gradient.",
        BOTH,
    )
    duel = Duel(LeastSquares(), DCGAN_G, DCGAN_D, Sample(latent=1024, distribution="uniform"),
                d=Player(optimiser=Adam(1e-3)), g=Player(optimiser=Adam(1e-3)))  # fmt: skip
    return make("lsgan", about, duel, smaller(duel, game=Sample()))


@row("wgan")
def wgan() -> Row:
    about = About(
        "Wasserstein GAN",
        "Arjovsky et al. 2017, Wasserstein GAN, arXiv:1701.07875",
        2017,
        GROUP,
        "The critic estimates the earth mover's distance; its weights are clipped to keep it Lipschitz.",
        BOTH,
    )
    player = Player(optimiser=RMSprop(5e-5))
    duel = Duel(Wasserstein(), DCGAN_G, DCGAN_D, Sample(latent=100),
                d=replace(player, turns=5, after=(Clip(0.01),)), g=player, steps=100_000)  # fmt: skip
    slow = Player(optimiser=RMSprop(5e-4))
    return make("wgan", about, duel, smaller(duel, d=replace(slow, turns=5, after=(Clip(0.03),)), g=slow))


@row("wgan-gp")
def wgan_gp() -> Row:
    about = About(
        "Wasserstein GAN with gradient penalty",
        "Gulrajani et al. 2017, Improved Training of Wasserstein GANs, arXiv:1704.00028",
        2017,
        GROUP,
        "Instead of clipping, the critic's slope is held at 1 between real and generated points.",
        BOTH,
    )
    player = Player(optimiser=Adam(1e-4, 0.0, 0.9))
    duel = Duel(Wasserstein(), DCGAN_G, PLAIN_D, Sample(),
                d=replace(player, turns=5, penalties=(GP(10.0),)), g=player, steps=200_000)  # fmt: skip
    small = Player(optimiser=CRITIC)
    return make("wgan-gp", about, duel, smaller(duel, discriminator=small_discriminator(norm="none"),
                                                d=replace(small, turns=3, penalties=(GP(10.0),)), g=small))  # fmt: skip


@row("wgan-div")
def wgan_div() -> Row:
    about = About(
        "Wasserstein divergence GAN",
        "Wu et al. 2018, Wasserstein Divergence for GANs, arXiv:1712.01026",
        2018,
        GROUP,
        "The penalty k |slope|^p (k = 2, p = 6) makes a true divergence without any Lipschitz constraint.",
        BOTH,
    )
    player = Player(optimiser=Adam(2e-4, 0.0, 0.9))
    duel = Duel(Wasserstein(), DCGAN_G, PLAIN_D, Sample(),
                d=replace(player, turns=4, penalties=(Div(2.0, power=6.0),)), g=player, steps=100_000)  # fmt: skip
    small = Player(optimiser=CRITIC)
    return make("wgan-div", about, duel, smaller(duel, discriminator=small_discriminator(norm="none"),
                                                 d=replace(small, turns=3, penalties=(Div(2.0, power=6.0),)), g=small))  # fmt: skip


@row("dragan")
def dragan() -> Row:
    about = About(
        "Deep regret analytic GAN",
        "Kodali et al. 2017, On Convergence and Stability of GANs, arXiv:1705.07215",
        2017,
        GROUP,
        "The slope is held at 1 around real points only, where sharp turns of D bring about collapse.",
        BOTH,
    )
    duel = Duel(GAN(), DCGAN_G, PLAIN_D, Sample(latent=100), d=Player(penalties=(DRAGAN(10.0),)))
    small = smaller(duel, discriminator=small_discriminator(norm="none"))
    return make("dragan", about, duel, small)


@row("lgan")
def lgan() -> Row:
    about = About(
        "Lipschitz GAN",
        "Zhou et al. 2019, Lipschitz Generative Adversarial Nets, arXiv:1902.05687",
        2019,
        GROUP,
        "Penalises the largest slope in the batch, which bounds D's Lipschitz constant; any increasing convex loss.",
        BOTH,
    )
    player = Player(optimiser=Adam(2e-4, 0.0, 0.9))
    duel = Duel(
        GAN(), DCGAN_G, PLAIN_D, Sample(), d=replace(player, turns=5, penalties=(MaxGradient(1.0),)), g=player
    )
    small = smaller(duel, discriminator=small_discriminator(norm="none"),
                    d=Player(optimiser=CRITIC, turns=2, penalties=(MaxGradient(1.0),)), g=Player(optimiser=CRITIC))  # fmt: skip
    return make("lgan", about, duel, small)


@row("bgan")
def bgan() -> Row:
    about = About(
        "Boundary-seeking GAN",
        "Hjelm et al. 2017, Boundary-Seeking Generative Adversarial Networks, arXiv:1702.08431",
        2017,
        GROUP,
        "The generator aims at D's decision boundary, (log D - log(1-D))^2 / 2, instead of beyond it.",
        BOTH,
    )
    duel = Duel(BoundarySeeking(), DCGAN_G, DCGAN_D, Sample(latent=100))
    return make("bgan", about, duel, smaller(duel))


@row("softmax-gan")
def softmax_gan() -> Row:
    about = About(
        "Softmax GAN",
        "Lin 2017, Softmax GAN, arXiv:1704.06191",
        2017,
        GROUP,
        "One softmax over the whole batch: D spreads its mass over real rows, G over all rows alike.",
        BOTH,
    )
    duel = Duel(Softmax(), DCGAN_G, DCGAN_D, Sample(latent=100))
    return make("softmax-gan", about, duel, smaller(duel))


@row("geometric-gan")
def geometric_gan() -> Row:
    about = About(
        "Geometric GAN (hinge)",
        "Lim and Ye 2017, Geometric GAN, arXiv:1705.02894",
        2017,
        GROUP,
        "The support vector machine's margin: D stops learning from what it separates by 1, G follows its normal.",
        BOTH,
    )
    player = Player(optimiser=RMSprop(2e-4))
    duel = Duel(Hinge(), DCGAN_G, DCGAN_D, Sample(latent=100), d=player, g=player)
    return make("geometric-gan", about, duel, smaller(duel))


@row("hinge")
def hinge() -> Row:
    about = About(
        "Hinge GAN",
        "Lim and Ye 2017, arXiv:1705.02894; Miyato et al. 2018, arXiv:1802.05957 (with spectral norm)",
        2018,
        GROUP,
        "The hinge loss on a DCGAN whose discriminator is spectrally normalised: the form that later rows took over.",
        BOTH,
    )
    player = Player(optimiser=Adam(2e-4, 0.0, 0.9))
    duel = Duel(Hinge(), DCGAN_G, Discriminator(DCGANTrunk(norm="none"), spectral=True), Sample(),
                d=replace(player, turns=5), g=player, steps=100_000)  # fmt: skip
    small = smaller(duel, discriminator=small_discriminator(norm="none", spectral=True),
                    d=Player(optimiser=CRITIC), g=Player(optimiser=CRITIC))  # fmt: skip
    return make("hinge", about, duel, small)


@row("rgan")
def rgan() -> Row:
    about = About(
        "Relativistic GAN",
        "Jolicoeur-Martineau 2018, The relativistic discriminator, arXiv:1807.00734",
        2018,
        GROUP,
        "D judges by how much more real a real example is than a fake one; the generator sees both.",
        BOTH,
    )
    duel = Duel(Relativistic(), DCGAN_G, DCGAN_D, Sample())
    return make("rgan", about, duel, smaller(duel))


@row("ragan")
def ragan() -> Row:
    about = About(
        "Relativistic average GAN",
        "Jolicoeur-Martineau 2018, The relativistic discriminator, arXiv:1807.00734",
        2018,
        GROUP,
        "As RGAN, but against the mean score of the other kind in the batch.",
        BOTH,
    )
    duel = Duel(RelativisticAverage(), DCGAN_G, DCGAN_D, Sample())
    return make("ragan", about, duel, smaller(duel))
