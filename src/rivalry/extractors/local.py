"""A small feature space of one's own data: a network trained on the training split, in seconds.

Fréchet distances in it are comparable within one project only, and carry the name 'local' and the weights' hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rivalry.errors import WeightsError
from rivalry.files import read_tensors, write_tensors
from rivalry.streams import key

DIM = 64
STEPS = 400
BATCH = 128
FORMAT = 1
Draw = Callable[[Tensor], tuple[Tensor, Tensor | None]]
"""Row numbers [n] -> (encoded pictures [n, C, H, W], labels [n] or None)."""


class LocalNet(nn.Module):
    """[N, C, H, W] in [-1, 1] -> features [N, 64]: four convolutions, mean over places."""

    def __init__(self, channels: int, large: bool, outputs: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            _block(channels, 32, 5, 2), _block(32, 32, 3, 2 if large else 1), _block(32, 64, 3, 2), _block(64, DIM, 3, 1)
        )
        self.head = nn.Linear(DIM, outputs)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.blocks(x.contiguous(memory_format=torch.channels_last)).mean((2, 3))
        return features


def _block(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


@dataclass(frozen=True, eq=False)
class LocalExtractor:
    """x [N, C, H, W] in [-1, 1] -> [N, 64] float32.  classes: what `logits` tells apart, 0 if it was trained without
    labels.  Pictures larger than `side` pixels are reduced to it (bilinear, antialiased)."""

    net: LocalNet
    side: int
    classes: int
    sha: str
    accuracy: float

    name = "local"

    @property
    def resize(self) -> str:
        return f"bilinear, antialiased, to at most {self.side} px"

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        features: Tensor = self.net(_reduced(x, self.side))
        return features.float()

    @torch.no_grad()
    def logits(self, features: Tensor) -> Tensor:
        """[N, 64] -> [N, classes]."""
        out: Tensor = self.net.head(features)
        return out

    def save(self, path: Path) -> None:
        meta = {"format": FORMAT, "side": self.side, "classes": self.classes, "accuracy": self.accuracy}
        write_tensors(path, {k: v.cpu().contiguous() for k, v in self.net.state_dict().items()}, meta)

    @classmethod
    def load(cls, path: Path, device: torch.device) -> LocalExtractor:
        """WeightsError if the file is of another kind."""
        tensors, meta = read_tensors(path)
        if meta.get("format") != FORMAT:
            raise WeightsError(f"{path} holds no local extractor; delete it and it will be trained again")
        channels, outputs = tensors["blocks.0.0.weight"].shape[1], tensors["head.weight"].shape[0]
        net = LocalNet(channels, meta["side"] > 32, outputs)
        net.load_state_dict(tensors)
        net.to(device).eval().requires_grad_(False)
        return cls(net, meta["side"], meta["classes"], _hash(net), meta["accuracy"])


def _hash(net: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(net.state_dict().items()):
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _reduced(x: Tensor, side: int) -> Tensor:
    if max(x.shape[-2:]) <= side:
        return x
    scale = side / max(x.shape[-2:])
    size = [max(8, round(s * scale)) for s in x.shape[-2:]]
    return F.interpolate(x, size, mode="bilinear", antialias=True, align_corners=False)


def train_local(
    draw: Draw, rows: int, shape: tuple[int, ...], classes: int, device: torch.device, steps: int = STEPS
) -> LocalExtractor:
    """Trains on the training split: as a classifier where there are labels, else to recognise a picture among others
    after it was moved, turned and dimmed (NT-Xent, Chen et al. 2020).  The same data give the same bytes on a CPU.

    draw: hands out training pictures by row number; rows: how many there are.
    """
    channels, large = shape[0], max(shape[1:]) > 32
    side = 48 if large else 32
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key(0, "local extractor", *shape, classes))
        net = LocalNet(channels, large, classes or DIM).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimiser = torch.optim.AdamW(net.parameters(), 4e-3, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
        correct = 0.0
        for step in range(steps):
            x, label = draw(torch.randint(rows, (min(BATCH, max(rows, 2)),)))
            x = _reduced(x.to(device), side)
            if classes and label is not None:
                said = net.head(net(_moved(x, 0.08)))
                loss = F.cross_entropy(said, label.to(device), label_smoothing=0.1)
                if step >= steps - 20:
                    correct += float((said.argmax(1) == label.to(device)).float().mean()) / 20
            else:
                loss = _contrast(net, x)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    net.eval().requires_grad_(False)
    return LocalExtractor(net, side, classes, _hash(net), correct)


def _contrast(net: LocalNet, x: Tensor) -> Tensor:
    """NT-Xent at temperature .2 between two views of each picture."""
    z = F.normalize(net.head(net(torch.cat([_moved(x, 0.2, dim=True), _moved(x, 0.2, dim=True)]))), dim=1)
    alike = (z @ z.T / 0.2).fill_diagonal_(-1e9)
    n = len(x)
    other = torch.cat([torch.arange(n) + n, torch.arange(n)]).to(x.device)
    return F.cross_entropy(alike, other)


def _moved(x: Tensor, amount: float, dim: bool = False) -> Tensor:
    """Pictures under random scale, turn and shift of about `amount`, and, if `dim`, brightness."""
    n = len(x)
    r = torch.rand(5, n, device=x.device) * 2 - 1
    turn, scale = r[0] * amount, 1 + r[1] * amount
    theta = torch.stack(
        [
            torch.stack([scale * turn.cos(), -scale * turn.sin(), r[2] * amount], 1),
            torch.stack([scale * turn.sin(), scale * turn.cos(), r[3] * amount], 1),
        ],
        1,
    )
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    out = F.grid_sample(x, grid, padding_mode="border", align_corners=False)
    return out * (1 + 0.3 * r[4]).view(-1, 1, 1, 1) if dim else out

