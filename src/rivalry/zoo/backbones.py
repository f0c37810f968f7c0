"""Rows told apart by their networks."""

from __future__ import annotations

from dataclasses import replace

from rivalry.augment import ADA as BGC
from rivalry.augment import DiffAugment
from rivalry.controllers import ADA, PathMean
from rivalry.controllers import BEGAN as Balance
from rivalry.games import Sample, StyleSample
from rivalry.nets import (
    BEGAN,
    DCGAN,
    Autoencoder,
    BEGANTrunk,
    BigGAN,
    BigGANTrunk,
    DCGANTrunk,
    Discriminator,
    EfficientNetLite0,
    FastGAN,
    FastGANTrunk,
    Projected,
    RandomPyramid,
    ResNet,
    ResNet3,
    ResNet3Trunk,
    ResNetTrunk,
    StyleGAN2,
    StyleGAN2Trunk,
)
from rivalry.objectives import BEGAN as EquilibriumLoss
from rivalry.objectives import GAN, Energy, Hinge, Relativistic
from rivalry.optimisers import Adam
from rivalry.penalties import R1, R2, InfoMax, PullAway, Reconstruction, Rotation
from rivalry.recipe import EMA, About
from rivalry.schedules import Cosine
from rivalry.terms import Orthogonal, PathLength
from rivalry.zoo.rows import SMALL_ADAM, SMALL_EMA, Duel, Player, Row, make, row, smaller

GROUP = "backbones"
GENERATE = ("generate",)
CRITIC = Adam(2e-4, 0.0, 0.9)
SMALL_CRITIC = Adam(1e-3, 0.0, 0.9)
FADE = {"lr": Cosine(end=0.05, begin=0.5)}


@row("dcgan")
def dcgan() -> Row:
    about = About(
        "Deep convolutional GAN",
        "Radford et al. 2015, Unsupervised Representation Learning with DCGANs, arXiv:1511.06434",
        2015,
        GROUP,
        "Strided convolutions, batch norm, ReLU up and leaky ReLU down, Adam with beta1 = .5.",
        GENERATE,
    )
    duel = Duel(GAN(), DCGAN(), Discriminator(DCGANTrunk()), Sample(latent=100, distribution="uniform"), batch=128)
    return make("dcgan", about, duel, smaller(duel, game=Sample()))


@row("sngan")
def sngan() -> Row:
    about = About(
        "Spectrally normalised GAN",
        "Miyato et al. 2018, Spectral Normalization for Generative Adversarial Networks, arXiv:1802.05957",
        2018,
        GROUP,
        "Every layer of D is divided by its largest singular value, so D is 1-Lipschitz layer by layer; ResNets.",
        GENERATE,
    )
    player = Player(optimiser=CRITIC)
    judge = Discriminator(ResNetTrunk(), spectral=True)
    duel = Duel(Hinge(), ResNet(), judge, d=replace(player, turns=5), g=player, steps=100_000)
    small = Player(optimiser=SMALL_CRITIC)
    return make(
        "sngan", about, duel,
        smaller(duel, generator=ResNet(width=16, cap=64), d=small, g=small,
                discriminator=Discriminator(ResNetTrunk(width=16, cap=64), spectral=True)),
    )  # fmt: skip


def _pretext(heads: tuple[str, ...], d: Player, g: Player) -> tuple[Duel, Duel]:
    """SNGAN's nets and losses with a pretext task in both players' losses, as mimicry compares them."""
    judge = Discriminator(ResNetTrunk(), heads=heads, spectral=True)
    duel = Duel(Hinge(), ResNet(), judge, d=replace(d, turns=5, optimiser=CRITIC), g=replace(g, optimiser=CRITIC),
                steps=100_000)  # fmt: skip
    trunk = ResNetTrunk(width=16, cap=64)
    small = smaller(duel, generator=ResNet(width=16, cap=64),
                    discriminator=Discriminator(trunk, heads=heads, spectral=True, embedding=64),
                    d=replace(d, optimiser=SMALL_CRITIC), g=replace(g, optimiser=SMALL_CRITIC))  # fmt: skip
    return duel, small


