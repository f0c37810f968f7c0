"""Who may see what in a training by noisy votes (PATE-GAN): teachers see real rows, the student their votes, no one else
anything of either."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rivalry.games import Pate
from rivalry.parts import Source, Turn
from rivalry.privacy import Ledger, admit_votes, asks
from rivalry.privacy.secure import SecureDraw
from rivalry.recipe import Side
from rivalry.training.private import Veiled
from rivalry.training.state import State


@dataclass
class VoteGuard:
    """Stands before every turn; without a ledger only to try things out, for what is made then must not leave the
    machine.

    Raises RecipeError, when it is set up, for recipes in which more than the votes would leave the teachers.
    """

    state: State
    game: Pate
    source: Source
    ledger: Ledger | None
    world: int = 1

    def __post_init__(self) -> None:
        admit_votes(self.state.recipe, self.game, self.state.nets, self.world)

    def admitted(self, side: Side, turn: Turn) -> tuple[Source, Turn]:
        """(the rows the side may see, its turn): real ones for teachers, NaN for others; and a turn that takes votes is paid
        for, and has its noise from the secure source."""
        if "teachers" in side.modules:
            return self.source, turn
        veiled = Veiled(self.state.spec, self.state.device)
        if self.ledger is None or not asks(side):
            return veiled, turn
        self.ledger.spend()
        return veiled, replace(turn, draw=SecureDraw.like(turn.draw))
