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


def test_what_is_drawn_into_its_place_is_what_is_drawn_anew() -> None:
    kinds = {
        "normal": lambda d: d.normal("z", 33, 5), "uniform": lambda d: d.uniform("z", 33, 5), "integers": lambda d: d.integers("z", 9, 33),
        "permutation": lambda d: d.permutation("z", 33), "few": lambda d: d.normal("z", 3, 2), "none": lambda d: d.uniform("z", 3, 0),
        "half": lambda d: replace(d, share=(1, 2)).normal("z", 33, 5),
    }  # fmt: skip
    tape = Tape(3, CPU)
    for drawn in kinds.values():
        drawn(tape.draw(Draw(0, (0, "g", 3, 0))))
    for step in (7, 8):
        tape.rewind()
        tape.fill(step, {})
        for kind, drawn in kinds.items():
            found, right = (drawn(d) for d in (tape.draw(Draw(0, (0, "g", step, 0))), Draw(0, (0, "g", step, 0))))
            assert torch.equal(found, right), kind


def test_numbers_and_rows_come_anew_to_where_they_stand() -> None:
    tape = Tape(3, CPU)
    tape.knobs({"lr": 0.5, "k": torch.tensor(2.0), "batch": 4})
    rate, rows = tape.rate(0.1, lambda given: float(given["lr"])), tape.take(lambda step: torch.arange(step, step + 3))
    assert float(rate) == pytest.approx(0.05)
    assert rows.tolist() == [3, 4, 5]
    for step, lr in ((3, 0.5), (7, 0.25), (8, 0.125)):
        tape.rewind()
        tape.fill(step, {"lr": lr, "k": torch.tensor(lr + 1), "batch": 4})
        knobs = tape.knobs({"lr": 9.0, "k": torch.tensor(9.0), "batch": 4})
        assert knobs["batch"] == 4
        assert (float(knobs["lr"]), float(knobs["k"])) == (lr, lr + 1)
        assert float(tape.rate(0.1, lambda given: 9.0)) == pytest.approx(0.1 * lr)
        assert tape.take(lambda step: torch.zeros(3)).tolist() == [step, step + 1, step + 2]


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