@row("ssgan")
def ssgan() -> Row:
    about = About(
        "Self-supervised GAN",
        "Chen et al. 2018, Self-Supervised GANs via Auxiliary Rotation Loss, arXiv:1811.11212",
        2018,
        GROUP,
        "D also tells by how many quarter turns a picture was rotated, so it does not forget what helps there.",
        GENERATE,
    )
    duel, small = _pretext(("score", "rotation"), Player((Rotation(weight=1.0, on="real"),)),
                           Player((Rotation(weight=0.2, on="fake"),)))  # fmt: skip
    return make("ssgan", about, duel, small)


@row("infomax-gan")
def infomax_gan() -> Row:
    about = About(
        "InfoMax-GAN",
        "Lee et al. 2020, InfoMax-GAN: Improved Adversarial Image Generation via Information Maximization, "
        "arXiv:2007.04589",
        2020,
        GROUP,
        "Local and global features of one picture must find each other among the batch: against forgetting.",
        GENERATE,
    )
    duel, small = _pretext(("score", "infomax"), Player((InfoMax(on="real"),)), Player((InfoMax(on="fake"),)))
    return make("infomax-gan", about, duel, small)


@row("sagan")
def sagan() -> Row:
    about = About(
        "Self-attention GAN",
        "Zhang et al. 2018, Self-Attention Generative Adversarial Networks, arXiv:1805.08318",
        2018,
        GROUP,
        "Attention between all places of a middle layer; spectral norm in both players; two rates (TTUR).",
        GENERATE,
    )
    generator = ResNet(attention=32, spectral=True)
    judge = Discriminator(ResNetTrunk(attention=32), spectral=True)
    duel = Duel(Hinge(), generator, judge, d=Player(optimiser=Adam(4e-4, 0.0, 0.9)),
                g=Player(optimiser=Adam(1e-4, 0.0, 0.9)), batch=256, steps=100_000)  # fmt: skip
    small = smaller(duel, generator=replace(generator, width=16, cap=64, attention=14),
                    discriminator=Discriminator(ResNetTrunk(width=16, cap=64, attention=14), spectral=True),
                    d=Player(optimiser=Adam(2e-3, 0.0, 0.9)), g=Player(optimiser=Adam(1e-3, 0.0, 0.9)))  # fmt: skip
    return make("sagan", about, duel, small)


@row("ebgan")
def ebgan() -> Row:
    about = About(
        "Energy-based GAN",
        "Zhao et al. 2016, Energy-based Generative Adversarial Network, arXiv:1609.03126",
        2016,
        "losses and critics",
        "D is an autoencoder: what it cannot reconstruct has high energy, up to a margin; codes are pulled apart.",
        GENERATE,
    )
    judge = Discriminator(Autoencoder(DCGANTrunk(), DCGAN(), code=256))
    duel = Duel(Energy(margin=1.0), DCGAN(), judge, Sample(latent=100), g=Player((PullAway(0.1),)))
    small = smaller(duel, discriminator=Discriminator(Autoencoder(DCGANTrunk(16), DCGAN(16), code=64)),
                    objective=Energy(margin=0.2))  # fmt: skip
    return make("ebgan", about, duel, small)


@row("began")
def began() -> Row:
    about = About(
        "Boundary equilibrium GAN",
        "Berthelot et al. 2017, BEGAN: Boundary Equilibrium Generative Adversarial Networks, arXiv:1703.10717",
        2017,
        "losses and critics",
        "An autoencoder critic, and a controller that keeps the generator's share of its error at gamma.",
        GENERATE,
        "at the small setting all samples are one after three minutes on a core (773 steps, Fashion-MNIST).",
    )
    player = Player(optimiser=Adam(1e-4, 0.5, 0.999))
    judge = Discriminator(Autoencoder(BEGANTrunk(), BEGAN(), code=64, error="l1"))
    duel = Duel(EquilibriumLoss(), BEGAN(), judge, Sample(latent=64, distribution="uniform"), d=player, g=player,
                controllers=(Balance(gamma=0.75),), batch=16, steps=200_000)  # fmt: skip
    small = smaller(duel, generator=BEGAN(width=16), g=Player(optimiser=SMALL_ADAM), d=Player(optimiser=SMALL_ADAM),
                    discriminator=Discriminator(Autoencoder(BEGANTrunk(16), BEGAN(16), code=32, error="l1")))  # fmt: skip
    return make("began", about, duel, small)


