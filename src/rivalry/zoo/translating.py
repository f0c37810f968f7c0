"""GANs that translate pictures by codes and classes: UNIT, MUNIT, PixelDA, and CCGAN, which fills holes to learn classes."""

from __future__ import annotations

from rivalry.games import Adapt, Context, SharedCode, Styles, Unpaired
from rivalry.nets import MUNIT, UNIT, DCGANTrunk, Discriminator, FlatTranslator, PatchGAN, PictureClassifier, UNet
from rivalry.objectives import GAN, LeastSquares
from rivalry.optimisers import Adam
from rivalry.parts import Game, Net, Schedule, Term
from rivalry.penalties import SemiSupervised
from rivalry.recipe import EMA, About, Recipe, Side, Stage
from rivalry.schedules import Exponential, Linear
from rivalry.terms import L1, CrossEntropy, PairwiseL2, UnitKL
from rivalry.zoo.changing import GROUP
from rivalry.zoo.rows import Row, row

SLOW = Adam(lr=1e-4, beta1=0.5, beta2=0.999)
SWIFT = Adam(lr=5e-4, beta1=0.5, beta2=0.999)


def both_ways(pair: str, weight: float) -> tuple[Term, Term]:
    """L1 of the pair, and of the one that begins at the other set."""
    return L1(pair=pair, weight=weight), L1(pair=f"{pair}-back", weight=weight)


def _through_code(
    name: str, about: About, net: Net, judge: Net, game: Game, terms: tuple[Term, ...], batch: int, steps: int, optimiser: Adam, schedule: Schedule
) -> Recipe:
    """Two judges against one generator that goes both ways."""
    sides = (
        Side("discriminator", ("discriminator",), judges=("main",), optimiser=optimiser),
        Side("judge-back", ("judge-back",), judges=("back",), optimiser=optimiser),
        Side("generator", ("generator",), fools=("main", "back"), terms=terms, optimiser=optimiser),
    )
    return Recipe(
        name=name, about=about, nets={"generator": net, "discriminator": judge, "judge-back": judge}, game=game, sampler=Unpaired(),
        stages=(Stage(sides),), objective=LeastSquares(), ema=EMA(halflife=1000.0 * batch), batch=batch, steps=steps, schedules={"lr": schedule},
    )  # fmt: skip


@row("unit")
def unit() -> Row:
    about = About(
        "UNIT", "arXiv:1703.00848", 2017, GROUP,
        "Two sets without pairs meet in one latent: two variational autoencoders whose last encoding and first decoding layers are shared; the "
        "code of a picture, decoded in the other set and encoded again, must give it back. Judges at three scales with least squares, as the "
        "authors' later code, where patches of all scales weigh alike here; charges are means over pixels and code, all divided by ten, and the "
        "rate falls steadily where theirs is halved every 100,000 steps.",
        ("translate without pairs", "style"),
    )  # fmt: skip
    codes = tuple(UnitKL(pair=p, weight=0.02) for p in ("posterior", "posterior-back", "posterior-cycle", "posterior-cycle-back"))
    terms = (*both_ways("reconstruction", 10.0), *both_ways("cycle", 10.0), *codes)
    return Row(
        _through_code("unit", about, UNIT(64), PatchGAN(64, 4, scales=3, norm="none"), SharedCode(), terms, 1, 1_000_000, SLOW, Exponential(1.0, 2.0**-10)),
        _through_code("unit-small", about, UNIT(24, blocks=3), PatchGAN(32, 2, scales=2, norm="none"), SharedCode(), terms, 4, 5_000, SWIFT, Linear(1.0, 0.0, begin=0.5)),
    )


@row("munit")
def munit() -> Row:
    about = About(
        "MUNIT", "arXiv:1804.04732", 2018, GROUP,
        "A picture is content and style: the content is kept, the style of the other set is drawn, so one picture has many answers (rivalry "
        "apply --draws). Pictures, contents and styles must be found again in what was made. Judges at three scales with least squares, whose patches all "
        "weigh alike here; gains of the styled norms are 1 + what the style says; weight decay is AdamW's; the rate falls steadily where theirs "
        "is halved every 100,000 steps; no perceptual loss, which the paper takes at high resolution only.",
        ("translate without pairs", "style", "many answers"),
    )  # fmt: skip
    terms = (*both_ways("reconstruction", 10.0), *both_ways("content", 1.0), *both_ways("style", 1.0))
    return Row(
        _through_code("munit", about, MUNIT(64), PatchGAN(64, 4, scales=3, norm="none"), Styles(), terms, 1, 1_000_000,
                      Adam(lr=1e-4, beta1=0.5, beta2=0.999, weight_decay=1e-4), Exponential(1.0, 2.0**-10)),
        _through_code("munit-small", about, MUNIT(24, blocks=3, hidden=64), PatchGAN(32, 2, scales=2, norm="none"), Styles(), terms, 4, 5_000, SWIFT,
                      Linear(1.0, 0.0, begin=0.5)),
    )  # fmt: skip


