"""Rows for text: maximum likelihood, the rival that every text GAN has to be held against, and text GANs."""

from __future__ import annotations

from rivalry.games import ByLength, Energy, Leak, Likeliest, RelaxedText, Rollout, Text, TextCodes
from rivalry.nets import (
    LSTMLM,
    CodeCritic,
    CodeLM,
    CodeMaker,
    LeakLM,
    RelationalLM,
    TextCNN,
    TextCounts,
    TextReader,
    TextThoughts,
    TextViews,
    TokenJudge,
    TransformerLM,
)
from rivalry.objectives import GAN, Null, Relativistic, Wasserstein
from rivalry.optimisers import Adam
from rivalry.parts import Net, Objective, Term
from rivalry.penalties import GP
from rivalry.recipe import About, Recipe, Side, Stage
from rivalry.schedules import Cosine, Exponential, Linear
from rivalry.terms import Goals, Likelihood, Policy
from rivalry.zoo.rows import NO_EMA, Row, row

GROUP = "text"
APPLICATIONS = ("generate", "text", "prompt")
OPENING = 3
"""Tokens that are not chosen by: what a text is about stays as various as it was, and at equal variety the choice is better (docs/lab/text.md)."""

MLE = About(
    "Maximum likelihood",
    "Press & Wolf 2017, Using the Output Embedding to Improve Language Models, arXiv:1608.05859; after Mikolov et al. 2010",
    2017,
    GROUP,
    "No discriminator: a recurrent language model learns the next token, with dropout, and the checkpoint of the best held-out "
    "likelihood is kept. Lowering the temperature trades variety for quality; a text GAN is worth something where it does better at "
    "equal variety (Caccia et al. 2018, arXiv:1811.02549).",
    APPLICATIONS,
)


def likelihood(
    name: str, net: Net, steps: int, batch: int = 128, lr: float = 2e-3, about: About = MLE, game: Text | None = None,
) -> Recipe:  # fmt: skip
    """Maximum likelihood with that language model."""
    writer = Side("generator", ("generator",), terms=(Likelihood(),), optimiser=Adam(lr, 0.9, 0.999), clip_gradient=1.0)
    schedules = {"lr": Cosine(end=0.1)}
    return Recipe(
        name, {"generator": net}, game or Text(), (Stage((writer,)),), Null(), about=about, sampler=ByLength(), schedules=schedules,
        ema=NO_EMA, batch=batch, steps=steps,
    )  # fmt: skip


@row("mle")
def mle() -> Row:
    return Row(
        likelihood("mle", LSTMLM(512, 2, 0.5), 20_000, lr=1e-3),
        likelihood("mle-small", LSTMLM(256, 1, 0.4), 3_000),
    )


@row("mle-reranked")
def mle_reranked() -> Row:
    about = About(
        "Maximum likelihood, the likeliest of eight",
        "rivalry 2026; the rival of residual energy at equal cost of sampling",
        2026,
        GROUP,
        "Trained as 'mle'; of eight texts with one beginning that which the model itself finds likeliest is given. No discriminator: what choosing buys by "
        "itself, and what it costs in variety.",
        APPLICATIONS,
    )
    return Row(
        likelihood("mle-reranked", LSTMLM(512, 2, 0.5), 20_000, lr=1e-3, about=about, game=Likeliest(opening=OPENING)),
        likelihood("mle-reranked-small", LSTMLM(256, 1, 0.4), 3_000, about=about, game=Likeliest(opening=OPENING)),
    )


@row("mle-transformer")
def mle_transformer() -> Row:
    about = About(
        "Maximum likelihood, transformer",
        "Vaswani et al. 2017, Attention Is All You Need, arXiv:1706.03762; pre-norm by Xiong et al. 2020, arXiv:2002.04745",
        2017,
        GROUP,
        "As 'mle', with a small causal transformer: all places of a text are learned in one pass, and keys and values are cached "
        "while text is drawn.",
        APPLICATIONS,
    )
    return Row(
        likelihood("mle-transformer", TransformerLM(512, 6, 8, 0.1), 20_000, lr=5e-4, about=about),
        likelihood("mle-transformer-small", TransformerLM(), 3_000, lr=1e-3, about=about),
    )


