"""Parts that only the tests know, entered by the door a plug-in uses: a text game, TimeGAN."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from rivalry.catalogue import register
from rivalry.games import LazyPlay, lazy
from rivalry.parts import Game, Net, Play, Source, Term, Turn, Wiring
from rivalry.streams import Draw
from rivalry.types import Heads, Match, Point, Spec

# -- text: a reward per token, after maximum likelihood -------------------------------------------------------------


class LanguageModel(nn.Module):
    """A GRU over tokens; [N, T] -> logits [N, T, V] of each next token, the start token being V."""

    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.embed = nn.Embedding(vocabulary + 1, width)
        self.gru = nn.GRU(width, width, batch_first=True)
        self.out = nn.Linear(width, vocabulary)

    def forward(self, tokens: Tensor) -> Tensor:
        start = torch.full_like(tokens[:, :1], self.vocabulary)
        hidden, _ = self.gru(self.embed(torch.cat([start, tokens[:, :-1]], 1)))
        logits: Tensor = self.out(hidden)
        return logits

    def generate(self, draw: Draw, n: int, length: int) -> Tensor:
        with torch.no_grad():
            uniform = draw.uniform("tokens", n, length)
            token = torch.full((n, 1), self.vocabulary)
            state, out = None, []
            for t in range(length):
                hidden, state = self.gru(self.embed(token), state)
                cumulative = self.out(hidden[:, 0]).softmax(1).cumsum(1)
                token = (cumulative < uniform[:, t : t + 1]).sum(1, keepdim=True).clamp_max(self.vocabulary - 1)
                out.append(token)
        return torch.cat(out, 1)


class TokenJudge(nn.Module):
    """[N, T] tokens -> a score for each token, from what came before and the token itself."""

    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        self.gru = nn.GRU(width, width, batch_first=True)
        self.out = nn.Linear(width, 1)

    def forward(self, tokens: Tensor) -> Heads:
        hidden, _ = self.gru(self.embed(tokens))
        return {"score": self.out(hidden)[..., 0]}


@register("net", "test-language-model")
@dataclass(frozen=True)
class LanguageModelNet(Net):
    width: int = 32

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        return LanguageModel(spec.vocabulary, self.width)


@register("net", "test-token-judge")
@dataclass(frozen=True)
class TokenJudgeNet(Net):
    width: int = 32

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        return TokenJudge(spec.vocabulary, self.width)


@register("game", "test-rollout")
@dataclass(frozen=True)
class Rollout(Game):
    """Sampled tokens against real ones; pair 'policy' = (log p of each sampled token [N, T], reward [N, T])."""

    def wiring(self, spec: Spec) -> Wiring:
        return Wiring()

    def play(self, nets: Mapping[str, nn.Module], source: Source, turn: Turn) -> Play:
        real = lazy(lambda: source.batch("real", turn).x)
        length = lazy(lambda: real().shape[1])
        tokens = lazy(lambda: nets["generator"].generate(turn.draw, turn.batch, length()))

        def policy() -> tuple[Tensor, ...]:
            logp = -cross_entropy(nets["generator"](tokens()).transpose(1, 2), tokens(), reduction="none")
            with torch.no_grad():
                reward = nets["discriminator"](tokens())["score"]
            return logp, reward

        def mask(x: Tensor) -> Tensor:  # the first token says nothing yet: it does not count
            return torch.ones_like(x, dtype=torch.float32).index_fill(1, torch.tensor([0]), 0.0)

        return LazyPlay(
            nets,
            {
                "main": lazy(
                    lambda: Match(
                        "discriminator", Point(real()), Point(tokens()), mask(real()), mask(tokens()), augment=False
                    )
                )
            },
            {"policy": lazy(policy), "next": lazy(lambda: (nets["generator"](real()), real()))},
        )

    def sample(
        self, nets: Mapping[str, nn.Module], wiring: Wiring, draw: Draw, n: int,
        label: Tensor | None = None, truncation: float = 1.0,
    ) -> Tensor:  # fmt: skip
        return nets["generator"].generate(draw, n, 8)

    def from_latent(
        self, nets: Mapping[str, nn.Module], z: Tensor, cond: tuple[Tensor, ...], truncation: float = 1.0
    ) -> Tensor:
        raise NotImplementedError


@register("term", "test-policy")
@dataclass(frozen=True)
class PolicyGradient(Term):
    """REINFORCE (Williams 1992) with a reward per token and the batch's mean at each place as baseline."""

    weight: float = 1.0
    every: int = 1

    def __call__(self, play: Play, turn: Turn) -> Tensor:
        logp, reward = play.pair("policy")
        advantage = reward - reward.mean(0, keepdim=True)
        return -(advantage * logp).mean(1)


