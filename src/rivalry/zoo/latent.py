"""Rows with an encoder, or with latents that mean something."""

from __future__ import annotations

from rivalry.games import Autoencode, Invert, Sample
from rivalry.nets import (
    DCGAN,
    Coupled,
    CoupledDiscriminator,
    DCGANTrunk,
    Discriminator,
    Encoder,
    JointDiscriminator,
    LatentJudge,
)
from rivalry.objectives import GAN, Null, TwoWay, Wasserstein
from rivalry.optimisers import Adam
from rivalry.parts import Net
from rivalry.penalties import GP, MutualInformation
from rivalry.recipe import EMA, About, Recipe, Side, Stage
from rivalry.schedules import Cosine
from rivalry.terms import KL, L2, Cluster, Gaussian, LatentReconstruction
from rivalry.zoo.rows import NO_EMA, Duel, Player, Row, make, row, small_discriminator, smaller

GROUP = "semi-supervised, latent, inverse"
INVERSE = ("generate", "encode")
SMALL_ADAM = Adam(1e-3, 0.5, 0.999)
DECAY = {"lr": Cosine(end=0.05, begin=0.5)}


def _nets(width: int, judge: Net, gaussian: bool = False) -> dict[str, Net]:
    return {
        "encoder": Encoder(DCGANTrunk(width), gaussian=gaussian),
        "generator": DCGAN(width),
        "discriminator": judge,
    }


@row("infogan")
def infogan() -> Row:
    about = About(
        "InfoGAN",
        "Chen et al. 2016, InfoGAN: Interpretable Representation Learning, arXiv:1606.03657",
        2016,
        GROUP,
        "A third head reads codes back from the samples, so that they come to mean something, without labels.",
        ("generate", "disentangle"),
    )
    game = Sample(latent=62, codes=(10,), code_reals=2)
    code = MutualInformation(weight=1.0, codes=(10,))
    heads = ("score", "code")
    duel = Duel(GAN(), DCGAN(), Discriminator(DCGANTrunk(), heads=heads), game,
                d=Player((code,)), g=Player((code,), optimiser=Adam(1e-3)), batch=128)  # fmt: skip
    return make("infogan", about, duel, smaller(duel, discriminator=small_discriminator(heads)))


@row("clustergan")
def clustergan() -> Row:
    about = About(
        "ClusterGAN",
        "Mukherjee et al. 2018, ClusterGAN: Latent Space Clustering in GANs, arXiv:1809.03627",
        2018,
        GROUP,
        "Noise of a one-hot part and a small normal part; an encoder finds both again, so clusters survive.",
        ("generate", "cluster"),
        "at the small setting each cluster is one picture after three minutes on a core (3,097 steps, Fashion-MNIST): the small "
        "normal part is ignored.",
    )

    def recipe(name: str, width: int, optimiser: Adam, turns: int, ema: EMA, steps: int) -> Recipe:
        critic = Discriminator(DCGANTrunk(width, norm="none"))
        maker = Side("generator", ("generator", "encoder"), fools=("main",), terms=(Cluster(),), optimiser=optimiser)
        judge = Side("discriminator", ("discriminator",), ("main",), penalties=(GP(10.0),), turns=turns,
                     optimiser=optimiser)  # fmt: skip
        return Recipe(
            name,
            _nets(width, critic),
            Sample(latent=30, spread=0.1, codes=(10,)),
            (Stage((judge, maker)),),
            Wasserstein(),
            about=about,
            ema=ema,
            batch=64,
            steps=steps,
        )

    return Row(
        recipe("clustergan", 64, Adam(1e-4, 0.5, 0.9), 5, NO_EMA, 100_000),
        recipe("clustergan-small", 16, Adam(5e-4, 0.5, 0.9), 2, EMA(halflife=9_000.0), 5_000),
    )


@row("aae")
def aae() -> Row:
    about = About(
        "Adversarial autoencoder",
        "Makhzani et al. 2015, Adversarial Autoencoders, arXiv:1511.05644",
        2015,
        GROUP,
        "An autoencoder whose codes are pushed to the prior by a discriminator in latent space.",
        INVERSE,
    )

    def recipe(name: str, width: int, latent: int, lr: float, steps: int) -> Recipe:
        optimiser = Adam(lr, 0.5, 0.999)
        nets = {
            "encoder": Encoder(DCGANTrunk(width), gaussian=False),
            "generator": DCGAN(width),
            "latent_discriminator": LatentJudge(),
        }
        coder = Side("autoencoder", ("encoder", "generator"), fools=("latent",), terms=(L2(weight=10.0),),
                     optimiser=optimiser)  # fmt: skip
        judge = Side("discriminator", ("latent_discriminator",), ("latent",), optimiser=optimiser)
        return Recipe(
            name, nets, Autoencode(latent=latent), (Stage((judge, coder)),), GAN(), about=about,
            schedules=DECAY if "small" in name else {}, batch=100, steps=steps,
        )  # fmt: skip

    return Row(recipe("aae", 64, 8, 2e-4, 50_000), recipe("aae-small", 16, 16, 1e-3, 5_000))