def adversarial(
    name: str, about: About, game: Text, judge: Net, objective: Objective, policy: tuple[Term, ...], *, width: int, layers: int = 1,
    drop: float = 0.4, steps: int, batch: int = 128, first: float = 0.6, d_turns: int = 1, d_lr: float = 1e-3, g_lr: float = 1e-4,
) -> Recipe:  # fmt: skip
    """Maximum likelihood for the first share of the training, then the discriminator alone for a moment, then both."""
    writer = Side("generator", ("generator",), terms=(Likelihood(),), optimiser=Adam(2e-3, 0.9, 0.999), clip_gradient=1.0)
    critic = Side("discriminator", ("discriminator",), ("main",), turns=d_turns, optimiser=Adam(d_lr, 0.5, 0.999, weight_decay=1e-4))
    player = Side("generator", ("generator",), terms=policy, optimiser=Adam(g_lr, 0.9, 0.999), clip_gradient=1.0)
    stages = (
        Stage((writer,), "likelihood", first),
        Stage((critic,), "critic", (1 - first) * 0.2),
        Stage((critic, player), "adversarial", (1 - first) * 0.8, fresh=True, together=d_turns == 1),
    )
    nets = {"generator": LSTMLM(width, layers, drop), "discriminator": judge}
    return Recipe(
        name, nets, game, stages, objective, about=about, sampler=ByLength(), schedules={"lr": Linear(1.0, 0.3)}, ema=NO_EMA,
        batch=batch, steps=steps,
    )  # fmt: skip


@row("token-gan")
def token_gan() -> Row:
    about = About(
        "On-policy text GAN, relativistic, a reward for each token",
        "rivalry 2026; rewards of prefixes by arXiv:1905.09922 (ScratchGAN), loss by arXiv:1807.00734",
        2026,
        GROUP,
        "After maximum likelihood a causal discriminator scores every token of a text in one pass, pair by pair against a real "
        "one; its raw score, less the batch's mean at that place, is the token's reward. No roll-outs; likelihood stays in the "
        "loss so that variety does.",
        APPLICATIONS,
    )
    policy = (Policy(reward="raw", discount=0.5), Likelihood(weight=0.5))

    def recipe(name: str, width: int, judge: int, steps: int) -> Recipe:
        return adversarial(
            name, about, Text(judged="pairs"), TokenJudge(judge), Relativistic(), policy, width=width, steps=steps, first=0.85, g_lr=3e-4
        )

    return Row(recipe("token-gan", 512, 512, 20_000), recipe("token-gan-small", 256, 192, 3_000))


@row("scratchgan")
def scratchgan() -> Row:
    about = About(
        "ScratchGAN",
        "de Masson d'Autume et al. 2019, Training language GANs from Scratch, arXiv:1905.09922",
        2019,
        GROUP,
        "No pre-training: REINFORCE from the first step, with a reward 2 sigmoid(D) - 1 for each token, a short horizon (discount "
        ".23) and large batches. Ours has the batch's mean at each place as baseline where theirs keeps a running mean, and no "
        "pretrained embeddings.",
        APPLICATIONS,
    )

    def recipe(name: str, width: int, steps: int, batch: int) -> Recipe:
        judge = Side("discriminator", ("discriminator",), ("main",), optimiser=Adam(9.3e-3, 0.5, 0.999, weight_decay=1e-6))
        player = Side("generator", ("generator",), terms=(Policy(),), optimiser=Adam(9.5e-5, 0.5, 0.999))
        nets = {"generator": LSTMLM(width, 1, 0.0), "discriminator": TokenJudge(width, 0.1)}
        return Recipe(name, nets, Text(), (Stage((judge, player)),), GAN(), about=about, ema=NO_EMA, batch=batch, steps=steps)

    return Row(recipe("scratchgan", 512, 200_000, 512), recipe("scratchgan-small", 256, 3_000, 128))


