"""A run of a kind of data on a device that is not the processor (`away`): trained, measured, used, audited.  `python tests/away_run.py KIND`."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
import away

warnings.simplefilter("ignore")
torch.set_num_threads(1)
DEVICE = away.register()

import numpy as np  # noqa: E402

from rivalry import ReadOptions, api, restyle, streams, train  # noqa: E402
from rivalry.data import load  # noqa: E402
from rivalry.evaluate import features, neighbours  # noqa: E402
from rivalry.training import engine, session  # noqa: E402

streams._GENERATORS[DEVICE] = torch.Generator()
RNG = np.random.default_rng(0)


class Elsewhere(engine.Engine):
    """Fabric knows no such device."""

    def __init__(self, device: str = "auto", precision: str = "float32") -> None:
        super().__init__("cpu", "float32")
        self.device = DEVICE


session.Engine = api.Engine = Elsewhere  # type: ignore[misc, assignment]
features.home = neighbours.home = lambda device: device  # statistics are computed on a GPU, too


def trained(data: object, recipe: str = "auto", steps: int = 6, **more: object) -> api.Run:
    return train(data, recipe=recipe, budget=f"{steps}steps", run="run", tensorboard=False, say=lambda _: None, **more)  # type: ignore[arg-type]


def points() -> None:
    run = trained("ring8", "house-points-small")
    run.sample(5)
    run.evaluate()
    run.audit()


def pictures() -> None:
    pixels = RNG.integers(0, 200, (300, 16, 16, 1), dtype=np.uint8)
    run = trained(pixels, "dcgan-small", 4)
    run.sample(5)
    run.evaluate(n=100, data=load(pixels))


def table(recipe: str = "house-table-small", **more: object) -> None:
    rows = [f"{RNG.normal():.2f},{RNG.choice(['x', 'y'])},{RNG.integers(50)}" for _ in range(400)]
    Path("t.csv").write_text("a,b,c\n" + "\n".join(rows) + "\n")
    run = trained("t.csv", recipe, **(more or {"settings": ["batch=32"]}))
    run.sample(3, where="a>0")
    run.evaluate()
    run.audit()


def text() -> None:
    words = [["red", "old", "big", "sad", "wet"], ["dog", "cat", "man", "cow", "hen"], ["runs", "eats", "sits", "sees", "goes"], ["now", "here", "there"]]
    lines = [f"the {a} {b} {c} {d} ." for a in words[0] for b in words[1] for c in words[2] for d in words[3]]
    Path("l.txt").write_text("\n".join(lines) + "\n")
    run = trained("l.txt", "mle-transformer-small")
    run.texts(3)
    run.evaluate()
    run.audit()


def style() -> None:
    from test_style_runs import MOODS, SMALL, lines

    Path("moods").mkdir()
    for mood in MOODS:
        Path(f"moods/{mood}.txt").write_text("\n".join(lines(mood, 120)) + "\n")
    run = trained("moods", "style-editor-small", 30, settings=SMALL, options=ReadOptions(tokenizer="words"))
    restyle(run, ["the soup was stale today ."], next(iter(MOODS)))
    run.evaluate()


def denoise() -> None:
    from PIL import Image

    Path("photos").mkdir()
    for i in range(12):
        Image.fromarray(RNG.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(f"photos/{i}.png")
    run = trained("photos", "auto", 4, options=ReadOptions(task="denoise"))
    run.evaluate(n=4)
    run.apply(Path("photos/0.png"), Path("out.png"))


KINDS = {
    "points": points, "pictures": pictures, "table": table, "text": text, "style": style, "denoise": denoise, "ctgan": lambda: table("ctgan-small"),
    "private": lambda: table("auto", dp_epsilon=3.0),
}  # fmt: skip

if __name__ == "__main__":
    KINDS[sys.argv[1]]()
