"""From a run that changes pictures to the network that files are changed by."""

from __future__ import annotations

import torch

from rivalry.changing.changer import Changer
from rivalry.degrade import Masked
from rivalry.errors import DataError
from rivalry.games import Change
from rivalry.nets.restorers import ChangeModule
from rivalry.run import Run


def changer_of(run: Run, which: str, device: torch.device) -> Changer:
    """The network of checkpoint 'best' or 'last'; DataError for runs that change no pictures."""
    recipe, spec = run.recipe, run.spec
    if not recipe.game.changes:
        raise DataError(
            f"{run.name} was trained on {spec.kind} data to make more of them, so it changes no pictures; only the missing cells of tables "
            "can be filled, and pictures be changed by a run of such a task (rivalry train PICTURES --task denoise)"
        )
    wiring = recipe.game.wiring(spec)
    channels, height, _ = wiring.source
    mask = isinstance(recipe.game, Change) and isinstance(recipe.game.degradation, Masked)
    net = run.networks(which, device)["generator"]
    context, multiple = (net.reach, net.multiple) if isinstance(net, ChangeModule) else (64, 64)
    return Changer(
        net, channels - mask, spec.shape[0], spec.shape[1] // height, context, multiple, str(run.settings["data"].get("task", "")) or "change",
        wiring.latent, mask, device=device,
    )  # fmt: skip
