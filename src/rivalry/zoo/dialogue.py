"""Rows for dialogue: maximum likelihood, adversarial replies with a reward for each token, and the historic one with roll-outs."""

from __future__ import annotations

from dataclasses import replace

from rivalry.games import ByLength, Reply, ReplyRollout
from rivalry.nets import ReplyJudge, ReplyLM
from rivalry.objectives import GAN, Null
from rivalry.optimisers import Adam
from rivalry.parts import Term
from rivalry.recipe import About, Recipe, Side, Stage
from rivalry.schedules import Cosine
from rivalry.terms import CrossEntropy, Likelihood, Policy
from rivalry.zoo.rows import NO_EMA, Row, row

GROUP = "text"
APPLICATIONS = ("reply", "dialogue", "chat", "text")


def writer(lr: float) -> Side:
    """The generator as it learns by likelihood."""
    return Side("generator", ("generator",), terms=(Likelihood(),), optimiser=Adam(lr, 0.9, 0.999), clip_gradient=1.0)


def taught(name: str, about: About, net: ReplyLM, steps: int, batch: int, lr: float) -> Recipe:
    """Maximum likelihood of all that is said, one turn after the other."""
    return Recipe(
        name, {"generator": net}, Reply(), (Stage((writer(lr),)),), Null(), about=about, sampler=ByLength(), schedules={"lr": Cosine(end=0.1)},
        ema=NO_EMA, batch=batch, steps=steps,
    )  # fmt: skip


def adversarial(
    name: str, about: About, game: Reply, net: ReplyLM, judge: ReplyJudge, policy: tuple[Term, ...], *, steps: int, batch: int,
    first: float, lr: float, d_lr: float, g_lr: float,
) -> Recipe:  # fmt: skip
    """Likelihood for the first share of the training, then the discriminator alone for a moment, then both: in each batch the
    generator is charged by its rewards and by likelihood."""
    critic = Side(
        "discriminator", ("discriminator",), ("main",), terms=(CrossEntropy(pair="matching"),), optimiser=Adam(d_lr, 0.9, 0.999), clip_gradient=1.0
    )
    later = replace(critic, optimiser=Adam(d_lr / 2, 0.9, 0.999))
    player = Side("generator", ("generator",), terms=policy, optimiser=Adam(g_lr, 0.9, 0.999), clip_gradient=1.0)
    stages = (
        Stage((writer(lr),), "likelihood", first),
        Stage((critic,), "critic", (1 - first) * 0.6),
        Stage((later, player), "adversarial", (1 - first) * 0.4, together=True, fresh=True),
    )
    return Recipe(
        name, {"generator": net, "discriminator": judge}, game, stages, GAN(), about=about, sampler=ByLength(),
        schedules={"lr": Cosine(end=0.1)}, ema=NO_EMA, batch=batch, steps=steps,
    )  # fmt: skip


@row("dialogue-mle")
def dialogue_mle() -> Row:
    about = About(
        "Dialogue by maximum likelihood",
        "rivalry 2026; a decoder of all turns in one stream as in Wolf et al. 2019, TransferTransfo, arXiv:1901.08149, and "
        "Zhang et al. 2020, DialoGPT, arXiv:1911.00536",
        2026,
        GROUP,
        "No discriminator: a small causal transformer reads the last turns and goes on with the reply; every token of every turn is "
        "learned. The rival that 'dialogue' is held against.",
        APPLICATIONS,
    )
    return Row(
        taught("dialogue-mle", about, ReplyLM(512, 6, 8, 0.1), 50_000, 64, 5e-4),
        taught("dialogue-mle-small", about, ReplyLM(), 3_000, 64, 1.5e-3),
    )


@row("dialogue")
def dialogue() -> Row:
    about = About(
        "Dialogue, adversarial, a reward for each token",
        "rivalry 2026; after Li et al. 2017, arXiv:1701.06547, with rewards of prefixes as in de Masson d'Autume et al. 2019, "
        "arXiv:1905.09922",
        2026,
        GROUP,
        "After maximum likelihood a causal discriminator reads what the generator thinks of a reply, token by token, and tells human "
        "replies from generated ones and from human replies to something else. A token's reward is what it adds to the log odds of "
        "being the human reply, less the mean over replies to the same context: no roll-outs. Each batch is charged by likelihood, too. "
        "The discriminator chooses among candidates when the run is talked with.",
        APPLICATIONS,
    )
    policy = (Policy(weight=1.0, reward="gain", discount=0.9, grouped=True), Likelihood(weight=1.0))

    def recipe(name: str, net: ReplyLM, judge: ReplyJudge, steps: int, lr: float) -> Recipe:
        return adversarial(name, about, Reply(), net, judge, policy, steps=steps, batch=64, first=0.677, lr=lr, d_lr=4e-3, g_lr=3e-4)

    return Row(
        recipe("dialogue", ReplyLM(512, 6, 8, 0.1), ReplyJudge(512, 512), 50_000, 5e-4),
        recipe("dialogue-small", ReplyLM(), ReplyJudge(), 3_000, 1.5e-3),
    )


@row("regs")
def regs() -> Row:
    about = About(
        "REGS: Reward for Every Generation Step",
        "Li et al. 2017, Adversarial Learning for Neural Dialogue Generation, arXiv:1701.06547",
        2017,
        GROUP,
        "After maximum likelihood a discriminator scores whole replies after their contexts; a token's reward is its mean verdict over five "
        "completions from there, and likelihood goes on. Ours rolls all replies of a place out in one batch, has the mean over replies "
        "to the same context as baseline where theirs trains a network for it, a transformer where theirs is recurrent, and a "
        "discriminator that reads the generator's thoughts and sees mismatched human replies too.",
        APPLICATIONS,
    )
    policy = (Policy(weight=0.3, reward="raw", discount=0.0, normed=True, grouped=True), Likelihood(weight=1.0))

    def recipe(name: str, net: ReplyLM, judge: ReplyJudge, steps: int, lr: float) -> Recipe:
        return adversarial(
            name, about, ReplyRollout(), net, judge, policy, steps=steps, batch=64, first=0.9, lr=lr, d_lr=4e-3, g_lr=1e-4
        )  # fmt: skip

    return Row(
        recipe("regs", ReplyLM(512, 6, 8, 0.1), ReplyJudge(512, 512, whole=True), 50_000, 5e-4),
        recipe("regs-small", ReplyLM(), ReplyJudge(whole=True), 3_000, 1.5e-3),
    )
