"""Training the local feature space: known classes, or clusters found in the data and damages done to it.

With labels the network learns the classes, and with a smaller weight clusters of the pictures, so that few classes do
not leave few directions (a classifier of two sees one).  Without labels it learns the clusters (Caron et al. 2018,
DeepCluster, with one clustering, of the leading principal components of the pixels) and to tell pictures that were
damaged, by noise, blur or cutting, from sound ones, so that flaws of that kind move the features.
At equal time this told classes apart better than NT-Xent or predicting rotations did, and answered more evenly to noise,
blur, foreign parts and lost classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rivalry.errors import DataError
from rivalry.extractors.base import Tick
from rivalry.extractors.local import DIM, LocalExtractor, LocalNet, finished, inner_size, prepare
from rivalry.streams import key

STEPS = 500
BATCH = 128
LEAST = 32
"""Pictures needed at all."""
MOST, MOST_BYTES = 20_000, 2**27
"""Pictures trained on are a random subset that fits, at one byte a value, into 128 MiB."""
CLUSTERS = 100
COMPONENTS, GRID = 32, 16
"""Pictures are clustered by their leading principal components at 16 x 16 pixels."""
SMALL_WEIGHT = 0.3
DAMAGES = 4
"""Sound, noisy, blurred, cut."""

Draw = Callable[[Tensor], tuple[Tensor, Tensor | None]]
"""Row numbers [n] -> (pictures [n, C, H, W], uint8 or in [-1, 1]; labels [n] int64 or None)."""


def drawing(x: Tensor, label: Tensor | None = None) -> Draw:
    """A `Draw` from tensors in memory."""
    return lambda index: (x[index], None if label is None else label[index])


@dataclass(frozen=True, eq=False)
class _Lesson:
    """Prepared pictures as bytes [N, c, h, w]; what is to be told of each [N] by head; how many answers a head has."""

    pictures: Tensor
    answers: dict[str, Tensor]
    outputs: dict[str, int]

    def batch(self, index: Tensor) -> Tensor:
        return self.pictures[index].float() / 127.5 - 1


def train_local(
    draw: Draw,
    rows: int,
    shape: tuple[int, ...],
    classes: int = 0,
    device: torch.device | str = "cpu",
    steps: int = STEPS,
    *,
    held: Draw | None = None,
    held_rows: int = 0,
    seed: int = 0,
    tick: Tick | None = None,
) -> LocalExtractor:
    """Train on the training split: `rows` pictures of `shape` (C, H, W) that `draw` hands out by number.

    classes: labels are 0..classes-1 (0 or 1: trained without).  held, held_rows: held-out pictures, only to report an
    accuracy on.  device: where the result works.  Training itself is on the CPU in one thread, so that the same data
    and seed give the same bytes, and hence the same ruler, on machines of one kind: 64k pictures of 28x28 take about
    20 s on a free core.  DataError with fewer than 32 pictures or labels out of range.
    """
    if rows < LEAST or len(shape) != 3:
        raise DataError(f"a local feature space needs {LEAST} pictures to train on, not {rows} rows of shape {shape}")
    generator = torch.Generator().manual_seed(key(seed, "local extractor"))
    size = inner_size(shape[1], shape[2])
    with _one_thread(), torch.random.fork_rng(devices=[]):  # layers draw when they are made, and are then drawn anew
        lesson, centres = _lesson(draw, rows, size, classes, generator)
        net = LocalNet(lesson.pictures.shape[1], size)
        heads = {name: nn.Linear(DIM, outputs) for name, outputs in lesson.outputs.items()}
        for module in (net, *heads.values()):
            _initialise(module, generator)
        train_accuracy = _train(net, heads, lesson, steps, generator, tick)
        main = next(iter(lesson.answers))
        held_accuracy = None
        if held is not None and held_rows > 0:
            held_accuracy = _held_accuracy(net, heads[main], held, held_rows, main, centres)
    return finished(net, heads.get("class"), (train_accuracy, held_accuracy), torch.device(device))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums over threads depend on their number; one thread gives the same bytes whatever the machine is set to."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _lesson(
    draw: Draw, rows: int, size: tuple[int, int], classes: int, generator: torch.Generator
) -> tuple[_Lesson, _Clusters]:
    """The subset trained on, with its answers; the first head is the one that accuracy speaks of."""
    pictures, labels = _subset(draw, torch.randperm(rows, generator=generator), size)
    clusters = _Clusters.of(pictures, max(2, min(CLUSTERS, len(pictures) // 20)), generator)
    answers, outputs = {"cluster": clusters.of_pictures(pictures)}, {"cluster": len(clusters.centres)}
    if classes > 1 and labels is not None:
        if int(labels.min()) < 0 or int(labels.max()) >= classes:
            raise DataError(f"labels run from {int(labels.min())} to {int(labels.max())}, outside 0..{classes - 1}")
        answers, outputs = {"class": labels.long(), **answers}, {"class": classes, **outputs}
    else:
        outputs["damage"] = DAMAGES
    return _Lesson(pictures, answers, outputs), clusters


def _subset(draw: Draw, order: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor | None]:
    """Pictures of as many rows, in this order, as fit: prepared, as bytes [N, c, *size]; and their labels."""
    pictures: list[Tensor] = []
    labels: list[Tensor] = []
    bytes_held = 0
    for index in order[:MOST].split(256):
        x, label = draw(index)
        part = prepare(x.cpu(), size).add(1).mul(127.5).round().to(torch.uint8)
        bytes_held += part.numel()
        if pictures and bytes_held > MOST_BYTES:
            break
        pictures.append(part)
        if label is not None:
            labels.append(label.cpu())
    return torch.cat(pictures), torch.cat(labels) if labels else None


@dataclass(frozen=True, eq=False)
class _Clusters:
    """k-means in principal components: mean [P], components [P, Q], centres [K, Q]."""

    mean: Tensor
    components: Tensor
    centres: Tensor

    @classmethod
    def of(cls, pictures: Tensor, clusters: int, generator: torch.Generator) -> _Clusters:
        """Lloyd's algorithm from random pictures; a centre that lost all of its own starts again at another one."""
        flat = _coarse(pictures)
        mean = flat.mean(0)
        vectors = torch.linalg.eigh((flat - mean).T @ (flat - mean)).eigenvectors
        components = vectors[:, -COMPONENTS:]
        points = (flat - mean) @ components
        centres = points[torch.randperm(len(points), generator=generator)[:clusters]]
        for _ in range(15):
            own = torch.cdist(points, centres).argmin(1)
            counts = torch.bincount(own, minlength=clusters)
            sums = torch.zeros_like(centres).index_add(0, own, points)
            again = points[torch.randint(len(points), (clusters,), generator=generator)]
            centres = torch.where(counts[:, None] > 0, sums / counts[:, None].clamp(min=1), again)
        return cls(mean, components, centres)

    def of_pictures(self, pictures: Tensor) -> Tensor:
        """[N] int64: the nearest centre of each of pictures [N, c, h, w], bytes."""
        return torch.cdist((_coarse(pictures) - self.mean) @ self.components, self.centres).argmin(1)