@row("maligan")
def maligan() -> Row:
    about = About(
        "MaliGAN",
        "Che et al. 2017, Maximum-Likelihood Augmented Discrete Generative Adversarial Networks, arXiv:1702.07983",
        2017,
        GROUP,
        "Each sampled text is weighed by the odds D / (1 - D) that it is real, less their mean over the batch: the gradient of a "
        "likelihood of reweighted samples. A discriminator of convolutions scores whole texts; no roll-outs (their variant of "
        "complete sequences).",
        APPLICATIONS,
    )

    def recipe(name: str, width: int, filters: int, steps: int) -> Recipe:
        return adversarial(
            name, about, Text(judged="texts"), TextCNN(filters=filters), GAN(), (Policy(reward="ratio", discount=0.0),), width=width,
            steps=steps,
        )  # fmt: skip

    return Row(recipe("maligan", 512, 100, 20_000), recipe("maligan-small", 256, 64, 3_000))


@row("seqgan")
def seqgan() -> Row:
    about = About(
        "SeqGAN",
        "Yu et al. 2017, SeqGAN: Sequence Generative Adversarial Nets with Policy Gradient, arXiv:1609.05473",
        2017,
        GROUP,
        "After maximum likelihood a discriminator of convolutions scores whole texts, and the reward of a token is the mean over "
        "roll-outs of the text from there. Ours rolls all texts of a place out in one batch, from the state that was carried there.",
        APPLICATIONS,
    )
    policy = (Policy(reward="raw", discount=0.0, normed=False),)

    def recipe(name: str, width: int, filters: int, rollouts: int, batch: int, steps: int) -> Recipe:
        game = Rollout(judged="texts", rollouts=rollouts)
        return adversarial(name, about, game, TextCNN(filters=filters), GAN(), policy, width=width, batch=batch, steps=steps, first=0.9)

    return Row(recipe("seqgan", 512, 100, 16, 64, 20_000), recipe("seqgan-small", 256, 64, 4, 64, 3_000))


PLAIN = Energy(judged="texts")
RESIDUAL = About(
    "Residual energy",
    "Deng et al. 2020, Residual Energy-Based Models for Text Generation, arXiv:2004.11714",
    2020,
    GROUP,
    "The language model stays as maximum likelihood made it; a discriminator of convolutions learns how much likelier a text "
    "is to be real, and of eight proposals one is drawn in that proportion. Samples cost eight times as much.",
    APPLICATIONS,
)


def residual(
    name: str, about: About, net: Net, judge: Net, steps: int, first: float, rounds: int, game: Text = PLAIN, d_lr: float = 5e-4,
) -> Recipe:  # fmt: skip
    """Likelihood for the first share of the training, then the discriminator; between them `rounds` times both in turn, the
    language model learning from real and from chosen texts, one to one."""
    writer = Side("generator", ("generator",), terms=(Likelihood(),), optimiser=Adam(2e-3, 0.9, 0.999), clip_gradient=1.0)
    critic = Side("discriminator", ("discriminator",), ("main",), optimiser=Adam(d_lr, 0.9, 0.999, weight_decay=1e-3))
    both = (Likelihood(weight=0.5), Likelihood(weight=0.5, pair="resampled"))
    pupil = Side("generator", ("generator",), terms=both, optimiser=Adam(3e-4, 0.9, 0.999), clip_gradient=1.0)
    each = (1 - first) / (2 * rounds + 1)
    turns = [s for i in range(rounds) for s in (Stage((critic,), f"critic {i + 1}", each), Stage((pupil,), f"distil {i + 1}", each, fresh=True))]
    stages = (Stage((writer,), "likelihood", first), *turns, Stage((critic,), "critic", each))
    nets = {"generator": net, "discriminator": judge}
    return Recipe(
        name, nets, game, stages, GAN(), about=about, sampler=ByLength(), schedules={"lr": Linear(1.0, 0.1)},
        ema=NO_EMA, batch=128, steps=steps,
    )  # fmt: skip


@row("residual-energy")
def residual_energy() -> Row:
    return Row(
        residual("residual-energy", RESIDUAL, LSTMLM(512, 2, 0.5), TextCNN(filters=200), 20_000, 0.75, 0),
        residual("residual-energy-small", RESIDUAL, LSTMLM(256, 1, 0.4), TextCNN(), 3_000, 0.75, 0),
    )


