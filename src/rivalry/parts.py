"""The kinds of parts a recipe is made of: one abstract base per kind, with the shapes each must keep to.

Parts are frozen dataclasses; whatever changes during training lives in knobs, notes or checkpointed state.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from rivalry.errors import RecipeError
from rivalry.streams import Draw
from rivalry.types import Batch, Heads, Judged, Knobs, Match, Point, Spec

Judge = Callable[..., Heads]
"""(x, *cond) -> heads: a discriminator with its parameters fixed."""


@dataclass
class Turn:
    """One turn of one side: its random draws, the knobs as they stand, and room for notes.

    position: this turn's number among all turns of the stage: what a sampler goes by.

    notes: 0-d tensors that stay on the device until the tick; controllers read them after every step.
    """

    side: str
    step: int
    index: int
    position: int
    draw: Draw
    knobs: Knobs
    notes: dict[str, Tensor] = field(default_factory=dict)
    batch: int = 0

    def note(self, name: str, value: Tensor) -> None:
        self.notes[name] = value.detach()

    def knob(self, name: str, default: float = 1.0) -> float | Tensor:
        return self.knobs.get(name, default)


class Play(Protocol):
    """A game's wiring of one batch, lazy: names are known, nothing is computed before it is asked for."""

    nets: Mapping[str, nn.Module]

    def match(self, name: str) -> Match: ...
    def pair(self, name: str) -> tuple[Tensor, ...]: ...


class Contest(NamedTuple):
    """All a judge said in one match: on real, on fake, and on the points penalties asked for."""

    match: Match
    real: Judged | None
    fake: Judged | None
    asked: tuple[Judged, ...]
    judge: Judge
    play: Play
    turn: Turn


class Source(Protocol):
    """Batches by the name of their stream ('real'; 'part3' of a partitioned set), drawn when asked for."""

    def batch(self, stream: str, turn: Turn) -> Batch: ...


class Rows(Protocol):
    """All rows that a sampler chooses from."""

    def __len__(self) -> int: ...
    def batch(self, index: Tensor, device: torch.device) -> Batch: ...


class Sampler(ABC):
    """Which rows make up a batch: a pure function of its arguments."""

    KIND: ClassVar[str] = "sampler"

    @abstractmethod
    def index(self, stream: str, rows: int, turn: Turn) -> Tensor:
        """[turn.batch] int64 row numbers below `rows`, of this process's share."""

    def over(self, spec: Spec, rows: Rows) -> Sampler:
        """The sampler for these rows: one that goes by what they hold looks at them here.  What it then knows stays in
        memory: it is no part of the recipe, and no run folder holds it."""
        return self


class Game(ABC):
    """Wires batches and noise into a lazy Play, and says how to sample once training is over.

    secret: nets that know raw rows and are kept in a run's private/ only; nothing but a guarded play asks them.
    changes: it makes pictures out of pictures: samples are made of rows, by `change`, and not of noise alone.
    likelihood: its generator can say how likely a row is, by `surprise`.
    answers: it goes on with what a row begins with: samples are made of rows, by `change`, too.
    spherical: its latents lie about a sphere, as normal ones do, so that walks go along great circles; else straight.
    """

    KIND: ClassVar[str] = "game"
    secret: ClassVar[frozenset[str]] = frozenset()
    changes: ClassVar[bool] = False
    likelihood: ClassVar[bool] = False
    answers: ClassVar[bool] = False

    @property
    def spherical(self) -> bool:
        return True

    @abstractmethod
    def wiring(self, spec: Spec) -> Wiring: ...

    @abstractmethod
    def play(self, nets: Mapping[str, nn.Module], source: Source, turn: Turn) -> Play: ...

    @abstractmethod
    def sample(
        self,
        nets: Mapping[str, nn.Module],
        wiring: Wiring,
        draw: Draw,
        n: int,
        label: Tensor | None = None,
        truncation: float = 1.0,
    ) -> Tensor:
        """[n, *shape] from the trained nets; label [n] int64 for games with labels."""

    @abstractmethod
    def from_latent(
        self, nets: Mapping[str, nn.Module], z: Tensor, cond: tuple[Tensor, ...], truncation: float = 1.0
    ) -> Tensor:
        """[n, *shape] for given latents [n, wiring.latent]: what interpolations walk along."""

    def latents(self, draw: Draw, n: int, wiring: Wiring, truncation: float = 1.0) -> Tensor:
        """[n, wiring.latent]: latents as training draws them; what truncates in latent space brings them nearer to its middle."""
        return draw.normal("latent", n, wiring.latent)

    def used(self, run: str) -> str:
        """The command that puts a run of a game that changes things to use; '' for others."""
        return f"rivalry apply {run} FILES -o OUT" if self.changes else ""

    def source(self, batch: Batch, draw: Draw) -> Tensor:
        """Of games that change pictures or answer: what is put in, [n, *wiring.source], for rows."""
        raise RecipeError("this game makes pictures of noise, not of other pictures")

    def change(self, nets: Mapping[str, nn.Module], source: Tensor, draw: Draw) -> Tensor:
        """Of games that change pictures or answer: [n, *shape] for what is put in [n, *wiring.source]."""
        raise RecipeError("this game makes pictures of noise, not of other pictures")

    def logits(self, nets: Mapping[str, nn.Module], x: Tensor) -> Tensor:
        """Of games whose outcome is a classifier: [n, classes] for pictures [n, *shape]."""
        raise RecipeError("this run learned no classes to name pictures by; pixelda and ccgan do (rivalry zoo show pixelda)")

    def surprise(self, nets: Mapping[str, nn.Module], x: Tensor) -> Tensor | None:
        """-log p of each entry of real rows x [n, ...] in nats, 0 for padding; None for games whose generator has no
        likelihood."""
        return None


