"""GANs that change pictures: restoration, translation of pairs, translation without pairs; and our own recipes for the tasks."""

from __future__ import annotations

from dataclasses import replace

from rivalry.degrade import Blur, Down, Grey, Masked, Noise, Outline, Realistic
from rivalry.degrade.tasks import Task
from rivalry.games import Bicycle, Change, Cycle, Domains, Unpaired
from rivalry.nets import DCGANTrunk, Encoder
from rivalry.nets.contrast import PatchContrast, PatchProjector
from rivalry.nets.patches import PatchGAN, UNetJudge
from rivalry.nets.restorers import Restorer
from rivalry.nets.translators import ResNetTranslator, UNet
from rivalry.objectives import GAN, Hinge, LeastSquares, Null, RelativisticAverage, Wasserstein
from rivalry.optimisers import Adam
from rivalry.parts import Net, Objective, Penalty, Term
from rivalry.penalties import GP, R1, Classification, SeenAlike
from rivalry.recipe import EMA, About, Pool, Recipe, Side, Stage
from rivalry.schedules import Cosine, Linear
from rivalry.terms import KL, L1, L2
from rivalry.zoo.rows import Row, row

GROUP = "changing"
RESTORING = ("restore pictures",)
PIX2PIX = Adam(lr=2e-4, beta1=0.5, beta2=0.999)
SURE = Adam(lr=1e-3, beta1=0.5, beta2=0.999)
GENTLE = Adam(lr=1e-4, beta1=0.9, beta2=0.99)
BRISK = Adam(lr=1e-3, beta1=0.9, beta2=0.99)
DECAY = {"lr": Linear(1.0, 0.0, begin=0.5)}


def mending(
    name: str, about: About, net: Net, game: Change, judge: Net | None = None, objective: Objective | None = None,
    terms: tuple[Term, ...] = (L1(pair="reconstruction"),), penalties: tuple[Penalty, ...] = (), judged: tuple[Penalty, ...] = (),
    first: float = 0.0, optimiser: Adam = GENTLE, fine: Adam = GENTLE, swift: float = 1.0, batch: int = 16, steps: int = 400_000, decay: Cosine | Linear | None = None,
) -> Recipe:  # fmt: skip
    """A generator that mends pictures.  first: the share of training in which pixels alone (the first term) decide; then, with a
    judge, both play.  penalties: charged to the generator on what the judge saw; judged: charged to the judge, whose rate is
    `swift` times that of the generator."""
    alone = Side("generator", ("generator",), terms=terms[:1], optimiser=optimiser, clip_gradient=1.0)
    stages: tuple[Stage, ...] = (Stage((alone,), name="pixels", share=first if judge is not None else 1.0),)
    nets = {"generator": net}
    if judge is not None:
        nets["discriminator"] = judge
        both = Stage(
            (
                Side("discriminator", ("discriminator",), judges=("main",), penalties=judged, optimiser=replace(fine, lr=swift * fine.lr)),
                Side("generator", ("generator",), fools=("main",), terms=terms, penalties=penalties, optimiser=fine),
            ),
            name="adversarial", share=1.0 - first, fresh=True,
        )  # fmt: skip
        stages = (*(stages if first else ()), both)
    return Recipe(
        name=name, about=about, nets=nets, game=game, stages=stages, objective=objective or Null(), ema=EMA(halflife=1000.0 * batch),
        batch=batch, steps=steps, schedules={"lr": decay or Cosine(end=0.02, begin=0.1)},
    )  # fmt: skip


def two(name: str, about: About, published: dict[str, object], small: dict[str, object]) -> Row:
    return Row(mending(name, about, **published), mending(f"{name}-small", about, **{**published, **small}))  # type: ignore[arg-type]


@row("srgan")
def srgan() -> Row:
    about = About(
        "SRGAN", "arXiv:1609.04802", 2016, GROUP,
        "Super-resolution by a residual network, first by pixels, then against a discriminator; here what the discriminator's own "
        "layers see stands in for VGG's features, whose weights no package has.",
        ("super-resolution",),
    )  # fmt: skip
    shared = {
        "net": Restorer(64, 16), "game": Change(Down(4)), "judge": PatchGAN(64, 4, norm="none", spectral=True), "objective": GAN(),
        "terms": (L1(pair="reconstruction", weight=10.0),), "penalties": (SeenAlike(weight=10.0),), "first": 0.5, "steps": 1_200_000,
    }  # fmt: skip
    return two("srgan", about, shared, {"net": Restorer(32, 6), "judge": PatchGAN(32, 3, norm="none", spectral=True), "optimiser": BRISK, "steps": 10_000})


