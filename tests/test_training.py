"""Training end to end: runs, resume after a kill, interrupts, targets, several processes, bad input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor

import rivalry
from rivalry.errors import RecipeError, RivalryError, RunError
from rivalry.files import read_tensors

SMALL = ("generator.sizes=[16]", "discriminator.trunk.sizes=[16]", "batch=32")


def quiet(line: str) -> None:
    pass


def train(tmp: Path, name: str, budget: str = "60steps", **more: object) -> rivalry.Run:
    return rivalry.train(
        "ring8", recipe="gan-small", budget=budget, run=str(tmp / name), settings=SMALL, device="cpu", say=quiet,
        options=rivalry.ReadOptions(limit=2000), tensorboard=False, **more,
    )  # fmt: skip


def tensors(path: Path) -> dict[str, Tensor]:
    return read_tensors(path)[0]


def assert_same(a: Path, b: Path) -> None:
    one, two = tensors(a), tensors(b)
    assert one.keys() == two.keys()
    for name, value in one.items():
        assert torch.equal(value, two[name]), name


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> rivalry.Run:
    return train(tmp_path_factory.mktemp("runs"), "straight")


def test_a_run_describes_itself(straight: rivalry.Run) -> None:
    for name in ("run.toml", "metrics.jsonl", "report.md", "model-card.md", "checkpoints/last/model.safetensors",
                 "checkpoints/best/state.safetensors", "plots/losses.png", "plots/value.png"):  # fmt: skip
        assert (straight.path / name).stat().st_size > 0, name
    assert list((straight.path / "samples").glob("*.png"))
    assert straight.ended == "budget"
    assert not list(straight.path.rglob("*.part-*"))
    records = straight.folder.metrics()
    assert records[-1]["step"] == 60
    assert any("discriminator.main.value" in r.get("notes", {}) for r in records)
    assert rivalry.load(straight.path).recipe == straight.recipe


def test_the_model_card_tells_what_it_is_of_and_what_it_is_not_for(straight: rivalry.Run) -> None:
    card = (straight.path / "model-card.md").read_text()
    settings = straight.folder.settings
    for words in ("gan-small", "60 steps", f"{settings['data']['train']:,} rows", settings["data"]["fingerprint"][:16],
                  "SWD", "No privacy guarantee", "Not for decisions about people"):  # fmt: skip
        assert words in card, words


def test_samples_are_in_the_data_s_own_units_and_by_seed(straight: rivalry.Run) -> None:
    a, b, c = (straight.sample(100, seed=s, device="cpu") for s in (1, 1, 2))
    assert a.shape == (100, 2)
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_same_seed_same_result(straight: rivalry.Run, tmp_path: Path) -> None:
    again = train(tmp_path, "again")
    assert_same(again.path / "checkpoints/last/model.safetensors", straight.path / "checkpoints/last/model.safetensors")


def test_resume_equals_an_unbroken_run(
    straight: rivalry.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after step 37, in the middle of a tick: what is left is whole, and going on gives the same bits."""
    from rivalry.training.loop import Trainer

    class Killed(BaseException):
        pass

    step = Trainer.step

    def until(self: Trainer) -> None:
        if self.state.step == 37 and self.steps == 60:
            raise Killed
        step(self)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", until)
        with pytest.raises(Killed):
            train(tmp_path, "broken")
    broken = rivalry.load(tmp_path / "broken")
    with (broken.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 37, "cut sho')
    done = broken.resume(device="cpu", say=quiet)
    for which in ("last", "best"):
        for file in ("model", "state"):
            path = f"checkpoints/{which}/{file}.safetensors"
            assert_same(done.path / path, straight.path / path)
    one, two = (
        [{k: v for k, v in r.items() if k != "seconds"} for r in run.folder.metrics()] for run in (done, straight)
    )
    assert one == two
    assert "resume" in {e["kind"] for e in done.folder.events()}
    report = (done.path / "report.md").read_text()  # which the last line of training names
    assert "went on from step" in report
    assert "the budget is spent" in report


@pytest.mark.parametrize("piece", ["nets/", "ema/", "optimisers/", "sums/"])
def test_every_piece_of_a_checkpoint_matters(piece: str, straight: rivalry.Run, tmp_path: Path) -> None:
    """Leave out a piece of state, and resuming is noticed to differ (or refused)."""
    from rivalry.data import load
    from rivalry.training.engine import Engine
    from rivalry.training.loop import Trainer
    from rivalry.training.state import build_state, pack_state, unpack_state

    data = load("ring8", options=rivalry.ReadOptions(limit=2000))

    def fresh() -> Trainer:
        return Trainer(build_state(straight.recipe, data.spec, 0, torch.device("cpu")), data.train, 60, Engine("cpu"))

    first = fresh()
    for _ in range(5):
        first.step()
    packed, meta = pack_state(first.state)
    for _ in range(3):
        first.step()
    left_out = {k: v for k, v in packed.items() if not k.startswith(piece)}
    assert len(left_out) < len(packed)
    second = fresh()
    try:
        unpack_state(second.state, left_out, meta, "here")
    except RunError:
        return
    for _ in range(3):
        second.step()
    whole, part = pack_state(first.state)[0], pack_state(second.state)[0]
    assert any(k not in part or not torch.equal(v, part[k]) for k, v in whole.items())


def command(*words: str, cwd: Path, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "rivalry", *words], cwd=cwd, text=True, stderr=subprocess.PIPE, stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {})},
    )  # fmt: skip


