"""All that training remembers, and its way to a safetensors file and back.

There is no random state: every draw is a function of (seed, place).  What is left out here is lost on resume, so
the tests leave out each piece in turn and see that it is noticed.
"""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from rivalry.errors import RecipeError, RunError, UnknownName
from rivalry.parts import Net, Wiring, couples_batch
from rivalry.players import scoring
from rivalry.recipe import Recipe, Side, Stage
from rivalry.run import Run, load_module
from rivalry.streams import Draw, key
from rivalry.types import Knobs, Spec


@dataclass
class State:
    """Networks, their averages, optimisers, knobs and counters.

    step: steps done; images: examples shown per turn so far; sums, counts: running sums of notes since the last
    tick (they stay on the device).
    """

    recipe: Recipe
    spec: Spec
    wiring: Wiring
    nets: dict[str, nn.Module]
    ema: dict[str, nn.Module]
    optimisers: dict[str, torch.optim.Optimizer]
    memory: dict[str, dict[str, Tensor]]
    knobs: Knobs
    seed: int
    device: torch.device
    joint: dict[str, bool]
    trainable: dict[str, list[nn.Parameter]]
    step: int = 0
    images: int = 0
    sums: dict[str, Tensor] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)


def optimiser_key(stage_number: int, stage: Stage, side: Side) -> str:
    return f"{stage_number}.{side.name}" if stage.fresh else side.name


def pool_key(optimiser: str) -> str:
    """Where a side's pool of fakes is remembered."""
    return f"{optimiser}.pool"


def build_state(
    recipe: Recipe,
    spec: Spec,
    seed: int,
    device: torch.device,
    players: Mapping[str, nn.Module] | None = None,
) -> State:
    """Step 1 of algorithm 1: build the nets, from the seed alone.  `players` replaces some of them by one's own
    modules."""
    wiring = recipe.game.wiring(spec)
    for name in players or {}:
        if name not in recipe.nets:
            raise UnknownName("player", name, recipe.nets)
    with torch.random.fork_rng(devices=[]):
        nets: dict[str, nn.Module] = {}
        for name, net in recipe.nets.items():
            torch.manual_seed(key(seed, "init", name))
            own = (players or {}).get(name)
            if own is None:
                module = built(name, net, spec, wiring)
            else:
                module = scoring(own) if name in recipe.judging() else own
            if spec.kind == "image":  # convolutions are a fifth faster so, on CPUs and GPUs alike
                module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            nets[name] = module.to(device)
    ema = {k: copy.deepcopy(nets[k]).requires_grad_(False) for k in recipe.ema.modules}
    joint = {k: not couples_batch(m) for k, m in nets.items()}
    trainable = {k: [p for p in m.parameters() if p.requires_grad] for k, m in nets.items()}
    state = State(recipe, spec, wiring, nets, ema, {}, {}, {}, seed, device, joint, trainable)
    for controller in recipe.controllers:
        state.knobs |= {k: torch.tensor(float(v), device=device) for k, v in controller.start().items()}
    for number, stage in enumerate(recipe.stages):
        for side in stage.sides:
            name = optimiser_key(number, stage, side)
            if name in state.optimisers:
                continue
            parameters = own_parameters(state, side)
            if not parameters:
                continue
            state.optimisers[name] = _optimiser(side, parameters)
            for group in state.optimisers[name].param_groups:
                group["initial_lr"] = group["lr"]  # schedules are factors on this
            for i, after in enumerate(side.after):
                state.memory[f"{name}.{i}"] = after.start([p.data for p in parameters])
            if side.pool is not None:
                state.memory[pool_key(name)] = {}
    return state


def built(name: str, net: Net, spec: Spec, wiring: Wiring) -> nn.Module:
    """The network for the data; RecipeError where its settings, or the data's shape, allow none."""
    try:
        return net.build(spec, wiring)
    except (RuntimeError, ValueError, ZeroDivisionError, OverflowError) as error:
        raise RecipeError(
            f"network {name!r} cannot be built for these data with its settings ({str(error).splitlines()[0]}); see: rivalry zoo show NAME"
        ) from error