# -- TimeGAN: stages -------------------------------------------------------------------------------------------------


class Recurrent(nn.Module):
    def __init__(self, inputs: int, width: int, outputs: int, heads: bool) -> None:
        super().__init__()
        self.gru, self.out, self.heads = nn.GRU(inputs, width, batch_first=True), nn.Linear(width, outputs), heads

    def forward(self, x: Tensor) -> Tensor | Heads:
        y = self.out(self.gru(x)[0])
        return {"score": y[..., 0]} if self.heads else y


@register("net", "test-recurrent")
@dataclass(frozen=True)
class RecurrentNet(Net):
    """A GRU; inputs and outputs are 'data', 'hidden' or 'score'."""

    inputs: str = "hidden"
    outputs: str = "hidden"
    width: int = 16

    def build(self, spec: Spec, wiring: Wiring) -> nn.Module:
        size = {"data": spec.shape[1], "hidden": self.width, "noise": wiring.latent, "score": 1}
        return Recurrent(size[self.inputs], self.width, size[self.outputs], self.outputs == "score")


@register("game", "test-timegan")
@dataclass(frozen=True)
class TimeGame(Game):
    """TimeGAN (Yoon et al. 2019): series live in a code that an embedder and a recovery net share."""

    latent: int = 4

    def wiring(self, spec: Spec) -> Wiring:
        return Wiring(latent=self.latent)

    def play(self, nets: Mapping[str, nn.Module], source: Source, turn: Turn) -> Play:
        real = lazy(lambda: source.batch("real", turn).x)
        code = lazy(lambda: nets["embedder"](real()))
        noise = lazy(lambda: turn.draw.normal("latent", turn.batch, real().shape[1], self.latent))
        made = lazy(lambda: nets["generator"](noise()))
        supervised = lazy(lambda: nets["supervisor"](made()))
        return LazyPlay(
            nets,
            {
                "supervised": lazy(lambda: Match("discriminator", Point(code()), Point(supervised()), augment=False)),
                "made": lazy(lambda: Match("discriminator", Point(code()), Point(made()), weight=0.5, augment=False)),
            },
            {
                "reconstruction": lazy(lambda: (nets["recovery"](code()), real())),
                "supervision": lazy(lambda: (nets["supervisor"](code())[:, :-1], code().detach()[:, 1:])),
                "moments": lazy(lambda: self._moments(nets["recovery"](supervised()), real())),
            },
        )

    @staticmethod
    def _moments(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return torch.stack([x.mean(0), x.var(0).add(1e-6).sqrt()]), torch.stack([y.mean(0), y.var(0).add(1e-6).sqrt()])

    def sample(
        self, nets: Mapping[str, nn.Module], wiring: Wiring, draw: Draw, n: int,
        label: Tensor | None = None, truncation: float = 1.0,
    ) -> Tensor:  # fmt: skip
        z = draw.normal("latent", n, 12, self.latent)
        x: Tensor = nets["recovery"](nets["supervisor"](nets["generator"](z)))
        return x

    def from_latent(
        self, nets: Mapping[str, nn.Module], z: Tensor, cond: tuple[Tensor, ...], truncation: float = 1.0
    ) -> Tensor:
        raise NotImplementedError


def counting(n: int, vocabulary: int, length: int) -> Tensor:
    """[n, length]: each row counts up from a random start, modulo the vocabulary."""
    start = torch.randint(vocabulary, (n, 1), generator=torch.Generator().manual_seed(0))
    return (start + torch.arange(length)) % vocabulary


def valid(tokens: Tensor, vocabulary: int) -> float:
    """The share of steps that count up."""
    return float(((tokens[:, 1:] - tokens[:, :-1]) % vocabulary == 1).float().mean())


def hot(tokens: Tensor, vocabulary: int) -> Tensor:
    return one_hot(tokens, vocabulary).float()
