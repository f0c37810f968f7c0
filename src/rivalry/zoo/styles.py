"""Rows that rewrite texts in another style, learned from corpora that are not parallel."""

from __future__ import annotations

from rivalry.games import ByLength, Restyle
from rivalry.nets import Editor, StyleJudge
from rivalry.objectives import GAN
from rivalry.optimisers import Adam
from rivalry.recipe import About, Recipe, Side, Stage
from rivalry.schedules import Linear
from rivalry.terms import Likelihood
from rivalry.zoo.rows import NO_EMA, Row, row

GROUP = "styles"
APPLICATIONS = ("restyle", "text", "unpaired")

EDITOR = About(
    "Style editor",
    "rivalry 2026; losses after Dai et al. 2019, Style Transformer, arXiv:1905.05621",
    2026,
    GROUP,
    "A text is a row of slots, a token and a blank in turn; all are kept, replaced, emptied or filled at once, so nothing is "
    "written word by word. It first learns to mend texts with noise, given their style: words that do not fit the style asked for look "
    "like mistakes. Then a discriminator of (text, style), which also sees true texts with the wrong style, says what is still to be changed.",
    APPLICATIONS,
)


def editor(
    name: str, net: Editor, judge: StyleJudge, *, batch: int = 64, steps: int = 4000, warm: float = 0.5, g_lr: float = 1e-3, d_lr: float = 1e-3,
    self_weight: float = 1.0, same: float = 0.0, cycle: float = 0.5, drawn: bool = True, late: float = 0.3,
) -> Recipe:  # fmt: skip
    """Mending noise for the first share of the training, then against the discriminator as well."""
    lessons = Side("generator", ("generator",), terms=(Likelihood(pair="self"),), optimiser=Adam(g_lr, 0.9, 0.98), clip_gradient=1.0)
    critic = Side("discriminator", ("discriminator",), ("main", "mismatched"), optimiser=Adam(d_lr, 0.5, 0.98))
    terms = tuple(
        Likelihood(weight, pair=pair) for pair, weight in (("self", self_weight), ("same", same), ("cycle", cycle)) if weight
    )
    player = Side("generator", ("generator",), fools=("fooling",), terms=terms, optimiser=Adam(g_lr * late, 0.9, 0.98), clip_gradient=1.0)
    stages = (
        Stage((lessons,), "mending", warm),
        Stage((critic, player), "adversarial", 1 - warm, fresh=True, together=True),
    )
    return Recipe(
        name, {"generator": net, "discriminator": judge}, Restyle(drawn=drawn), stages, GAN(), about=EDITOR, sampler=ByLength(),
        schedules={"lr": Linear(1.0, 0.2), "tau": Linear(1.0, 0.5)}, ema=NO_EMA, batch=batch, steps=steps,
    )  # fmt: skip


@row("style-editor")
def style_editor() -> Row:
    return Row(
        editor("style-editor", Editor(256, 4, 8), StyleJudge(128, filters=200), steps=20_000, batch=128),
        editor("style-editor-small", Editor(), StyleJudge(), steps=4000),
    )
