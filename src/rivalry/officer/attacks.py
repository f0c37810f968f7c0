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
        *_risks(audit),
        *_canaries(audit),
        Text("What this takes for granted:"),
        Items((*(f"Not attacked: {line}." for line in audit["skipped"]), *audit["assumptions"])),
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
    return Table("Attacks on membership, the strongest first", head, tuple(rows), (note, other))


def _risks(audit: Mapping[str, Any]) -> list[Block]:
    """What European regulators ask for (WP29, opinion 05/2014): singling out, linking, inferring."""
    found = audit.get("risks", [])
    if not found:
        return []
    rows = []
    for one in found:
        shares = [f"{percent(one[k]['value'])} ({percent(one[k]['low'])} to {percent(one[k]['high'])})" for k in ("attack", "control")]
        risk = one["risk"]
        left = f"{decimals(risk['value'])} ({decimals(risk['low'])} to {decimals(risk['high'])})"
        if one["attack"]["low"] <= one["guess"]["value"]:
            left += "; the attack is no better than a guess, so this says little"
        rows.append((one["name"], *shares, left, f"{one['p corrected']:.2g}"))
    notes = (
        "Shares of rows for which the attack succeeded. What also succeeds against people whom training never saw is knowledge "
        "of the population, no leak: risk = (training - held out) / (1 - held out).",
        "Singling out: a question made of a sample's cells is answered by one person alone. Linking: two halves of a person's "
        "columns are brought together by the samples. Inferring: a hidden cell is taken from the nearest sample.",
    )
    return [Table("Singling out, linking, inferring", ("risk", "training rows", "held-out rows", "risk", "p"), tuple(rows), notes)]


def _canaries(audit: Mapping[str, Any]) -> list[Block]:
    found = audit.get("canaries")
    if found is None:
        return []
    return [
        Text(
            f"{found['count']} canaries (invented rows, each planted by the toss of a coin in one more training): "
            f"{found['right']} of {found['guesses']} guesses on who was planted were right; epsilon is at least "
            f"{found['epsilon']:.2f}."
        )
    ]