@row("esrgan")
def esrgan() -> Row:
    about = About(
        "ESRGAN", "arXiv:1809.00219", 2018, GROUP,
        "Residual in residual dense blocks without batch norm, and a discriminator that says which of the two is more real "
        "(relativistic average); the discriminator's layers stand in for VGG's.",
        ("super-resolution",),
    )  # fmt: skip
    shared = {
        "net": Restorer(64, 23, body="dense"), "game": Change(Down(4)), "judge": PatchGAN(64, 4, norm="none", spectral=True),
        "objective": RelativisticAverage(), "terms": (L1(pair="reconstruction", weight=2.0),), "penalties": (SeenAlike(weight=10.0),),
        "first": 0.7, "steps": 1_400_000,
    }  # fmt: skip
    small = {"net": Restorer(24, 2, body="dense", grow=12), "judge": PatchGAN(32, 3, norm="none", spectral=True), "optimiser": BRISK, "steps": 10_000}
    return two("esrgan", about, shared, small)


@row("real-esrgan")
def real_esrgan() -> Row:
    about = About(
        "Real-ESRGAN", "arXiv:2107.10833", 2021, GROUP,
        "ESRGAN's network learns from faults as they come in the wild: blur, resizing, noise and JPEG drawn twice over for every "
        "picture; a U-Net with spectral norm judges every pixel.",
        ("super-resolution", "restore pictures"),
    )  # fmt: skip
    shared = {
        "net": Restorer(64, 23, body="dense"), "game": Change(Realistic(4)), "judge": UNetJudge(64), "objective": GAN(),
        "terms": (L1(pair="reconstruction", weight=10.0),), "penalties": (SeenAlike(weight=10.0),), "first": 0.7, "batch": 48, "steps": 1_400_000,
    }  # fmt: skip
    small = {"net": Restorer(32, 6), "judge": UNetJudge(16), "optimiser": BRISK, "batch": 16, "steps": 10_000}
    return two("real-esrgan", about, shared, small)


@row("deblurgan")
def deblurgan() -> Row:
    about = About(
        "DeblurGAN", "arXiv:1711.07064", 2017, GROUP,
        "Takes motion blur away with a residual translator against a Wasserstein critic with gradient penalty on patches; the "
        "critic's layers stand in for VGG's.",
        ("deblur",),
    )  # fmt: skip
    shared = {
        "net": ResNetTranslator(64, 9, near=True), "game": Change(Blur()), "judge": PatchGAN(64, 3), "objective": Wasserstein(),
        "terms": (L1(pair="reconstruction", weight=100.0),), "penalties": (SeenAlike(weight=10.0),), "judged": (GP(share=0.5),),
        "batch": 1, "steps": 300_000, "decay": Linear(1.0, 0.0, begin=0.5),
    }  # fmt: skip
    return two("deblurgan", about, shared, {"net": ResNetTranslator(16, 4, near=True), "judge": PatchGAN(16, 2), "batch": 8, "steps": 5_000})


@row("lama")
def lama() -> Row:
    about = About(
        "Inpainting as LaMa trains it", "arXiv:2109.07161", 2021, GROUP,
        "Holes of strokes and boxes are filled; the judge goes by patches, with R1, and what its layers see is matched. Plain "
        "convolutions stand where the paper has Fourier ones.",
        ("inpaint",),
    )  # fmt: skip
    shared = {
        "net": UNet(64), "game": Change(Masked(), "mirrored", conditional=True), "judge": PatchGAN(64, 3, norm="none", conditional=True), "objective": GAN(),
        "terms": (L1(pair="reconstruction", weight=10.0),), "penalties": (SeenAlike(weight=30.0),), "judged": (R1(weight=0.001, every=4),),
        "batch": 10, "steps": 1_000_000,
    }  # fmt: skip
    return two("lama", about, shared, {"net": UNet(32), "judge": PatchGAN(32, 3, norm="none", conditional=True), "optimiser": BRISK, "batch": 16, "steps": 10_000})