@row("bigan")
def bigan() -> Row:
    about = About(
        "Bidirectional GAN (adversarially learned inference)",
        "Donahue et al. 2016, arXiv:1605.09782; Dumoulin et al. 2016, arXiv:1606.00704",
        2016,
        GROUP,
        "D judges pairs: a picture with its code against a sample with its noise; so the encoder inverts G.",
        INVERSE,
    )

    def recipe(name: str, width: int, sizes: tuple[int, ...], optimiser: Adam, ema: EMA, steps: int) -> Recipe:
        judge = JointDiscriminator(DCGANTrunk(width), latent_sizes=sizes, joint_sizes=(2 * sizes[0],))
        maker = Side("generator", ("generator", "encoder"), fools=("main",), optimiser=optimiser)
        critic = Side("discriminator", ("discriminator",), ("main",), optimiser=optimiser)
        return Recipe(
            name, _nets(width, judge), Invert(latent=50), (Stage((critic, maker)),), TwoWay(), about=about,
            ema=ema, schedules=DECAY if "small" in name else {}, batch=128, steps=steps,
        )  # fmt: skip

    return Row(
        recipe("bigan", 64, (512, 512), Adam(2e-4), NO_EMA, 100_000),
        recipe("bigan-small", 16, (128,), SMALL_ADAM, EMA(halflife=9_000.0), 5_000),
    )


@row("veegan")
def veegan() -> Row:
    about = About(
        "VEEGAN",
        "Srivastava et al. 2017, VEEGAN: Reducing Mode Collapse using Implicit Variational Learning, arXiv:1705.07761",
        2017,
        GROUP,
        "A reconstructor must find the noise again in every sample: a mode that is missing costs.",
        INVERSE,
        "at the small setting samples stay grey: the discriminator is certain from step 200 on, and three minutes on a core (3,208 steps, "
        "Fashion-MNIST) with three times going back do not change it.",
    )

    def recipe(name: str, width: int, sizes: tuple[int, ...], optimiser: Adam, ema: EMA, steps: int) -> Recipe:
        judge = JointDiscriminator(DCGANTrunk(width), latent_sizes=sizes, joint_sizes=(2 * sizes[0],))
        back = (LatentReconstruction(weight=1 / 50),)
        maker = Side("generator", ("generator", "encoder"), fools=("main",), terms=back, optimiser=optimiser)
        critic = Side("discriminator", ("discriminator",), ("main",), optimiser=optimiser)
        return Recipe(
            name, _nets(width, judge), Invert(latent=50), (Stage((critic, maker)),), TwoWay(), about=about,
            ema=ema, schedules=DECAY if "small" in name else {}, batch=64, steps=steps,
        )  # fmt: skip

    return Row(
        recipe("veegan", 64, (512, 512), Adam(2e-4), NO_EMA, 100_000),
        recipe("veegan-small", 16, (128,), SMALL_ADAM, EMA(halflife=9_000.0), 5_000),
    )


@row("vae")
def vae() -> Row:
    about = About(
        "Variational autoencoder",
        "Kingma and Welling 2013, Auto-Encoding Variational Bayes, arXiv:1312.6114",
        2013,
        "not a game",
        "No discriminator: an encoder and a decoder raise a lower bound of the likelihood. Smooth, never collapsing, "
        "blurred: the neighbour every GAN should be compared with.",
        INVERSE,
    )

    def recipe(name: str, width: int, latent: int, optimiser: Adam, steps: int) -> Recipe:
        nets = {"encoder": Encoder(DCGANTrunk(width)), "generator": DCGAN(width)}
        both = Side("autoencoder", ("encoder", "generator"), terms=(Gaussian(sigma=0.3), KL()), optimiser=optimiser)
        return Recipe(
            name, nets, Autoencode(latent=latent), (Stage((both,)),), Null(), about=about,
            schedules=DECAY if "small" in name else {}, batch=128, steps=steps,
        )  # fmt: skip

    return Row(recipe("vae", 64, 64, Adam(1e-3, 0.9), 50_000), recipe("vae-small", 16, 32, Adam(2e-3, 0.9), 5_000))


@row("vae-gan")
def vae_gan() -> Row:
    about = About(
        "VAE-GAN",
        "Larsen et al. 2015, Autoencoding beyond pixels using a learned similarity metric, arXiv:1512.09300",
        2015,
        GROUP,
        "A VAE whose decoder is also a generator that has to fool a discriminator.",
        INVERSE,
    )

    def recipe(name: str, width: int, latent: int, optimiser: Adam, steps: int) -> Recipe:
        nets = _nets(width, Discriminator(DCGANTrunk(width)), gaussian=True)
        coder = Side("encoder", ("encoder",), terms=(Gaussian(sigma=0.3), KL()), optimiser=optimiser)
        maker = Side("generator", ("generator",), fools=("main",), terms=(L2(weight=5.0),), optimiser=optimiser)
        judge = Side("discriminator", ("discriminator",), ("main",), optimiser=optimiser)
        return Recipe(
            name, nets, Autoencode(latent=latent), (Stage((judge, coder, maker)),), GAN(), about=about,
            ema=EMA(halflife=9_000.0), schedules=DECAY if "small" in name else {}, batch=64, steps=steps,
        )  # fmt: skip

    return Row(recipe("vae-gan", 64, 128, Adam(3e-4), 50_000), recipe("vae-gan-small", 16, 32, SMALL_ADAM, 5_000))


@row("cogan")
def cogan() -> Row:
    about = About(
        "Coupled GAN",
        "Liu and Tuzel 2016, Coupled Generative Adversarial Networks, arXiv:1606.07536",
        2016,
        GROUP,
        "A generator per domain, with all but the last layers shared, so one noise gives a corresponding picture in "
        "every domain without a single pair; the classes of the data are the domains.",
        ("generate by class", "translate between domains"),
    )
    game = Sample(latent=100, conditional=True)
    duel = Duel(GAN(), Coupled(), CoupledDiscriminator(DCGANTrunk()), game, batch=128)
    small = smaller(duel, generator=Coupled(DCGAN(width=32, out="none"), width=16), game=game,
                    discriminator=CoupledDiscriminator(DCGANTrunk(width=16), width=16))  # fmt: skip
    return make("cogan", about, duel, small)
