"""What audit.json says, as blocks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rivalry.errors import RunError
from rivalry.officer.blocks import Block, Heading, Items, Table, Text
from rivalry.officer.summary import NO_AUDIT
from rivalry.officer.tables import decimals, percent
from rivalry.run import Run

FILE = "audit.json"


def read_audit(run: Run) -> dict[str, Any] | None:
    """What the last audit found, None where there was none; RunError for a damaged file."""
    path = run.path / FILE
    if not path.exists():
        return None
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found if found["verdict"] and found["attacks"] else None
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise RunError(f"{path} is damaged ({error!r}); audit again with: rivalry audit {run.name}") from error


def attacks(run: Run, audit: Mapping[str, Any] | None) -> list[Block]:
    if audit is None:
        words = f"{NO_AUDIT.format(name=run.name)}. Without it this report says nothing of what an attacker can find."
        return [Heading("Attacks"), Text(words[0].upper() + words[1:])]
    blocks: list[Block] = [
        Heading("Attacks"),
        Text(
            f"{audit['members']:,} training rows were attacked against as many rows that training never saw, with "
            f"{audit['samples']:,} samples (seed {audit['seed']}): can an attacker tell the two apart?"
        ),
        Items(tuple(f"{line[0].upper()}{line[1:]}." for line in audit["verdict"])),
        _table(audit),
        Text("What this takes for granted:"),
        Items(tuple(audit["assumptions"])),
    ]
    if _older(run):
        warning = "**The audit is older than the model's file**: it may have been made of another state of the model. Repeat it."
        blocks.insert(1, Text(warning))
    return blocks


def _older(run: Run) -> bool:
    models = [p for p in (run.path / "checkpoints").glob("*/model.safetensors") if p.is_file()]
    made = (run.path / FILE).stat().st_mtime
    return any(p.stat().st_mtime > made for p in models)


def _table(audit: Mapping[str, Any]) -> Table:
    rows = []
    order = sorted(audit["attacks"], key=lambda a: (a["p corrected"], -a["auc"]))
    for attack, before in [*((a, "") for a in order), *((c, "control: ") for c in audit["controls"])]:
        low, high = attack["auc interval"]
        hits = attack["true positives"]
        least = min(hits, key=float) if hits else None
        found = "-"
        if least is not None:
            one = hits[least]
            found = f"{percent(one['value'])} ({percent(one['interval'][0])} to {percent(one['interval'][1])}) at {float(least):.1%}"
        rows.append((
            before + attack["name"],
            attack["attacker knows"],
            f"{decimals(attack['auc'])} ({decimals(low)} to {decimals(high)})",
            found,
            f"{attack['p corrected']:.2g}",
        ))  # fmt: skip
    head = ("attack", "the attacker has", "AUC (95 %)", "members found, at so many false alarms", "p")
    note = (
        "AUC .5 is guessing, 1 is certainty. p: how likely so strong a result is if nothing leaks, corrected for all tests. "
        "Controls see no synthetic row and should be at .5."
    )
    bound = audit["epsilon"]
    other = f"Lower bound on epsilon from the attacks: {bound['lower bound']:.2f} at delta {bound['delta']:.2g} (95 %)."
    return Table("Attacks, the strongest first", head, tuple(rows), (note, other))
