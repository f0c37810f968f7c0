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
from rivalry.data.talk_rows import ReplyRows
from rivalry.data.words import count
from rivalry.errors import RecipeError
from rivalry.privacy import read_account
from rivalry.run import Run
from rivalry.training.session import check_same, duration


def asked_about(run: Run, dataset: Dataset) -> Dataset | None:
    """The data whose rows are replied to, by runs that reply: training and held-out ones alike, every row as often as any other.  None for those that make
    samples of noise; RecipeError for those that change what they are given."""
    if run.recipe.game.changes:
        raise RecipeError(
            f"{run.name} changes what it is given, which stays near to it whatever the run remembers, so there is nothing to compare; "
            "an audit is for runs that make samples of noise, and for those that reply"
        )
    train, held = dataset.train, dataset.held
    if not run.recipe.game.answers or not isinstance(train, ReplyRows) or not isinstance(held, ReplyRows):
        return None
    return replace(dataset, held=train.beside(held))


def audit_run(
    run: Run, dataset: Dataset, draw: Callable[[int, int], Tensor], *, n: int | None, seed: int,
    weights: Path | None, device: torch.device, tick: Tick, shadows: int = 0, planted: int = 0, steps: int | None = None,
    step: int | None = None, say: Callable[[str], None] = lambda line: None,
) -> Audit:  # fmt: skip
    """Audits the samples of `draw` and the run's discriminators; writes audit.json, audit.md, plots/audit-roc.png and,
    into private/, the closest pairs.  See `auditing.audit`.

    step: that the samples are of.  shadows, planted: shadow models and canaries, each a training of `steps` steps (the run's own, MOST at most).
    say: told how many of these are to come and how long they may take, where they are not there yet.
    RunError for data that have changed since the run began; RecipeError for runs with modules of their own, which cannot be trained anew.
    """
    check_same(run, dataset)
    if (shadows or planted) and run.recipe.game.answers:
        raise RecipeError("--shadows and --canaries train models that speak of themselves, and this one replies; leave them out")
    if (shadows or planted) and run.settings["train"]["own_modules"]:
        raise RecipeError("--shadows and --canaries train the recipe anew, and this run has modules of its own; leave them out")
    each = steps if steps is not None else min(MOST, run.settings["plan"]["steps"])

    def planned(trainings: int) -> None:
        took = duration(trainings * each * run.settings["plan"]["seconds_per_step"])
        kept = "; shadows that are done are kept, so a second call goes on" if shadows else ""
        say(f"{count(trainings, 'training')} of {count(each, 'step')}, about {took} at the pace of the run{kept}")

    networks, why = asked(run, device, seed)
    account = read_account(run.path)
    setting = Setting(
        n=n,
        seed=seed,
        weights=weights,
        device=device,
        asked=networks,
        skipped=(f"LOGAN white box, since {why}",) if why else (),
        promise=None if account is None else Promise(account[1].epsilon, account[0].delta, run.step("last")),
        private=run.path / "private",
        retraining=Retraining(
            run.recipe, each, shadows, planted, run.settings["train"]["precision"],
        ),
        planned=planned,
    )
    found, scores = audit(dataset, draw, run.name, setting, tick)
    found = replace(found, step=step, strangers=run.strangers, own=tuple(run.settings["train"]["own_modules"]))
    write(found, scores, run.path)
    return found