@row("residual-energy-distilled")
def residual_energy_distilled() -> Row:
    about = About(
        "Residual energy, distilled",
        "rivalry 2026; after Deng et al. 2020, arXiv:2004.11714",
        2026,
        GROUP,
        "As 'residual-energy', and in two rounds the language model learns from texts that its discriminator chose, as many real ones "
        "beside them; the discriminator learns anew what is left to tell.",
        APPLICATIONS,
    )
    return Row(
        residual("residual-energy-distilled", about, LSTMLM(512, 2, 0.5), TextCNN(filters=200), 20_000, 0.6, 2),
        residual("residual-energy-distilled-small", about, LSTMLM(256, 1, 0.4), TextCNN(), 3_000, 0.6, 2),
    )


@row("thought-energy")
def thought_energy() -> Row:
    about = About(
        "Residual energy on thoughts",
        "rivalry 2026; after Deng et al. 2020, arXiv:2004.11714",
        2026,
        GROUP,
        "As 'residual-energy', but the discriminator reads what the language model thinks of a text, its states and how surprised it is at "
        "each token, rather than the tokens: it learns in a few steps what convolutions over words do not learn in hundreds.",
        APPLICATIONS,
    )
    game = Energy(judged="texts", thoughts=True)
    return Row(
        residual("thought-energy", about, LSTMLM(512, 2, 0.5), TextThoughts(512, 256), 20_000, 0.75, 0, game, 1e-3),
        residual("thought-energy-small", about, LSTMLM(256, 1, 0.4), TextThoughts(256, 128), 3_000, 0.85, 0, game, 1e-3),
    )


@row("count-energy")
def count_energy() -> Row:
    about = About(
        "Residual energy on counts",
        "rivalry 2026; after Deng et al. 2020, arXiv:2004.11714, with a count-min sketch (Cormode & Muthukrishnan 2005)",
        2026,
        GROUP,
        "As 'residual-energy', but the discriminator is told in how many other training texts each sequence of up to five tokens stands, and how "
        "surprised the language model is: it need not learn what nobody writes. Of eight texts with one beginning the best by both is given. The run holds the counts of "
        "what several texts have, hashed: who has it can read such sequences out.",
        APPLICATIONS,
    )
    game = Energy(judged="texts", thoughts=True, counts=True, pick="best", likely=2.0, opening=OPENING)
    return Row(
        residual("count-energy", about, LSTMLM(512, 2, 0.5), TextCounts(64, bits=22), 20_000, 0.95, 0, game, 6e-3),
        residual("count-energy-small", about, LSTMLM(256, 1, 0.4), TextCounts(), 3_000, 0.94, 0, game, 6e-3),
    )


@row("latextgan")
def latextgan() -> Row:
    about = About(
        "LaTextGAN",
        "Donahue & Rumshisky 2018, Adversarial Text Generation Without Reinforcement Learning, arXiv:1810.06640",
        2018,
        GROUP,
        "An autoencoder first, which stays as it is; then a Wasserstein GAN with gradient penalty makes codes of noise, and the decoder writes "
        "them out. Ours reads with a tenth of the words unknown and noise on the code, and draws words where theirs takes the likeliest.",
        ("generate", "text", "interpolate"),
    )

    def recipe(name: str, width: int, state: int, layers: int, steps: int) -> Recipe:
        auto = Side("autoencoder", ("reader", "writer"), terms=(Likelihood(),), optimiser=Adam(2e-3, 0.9, 0.999), clip_gradient=1.0)
        critic = Side("discriminator", ("discriminator",), ("main",), penalties=(GP(),), turns=5, optimiser=Adam(2e-4, 0.5, 0.9))
        maker = Side("generator", ("generator",), fools=("main",), optimiser=Adam(2e-4, 0.5, 0.9))
        nets = {
            "reader": TextReader(width), "writer": CodeLM(state), "generator": CodeMaker(2 * width, layers),
            "discriminator": CodeCritic(2 * width, layers),
        }  # fmt: skip
        return Recipe(
            name, nets, TextCodes(), (Stage((auto,), "autoencoder", 0.6), Stage((critic, maker), "adversarial", 0.4)), Wasserstein(),
            about=about, sampler=ByLength(), schedules={"lr": Linear(1.0, 0.2)}, ema=NO_EMA, batch=128, steps=steps,
        )  # fmt: skip

    return Row(recipe("latextgan", 384, 512, 10, 100_000), recipe("latextgan-small", 192, 256, 4, 3_000))


