"""The run folder: resolved recipe, metrics, samples, checkpoints, report.  Self-describing, nothing pickled.

runs/NAME/
  run.toml            recipe, data, seed, steps, versions, machine: all that training was asked to do
  metrics.jsonl       a line per tick
  events.jsonl        what happened besides: rollbacks, collapse, resume, end
  samples/            previews while training, the final sheet
  checkpoints/{last,best}/model.safetensors   networks for use (averaged)
  checkpoints/{last,best}/state.safetensors   everything a resume needs
  plots/  tensorboard/  report.md
  private/            what must never be handed on (features of training data)
"""

from __future__ import annotations

import json
import platform
import re
import shutil
import tomllib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import tomli_w
import torch
from torch import Tensor, nn

from rivalry.errors import RunError, UnknownName
from rivalry.files import read_tensors, write_tensors, write_text
from rivalry.players import scoring
from rivalry.privacy.preparation import Preparation, preparation
from rivalry.recipe import Recipe
from rivalry.types import Block, Outcome, Spec

ROOT = Path("runs")
FORMAT = 1


@dataclass(frozen=True)
class Run:
    """A run folder.  Open one with `Run.open(name or path)`, make one with `Run.create`."""

    path: Path
    replaced: Path | None = None
    """Where the run that stood here before is kept until this one has been saved."""
    players: Mapping[str, nn.Module] = field(default_factory=dict)
    """One's own modules in place of the recipe's networks, by name; copies of them are loaded."""

    @classmethod
    def open(cls, name: str | Path, players: Mapping[str, nn.Module] | None = None) -> Run:
        """A run by path or by name under runs/; RunError, with the nearest name, if there is none."""
        for path in (_placed(Path(name), str(name)), ROOT / name):
            _check_aside(path)
            if (path / "run.toml").is_file():
                return cls(path, players=players or {})
        if Path(name).is_dir():
            raise RunError(f"{name} is a folder, but no run: it has no run.toml")
        known = [p.parent.name for p in ROOT.glob("*/run.toml")]
        raise UnknownName("run", str(name), known)

    @classmethod
    def claim(cls, name: str, overwrite: bool = False) -> Run:
        """An empty folder runs/NAME (or the path NAME); RunError if it is taken, unless `overwrite` and it is a run, which is kept
        aside until this one is first saved and put back by `abandon`."""
        path, aside = cls.at(name).path, None
        _check_aside(path)
        if (path / "run.toml").is_file():
            if not overwrite:
                raise RunError(
                    f"there already is a run at {path}; resume it with: rivalry resume {path.name}, "
                    "name another with --run, or say --overwrite"
                )
            aside = _aside(path)
            if _saved(path) or not aside.exists():
                shutil.rmtree(aside, ignore_errors=True)
                path.rename(aside)
            else:  # what stands here was killed before it was saved once: it replaces nothing
                shutil.rmtree(path)
        elif path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise RunError(f"{path} exists and is no run; name another with --run")
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"cannot make the folder {path} ({error.strerror}); name another with --run") from error
        return cls(path, aside)

    @classmethod
    def at(cls, name: str) -> Run:
        """The folder a name stands for, whatever is there."""
        return cls(_placed(Path(name) if "/" in name else ROOT / name, name))

    def begin(self, settings: Mapping[str, Any]) -> None:
        """Writes run.toml: from here on the folder is a run."""
        head = {"format": FORMAT, "created": datetime.now(UTC).isoformat(timespec="seconds"), "versions": versions()}
        write_text(self.path / "run.toml", tomli_w.dumps(without_none({**head, **settings})))

    def abandon(self) -> None:
        """Removes a claimed folder of which nothing can be resumed, and puts back what stood there."""
        if not _saved(self.path):
            shutil.rmtree(self.path, ignore_errors=True)
            if self.replaced is not None:
                self.replaced.rename(self.path)

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def called(self) -> str:
        """What commands find it by: its name under runs/, else its path."""
        return self.name if self.path.parent == ROOT else str(self.path)

    @cached_property
    def settings(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = tomllib.loads((self.path / "run.toml").read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise RunError(f"{self.path / 'run.toml'} is damaged: {error}") from error
        if found.get("format") != FORMAT:
            raise RunError(f"{self.path} was written by another version (format {found.get('format')}, not {FORMAT})")
        if lacking := [k for k in ("train", "data", "recipe") if k not in found]:
            raise RunError(f"{self.path / 'run.toml'} is damaged: it lacks {' and '.join(lacking)}; bring it back from a copy, or train again")
        return found

    @property
    def untwinned(self) -> str:
        """Why no twin by pixels alone can stand beside the scores of a run that changes pictures; '' where one can, or nobody judges."""
        if not any(side.judges for side in self.recipe.stages[0].sides):
            return ""
        return "a discriminator judged from the first step, so there is no twin by pixels alone to stand beside it"

    @property
    def preparation(self) -> Preparation:
        """What of the columns was read off the rows, declared or paid for."""
        data = self.settings["data"]
        return preparation(data["kind"], data["state"], data.get("defences", ()))

    @property
    def began(self) -> list[dict[str, str]]:
        """The runs whose networks it began with (`--from`), the first of all first: 'run', their names, and 'fingerprint', of their
        rows and split ('' where that was not written down)."""
        train = self.settings["train"]
        unknown = [{"run": Path(train["start"]).name, "fingerprint": ""}] if train["start"] else []
        return list(train.get("began", unknown))

    @property
    def strangers(self) -> tuple[str, ...]:
        """Those of them that learned from other rows than this run, or parted them otherwise."""
        mine = self.settings["data"]["fingerprint"]
        return tuple(dict.fromkeys(one["run"] for one in self.began if one["fingerprint"] != mine))

    @property
    def before(self) -> str:
        """What that does to whatever is measured on held-out rows, a clause; '' where there are none."""
        return f"it began with {hidden(self.strangers)}" if self.strangers else ""

    @cached_property
    def recipe(self) -> Recipe:
        return Recipe.from_dict(self.settings["recipe"])

    @cached_property
    def spec(self) -> Spec:
        spec = self.settings["data"]["spec"]
        blocks = tuple(Block(b["name"], b["kind"], b["start"], b["width"], tuple(b["shares"])) for b in spec.get("blocks", ()))
        outcome = None
        if "survival" in spec:
            time, event, level, after = spec["survival"]
            outcome = Outcome(time, event, level, tuple(after))
        return Spec(
            spec["kind"], tuple(spec["shape"]), tuple(spec["range"]), tuple(spec["class_names"]), spec["vocabulary"],
            blocks, tuple((str(name), str(kind)) for name, kind in spec.get("columns", ())),
            spec.get("static", 0), spec.get("visits", 0), outcome, tuple(spec.get("source", ())), spec.get("context", 0),
        )  # fmt: skip

    def metrics(self) -> list[dict[str, Any]]:
        return read_lines(self.path / "metrics.jsonl")

    def events(self) -> list[dict[str, Any]]:
        return read_lines(self.path / "events.jsonl")

    def log(self, record: Mapping[str, Any], file: str = "metrics.jsonl") -> None:
        """Appends a line; a line cut short by a kill is dropped by `read_lines` and by `rewind`."""
        path = self.path / file
        try:
            with open(path, "a", encoding="utf-8") as out:
                out.write(json.dumps(record) + "\n")
        except OSError as error:
            raise RunError(
                f"cannot write {path} ({error.strerror}); free some space and go on with: rivalry resume {self.name}"
            ) from error

    def event(self, step: int, kind: str, sentence: str, **details: float | str) -> None:
        self.log({"step": step, "kind": kind, "sentence": sentence, **details}, "events.jsonl")

    def rewind(self, step: int) -> None:
        """Drops what was logged after `step`: those steps will be taken again."""
        for file in ("metrics.jsonl", "events.jsonl"):
            path = self.path / file
            if path.exists():
                kept = [r for r in read_lines(path) if r["step"] <= step]
                write_text(path, "".join(json.dumps(r) + "\n" for r in kept))

    def checkpoint(self, which: str) -> Path:
        return self.path / "checkpoints" / which

    def save(
        self, which: str, model: Mapping[str, Tensor], state: Mapping[str, Tensor], meta: Mapping[str, Any],
        secret: Mapping[str, Tensor] | None = None,
    ) -> None:  # fmt: skip
        """Model first, state last: the state decides where a resume begins, and each file is whole or absent.  secret: the
        part of the state that knows raw rows; it goes into private/, under the name of its step, and that of the state before
        stays until the new state is there."""
        folder = self.checkpoint(which)
        if secret:
            write_tensors(self._secret(which, meta["step"]), secret, {"step": meta["step"]})
        write_tensors(folder / "model.safetensors", model, {"step": meta["step"], "recipe": meta["recipe"]})
        write_tensors(folder / "state.safetensors", state, meta)
        if self.replaced is not None and which == "last":
            shutil.rmtree(self.replaced, ignore_errors=True)
        for older in (self.path / "private").glob(f"{which}-secret*.safetensors"):
            if older != self._secret(which, meta["step"]):
                older.unlink()

    def state(self, which: str = "last") -> tuple[dict[str, Tensor], dict[str, Any]]:
        """(tensors, meta) as `save` was given them, the secret part included."""
        tensors, meta = read_tensors(self.checkpoint(which) / "state.safetensors")
        secret = self._secret(which, meta["step"])
        return ({**tensors, **read_tensors(secret)[0]} if secret.exists() else tensors), meta

    def _secret(self, which: str, step: int) -> Path:
        return self.path / "private" / f"{which}-secret-{step}.safetensors"

    def step(self, which: str = "best") -> int:
        """The step at which checkpoint 'best' (else 'last') was taken."""
        _, meta = read_tensors(self._model(which))
        return int(meta["step"])

    def _model(self, which: str) -> Path:
        path = self.checkpoint(which) / "model.safetensors"
        return self.checkpoint("last") / "model.safetensors" if which == "best" and not path.exists() else path

    def own_players(self) -> dict[str, nn.Module]:
        """Copies of one's own modules, for a run that was trained with some; RunError where it was not opened with them."""
        needed = ", ".join(f"{name!r}: YourModule()" for name in self.settings["train"]["own_modules"])
        if any(name not in self.players for name in self.settings["train"]["own_modules"]):
            raise RunError(
                f"{self.name} was trained with your own modules; open it from Python, where untrained ones will do: "
                f"rivalry.load({self.called!r}, players={{{needed}}})"
            )
        copies = {name: deepcopy(module) for name, module in self.players.items()}
        return {name: scoring(module) if name in self.recipe.judging() else module for name, module in copies.items()}

    def networks(self, which: str = "best", device: torch.device | None = None) -> dict[str, nn.Module]:
        """The networks for use, from checkpoint 'best' or 'last', in evaluation mode."""
        path, own_modules = self._model(which), self.own_players()
        tensors, _ = read_tensors(path)
        nets = {**self.recipe.build(self.spec), **own_modules}
        for name in self.recipe.game.secret:
            nets.pop(name, None)  # is in private/ only, and makes no samples
        for name, module in nets.items():
            own = {k.removeprefix(f"{name}/"): v for k, v in tensors.items() if k.startswith(f"{name}/")}
            bad = next(
                (k for k, v in own.items() if v.is_floating_point() and not bool(torch.isfinite(v).all())), None
            )
            if bad:
                raise RunError(f"{path} holds NaN in {name} {bad}; use another checkpoint")
            load_module(module, own, f"{path} ({name})")
            module.to(device or torch.device("cpu")).eval().requires_grad_(False)
        return nets


def hidden(strangers: Sequence[str]) -> str:
    """What held-out rows are worth in a run that began with the networks of these."""
    return (
        f"the networks of {' and '.join(strangers)}, which learned from other rows or another split: rows held back here may be among "
        "theirs, so that scores look too good and attacks find too little"
    )


def stage_checkpoint(stage: str) -> str:
    """The name of the checkpoint that is kept where a stage ends and another begins."""
    return f"after-{stage}"


PIXELS = stage_checkpoint("pixels")
"""Of runs that change pictures in two stages: where pixels alone had decided."""


def _placed(path: Path, name: str) -> Path:
    """The path of a run, which ends in its name: '.' and '..' stand for other folders."""
    if not name.strip():
        raise RunError("the name of a run is empty; name a run under runs/, or the path of its folder")
    return path.resolve() if path.name in ("", "..") else path


def _aside(path: Path) -> Path:
    """Where a run waits until the one that is to stand in its place has begun."""
    return path.parent / f".{path.name}-replaced"


def _saved(path: Path) -> bool:
    """Whether the run can be resumed."""
    return (path / "checkpoints" / "last" / "state.safetensors").is_file()


def _check_aside(path: Path) -> None:
    """RunError where a run waits for one that has not begun: that is being set up now, or was killed then."""
    if (_aside(path) / "run.toml").is_file() and not (path / "run.toml").exists():
        raise RunError(
            f"the run {path} was put aside for one that has not begun; if none is being set up now, bring it back with: "
            f"rm -rf {path} && mv {_aside(path)} {path}"
        )


def load_module(module: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Strictly; RunError naming the first entry that does not fit."""
    try:
        module.load_state_dict(dict(tensors), strict=True)
    except RuntimeError as error:
        raise RunError(
            f"{where} does not fit the networks of this recipe: {_difference(module, tensors)}; it was made with another recipe, or "
            "on data of another shape: name the recipe, settings and size it was trained with"
        ) from error


def _difference(module: nn.Module, tensors: Mapping[str, Tensor]) -> str:
    here, there = ({k: list(v.shape) for k, v in state.items()} for state in (module.state_dict(), tensors))
    names = [k for k in {**here, **there} if here.get(k) != there.get(k)]
    shapes = [k for k in names if k in here and k in there]
    first = shapes[0] if shapes else names[0] if names else ""
    others = f" (and {len(names) - 1} more differ)" if len(names) > 1 else ""
    if shapes:
        return f"{first!r} is {there[first]} there and {here[first]} here{others}"
    return f"{first!r} is {'here' if first in here else 'there'} only{others}"


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The records of a .jsonl file; a last line that was cut short is left out."""
    if not path.exists():
        return []
    out: list[dict[str, Any]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            out.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return out


def without_none(value: Any) -> Any:
    """TOML has no null: entries that are None are left out."""
    if isinstance(value, Mapping):
        return {k: without_none(v) for k, v in value.items() if v is not None}
    if isinstance(value, list | tuple):
        return [without_none(v) for v in value]
    return value


def versions() -> dict[str, str]:
    from importlib.metadata import version

    return {"rivalry": version("rivalry"), "torch": torch.__version__, "python": platform.python_version()}


def machine() -> dict[str, Any]:
    """What the run was made on: processor, threads, accelerator."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        found = re.search(r"model name\s*:\s*(.+)", info.read_text(encoding="utf-8", errors="replace"))
        cpu = found.group(1) if found else cpu
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    return {"system": platform.system(), "cpu": cpu, "threads": torch.get_num_threads(), "gpu": gpu}


def free_name(base: str) -> str:
    """base-1, base-2, ...: the first that is not taken under runs/."""
    number = 1
    while (ROOT / f"{base}-{number}").exists():
        number += 1
    return f"{base}-{number}"
