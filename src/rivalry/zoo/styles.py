"""Rows that rewrite texts in another style, learned from corpora that are not parallel."""

from __future__ import annotations

from rivalry.games import ByLength, CrossAlign, Restyle
from rivalry.nets import CrossAligned, Editor, StatesJudge, StyleJudge, StyleTransformer
from rivalry.objectives import GAN, LeastSquares
from rivalry.optimisers import Adam
from rivalry.recipe import About, Recipe, Side, Stage
from rivalry.schedules import Linear
from rivalry.terms import L1, Bernoulli, CrossEntropy, Likelihood
from rivalry.zoo.rows import NO_EMA, Row, row

GROUP = "styles"
APPLICATIONS = ("restyle", "text", "unpaired")

EDITOR = About(
    "Style editor",
    "rivalry 2026; masks after Devlin et al. 2019, BERT, arXiv:1810.04805, doubt after Clark et al. 2020, ELECTRA, arXiv:2003.10555",
    2026,
    GROUP,
    "A text is a row of slots, a word and a blank in turn. The network learns from noise to fill hidden slots in a style, and to doubt "
    "words that do not fit it. Then a discriminator of (text, style), which also sees true texts with the wrong style, teaches it what to "
    "hide so that the text passes as the other style, straight-through; what is hidden is charged. Words are never taught by the "
    "discriminator, so they stay those that people write.",
    APPLICATIONS,
)


def editor(
    name: str, net: Editor, judge: StyleJudge, *, batch: int = 64, steps: int = 8000, warm: float = 0.7, g_lr: float = 2e-3, d_lr: float = 1e-3,
    late: float = 0.25, edits: float = 6.0,
) -> Recipe:  # fmt: skip
    """Filling and doubting for the first share of the training, then against the discriminator as well."""
    taught = (Likelihood(pair="self", length=4.0), Bernoulli(pair="doubt", weight=0.1))
    lessons = Side("generator", ("generator",), terms=taught, optimiser=Adam(g_lr, 0.9, 0.98), clip_gradient=1.0)
    critic = Side("discriminator", ("discriminator",), ("main", "mismatched"), optimiser=Adam(d_lr, 0.5, 0.98))
    charged = (Likelihood(pair="self", length=4.0), L1(edits, pair="edits"))
    player = Side("generator", ("generator",), fools=("fooling",), terms=charged, optimiser=Adam(g_lr * late, 0.9, 0.98), clip_gradient=1.0)
    stages = (
        Stage((lessons,), "filling", warm),
        Stage((critic,), "critic", (1 - warm) * 0.2),
        Stage((critic, player), "adversarial", (1 - warm) * 0.8, fresh=True, together=True),
    )
    return Recipe(
        name, {"generator": net, "discriminator": judge}, Restyle(drawn=True), stages, GAN(), about=EDITOR, sampler=ByLength(),
        schedules={"lr": Linear(1.0, 0.2)}, ema=NO_EMA, batch=batch, steps=steps,
    )  # fmt: skip


@row("style-editor")
def style_editor() -> Row:
    return Row(house("style-editor", gpu=True), house("style-editor-small", gpu=False))


def house(name: str, gpu: bool) -> Recipe:
    """What `rivalry train` takes where styles are all that is known."""
    if gpu:
        return editor(name, Editor(256, 6, 8, near=9, guide=3.0, channel=1.0), StyleJudge(128, filters=200), steps=40_000, batch=128)
    return editor(name, Editor(near=9, guide=3.0, channel=1.0), StyleJudge())


@row("style-transformer")
def style_transformer() -> Row:
    about = About(
        "Style Transformer",
        "Dai et al. 2019, Style Transformer: Unpaired Text Style Transfer without Disentangled Latent Representation, arXiv:1905.05621",
        2019,
        GROUP,
        "A transformer reads a text with a style as one more token and writes it anew. Three losses: the text itself from itself with "
        "noise, the text again from what was made of it (cycle), and a discriminator that knows each style and one class more for what a "
        "network wrote. Gradients go through the words straight-through; ours do not go through words fed back, so that writing needs no "
        "graph and uses a cache.",
        APPLICATIONS,
    )

    def recipe(name: str, net: StyleTransformer, judge: StyleJudge, batch: int, steps: int, lr: float, turns: int, warm: float) -> Recipe:
        lessons = Side("generator", ("generator",), terms=(Likelihood(pair="self"),), optimiser=Adam(lr, 0.9, 0.98), clip_gradient=5.0)
        critic = Side("discriminator", ("discriminator",), terms=(CrossEntropy(pair="told"),), turns=turns, optimiser=Adam(lr, 0.5, 0.98))
        terms = (Likelihood(0.25, pair="self"), Likelihood(0.5, pair="cycle"), CrossEntropy(1.0, pair="fooling"))
        writer = Side("generator", ("generator",), terms=terms, turns=1, optimiser=Adam(lr, 0.9, 0.98), clip_gradient=5.0)
        stages = (Stage((lessons,), "mending", warm), Stage((critic, writer), "adversarial", 1 - warm, fresh=True, together=turns == 1))
        return Recipe(
            name, {"generator": net, "discriminator": judge}, Restyle(), stages, GAN(), about=about, sampler=ByLength(),
            schedules={"tau": Linear(1.0, 0.5)}, ema=NO_EMA, batch=batch, steps=steps,
        )  # fmt: skip

    return Row(
        recipe("style-transformer", StyleTransformer(256, 4, 4), StyleJudge(256, filters=128), 64, 25_000, 1e-4, 2, 0.04),
        recipe("style-transformer-small", StyleTransformer(), StyleJudge(), 64, 4000, 1e-3, 1, 0.5),
    )