class Objective(ABC):
    """What the two players want of the scores.  Elementwise: losses have the shape of the scores.

    paired: the generator's turn needs scores on real too (relativistic losses).
    couples: a loss on one example depends on others in the batch (refused under DP).
    """

    KIND: ClassVar[str] = "objective"
    paired: ClassVar[bool] = False
    couples: ClassVar[bool] = False

    @abstractmethod
    def discriminator(
        self, real: Tensor | None, fake: Tensor | None, knobs: Knobs
    ) -> tuple[Tensor | None, Tensor | None]:
        """Losses on real and on fake scores, each of its scores' shape; None where there are no scores, or where
        all of it is charged on the other (relativistic losses)."""

    @abstractmethod
    def generator(self, real: Tensor | None, fake: Tensor, knobs: Knobs) -> tuple[Tensor | None, Tensor]:
        """Losses of the generator on real (None unless paired) and on fake scores."""


class Penalty(ABC):
    """Whatever is charged on a match, to the side that judges or fools it: returns [N].

    weight: factor in the side's loss.  every: charged each so many of the side's own turns, then times `every`
    (lazy regularisation).  match: which match.  slopes: which of 'real', 'fake', 'asked' need d score/dx.
    needs: which of 'real', 'fake' must have been judged.  share: the share of the batch it is computed on.
    exact: made of differences that bfloat16 would round away.
    """

    KIND: ClassVar[str] = "penalty"
    slopes: ClassVar[frozenset[str]] = frozenset()
    needs: ClassVar[frozenset[str]] = frozenset()
    couples: ClassVar[bool] = False
    exact: ClassVar[bool] = False
    weight: float
    every: int
    match: str
    share: float

    def ask(self, match: Match, turn: Turn) -> tuple[Point, ...]:
        """Further points to be judged in the same pass; the judgements come back as `contest.asked`."""
        return ()

    @abstractmethod
    def __call__(self, contest: Contest) -> Tensor:
        """[N] (or fewer, where it is computed on part of the batch), before the weight."""


class Term(ABC):
    """Whatever is charged on a pair of tensors of the game, or on the networks: returns [N]."""

    KIND: ClassVar[str] = "term"
    couples: ClassVar[bool] = False
    weight: float
    every: int

    @abstractmethod
    def __call__(self, play: Play, turn: Turn) -> Tensor:
        """[N], before the weight; N may be smaller than the batch, and 1 for a term on parameters."""


class Augment(ABC):
    """Changes what a judge sees, real and fake alike, differentiably: (x [N, ...], draw, p) -> x."""

    KIND: ClassVar[str] = "augment"
    couples: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, x: Tensor, draw: Draw, p: float | Tensor) -> Tensor:
        """p in [0, 1]: the chance with which each transformation is applied to an example."""


class Degradation(ABC):
    """Makes of good pictures the bad ones that a network is to mend: choices are drawn per example."""

    KIND: ClassVar[str] = "degradation"

    @abstractmethod
    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """(C, H, W) of what it makes of pictures of that shape; RecipeError where it cannot."""

    @abstractmethod
    def __call__(self, x: Tensor, draw: Draw) -> Tensor:
        """[N, C, H, W] in [-1, 1] -> [N, *shape((C, H, W))], without a gradient."""


class Schedule(ABC):
    """A knob as a function of how far training is: progress in [0, 1] of the stage's steps."""

    KIND: ClassVar[str] = "schedule"

    @abstractmethod
    def __call__(self, progress: float) -> float: ...


class Controller(ABC):
    """Turns knobs by what was noted: after every step, on device tensors, nothing else has memory."""

    KIND: ClassVar[str] = "controller"

    @abstractmethod
    def start(self) -> dict[str, float]:
        """The knobs it owns and their first values."""

    @abstractmethod
    def __call__(self, knobs: Knobs, notes: Mapping[str, Tensor], batch: int) -> dict[str, Tensor]:
        """The new values of its knobs; notes are keyed '<side>.<what>'."""