@row("stylegan2-ada")
def stylegan2_ada() -> Row:
    about = About(
        "StyleGAN2 with adaptive discriminator augmentation",
        "Karras et al. 2019, arXiv:1912.04958; Karras et al. 2020, Training GANs with Limited Data, arXiv:2006.06676",
        2020,
        GROUP,
        "Styles modulate convolutions; path length and R1 are regularised lazily; a controller augments what D sees "
        "just enough that it does not memorise.",
        (*GENERATE, "few pictures"),
        "at the small setting all samples are one outline after three minutes on a core (1,013 steps, Fashion-MNIST): far too few for nets "
        "like these.",
    )
    d = Player((R1(weight=0.01, every=16),), optimiser=Adam(2.5e-3, 0.0, 0.99, lazy=16))
    g = Player(terms=(PathLength(),), optimiser=Adam(2.5e-3, 0.0, 0.99, lazy=4))
    duel = Duel(
        GAN(),
        StyleGAN2(),
        Discriminator(StyleGAN2Trunk()),
        StyleSample(latent=512, style_mixing=0.9),
        d=d,
        g=g,
        generator_first=True,
        augment=BGC(),
        controllers=(ADA(), PathMean()),
        ema=EMA(halflife=10_000.0, ramp=0.05),
        batch=32,
        steps=780_000,
    )
    small = replace(
        duel,
        generator=StyleGAN2(style=64, depth=2, width=16, cap=64),
        discriminator=Discriminator(StyleGAN2Trunk(width=16, cap=64)),
        game=StyleSample(latent=64, style_mixing=0.5),
        d=replace(d, penalties=(R1(weight=0.1, every=16),)),
        schedules=FADE,
        steps=5_000,
    )
    return make("stylegan2-ada", about, duel, small)


@row("r3gan")
def r3gan() -> Row:
    about = About(
        "R3GAN",
        "Huang et al. 2024, The GAN is dead; long live the GAN! A Modern Baseline GAN, arXiv:2501.05441",
        2024,
        GROUP,
        "A relativistic loss with R1 and R2 at every step, which provably converges locally, and plain modern "
        "residual nets without any normalisation.",
        GENERATE,
    )
    duel = Duel(
        Relativistic(),
        ResNet3(),
        Discriminator(ResNet3Trunk()),
        Sample(latent=64),
        d=Player((R1(weight=0.05), R2(weight=0.05)), optimiser=Adam(2e-4, 0.0, 0.9)),
        g=Player(optimiser=Adam(2e-4, 0.0, 0.9)),
        augment=BGC(),
        schedules={
            "lr": Cosine(1.0, 0.25, until=0.08),
            "penalty": Cosine(1.0, 0.1, until=0.08),
            "beta2": Cosine(0.9, 0.99, until=0.08),
            "ema": Cosine(0.0, 1.0, until=0.08),
            "augment": Cosine(0.0, 0.55, until=0.08),
        },
        ema=EMA(halflife=5_000_000.0, ramp=0.0),
        batch=512,
        steps=488_000,
    )
    small = replace(
        duel,
        generator=ResNet3(width=8, cap=64, blocks=1),
        discriminator=Discriminator(ResNet3Trunk(width=8, cap=64, blocks=1)),
        d=Player((R1(weight=1.0), R2(weight=1.0)), optimiser=Adam(1e-3, 0.0, 0.9)),
        g=Player(optimiser=Adam(1e-3, 0.0, 0.9)),
        augment=None,
        schedules={
            "lr": Cosine(1.0, 0.05, begin=0.5),
            "penalty": Cosine(1.0, 0.05, until=0.5),
            "beta2": Cosine(0.9, 0.99, until=0.5),
        },
        ema=SMALL_EMA,
        batch=32,
        steps=5_000,
    )
    return make("r3gan", about, duel, small)