@row("text-cycle")
def text_cycle() -> Row:
    about = About(
        "CycleGAN of text",
        "Zhu et al. 2017, Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks, arXiv:1703.10593; tokens "
        "straight-through after arXiv:1308.3432",
        2017,
        GROUP,
        "The losses of CycleGAN on text: least squares against a discriminator of each style, there and back again (cycle, weight 10), and "
        "what has the style already stays (identity, weight 5). One network goes all ways, told the style; words reach the discriminator "
        "straight-through.",
        APPLICATIONS,
    )

    def recipe(name: str, net: StyleTransformer, judge: StyleJudge, batch: int, steps: int, lr: float, warm: float) -> Recipe:
        lessons = Side("generator", ("generator",), terms=(Likelihood(pair="self"),), optimiser=Adam(lr, 0.9, 0.98), clip_gradient=5.0)
        critic = Side("discriminator", ("discriminator",), ("main",), optimiser=Adam(lr, 0.5, 0.98))
        terms = (Likelihood(10.0, pair="cycle"), Likelihood(5.0, pair="same"))
        writer = Side("generator", ("generator",), fools=("fooling",), terms=terms, optimiser=Adam(lr * 0.3, 0.9, 0.98), clip_gradient=5.0)
        stages = (Stage((lessons,), "mending", warm), Stage((critic, writer), "adversarial", 1 - warm, fresh=True, together=True))
        return Recipe(
            name, {"generator": net, "discriminator": judge}, Restyle(), stages, LeastSquares(), about=about, sampler=ByLength(),
            schedules={"tau": Linear(1.0, 0.5)}, ema=NO_EMA, batch=batch, steps=steps,
        )  # fmt: skip

    return Row(
        recipe("text-cycle", StyleTransformer(256, 4, 4), StyleJudge(256, filters=128), 64, 25_000, 1e-4, 0.1),
        recipe("text-cycle-small", StyleTransformer(), StyleJudge(), 64, 4000, 1e-3, 0.5),
    )


@row("cross-aligned")
def cross_aligned() -> Row:
    about = About(
        "Cross-aligned autoencoder",
        "Shen et al. 2017, Style Transfer from Non-Parallel Text by Cross-Alignment, arXiv:1705.09655",
        2017,
        GROUP,
        "A recurrent autoencoder whose writer is told the style. For each style a discriminator sees the writer's states, of true texts that "
        "it is told word by word and of texts of another style that it is fed its own soft words for (professor forcing).",
        APPLICATIONS,
        "In 40 CPU seconds on a small grammar the small setting lost what its input was about (docs/lab/styling.md).",
    )

    def recipe(name: str, net: CrossAligned, filters: int, batch: int, steps: int, lr: float) -> Recipe:
        judge = StatesJudge(net.told + net.code, filters=filters)
        lessons = Side("generator", ("generator",), terms=(Likelihood(pair="self"),), optimiser=Adam(lr, 0.5, 0.999), clip_gradient=30.0)
        critic = Side("discriminator", ("discriminator",), ("main",), optimiser=Adam(lr, 0.5, 0.999))
        writer = Side(
            "generator", ("generator",), fools=("main",), terms=(Likelihood(pair="self"),), optimiser=Adam(lr, 0.5, 0.999), clip_gradient=30.0
        )
        stages = (Stage((lessons,), "autoencoding", 0.3), Stage((critic, writer), "adversarial", 0.7, together=True))
        return Recipe(
            name, {"generator": net, "discriminator": judge}, CrossAlign(), stages, GAN(), about=about, sampler=ByLength(),
            schedules={"tau": Linear(1.0, 0.1)}, ema=NO_EMA, batch=batch, steps=steps,
        )  # fmt: skip

    return Row(
        recipe("cross-aligned", CrossAligned(100, 500, 200, 0.5), 128, 64, 60_000, 5e-4),
        recipe("cross-aligned-small", CrossAligned(), 64, 64, 4000, 1e-3),
    )