class After(ABC):
    """What happens to a side's parameters after its step: clipping, historical averaging."""

    KIND: ClassVar[str] = "after"

    def start(self, parameters: list[Tensor]) -> dict[str, Tensor]:
        """Tensors it remembers; they are checkpointed."""
        return {}

    @abstractmethod
    def __call__(self, parameters: list[Tensor], memory: dict[str, Tensor], turn: Turn) -> None:
        """Changes parameters (and memory) in place, without gradients."""


class Optimiser(ABC):
    """How a side moves its parameters."""

    KIND: ClassVar[str] = "optimiser"
    lr: float

    @abstractmethod
    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer: ...


class Fitted(Protocol):
    """What a baseline learned, ready to be sampled from.  notes: what it cost and how, in sentences."""

    @property
    def notes(self) -> tuple[str, ...]: ...

    def sample(self, n: int, seed: int) -> Tensor:
        """[n, *spec.shape] encoded, a function of (n, seed)."""

    def tensors(self) -> dict[str, Tensor]:
        """All of it, for a safetensors file; the baseline's `restored` is the inverse.  As private as training rows are."""


class Baseline(ABC):
    """What is no game: fitted to training rows in a moment, then sampled from; stands in every table."""

    KIND: ClassVar[str] = "baseline"

    @abstractmethod
    def fits(self, spec: Spec) -> bool:
        """Whether it is for data of this kind."""

    @abstractmethod
    def private(self, epsilon: float, delta: float, before: float = 0.0, names_delta: float = 0.0) -> Baseline:
        """The same under differential privacy; delta 0 is N^-1.1 of N rows.  before, names_delta: noise and part of delta of a
        preparation of the columns that is paid for out of the same (0: there was none)."""

    @abstractmethod
    def fit(self, rows: Iterable[Tensor], spec: Spec) -> Fitted:
        """rows: blocks [n, *spec.shape] of encoded training rows, each row once."""

    @abstractmethod
    def restored(self, tensors: Mapping[str, Tensor], spec: Spec) -> Fitted: ...


@dataclass(frozen=True)
class Wiring:
    """What a game tells networks of their surroundings.

    latent: length of the generator's first argument [N, latent].  classes: 0 if the game has no labels, else
    the generator's second argument is labels [N] int64.  codes: sizes of categorical codes, `code_reals`
    the number of real-valued ones (InfoGAN; they are part of `latent`).  pack: how many examples a
    discriminator sees at once (their channels are joined).  beside: so many numbers, a condition, are joined to every
    row that a discriminator sees, and are part of `latent` (CTGAN).  source: (C, H, W) of the pictures that are put in, of
    games that change pictures.
    """

    latent: int = 0
    classes: int = 0
    codes: tuple[int, ...] = ()
    code_reals: int = 0
    pack: int = 1
    beside: int = 0
    source: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.latent < 0:
            raise RecipeError(f"the game's latents must have a length from 0, not {self.latent}")
        if self.pack < 1:
            raise RecipeError(f"game.pack must be at least 1, not {self.pack}")


class Net(ABC):
    """A network's settings; `build` makes the module for a Spec.

    A generator's module maps (z [N, latent], *cond) -> x [N, *spec.shape]; a discriminator's maps
    (x, *cond) -> Heads, or, where it is one's own, plain scores [N]; others say what they do in their docstring.
    """

    KIND: ClassVar[str] = "net"

    @property
    def private(self) -> bool:
        """Whether the module was made of rows under differential privacy; networks that are trained are not asked."""
        return False

    @abstractmethod
    def build(self, spec: Spec, wiring: Wiring) -> nn.Module: ...


class Couples:
    """Marks modules in which examples of a batch influence one another (batch norm is known anyway)."""


class Refreshes(ABC):
    """Marks modules with an estimate to bring up to date once before a turn of the side that owns them
    (spectral norm's power iteration): so a forward pass has no side effects."""

    @abstractmethod
    def refresh(self) -> None: ...


class Surveys(ABC):
    """Marks modules that look at all rows before the first step; what they then know is in their buffers."""

    @abstractmethod
    def survey(self, rows: Rows, device: torch.device) -> None: ...


class Settles(ABC):
    """Marks modules that must see what a generator makes before it is sampled from: its weights are averaged, and the
    average behaves otherwise than what was averaged.

    appetite: how many times the samples of standing statistics it sees at each call."""

    appetite: ClassVar[int] = 4

    @abstractmethod
    def settle(self, sample: Callable[[], None]) -> None:
        """Called with a function that draws samples through the module."""


def couples_batch(module: nn.Module) -> bool:
    """Whether examples of a batch influence one another inside the module."""
    kinds = (nn.modules.batchnorm._BatchNorm, Couples)
    return any(isinstance(m, kinds) for m in module.modules())
