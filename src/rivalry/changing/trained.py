"""From a run that changes pictures to the network that files are changed by."""

from __future__ import annotations

from dataclasses import asdict

import torch
from torch import Tensor, nn

from rivalry.changing.changer import VIEWS, Changer
from rivalry.degrade import TASKS, Masked, Outline
from rivalry.errors import DataError, RecipeError, RunError
from rivalry.games import Change, Domains
from rivalry.games.change import Turned
from rivalry.nets.restorers import ChangeModule
from rivalry.run import PIXELS, Run

MIRRORED, UPRIGHT = (0, 4), (0, 2, 4, 6)


def views_of(how: Turned, height: int, width: int) -> tuple[int, ...]:
    """The views that a network may be asked about, of how pictures of this size were turned in training: those that are no square
    were never laid on their sides."""
    if how == "all":
        return VIEWS if height == width else UPRIGHT
    return MIRRORED if how == "mirrored" else (0,)


class OfClass(ChangeModule):
    """A network between classes that makes one of them."""

    def __init__(self, net: ChangeModule, label: int) -> None:
        super().__init__()
        self.net, self.label, self.reach, self.multiple = net, label, net.reach, net.multiple

    def forward(self, source: Tensor) -> Tensor:
        # shape[0], not len(): exporters keep it open, so that the file takes any number of pictures
        out: Tensor = self.net(source, torch.full((source.shape[0],), self.label, device=source.device))
        return out


def changer_of(run: Run, which: str, device: torch.device, perception: float = 1.0, label: int | None = None) -> Changer:
    """The network of checkpoint 'best' or 'last'; DataError for runs that change no pictures.

    perception: below 1 its weights are brought nearer to those at the end of the stage by pixels alone, which 0 gives (network
    interpolation, Wang et al. 2018, ESRGAN, section 3.4): fewer invented details, a higher PSNR (Blau & Michaeli 2018).  label: the
    class to make, of runs that go between classes; RecipeError where it is missing.
    """
    recipe, spec = run.recipe, run.spec
    if not recipe.game.changes or spec.kind != "image":
        raise DataError(
            f"{run.name} was trained on {spec.kind} data to make more of them, so it changes no pictures; only the missing cells of tables "
            "can be filled, and pictures be changed by a run of such a task (rivalry train PICTURES --task denoise)"
        )
    wiring = recipe.game.wiring(spec)
    channels, height, _ = wiring.source
    degradation, named = recipe.game.degradation if isinstance(recipe.game, Change) else None, str(run.settings["data"].get("task", ""))
    damage = TASKS[named].degradation if degradation is None and named in TASKS else degradation  # of true pairs the task says it
    mends = damage is not None and not isinstance(damage, Outline)  # a picture into the same one, only better
    mask = isinstance(degradation, Masked)
    net = run.networks(which, device)["generator"]
    if perception != 1.0:
        nearer(net, run, device, perception)
    if isinstance(recipe.game, Domains):
        if label is None or not isinstance(net, ChangeModule):
            raise RecipeError(f"{run.name} goes between classes: say which to make with --label, one of {', '.join(spec.class_names)}")
        net = OfClass(net, label)
    context, multiple = (net.reach, net.multiple) if isinstance(net, ChangeModule) else (64, 64)
    return Changer(
        net, channels - mask, spec.shape[0], spec.shape[1] // height, context, multiple, named or "change",
        wiring.latent, mask, mends, views_of(asdict(recipe.game).get("turned", "all"), *spec.shape[1:]), device,  # type: ignore[call-overload]
    )  # fmt: skip


def nearer(net: nn.Module, run: Run, device: torch.device, perception: float) -> None:
    """Brings the generator's weights nearer to those at the end of the stage by pixels alone, in place; see `changer_of`."""
    if not 0 <= perception <= 1:
        raise RecipeError(f"--perception lies between 0 (pixels alone) and 1 (as trained), not {perception:g}")
    if not run.checkpoint(PIXELS).exists():
        raise RunError(f"{run.name} was trained in one stage, so there is nothing between pixels and perception; leave --perception out")
    start = run.networks(PIXELS, device)["generator"].state_dict()
    for name, value in net.state_dict().items():
        if value.is_floating_point():
            value.lerp_(start[name], 1 - perception)