SETTINGS = [w for s in SMALL for w in ("--set", s)]
LONG = ("train", "ring8", "--recipe", "gan-small", "--limit", "2000", "--budget", "4000steps", "--run", "long",
        "--no-tensorboard", *SETTINGS)  # fmt: skip


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    for _ in range(600):
        if path.exists():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    raise AssertionError(f"{path} did not appear")


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path: Path) -> None:
    process = command(*LONG, cwd=tmp_path)
    wait_for(tmp_path / "runs/long/metrics.jsonl", process)
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=60)
    assert process.returncode == 0, words
    assert "rivalry resume long" in words
    run = rivalry.load(tmp_path / "runs/long")
    assert run.ended == "asked"
    assert tensors(run.path / "checkpoints/last/state.safetensors")


def test_kill_nine_leaves_nothing_half_written(tmp_path: Path) -> None:
    process = command(*LONG, cwd=tmp_path)
    wait_for(tmp_path / "runs/long/checkpoints/last/state.safetensors", process)
    time.sleep(0.5)
    process.kill()
    process.communicate()
    for file in (tmp_path / "runs/long").rglob("*.safetensors"):
        if not file.name.startswith(".part-"):
            assert tensors(file)


def test_two_processes_equal_one_with_the_whole_batch(tmp_path: Path) -> None:
    words = ["train", "ring8", "--recipe", "gan-small", "--limit", "2000", "--budget", "12steps", "--device", "cpu",
             "--no-tensorboard", *SETTINGS]  # fmt: skip
    one = command(*words, "--run", "one", cwd=tmp_path)
    two = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29517",
         "-m", "rivalry", *words, "--name", "two"],
        cwd=tmp_path, capture_output=True, text=True, timeout=240, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    _, said = one.communicate(timeout=240)
    assert one.returncode == 0, said
    assert two.returncode == 0, two.stderr
    a, b = (tensors(tmp_path / f"runs/{n}/checkpoints/last/model.safetensors") for n in ("one", "two"))
    for name, value in a.items():
        torch.testing.assert_close(value, b[name], rtol=1e-4, atol=1e-5)


def test_stops_on_target_and_not_before(tmp_path: Path) -> None:
    easy = train(tmp_path, "easy", budget="200steps", until="swd<100")
    assert easy.ended == "target"
    assert easy.folder.metrics()[-1]["step"] < 200
    hard = train(tmp_path, "hard", until="swd<0.000001")
    assert hard.ended == "budget"


def test_fine_tuning_starts_from_another_run(straight: rivalry.Run, tmp_path: Path) -> None:
    tuned = train(tmp_path, "tuned", budget="1steps", start=str(straight.path))
    fresh = train(tmp_path, "fresh", budget="1steps")
    old, new, cold = (tensors(r.path / "checkpoints/last/model.safetensors") for r in (straight, tuned, fresh))
    name = next(k for k in old if k.startswith("generator") and k.endswith("weight"))
    assert (old[name] - new[name]).norm() < (old[name] - cold[name]).norm() / 5


def test_own_modules_play(tmp_path: Path) -> None:
    class Own(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(100, 2)

        def forward(self, z: Tensor, *cond: Tensor) -> Tensor:
            return self.linear(z)

    run = train(tmp_path, "own", budget="5steps", players={"generator": Own()})
    assert any("linear" in k for k in tensors(run.path / "checkpoints/last/model.safetensors"))
    with pytest.raises(RunError, match="own module"):
        rivalry.load(run.path).sample(3, device="cpu")
    assert rivalry.load(run.path, {"generator": Own()}).sample(3, device="cpu").shape == (3, 2)


# -- bad input: one clear sentence, exit code 2, nothing half-written ---------------------------------------------


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("train", "no-such-data"), "no-such-data"),
        (("train", "ring9"), "ring8"),
        (("train", "ring8", "--recipe", "dcgn"), "dcgan"),
        (("train", "ring8", "--recipe", "missing.toml"), "zoo show"),
        (("train", "ring8", "--recipe", "gan-small", "--set", "bacth=3"), "batch"),
        (("train", "ring8", "--recipe", "gan-small", "--set", "batch"), "KEY=VALUE"),
        (("train", "ring8", "--recipe", "gan-small", "--budget", "10 parsecs"), "10m"),
        (("train", "ring8", "--recipe", "gan-small", "--until", "fdd<3"), "fd"),
        (("train", "ring8", "--recipe", "acgan-small"), "labels"),
        (("train", "ring8", "--from", "nothing"), "nothing"),
        (("sample", "no-run"), "no-run"),
        (("resume", "no-run"), "no-run"),
        (("zoo", "show", "wgan-gq"), "wgan-gp"),
        (("compare",), "--data"),
        (("data", "inspect", "nowhere"), "nowhere"),
    ],
)
def test_bad_requests(words: tuple[str, ...], hint: str, tmp_path: Path) -> None:
    process = command(*words, cwd=tmp_path)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 2, said
    assert hint in said
    assert "Traceback" not in said
    assert not (tmp_path / "runs").exists() or not any((tmp_path / "runs").iterdir())


