"""The audit of a run, written into its folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from rivalry.audit.auditing import Setting, audit
from rivalry.audit.discriminator import discriminators
from rivalry.audit.material import Tick
from rivalry.audit.verdict import Audit, Promise
from rivalry.audit.writing import write
from rivalry.data.base import Dataset
from rivalry.privacy import read_account
from rivalry.run import Run


def audit_run(
    run: Run, dataset: Dataset, draw: Callable[[int, int], Tensor], *, n: int | None, seed: int,
    weights: Path | None, device: torch.device, tick: Tick,
) -> Audit:  # fmt: skip
    """Audits the samples of `draw` and the run's discriminators; writes audit.json, audit.md, plots/audit-roc.png and,
    into private/, the closest pairs.  See `auditing.audit`."""
    scorers, why = discriminators(run, device, seed)
    account = read_account(run.path)
    setting = Setting(
        n=n,
        seed=seed,
        weights=weights,
        device=device,
        scorers=scorers,
        skipped=(f"LOGAN white box, since {why}",) if why else (),
        promise=None if account is None else Promise(account[1].epsilon, account[0].delta),
        private=run.path / "private",
    )
    found, scores = audit(dataset, draw, run.name, setting, tick)
    write(found, scores, run.path)
    return found
