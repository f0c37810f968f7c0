"""Conformance: what every recipe must keep to, whether it is ours or a plug-in's.

Raises AssertionError with a sentence.  The tests run it over every built-in row; third parties can over theirs.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from rivalry.parts import Turn
from rivalry.recipe import Recipe
from rivalry.streams import Draw
from rivalry.training.engine import Engine
from rivalry.training.loop import Store, StoreSource, Trainer, spans
from rivalry.training.state import State, build_state, pack_state, unpack_state
from rivalry.training.step import freeze, losses
from rivalry.types import Spec


def check_recipe(recipe: Recipe, spec: Spec, store: Store, steps: int = 3) -> None:
    """A few steps on the CPU: TOML round trip, losses of shape [N] and finite, a batch of one, samples of the data's
    shape, and a resume that is equal bit for bit (but for private sides, whose draws nobody can repeat)."""
    engine = Engine("cpu")
    assert Recipe.from_toml(recipe.to_toml()) == recipe, f"{recipe.name}: TOML does not give the same recipe back"
    _losses_are_per_example(recipe, spec, store, engine)
    straight = _run(recipe, spec, store, steps, engine)
    if not recipe.private_sides():
        _resume_is_exact(recipe, spec, store, steps, engine, straight)
    _run(replace(recipe, batch=recipe.accumulate), spec, store, 1, engine)
    nets = {k: straight.ema.get(k, m).eval() for k, m in straight.nets.items()}
    draw = Draw(0, ("check",))
    if recipe.game.changes or recipe.game.answers:
        x = recipe.game.change(nets, recipe.game.source(store.batch(torch.arange(2), engine.device), draw), draw)
    else:
        x = recipe.game.sample(nets, straight.wiring, draw, 2, torch.zeros(2, dtype=torch.long))
    assert x.shape == (2, *spec.shape), f"{recipe.name}: samples are {tuple(x.shape)}, the data {spec.shape}"
    assert bool(torch.isfinite(x).all()), f"{recipe.name}: samples are not finite"


def _run(recipe: Recipe, spec: Spec, store: Store, steps: int, engine: Engine, resume: State | None = None) -> State:
    state = build_state(recipe, spec, 0, engine.device)
    if resume is not None:
        tensors, meta = pack_state(resume)
        unpack_state(state, tensors, meta, "the checkpoint")
    trainer = Trainer(state, store, steps, engine)
    while state.step < steps:
        trainer.step()
    for name, value in state.sums.items():
        assert bool(torch.isfinite(value)), f"{recipe.name}: {name} is not finite after {steps} steps"
    return state


def _resume_is_exact(recipe: Recipe, spec: Spec, store: Store, steps: int, engine: Engine, straight: State) -> None:
    """Interrupted after the first step, packed, unpacked into fresh networks, and gone on with."""
    state = build_state(recipe, spec, 0, engine.device)
    trainer = Trainer(state, store, steps, engine)
    trainer.step()
    resumed = _run(recipe, spec, store, steps, engine, resume=state)
    others = pack_state(resumed)[0]
    for name, value in pack_state(straight)[0].items():
        assert torch.equal(value, others[name]), f"{recipe.name}: {name} differs after a resume"


def _losses_are_per_example(recipe: Recipe, spec: Spec, store: Store, engine: Engine) -> None:
    for span in spans(recipe, max(3, len(recipe.stages))):
        state = build_state(recipe, spec, 0, engine.device)
        Trainer(state, store, 3, engine)  # puts the networks into training mode
        for side in span.stage.sides:
            freeze(state.trainable, side.modules)
            draw = Draw(0, (span.number, side.name))
            knobs = dict(state.knobs)
            turn = Turn(side.name, 0, 0, 0, draw, knobs, {}, recipe.batch)
            source = StoreSource(store, recipe.sampler.over(spec, store), state.device)
            play = recipe.game.play(state.nets, source, turn)
            found: dict[str, Tensor] = losses(recipe, side, play, turn, state.joint)
            assert found, f"{recipe.name}: side {side.name} is charged nothing"
            for name, value in found.items():
                assert value.dim() == 1, f"{recipe.name}: loss {name} has shape {tuple(value.shape)}, not [N]"
                assert bool(torch.isfinite(value).all()), f"{recipe.name}: loss {name} is not finite"