def test_a_run_of_that_name_is_not_overwritten(straight: rivalry.Run) -> None:
    with pytest.raises(RunError, match="overwrite"):
        train(straight.path.parent, "straight")


def test_pickles_nan_and_foreign_checkpoints_are_refused(straight: rivalry.Run, tmp_path: Path) -> None:
    import shutil

    from rivalry.files import write_tensors

    def copy(name: str) -> rivalry.Run:
        shutil.copytree(straight.path, tmp_path / name)
        return rivalry.load(tmp_path / name)

    pickled = copy("pickled")
    torch.save({"x": torch.zeros(1)}, pickled.path / "checkpoints/best/model.safetensors")
    with pytest.raises(RunError, match="pickle"):
        pickled.sample(1, device="cpu")

    broken = copy("broken")
    found, meta = read_tensors(broken.path / "checkpoints/best/model.safetensors")
    name = next(k for k in found if k.endswith("weight"))
    found[name] = found[name] * float("nan")
    write_tensors(broken.path / "checkpoints/best/model.safetensors", found, meta)
    with pytest.raises(RunError, match="NaN"):
        broken.sample(1, device="cpu")

    truncated = copy("truncated")
    path = truncated.path / "checkpoints/last/state.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(RunError, match="readable"):
        truncated.resume(device="cpu", say=quiet)

    foreign = copy("foreign")
    text = (foreign.path / "run.toml").read_text()
    (foreign.path / "run.toml").write_text(text.replace("batch = 32", "batch = 33", 1))
    with pytest.raises(RunError, match="another recipe"):
        rivalry.load(foreign.path).resume(device="cpu", say=quiet)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    from rivalry import files

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    target = tmp_path / "a.json"
    with pytest.raises(RunError, match="disk is full"):
        files.write_json(target, {})
    assert list(tmp_path.iterdir()) == []


def test_help_answers_at_once() -> None:
    best = min(_timed() for _ in range(3))
    assert best < 0.5


def _timed() -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-m", "rivalry", "--help"], check=True, capture_output=True)
    return time.perf_counter() - begun


def test_json_everywhere(straight: rivalry.Run) -> None:
    for words in (("zoo", "list", "--json"), ("evaluate", str(straight.path), "-n", "200", "--json")):
        process = command(*words, cwd=straight.path)
        said, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        json.loads(said)


def test_the_package_offers_what_it_says() -> None:
    assert rivalry.__all__ == sorted(rivalry.__all__)
    for name in rivalry.__all__:
        assert getattr(rivalry, name) is not None
    with pytest.raises(AttributeError):
        _ = rivalry.nothing
    assert issubclass(RecipeError, RivalryError)


def test_micro_batches_equal_the_whole_batch() -> None:
    """Where nothing couples a batch, two halves accumulated move the networks as the whole batch does."""
    from dataclasses import replace

    from rivalry import zoo
    from tiny import POINTS, ring, run

    recipe = replace(zoo.get("gan-small"), batch=32)
    whole, halves = (run(replace(recipe, accumulate=n), POINTS, ring(), 5) for n in (1, 2))
    for name, module in whole.nets.items():
        for k, v in module.state_dict().items():
            torch.testing.assert_close(v, halves.nets[name].state_dict()[k], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("seconds", "per_look", "looks", "steps"),
    [(600, 1, 20, 580), (100, 2, 5, 90), (60, 5, 3, 45), (60, 15, 1, 45), (60, 50, 1, 30), (60, 500, 1, 30)],
)
def test_a_short_budget_is_not_spent_on_looking(seconds: float, per_look: float, looks: int, steps: int) -> None:
    """At one second a step: three looks of a minute each once left one step of three minutes."""
    from rivalry.evaluate import Budget
    from rivalry.training.plan import Plan
    from rivalry.zoo import get

    plan = Plan.make(Budget(seconds=seconds), get("gan-small"), 1.0, per_look)
    assert plan.steps == steps
    assert plan.steps // plan.look == looks


def test_each_stage_is_timed_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a budget is turned into the steps that the costliest stage, often the last, would make in it."""
    from rivalry.training import session
    from rivalry.zoo import get
    from tiny import TOKENS, sentences, trainer

    trial = trainer(get("residual-energy-small"), TOKENS, sentences(), 1)
    cost = {"likelihood": 1.0, "critic": 9.0}
    seen = []

    def calibrate(trial: session.Trainer, seconds: float) -> float:
        trial.step()
        seen.append((trial.layout[0].stage.name, seconds))
        return cost[seen[-1][0]]

    monkeypatch.setattr(session, "calibrate", calibrate)
    before = trial.layout
    assert session.seconds_a_step(trial) == pytest.approx(0.75 * 1.0 + 0.25 * 9.0)
    assert seen == [("likelihood", 2.0), ("critic", 2.0)]
    assert trial.layout == before