def _optimiser(side: Side, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    where = f"{side.name}.optimiser"
    if not 0 <= side.optimiser.lr < math.inf:
        raise RecipeError(f"{where}.lr must be a number from 0, for example 2e-4, not {side.optimiser.lr:g}")
    try:
        return side.optimiser.build(parameters)
    except ValueError as error:  # torch's own checks of the other settings
        raise RecipeError(f"{where}: {error}") from error


def own_parameters(state: State, side: Side) -> list[nn.Parameter]:
    """The side's parameters, each once; a part built frozen (a fixed backbone) stays out."""
    return list({id(p): p for name in side.modules for p in state.trainable[name]}.values())


def draw_for(state: State, *place: str | int, share: tuple[int, int] = (0, 1)) -> Draw:
    return Draw(state.seed, place, state.device, share)


def fingerprint(recipe: Recipe, spec: Spec) -> str:
    """What a checkpoint must agree with to be resumed: the recipe, as run.toml will give it back (Python's 3 is 3.0 there), and the
    data's Spec."""
    kept = Recipe.from_toml(recipe.to_toml()).to_toml()
    return hashlib.sha256((kept + repr(spec)).encode()).hexdigest()[:16]


def pack_state(state: State) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(tensors, plain values): everything a resume needs."""
    tensors: dict[str, Tensor] = {}
    for kind, modules in (("nets", state.nets), ("ema", state.ema)):
        for name, module in modules.items():
            for k, v in module.state_dict().items():
                tensors[f"{kind}/{name}/{k}"] = v
    for name, optimiser in state.optimisers.items():
        for i, entry in optimiser.state_dict()["state"].items():
            for k, v in entry.items():
                if v is not None:
                    tensors[f"optimisers/{name}/{i}/{k}"] = torch.as_tensor(v)
    for name, memory in state.memory.items():
        tensors |= {f"memory/{name}/{k}": v for k, v in memory.items()}
    tensors |= {f"knobs/{k}": v for k, v in state.knobs.items() if isinstance(v, Tensor)}
    tensors |= {f"sums/{k}": v for k, v in state.sums.items()}
    plain = {k: v for k, v in state.knobs.items() if not isinstance(v, Tensor)}
    meta = {
        "step": state.step,
        "images": state.images,
        "knobs": plain,
        "counts": dict(state.counts),
        "recipe": fingerprint(state.recipe, state.spec),
    }
    return portable(tensors), meta


def pack_model(state: State) -> dict[str, Tensor]:
    """The networks for use: averaged where there is an average, without those that the game keeps secret."""
    shown = {n: m for n, m in state.nets.items() if n not in state.recipe.game.secret}
    return portable({f"{n}/{k}": v for n, m in shown.items() for k, v in state.ema.get(n, m).state_dict().items()})


def parted(state: State, tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """(what may be handed on, what must not) of a packed state: the game's secret networks, what optimisers and afters remember
    of them, and pools of fakes, which may be changed training rows."""
    secret = state.recipe.game.secret
    places = [f"{kind}/{name}/" for kind in ("nets", "ema") for name in secret]
    for number, stage in enumerate(state.recipe.stages):
        for side in stage.sides:
            key = optimiser_key(number, stage, side)
            if side.pool is not None:
                places.append(f"memory/{pool_key(key)}/")
            if secret & set(side.modules):
                places += [f"optimisers/{key}/", f"memory/{key}."]
    hidden = {k: v for k, v in tensors.items() if k.startswith(tuple(places))}
    return {k: v for k, v in tensors.items() if k not in hidden}, hidden


def portable(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies on the CPU that share no memory."""
    return {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}


def unpack_state(state: State, tensors: Mapping[str, Tensor], meta: Mapping[str, Any], where: str) -> None:
    """Puts a checkpoint back into a freshly built state; RunError if it is of another recipe or incomplete."""
    if meta.get("recipe") != fingerprint(state.recipe, state.spec):
        raise RunError(
            f"{where} was made by another recipe or for data of another shape; "
            "resume with the run's own recipe, or fine-tune with: rivalry train DATA --from RUN"
        )
    _finite(tensors, where)
    for kind, modules in (("nets", state.nets), ("ema", state.ema)):
        for name, module in modules.items():
            load_module(module, _under(tensors, f"{kind}/{name}/"), f"{where} ({kind} {name})")
    for name, optimiser in state.optimisers.items():
        _load_optimiser(optimiser, _under(tensors, f"optimisers/{name}/"))
    for name, memory in state.memory.items():
        if name.endswith(pool_key("")):
            memory.clear()  # one that went on after the checkpoint is not there yet
        for k, v in _under(tensors, f"memory/{name}/").items():
            memory[k] = v.to(state.device)
    state.knobs |= {k: v.to(state.device) for k, v in _under(tensors, "knobs/").items()}
    state.knobs |= meta["knobs"]
    state.sums = {k: v.to(state.device) for k, v in _under(tensors, "sums/").items()}
    state.counts = {k: int(v) for k, v in meta["counts"].items()}
    state.step, state.images = int(meta["step"]), int(meta["images"])


def load_nets(state: State, base: Run) -> None:
    """Fine-tuning starts from the networks (live and averaged) of another run; optimisers start afresh, and so do networks that
    it did not have (a discriminator after training by pixels alone)."""
    tensors, _ = base.state("last")
    known = set(base.recipe.nets)
    if not known & set(state.nets):
        raise RunError(f"{base.path} has none of the networks of this recipe ({', '.join(state.nets)}); name a run of a like recipe")
    for kind, modules in (("nets", state.nets), ("ema", state.ema)):
        for name in [n for n in modules if n in known]:
            module = modules[name]
            load_module(module, _under(tensors, f"{kind}/{name}/"), f"{base.path} ({name})")


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _finite(tensors: Mapping[str, Tensor], where: str) -> None:
    for name, v in tensors.items():
        if v.is_floating_point() and not bool(torch.isfinite(v).all()):
            raise RunError(
                f"{where} holds NaN or infinite numbers in {name}; go back to an earlier checkpoint of the run"
            )


def _load_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Moments take their parameter's memory layout: fused kernels walk both in storage order."""
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    entries: dict[int, dict[str, Any]] = {}
    for k, v in tensors.items():
        number, name = k.split("/", 1)
        p = parameters[int(number)]
        like = torch.empty_like(p, dtype=v.dtype).copy_(v) if v.shape == p.shape else v.to(p.device)
        entries.setdefault(int(number), {})[name] = like
    shell = optimiser.state_dict()
    optimiser.load_state_dict({"state": entries, "param_groups": shell["param_groups"]})