def _biggan(deep: bool) -> tuple[Duel, Duel]:
    """BigGAN's setting (hinge, projection, two rates, large batch, orthogonal regularisation) and its small one."""
    judge = Discriminator(BigGANTrunk(deep=deep), condition="projection", spectral=True)
    duel = Duel(
        Hinge(),
        BigGAN(deep=deep),
        judge,
        Sample(latent=128 if deep else 120, conditional=True),
        d=Player(turns=2, optimiser=Adam(2e-4, 0.0, 0.999)),
        g=Player(terms=(Orthogonal(weight=1e-4),), optimiser=Adam(5e-5, 0.0, 0.999)),
        ema=EMA(halflife=14_000_000.0, ramp=0.05),
        batch=2048,
        steps=150_000,
    )
    trunk = BigGANTrunk(width=16, cap=64, deep=deep)
    small = smaller(
        duel,
        generator=BigGAN(width=16, cap=64, deep=deep, label_width=32),
        discriminator=Discriminator(trunk, condition="projection", spectral=True),
        game=Sample(latent=60, conditional=True),
        d=Player(optimiser=Adam(1e-3, 0.0, 0.999)),
        g=Player(terms=(Orthogonal(weight=1e-4),), optimiser=Adam(5e-4, 0.0, 0.999)),
    )
    return duel, small


@row("biggan")
def biggan() -> Row:
    about = About(
        "BigGAN",
        "Brock et al. 2018, Large Scale GAN Training for High Fidelity Natural Image Synthesis, arXiv:1809.11096",
        2018,
        GROUP,
        "Wide ResNets, huge batches, latents fed to every level, orthogonal regularisation, truncation at sampling.",
        (*GENERATE, "generate by class"),
    )
    return make("biggan", about, *_biggan(deep=False))


@row("biggan-deep")
def biggan_deep() -> Row:
    about = About(
        "BigGAN-deep",
        "Brock et al. 2018, Large Scale GAN Training for High Fidelity Natural Image Synthesis, arXiv:1809.11096",
        2018,
        GROUP,
        "BigGAN with bottleneck blocks, four times deeper at fewer parameters, the whole latent at every level.",
        (*GENERATE, "generate by class"),
    )
    return make("biggan-deep", about, *_biggan(deep=True))


@row("fastgan")
def fastgan() -> Row:
    about = About(
        "FastGAN",
        "Liu et al. 2021, Towards Faster and Stabilized GAN Training for High-fidelity Few-shot Image Synthesis, "
        "arXiv:2101.04775",
        2021,
        GROUP,
        "Skip-layer excitation lets coarse maps gate fine ones; D also has to reconstruct what it sees.",
        (*GENERATE, "few pictures"),
    )
    heads = ("score", "reconstruction")
    player = Player(optimiser=Adam(2e-4, 0.5, 0.999))
    duel = Duel(
        Hinge(),
        FastGAN(),
        Discriminator(FastGANTrunk(), heads=heads),
        Sample(latent=256),
        d=replace(player, penalties=(Reconstruction(),)),
        g=player,
        augment=DiffAugment(),
        ema=EMA(halflife=5_500.0, ramp=0.0),
        batch=8,
        steps=50_000,
    )
    player = Player(optimiser=SMALL_ADAM)
    small = smaller(duel, generator=FastGAN(width=8, cap=64), game=Sample(latent=64), augment=DiffAugment(),
                    discriminator=Discriminator(FastGANTrunk(width=16, cap=64), heads=heads),
                    d=replace(player, penalties=(Reconstruction(),)), g=player)  # fmt: skip
    return make("fastgan", about, duel, small)


@row("projected-gan")
def projected_gan() -> Row:
    about = About(
        "Projected GAN",
        "Sauer et al. 2021, Projected GANs Converge Faster, arXiv:2111.01007",
        2021,
        GROUP,
        "Four discriminators judge frozen features, mixed at random across channels and scales; no penalty. The "
        "small setting has random features, since pre-trained ones need the extra 'efficientnet'.",
        GENERATE,
    )
    player = Player(optimiser=Adam(2e-4, 0.0, 0.99))
    duel = Duel(
        Hinge(),
        FastGAN(),
        Discriminator(Projected(EfficientNetLite0(side=256))),
        Sample(latent=256),
        d=player,
        g=player,
        augment=DiffAugment(),
        ema=EMA(halflife=20_000.0),
        batch=64,
        steps=150_000,
    )
    small = smaller(duel, generator=DCGAN(width=16), game=Sample(latent=64), augment=DiffAugment(),
                    discriminator=Discriminator(Projected(RandomPyramid(width=16), channels=16, cap=64)),
                    d=Player(optimiser=SMALL_ADAM), g=Player(optimiser=SMALL_ADAM))  # fmt: skip
    return make("projected-gan", about, duel, small)
