"""Games that change pictures so that a network learns to name them: PixelDA for another kind of pictures, CCGAN for few labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from rivalry.catalogue import register
from rivalry.degrade.basic import Masked
from rivalry.errors import RecipeError
from rivalry.games.change import Change, Changing, Turned, need_two_sets, turned
from rivalry.games.lazy import LazyPlay, latent, lazy, need_label
from rivalry.parts import Degradation, Play, Source, Turn, Wiring
from rivalry.streams import Draw
from rivalry.types import Batch, Match, Point, Spec

LABEL = "source-label"
"""Batch.extra: [N] int64, the classes of the sources."""


@register("game", "adapt")
@dataclass(frozen=True)
class Adapt(Changing):
    """Pictures with classes are made to look like others without (Bousmalis et al. 2017, PixelDA): 'generator' takes a source and noise,
    'classifier' learns the classes of sources and of what was made of them, and so those of the others.

    Match 'main' (target against G(source, z)).  Pairs 'task' = (T(G(source, z)), class), 'task-source' = (T(source), class), 'made' =
    (source, G(source, z)): eq. 1, 2 and the content similarity of eq. 4.
    """

    turned: Turned = "no"
    latent: int = 10

    def wiring(self, spec: Spec) -> Wiring:
        need_two_sets(spec)
        if spec.classes < 2:
            raise RecipeError("this recipe learns classes from trainA, and the data have none; give trainA a sub-folder for each class, and say --task adapt")
        return Wiring(self.latent, source=spec.source)

    def source(self, batch: Batch, draw: Draw) -> Tensor:
        return batch.extra["source"]

    def play(self, nets: Mapping[str, nn.Module], source: Source, turn: Turn) -> Play:
        b = lazy(lambda: turned((source.batch("real", turn).x,), self.turned, turn.draw.at("b"))[0])
        batch = lazy(lambda: source.batch("source", turn).extra)
        a = lazy(lambda: turned((batch()["source"],), self.turned, turn.draw.at("a"))[0])
        made = lazy(lambda: self.change(nets, a(), turn.draw))
        return LazyPlay(
            nets,
            {"main": lazy(lambda: Match("discriminator", Point(b()), Point(made())))},
            {
                "task": lambda: (nets["classifier"](made()).float(), batch()[LABEL]),
                "task-source": lambda: (nets["classifier"](a()).float(), batch()[LABEL]),
                "made": lambda: (a(), made()),
            },
        )

    def change(self, nets: Mapping[str, nn.Module], source: Tensor, draw: Draw) -> Tensor:
        z = (latent(draw, len(source), self.latent, "normal"),) if self.latent else ()
        made: Tensor = nets["generator"](source, *z)
        return made.float()

    def logits(self, nets: Mapping[str, nn.Module], x: Tensor) -> Tensor:
        found: Tensor = nets["classifier"](x)
        return found


@register("game", "context")
@dataclass(frozen=True)
class Context(Change):
    """Holes are filled by what is around them, and the judge of the fillings learns classes from few labels (Denton et al. 2016, CCGAN).

    Match 'main': x with its class against x with its holes filled; 'whole': nothing against all that the generator made, holes or not
    (their CC-GAN^2); pair 'reconstruction' = (filled, x).  labelled: the share of rows whose class is looked at, chosen by the row's
    number; the others have class -1, which 'semi-supervised' charges nothing.  unlabelled: the number of a class (from 0, in the order of
    their names) that holds pictures without a label, -1 for none.
    """

    degradation: Degradation | None = field(default_factory=lambda: Masked("box"))
    turned: Turned = "no"
    labelled: float = 1.0
    unlabelled: int = -1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.degradation, Masked):
            raise RecipeError("the game 'context' fills holes: its degradation is 'masked'")
        if not 0 < self.labelled <= 1:
            raise RecipeError(f"the share of labelled rows lies above 0 and up to 1, not at {self.labelled}")

    def wiring(self, spec: Spec) -> Wiring:
        if spec.classes < 2:
            raise RecipeError("this recipe learns classes, and the data have none; put each kind of picture into a sub-folder of its own")
        if not -1 <= self.unlabelled < spec.classes:
            raise RecipeError(f"unlabelled is the number of a class from 0 to {spec.classes - 1}, or -1, not {self.unlabelled}")
        assert self.degradation is not None
        return Wiring(self.latent, classes=spec.classes, source=self.degradation.shape(spec.shape))

    def play(self, nets: Mapping[str, nn.Module], source: Source, turn: Turn) -> Play:
        batch = lazy(lambda: source.batch("real", turn))
        both = lazy(lambda: self._both(batch(), turn.draw))
        whole = lazy(lambda: self.made(nets, both()[1], turn.draw))
        filled = lazy(lambda: self.filled(both()[1], whole()))
        label = lazy(lambda: self._known(batch()))
        return LazyPlay(
            nets,
            {
                "main": lazy(lambda: Match("discriminator", Point(both()[0], (label(),)), Point(filled(), (label(),)))),
                "whole": lazy(lambda: Match("discriminator", None, Point(whole(), (label(),)))),
            },
            {"reconstruction": lambda: (filled(), both()[0])},
        )

    def _known(self, batch: Batch) -> Tensor:
        """[N] int64: classes, -1 for rows that are treated as unlabelled."""
        label = need_label(batch.label, "this game")
        label = torch.where(label == self.unlabelled, -1, label)
        if self.labelled == 1:
            return label
        assert batch.index is not None
        chance = (batch.index * 2654435761 % 2**32).float() / 2**32  # Knuth's multiplicative hash of the row's number
        return torch.where(chance < self.labelled, label, -1)

    def logits(self, nets: Mapping[str, nn.Module], x: Tensor) -> Tensor:
        found: Tensor = nets["discriminator"](x)["class"]
        return found