@row("context-encoder")
def context_encoder() -> Row:
    about = About(
        "Context Encoder", "arXiv:1604.07379", 2016, GROUP,
        "The first GAN to fill holes: an encoder and decoder with squared error and a discriminator on what was filled.",
        ("inpaint",),
    )  # fmt: skip
    shared = {
        "net": UNet(64, norm="batch"), "game": Change(Masked("box"), "mirrored"), "judge": PatchGAN(64, 4), "objective": GAN(),
        "terms": (L2(pair="reconstruction", weight=100.0),), "batch": 64, "steps": 100_000, "fine": PIX2PIX,
    }  # fmt: skip
    return two("context-encoder", about, shared, {"net": UNet(16, norm="batch"), "judge": PatchGAN(16, 3), "batch": 16, "steps": 5_000})


@row("dncnn")
def dncnn() -> Row:
    about = About(
        "DnCNN", "arXiv:1608.03981", 2016, GROUP,
        "No game: 17 to 20 convolutions with batch norm learn the noise itself by squared error; the rival of denoisers.",
        ("denoise",),
    )  # fmt: skip
    shared = {
        "net": Restorer(64, 18, body="plain", norm=True), "game": Change(Noise()), "terms": (L2(pair="reconstruction"),),
        "optimiser": BRISK, "batch": 128, "steps": 150_000,
    }  # fmt: skip
    return two("dncnn", about, shared, {"net": Restorer(32, 8, body="plain", norm=True), "batch": 16, "steps": 5_000})


@row("pix2pix")
def pix2pix() -> Row:
    about = About(
        "pix2pix", "arXiv:1611.07004", 2016, GROUP,
        "Pairs: a U-Net makes one of the other by 100 L1, and a discriminator that sees both judges patches.",
        ("translate pairs", "colourise", "sketch"),
    )  # fmt: skip
    shared = {
        "net": UNet(64, norm="batch", dropout=0.5, always=True), "game": Change(None, "mirrored", conditional=True),
        "judge": PatchGAN(64, 3, norm="batch", conditional=True), "objective": GAN(), "terms": (L1(pair="reconstruction", weight=100.0),),
        "fine": PIX2PIX, "batch": 1, "steps": 80_000, "decay": Linear(1.0, 0.0, begin=0.5),
    }  # fmt: skip
    small = {"net": UNet(32), "judge": PatchGAN(32, 2, conditional=True), "batch": 16, "steps": 5_000}
    return two("pix2pix", about, shared, small)


@row("bicyclegan")
def bicyclegan() -> Row:
    about = About(
        "BicycleGAN", "arXiv:1711.11586", 2017, GROUP,
        "pix2pix with many answers: a latent goes in beside the picture, an encoder must find it again in the answer, and the code of a true "
        "answer must give that answer back. One judge here, where the paper has two of a kind, and the encoder learns from both ways.",
        ("translate pairs", "many answers"),
    )  # fmt: skip

    def recipe(name: str, net: Net, encoder: Net, judge: Net, batch: int, steps: int) -> Recipe:
        terms = (L1(pair="reconstruction", weight=10.0), KL(weight=0.01), L1(pair="code", weight=0.5))
        sides = (
            Side("discriminator", ("discriminator",), judges=("main", "random"), optimiser=PIX2PIX),
            Side("generator", ("generator", "encoder"), fools=("main", "random"), terms=terms, optimiser=PIX2PIX),
        )
        return Recipe(
            name=name, about=about, nets={"generator": net, "encoder": encoder, "discriminator": judge}, game=Bicycle(None, "mirrored"), stages=(Stage(sides),),
            objective=LeastSquares(), ema=EMA(halflife=1000.0 * batch), batch=batch, steps=steps, schedules=DECAY,
        )  # fmt: skip

    return Row(
        recipe("bicyclegan", UNet(64), Encoder(DCGANTrunk(64)), PatchGAN(64, 3, scales=2), 2, 60_000),
        recipe("bicyclegan-small", UNet(24), Encoder(DCGANTrunk(16)), PatchGAN(32, 2), 16, 5_000),
    )