def _coarse(pictures: Tensor) -> Tensor:
    """Bytes [N, c, h, w] -> [N, c * 256] in [0, 1], at 16 x 16 pixels."""
    small = [
        F.interpolate(part.float() / 255, (GRID, GRID), mode="bilinear", align_corners=False, antialias=True)
        for part in pictures.split(1024)
    ]
    return torch.cat(small).flatten(1)


def _initialise(module: nn.Module, generator: torch.Generator) -> None:
    """He et al. (2015) normal weights and zero biases, from our own generator; batch norms stay as made."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _train(
    net: LocalNet,
    heads: dict[str, nn.Linear],
    lesson: _Lesson,
    steps: int,
    generator: torch.Generator,
    tick: Tick | None,
) -> float:
    """AdamW with one cycle of the rate; accuracy of the first head over the last tenth of the steps."""
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(nn.ModuleList([net, *heads.values()]).parameters(), 4e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    main, right, asked = next(iter(lesson.answers)), 0, 0
    for step in range(steps):
        index = torch.randint(len(lesson.pictures), (BATCH,), generator=generator)
        x = _moved(lesson.batch(index), generator)
        damage = None
        if "damage" in heads:
            x, damage = _damaged(x, generator)
        said = net(x).relu()
        loss = torch.zeros(())
        for name, answers in lesson.answers.items():
            guess = heads[name](said)
            weight = 1.0 if name == main else SMALL_WEIGHT
            loss = loss + weight * F.cross_entropy(guess, answers[index], label_smoothing=0.1)
            if name == main and step >= steps * 9 // 10:
                right, asked = right + int((guess.argmax(1) == answers[index]).sum()), asked + len(index)
        if damage is not None:
            loss = loss + SMALL_WEIGHT * F.cross_entropy(heads["damage"](said), damage)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        if tick is not None:
            tick(step + 1)
    net.eval()
    return right / asked


def _uniform(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.rand(n, generator=generator) * (high - low) + low


def _moved(x: Tensor, generator: torch.Generator) -> Tensor:
    """[N, c, h, w], each at a random place: a cut-out of .8 to 1 of the area, turned by up to .1 rad, contrast and
    brightness off by up to .3 and .2.  No flips: letters and faces have sides."""
    n = len(x)
    scale, turn = _uniform(n, 0.8, 1, generator).sqrt(), _uniform(n, -0.1, 0.1, generator)
    across, down = (_uniform(n, -1, 1, generator) * (1 - scale) for _ in range(2))
    rows = torch.stack([scale * turn.cos(), -scale * turn.sin(), across], 1)
    columns = torch.stack([scale * turn.sin(), scale * turn.cos(), down], 1)
    grid = F.affine_grid(torch.stack([rows, columns], 1), list(x.shape), align_corners=False)
    out = F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)
    contrast, brightness = _uniform(n, 0.7, 1.3, generator), _uniform(n, -0.2, 0.2, generator)
    return out * contrast[:, None, None, None] + brightness[:, None, None, None]


def _damaged(x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """(x [N, c, h, w] with three of eight pictures damaged, kind of damage [N]: 0 none, 1 noise, 2 blur, 3 cut).

    Noise has a deviation of .15 to .35; blur is a mean over 5 x 5, blended in by .7 to 1; cut pictures end at a random
    column and go on as another.  Only plain damage: a space that answers to the faintest noise would see little else.
    """
    n, _, _, wide = x.shape
    kind = (torch.randint(8, (n,), generator=generator) - 4).clamp(min=0)
    strength = _uniform(n, 0, 1, generator)[:, None, None, None]
    noisy = x + (0.15 + 0.2 * strength) * torch.randn(x.shape, generator=generator)
    blurred = F.avg_pool2d(F.pad(x, (2, 2, 2, 2), mode="replicate"), 5, 1)
    blurred = x + (0.7 + 0.3 * strength) * (blurred - x)
    edge = wide // 4 + torch.randint(max(1, wide // 2), (n, 1, 1, 1), generator=generator)
    cut = torch.where(torch.arange(wide) < edge, x, x.roll(1, 0))
    choices = torch.stack([x, noisy, blurred, cut])
    return choices[kind, torch.arange(n)], kind


@torch.no_grad()
def _held_accuracy(net: LocalNet, head: nn.Module, held: Draw, rows: int, main: str, clusters: _Clusters) -> float:
    """Share of at most 10,000 held-out pictures whose class or cluster is told."""
    height, width = (int(side) for side in net.size)
    pictures, labels = _subset(held, torch.arange(min(rows, 10_000)), (height, width))
    truth = labels if main == "class" else clusters.of_pictures(pictures)
    if truth is None:
        raise DataError("held-out pictures need labels where the training pictures have them")
    said = [head(net(part.float() / 127.5 - 1).relu()).argmax(1) for part in pictures.split(256)]
    return float((torch.cat(said) == truth).double().mean())