@row("relgan")
def relgan() -> Row:
    about = About(
        "RelGAN",
        "Nie et al. 2019, RelGAN: Relational Generative Adversarial Networks for Text Generation, ICLR 2019",
        2019,
        GROUP,
        "After maximum likelihood a generator with relational memory writes relaxed texts, shares of tokens by Gumbel's trick that sharpen "
        "a hundredfold while it trains, so that the gradient of a discriminator of 64 views reaches it; relativistic loss.",
        APPLICATIONS,
    )

    def recipe(name: str, net: Net, judge: Net, steps: int, batch: int, first: float) -> Recipe:
        writer = Side("generator", ("generator",), terms=(Likelihood(),), optimiser=Adam(1e-2, 0.9, 0.999), clip_gradient=5.0)
        critic = Side("discriminator", ("discriminator",), ("main",), optimiser=Adam(1e-4, 0.9, 0.999))
        player = Side("generator", ("generator",), fools=("main",), optimiser=Adam(1e-4, 0.9, 0.999), clip_gradient=5.0)
        stages = (Stage((writer,), "likelihood", first), Stage((critic, player), "adversarial", 1 - first, fresh=True))
        return Recipe(
            name, {"generator": net, "discriminator": judge}, RelaxedText(judged="texts"), stages, Relativistic(), about=about,
            sampler=ByLength(), schedules={"sharpness": Exponential(1.0, 100.0)}, ema=NO_EMA, batch=batch, steps=steps,
        )  # fmt: skip

    return Row(
        recipe("relgan", RelationalLM(), TextViews(), 17_000, 64, 0.75),
        recipe("relgan-small", RelationalLM(1, 2, 96), TextViews(16, 64, filters=64), 3_000, 64, 0.85),
    )


@row("leakgan")
def leakgan() -> Row:
    about = About(
        "LeakGAN",
        "Guo et al. 2018, Long Text Generation via Adversarial Training with Leaked Information, arXiv:1709.08624",
        2018,
        GROUP,
        "The discriminator's features of the text so far leak to a manager, who sets goals in them for the next four tokens; a worker is "
        "paid for moving there. Texts are worth what their rank in the batch says; likelihood comes back every fifteenth turn. Ours has no "
        "roll-outs: a text's score counts for all its goals.",
        APPLICATIONS,
    )

    def recipe(name: str, filters: int, width: int, steps: int, batch: int, first: float) -> Recipe:
        known = (Likelihood(), Goals(pair="aims"))
        writer = Side("generator", ("generator",), terms=known, optimiser=Adam(1.5e-3, 0.9, 0.999), clip_gradient=5.0)
        critic = Side("discriminator", ("discriminator",), ("main",), optimiser=Adam(5e-4, 0.9, 0.999, weight_decay=1e-3))
        paid = (Goals(), Policy(reward="raw", discount=0.0), Likelihood(every=15, weight=15.0))
        player = Side("generator", ("generator",), terms=paid, optimiser=Adam(1e-4, 0.9, 0.999), clip_gradient=5.0)
        stages = (
            Stage((critic, writer), "likelihood", first), Stage((critic, player), "adversarial", 1 - first, fresh=True),
        )  # fmt: skip
        nets = {"generator": LeakLM(4 * filters, width), "discriminator": TextCNN(filters=filters, dropout=0.25)}
        return Recipe(
            name, nets, Leak(judged="texts"), stages, GAN(), about=about, sampler=ByLength(), schedules={"lr": Linear(1.0, 0.3)}, ema=NO_EMA,
            batch=batch, steps=steps,
        )  # fmt: skip

    return Row(recipe("leakgan", 430, 32, 40_000, 64, 0.7), recipe("leakgan-small", 64, 128, 3_000, 64, 0.8))
