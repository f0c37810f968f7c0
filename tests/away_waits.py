"""Steps of small recipes on a device that is not the processor (`away`), where neither may wait for the other.  `python tests/away_waits.py NAME...`

Prints a line for each recipe that waits.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))
import away

warnings.simplefilter("ignore")
torch.set_num_threads(1)
DEVICE = away.register()

from rivalry import streams, zoo  # noqa: E402
from rivalry.parts import Turn  # noqa: E402
from rivalry.training.engine import Engine  # noqa: E402
from rivalry.training.loop import StoreSource, Trainer  # noqa: E402
from rivalry.training.state import build_state  # noqa: E402
from rivalry.types import Batch  # noqa: E402
from tiny import Rows, suited  # noqa: E402

streams._GENERATORS[DEVICE] = torch.Generator()
WARM, WATCHED = 8, 8


class Elsewhere(Engine):
    """Fabric knows no such device."""

    def __init__(self) -> None:
        super().__init__("cpu", "float32")
        self.device = DEVICE


class OnDevice(Rows):
    """Rows that live there, as small sets do."""

    def __init__(self, rows: Rows) -> None:
        super().__init__(rows.x.to(DEVICE), None if rows.labels is None else rows.labels.to(DEVICE), {k: v.to(DEVICE) for k, v in rows.extra.items()})

    def batch(self, index: Tensor, device: torch.device) -> Batch:
        return super().batch(index.to(DEVICE), device)


class Chosen(StoreSource):
    """Which rows are taken may be the processor's to say: what is recorded is given their numbers."""

    def batch(self, stream: str, turn: Turn) -> Batch:
        before, away.watching = away.watching, False
        try:
            return super().batch(stream, turn)
        finally:
            away.watching = before


def steps(name: str) -> None:
    recipe, spec, rows = suited(zoo.get(name))
    engine = Elsewhere()
    one = Trainer(build_state(recipe, spec, 0, DEVICE), OnDevice(rows), WARM + WATCHED, engine)
    assert isinstance(one.source, StoreSource)
    one.source = Chosen(one.source.store, one.source.sampler, DEVICE)
    for step in range(WARM + WATCHED):
        away.watching = step >= WARM
        one.step()
    away.watching = False


if __name__ == "__main__":
    for given in sys.argv[1:]:
        try:
            steps(given)
        except RuntimeError as error:
            away.watching = False
            where = error.__traceback__
            places = []
            while where is not None:
                if "rivalry" in where.tb_frame.f_code.co_filename:
                    places.append(f"{Path(where.tb_frame.f_code.co_filename).name}:{where.tb_lineno}")
                where = where.tb_next
            print(given, str(error).splitlines()[0], *places[-2:], flush=True)