@row("pixelda")
def pixelda() -> Row:
    about = About(
        "PixelDA", "arXiv:1612.05424", 2016, GROUP,
        "Labelled pictures are made to look like unlabelled ones of another kind; a classifier learns from both, and so names the other kind "
        "(rivalry apply RUN PICTURES -o classes.csv). Noise is joined as planes, normal where the paper draws it uniform; the judge goes by "
        "patches and sees no noise or dropout. The content similarity, term 'pairwise-l2', is charged in the small setting only: on digits "
        "the authors leave it out.",
        ("domain adaptation", "classification"),
    )  # fmt: skip

    def recipe(name: str, net: Net, judge: Net, tower: Net, similar: float, batch: int, steps: int, optimiser: Adam, schedule: Schedule) -> Recipe:
        # of the authors' weights on MNIST-M the generator's are .0113 for the judge and .0101 for the task
        terms: tuple[Term, ...] = (CrossEntropy(pair="task", weight=0.9),)
        if similar:
            terms += (PairwiseL2(weight=similar),)
        sides = (
            Side("discriminator", ("discriminator",), judges=("main",), optimiser=optimiser),
            Side("classifier", ("classifier",), terms=(CrossEntropy(pair="task"), CrossEntropy(pair="task-source")), optimiser=optimiser),
            Side("generator", ("generator",), fools=("main",), terms=terms, optimiser=optimiser),
        )
        return Recipe(
            name=name, about=about, nets={"generator": net, "classifier": tower, "discriminator": judge}, game=Adapt(), sampler=Unpaired(),
            stages=(Stage(sides),), objective=GAN(), ema=EMA(("generator", "classifier"), halflife=500.0 * batch), batch=batch, steps=steps,
            schedules={"lr": schedule},
        )  # fmt: skip

    slowly = Exponential(1.0, 0.95**25)  # .95 every 20,000 of half a million steps
    return Row(
        recipe("pixelda", FlatTranslator(64, 6), PatchGAN(64, 3, norm="batch"), PictureClassifier(), 0.0, 32, 500_000, Adam(lr=1e-3, beta1=0.5, beta2=0.999), slowly),
        recipe("pixelda-small", FlatTranslator(24, 3), PatchGAN(32, 2, norm="none"), PictureClassifier(DCGANTrunk(16, norm="layer")), 0.1, 16, 3_000,
               SWIFT, Linear(1.0, 0.0, begin=0.5)),
    )  # fmt: skip


@row("ccgan")
def ccgan() -> Row:
    about = About(
        "CCGAN (CC-GAN squared)", "arXiv:1611.06430", 2016, GROUP,
        "Holes are filled by what is around them, and the judge of the fillings also learns classes, from as many pictures as have a label: "
        "it sees the filled picture and, as the paper's second form, all that the generator made. No low-resolution picture is shown beside "
        "the hole, since of pictures with holes nobody has one; DCGAN's trunk stands for VGG's.",
        ("inpaint", "semi-supervised classification"),
    )  # fmt: skip

    def recipe(name: str, net: Net, width: int, pixels: float, batch: int, steps: int, optimiser: Adam) -> Recipe:
        terms = (L1(pair="reconstruction", weight=pixels),) if pixels else ()
        judge = Discriminator(DCGANTrunk(width, norm="layer"), heads=("score", "class"))
        sides = (
            Side("discriminator", ("discriminator",), judges=("main", "whole"), penalties=(SemiSupervised(),), optimiser=optimiser),
            Side("generator", ("generator",), fools=("main", "whole"), terms=terms, optimiser=optimiser),
        )
        return Recipe(
            name=name, about=about, nets={"generator": net, "discriminator": judge}, game=Context(), stages=(Stage(sides),), objective=GAN(),
            ema=EMA(("generator", "discriminator"), halflife=500.0 * batch), batch=batch, steps=steps, schedules={"lr": Linear(1.0, 0.0, begin=0.5)},
        )  # fmt: skip

    return Row(
        recipe("ccgan", UNet(64, norm="batch"), 64, 0.0, 64, 100_000, Adam(lr=2e-4, beta1=0.5, beta2=0.999)),
        recipe("ccgan-small", UNet(16), 16, 10.0, 16, 5_000, SWIFT),
    )
