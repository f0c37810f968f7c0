"""Steps whose takings stand on a tape are the steps themselves: the same draws, rows, knobs and rates, at every step."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from rivalry import zoo
from rivalry.schedules import Linear
from rivalry.streams import Draw
from rivalry.training.graphs import recordable
from rivalry.training.loop import Trainer, span_at
from rivalry.training.state import build_state
from rivalry.training.tape import Tape, Untaped
from tiny import CPU, ENGINE, LABELLED, flat, labelled, suited

ROWS = (
    "gan", "dcgan", "wgan-gp", "acgan", "infogan", "stylegan2-ada", "began", "house", "house-labels", "house-table", "ctgan", "tvae",
    "timegan", "pix2pix", "cyclegan", "mle", "veegan", "bigan",
)  # fmt: skip


def set_up(name: str) -> Trainer:
    recipe, spec, store = suited(zoo.get(f"{name}-small"), 4)
    recipe = replace(recipe, schedules={**recipe.schedules, "lr": Linear(1.0, 0.2), "penalty": Linear(1.0, 3.0)})
    return Trainer(build_state(recipe, spec, 0, CPU), store, 40, ENGINE)


@pytest.mark.parametrize("name", ROWS)
def test_a_taped_step_is_the_step(name: str) -> None:
    plain, taped = set_up(name), set_up(name)
    assert recordable(taped)
    steps = 5
    for _ in range(steps):
        plain.step()
    tapes: dict[object, Tape] = {}
    own = taped.turns

    def turns(span: object, scheduled: object) -> dict[str, torch.Tensor]:
        where = span_at(taped.layout, taped.state.step)
        due = tuple(taped.state.step % p.every == 0 for s in where.stage.sides for p in (*s.penalties, *s.terms))
        tape = tapes.get((where.number, due))
        if tape is None:
            tape = tapes[where.number, due] = Tape(taped.state.step, CPU)
        else:
            tape.rewind()
            tape.fill(taped.state.step, {**taped.state.knobs, **taped._schedule(where)})
        with taped.taped(where, tape):
            return own(where, taped._schedule(where))

    taped.turns = turns  # type: ignore[method-assign]
    for _ in range(steps):
        taped.step()
    assert any(t.reading for t in tapes.values())
    start = set_up(name).state.nets
    for net, module in plain.state.nets.items():
        one, two, begun = (flat(m) for m in (module, taped.state.nets[net], start[net]))
        assert float((one - two).norm()) <= 1e-2 * float((one - begun).norm()), net  # a rate is rounded to float32 on its way
    for what, value in plain.state.sums.items():
        assert float(taped.state.sums[what]) == pytest.approx(float(value), rel=1e-2, abs=1e-4), what


def test_a_tape_gives_every_step_its_own_draws() -> None:
    tape = Tape(3, CPU)
    first = tape.draw(Draw(0, (0, "g", 3, 0))).at("deeper").normal("z", 4, 2)
    assert torch.equal(first, Draw(0, (0, "g", 3, 0, "deeper")).normal("z", 4, 2))
    tape.rewind()
    tape.fill(7, {})
    again = tape.draw(Draw(0, (0, "g", 7, 0))).at("deeper").normal("z", 4, 2)
    assert again.data_ptr() == first.data_ptr()
    assert torch.equal(again, Draw(0, (0, "g", 7, 0, "deeper")).normal("z", 4, 2))


def test_what_cannot_stand_on_a_tape_is_said() -> None:
    tape = Tape(0, CPU)
    with pytest.raises(Untaped, match="zoom"):
        tape.draw(Draw(0, (0, "g", 0, 0))).key("zoom")
    tape.rewind()
    with pytest.raises(Untaped, match="more"):
        tape.take(lambda step: torch.zeros(1))


def test_what_decides_by_itself_is_not_recorded() -> None:
    assert not recordable(set_up("wgan"))  # weights are clipped after each update
    recipe = replace(zoo.get("dcgan-small"), batch=4, accumulate=2)
    assert not recordable(Trainer(build_state(recipe, LABELLED, 0, CPU), labelled(), 4, ENGINE))
