"""The audit of a run, written into its folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from rivalry.audit.auditing import Setting, audit
from rivalry.audit.discriminator import asked
from rivalry.audit.material import Tick
from rivalry.audit.retraining import MOST, Retraining
from rivalry.audit.verdict import Audit, Promise
from rivalry.audit.writing import write
from rivalry.data.base import Dataset
from rivalry.errors import RecipeError
from rivalry.privacy import read_account
from rivalry.run import Run


def audit_run(
    run: Run, dataset: Dataset, draw: Callable[[int, int], Tensor], *, n: int | None, seed: int,
    weights: Path | None, device: torch.device, tick: Tick, shadows: int = 0, planted: int = 0, steps: int | None = None,
    step: int | None = None,
) -> Audit:  # fmt: skip
    """Audits the samples of `draw` and the run's discriminators; writes audit.json, audit.md, plots/audit-roc.png and,
    into private/, the closest pairs.  See `auditing.audit`.

    step: that the samples are of.  shadows, planted: shadow models and canaries, each a training of `steps` steps (the run's own, MOST at most).
    RecipeError for runs with modules of their own, which cannot be trained anew.
    """
    if (shadows or planted) and run.settings["train"]["own_modules"]:
        raise RecipeError("--shadows and --canaries train the recipe anew, and this run has modules of its own; leave them out")
    networks, why = asked(run, device, seed)
    account = read_account(run.path)
    setting = Setting(
        n=n,
        seed=seed,
        weights=weights,
        device=device,
        asked=networks,
        skipped=(f"LOGAN white box, since {why}",) if why else (),
        promise=None if account is None else Promise(account[1].epsilon, account[0].delta),
        private=run.path / "private",
        retraining=Retraining(
            run.recipe, steps if steps is not None else min(MOST, run.settings["plan"]["steps"]), shadows, planted,
            run.settings["train"]["precision"],
        ),
    )
    found, scores = audit(dataset, draw, run.name, setting, tick)
    found = replace(found, step=step)
    write(found, scores, run.path)
    return found
