"""What is exported: a module with plain arguments, for the exporter follows signatures."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from rivalry.changing.changer import Changer
from rivalry.parts import Game


class Picture(nn.Module):
    """picture [n, c, h, w] -> [n, C, scale h, scale w], both in [-1, 1]."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, picture: Tensor) -> Tensor:
        out: Tensor = self.net(picture)
        return out


class NoisyPicture(nn.Module):
    """(picture [n, c, h, w], noise [n, latent]) -> [n, C, scale h, scale w]."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, picture: Tensor, noise: Tensor) -> Tensor:
        out: Tensor = self.net(picture, noise)
        return out


class Filled(nn.Module):
    """(picture [n, c, h, w], mask [n, 1, h, w]: 1 in holes, 0 elsewhere[, noise]) -> the picture, its holes filled."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, picture: Tensor, mask: Tensor) -> Tensor:
        made = self.net(torch.cat([picture * (1 - mask), mask], 1))
        out: Tensor = picture * (1 - mask) + made * mask
        return out


class NoisyFilled(nn.Module):
    """As Filled, with noise [n, latent]."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, picture: Tensor, mask: Tensor, noise: Tensor) -> Tensor:
        made = self.net(torch.cat([picture * (1 - mask), mask], 1), noise)
        out: Tensor = picture * (1 - mask) + made * mask
        return out


def of_changer(changer: Changer) -> tuple[nn.Module, tuple[str, ...]]:
    """(the module to export, the names of its arguments)."""
    if changer.mask:
        return (NoisyFilled(changer.net), ("picture", "mask", "noise")) if changer.latent else (Filled(changer.net), ("picture", "mask"))
    return (NoisyPicture(changer.net), ("picture", "noise")) if changer.latent else (Picture(changer.net), ("picture",))


class FromNoise(nn.Module):
    """noise [n, latent] -> what the game makes of it [n, *shape]."""

    def __init__(self, game: Game, nets: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.game, self.nets = game, nn.ModuleDict(dict(nets))

    def forward(self, noise: Tensor) -> Tensor:
        return self.game.from_latent(dict(self.nets.items()), noise, ())


class FromNoiseAndLabel(FromNoise):
    """(noise [n, latent], label [n] int64) -> [n, *shape]."""

    def forward(self, noise: Tensor, label: Tensor) -> Tensor:  # type: ignore[override]
        return self.game.from_latent(dict(self.nets.items()), noise, (label,))