def _cycle(name: str, about: About, net: Net, judge: Net, cycle: float, identity: float, objective: Objective, batch: int, steps: int,
           optimiser: Adam = PIX2PIX, penalties: tuple[Penalty, ...] = (), pool: Pool | None = None) -> Recipe:  # fmt: skip
    terms: tuple[Term, ...] = (L1(pair="cycle", weight=cycle), L1(pair="cycle-back", weight=cycle))
    if identity:
        terms += (L1(pair="identity", weight=identity), L1(pair="identity-back", weight=identity))
    back = tuple(replace(p, match="back") for p in penalties)  # type: ignore[type-var]
    sides = (
        Side("discriminator", ("discriminator",), judges=("main",), penalties=penalties, optimiser=optimiser, pool=pool),
        Side("judge-back", ("judge-back",), judges=("back",), penalties=back, optimiser=optimiser, pool=pool),
        Side("generator", ("generator", "back"), fools=("main", "back"), terms=terms, optimiser=optimiser),
    )
    return Recipe(
        name=name, about=about, nets={"generator": net, "back": net, "discriminator": judge, "judge-back": judge}, game=Cycle(), sampler=Unpaired(),
        stages=(Stage(sides),), objective=objective, ema=EMA(("generator", "back"), halflife=1000.0 * batch), batch=batch, steps=steps, schedules=DECAY,
    )  # fmt: skip


@row("cyclegan")
def cyclegan() -> Row:
    about = About(
        "CycleGAN", "arXiv:1703.10593", 2017, GROUP,
        "Two sets without pairs: there and back again must give the picture one began with (10 L1), and what is already there must "
        "stay (5 L1). Each judge sees 50 earlier pictures by turns with fresh ones (Shrivastava et al. 2017), which only the published "
        "setting does.",
        ("translate without pairs", "style"),
    )  # fmt: skip
    return Row(
        _cycle("cyclegan", about, ResNetTranslator(64, 9), PatchGAN(64, 3), 10, 5, LeastSquares(), 1, 200_000, pool=Pool(50)),
        _cycle("cyclegan-small", about, ResNetTranslator(24, 4), PatchGAN(32, 2), 10, 5, LeastSquares(), 4, 5_000),
    )


@row("discogan")
def discogan() -> Row:
    about = About(
        "DiscoGAN", "arXiv:1703.05192", 2017, GROUP,
        "Finds relations between two sets, handbags and shoes of one colour for example: cycles as CycleGAN, but with U-Nets, the first "
        "GAN's loss and no identity term, so shapes may change.",
        ("translate without pairs",),
    )  # fmt: skip
    return Row(
        _cycle("discogan", about, UNet(64, norm="batch"), PatchGAN(64, 4, norm="batch"), 1, 0, GAN(), 200, 50_000),
        _cycle("discogan-small", about, UNet(16), PatchGAN(16, 3), 1, 0, GAN(), 8, 5_000),
    )


@row("dualgan")
def dualgan() -> Row:
    about = About(
        "DualGAN", "arXiv:1704.02510", 2017, GROUP,
        "Two sets without pairs under Wasserstein's loss, with reconstruction by L1; gradient penalty here, where the paper clips.",
        ("translate without pairs",),
    )  # fmt: skip
    return Row(
        _cycle("dualgan", about, UNet(64), PatchGAN(64, 3), 20, 0, Wasserstein(), 4, 100_000, penalties=(GP(share=0.5),)),
        _cycle("dualgan-small", about, UNet(16), PatchGAN(16, 2), 20, 0, Wasserstein(), 8, 5_000, penalties=(GP(share=0.5),)),
    )


@row("stargan")
def stargan() -> Row:
    about = About(
        "StarGAN", "arXiv:1711.09020", 2017, GROUP,
        "One generator goes between any two of several classes: it is told which to make, a Wasserstein critic of patches with gradient penalty "
        "also names classes, and the way back must give the picture one began with.",
        ("translate without pairs", "several domains"),
    )  # fmt: skip

    def recipe(name: str, net: Net, judge: Net, turns: int, batch: int, steps: int) -> Recipe:
        d = Side(
            "discriminator", ("discriminator",), judges=("main",), penalties=(GP(share=0.5), Classification(on=("real",))), turns=turns, optimiser=PIX2PIX
        )
        g = Side("generator", ("generator",), fools=("main",), penalties=(Classification(on=("fake",)),), terms=(L1(pair="cycle", weight=10.0),), optimiser=PIX2PIX)
        return Recipe(
            name=name, about=about, nets={"generator": net, "discriminator": judge}, game=Domains(), stages=(Stage((d, g)),), objective=Wasserstein(),
            ema=EMA(halflife=1000.0 * batch), batch=batch, steps=steps, schedules=DECAY,
        )  # fmt: skip

    return Row(
        recipe("stargan", ResNetTranslator(64, 6), PatchGAN(64, 5, norm="none", classes=True, cap=2048), 5, 16, 200_000),
        recipe("stargan-small", ResNetTranslator(24, 4), PatchGAN(32, 3, norm="none", classes=True), 2, 8, 5_000),
    )


def _contrast(
    name: str, about: About, net: ResNetTranslator, judge: Net, terms: tuple[Term, ...], optimiser: Adam, batch: int, steps: int, patches: PatchContrast,
    same: float = 0.0, swift: float = 1.0, objective: Objective | None = None,
) -> Recipe:  # fmt: skip
    """One way between two sets.  patches: the charge on what is made; same: the weight of the same charge on pictures that should stay;
    terms: others; the judge's rate is `swift` times that of the generator."""
    width, blocks = net.width, net.blocks
    layers = (0, 1, 2, 2 + max(1, blocks // 3), 2 + max(2, 2 * blocks // 3))
    made = replace(patches, layers=layers)
    stay = (replace(made, weight=same, pair="identity"),) if same else ()
    sides = (
        Side("discriminator", ("discriminator",), judges=("main",), optimiser=replace(optimiser, lr=swift * optimiser.lr)),
        Side("generator", ("generator", "projector"), fools=("main",), terms=(made, *stay, *terms), optimiser=optimiser),
    )
    return Recipe(
        name=name, about=about, game=Cycle(one_way=True), sampler=Unpaired(), stages=(Stage(sides),), objective=objective or LeastSquares(),
        nets={"generator": net, "projector": PatchProjector((width, 2 * width, 4 * width, 4 * width, 4 * width)), "discriminator": judge},
        ema=EMA(halflife=1000.0 * batch), batch=batch, steps=steps, schedules=DECAY,
    )  # fmt: skip


def _cut(name: str, about: About, width: int, blocks: int, weight: float, same: float, batch: int, steps: int) -> Recipe:
    return _contrast(name, about, ResNetTranslator(width, blocks), PatchGAN(width, 3), (), PIX2PIX, batch, steps, PatchContrast(weight), same)


@row("cut")
def cut() -> Row:
    about = About(
        "CUT", "arXiv:2007.15651", 2020, GROUP,
        "Two sets, one way: every patch of what is made must be known among 256 as the one that stood there before (PatchNCE), half of "
        "it charged on pictures that should stay. May move shapes: not for medical pictures.",
        ("translate without pairs", "style"),
    )  # fmt: skip
    return Row(_cut("cut", about, 64, 9, 0.5, 0.5, 1, 400_000), _cut("cut-small", about, 24, 4, 0.5, 0.5, 4, 5_000))


@row("fastcut")
def fastcut() -> Row:
    about = About(
        "FastCUT", "arXiv:2007.15651", 2020, GROUP,
        "CUT with ten times the weight on patches and no identity, in half the time.",
        ("translate without pairs", "style"),
    )  # fmt: skip
    return Row(_cut("fastcut", about, 64, 9, 10.0, 0.0, 1, 200_000), _cut("fastcut-small", about, 24, 4, 10.0, 0.0, 4, 5_000))


ZOOM = 0.6
"""Least factor by which pictures are shrunk in training to enlarge: without it 320 pictures are known by heart after six minutes
(docs/lab/changing.md)."""

HOUSE = About(
    "The house recipe for changing pictures", "rivalry 2026; parts from arXiv:1609.05158, 1707.02921, 1711.11585, 2107.10833", 2026, "house",
    "A residual network without normalisation that begins as the identity, by pixels alone; where something must be invented, a second "
    "stage against a judge of patches, matched by what its layers see.",
    RESTORING,
)  # fmt: skip


def _layers(size: int) -> int:
    """Of a judge of patches of 34 px, or of 70 where pictures are larger (Isola et al. 2017)."""
    return 2 if size <= 96 else 3


def _several(name: str, about: About, gpu: bool, size: int) -> Recipe:
    """Between any two of several classes: in two turns and at PIX2PIX's rates StarGAN is still at negatives of pictures after minutes
    (docs/lab/changing.md)."""
    wide, deep, batch = (64, 6, 16) if gpu else (24, 4, 8)
    judge = PatchGAN(64 if gpu else 32, _layers(size), norm="none", spectral=True, classes=True)
    stay = L1(pair="cycle", weight=5.0), L1(pair="identity", weight=5.0)
    d = Side("discriminator", ("discriminator",), judges=("main",), penalties=(Classification(on=("real",)),), optimiser=replace(SURE, lr=5e-4))
    g = Side("generator", ("generator",), fools=("main",), penalties=(Classification(on=("fake",)),), terms=stay, optimiser=SURE)
    return Recipe(
        name=name, about=about, nets={"generator": ResNetTranslator(wide, deep), "discriminator": judge}, game=Domains(), stages=(Stage((d, g)),), objective=Hinge(),
        ema=EMA(halflife=500.0 * batch), batch=batch, steps=10_000, schedules=DECAY,
    )  # fmt: skip


def house(task: Task, gpu: bool, channels: int, size: int, adversarial: bool | None = None) -> Recipe:
    """Our recipe for a task.  adversarial: with the second stage; by the task's own word if None."""
    play = task.adversarial if adversarial is None else adversarial
    name = f"house-{task.name}"
    about = replace(HOUSE, applications=(task.name,))
    if task.layout == "unpaired":
        wide, deep = (64, 9) if gpu else (24, 4)
        one_way = "FastCUT against a judge of hinge and spectral norm, and what is already of the other kind must stay (L1); learns five times as fast."
        return _contrast(
            # instance norm and least squares let the judge win, and colours come back, after two thousand steps (docs/lab/changing.md)
            name, replace(about, distinctive=one_way), ResNetTranslator(wide, deep), PatchGAN(wide, _layers(size), norm="none", spectral=True),
            (L1(pair="identity"),), SURE, 4, 10_000, PatchContrast(patches=128), swift=0.5, objective=Hinge(),
        )  # fmt: skip
    if task.layout == "classes":
        several = "StarGAN with a judge of hinge and spectral norm in one turn at five times the rate, and what is of a class must stay in it (L1)."
        return _several(name, replace(about, distinctive=several), gpu, size)
    wide, batch = (64, 16) if gpu else (32, 8)
    if isinstance(task.degradation, Masked | Grey | Outline) or task.layout == "pairs":  # what is far away bears on it
        damaged = task.degradation
        holes = isinstance(damaged, Masked)
        net: Net = UNet(wide, norm="instance", near=holes or isinstance(damaged, Grey), holes=holes)
        game = Change(task.degradation, "mirrored", conditional=True)
        judge: Net = PatchGAN(wide, _layers(size), norm="none" if holes else "instance", spectral=holes, conditional=True)
        terms: tuple[Term, ...] = (L1(pair="reconstruction", weight=100.0 if task.layout == "pairs" else 10.0),)
        return mending(
            name, about, net, game, judge if play else None, GAN(), terms, (SeenAlike(weight=10.0),),
            # much of a judge makes what fills holes worse by every measure: it has the last word only (docs/lab/changing.md)
            first=0.0 if damaged is None else 0.85 if holes else 0.6, optimiser=BRISK, fine=replace(PIX2PIX, lr=5e-4), batch=batch, steps=10_000,
            # of pairs, what is made gets worse as the rate falls (docs/lab/changing.md)
            decay=Cosine(end=0.6, begin=0.1) if task.layout == "pairs" else None,
        )  # fmt: skip
    enlarges = isinstance(task.degradation, Down) or (isinstance(task.degradation, Realistic) and task.degradation.scale > 1)
    net = Restorer(64, 16 if gpu else 8, shrink=1 if enlarges else 2)
    # judges that halve first are cheap: four times the steps of one that judges every pixel (docs/lab/changing.md)
    judge = PatchGAN(64 if gpu else 32, 3, norm="none", spectral=True)
    return mending(
        name, about, net, Change(task.degradation, zoom=ZOOM if enlarges else 1.0), judge if play else None, GAN() if play else None, (L1(pair="reconstruction", weight=3.0),),
        (SeenAlike(weight=10.0),), first=0.6, optimiser=BRISK, fine=replace(GENTLE, lr=2e-4), swift=4.0, batch=16, steps=20_000,
    )  # fmt: skip
