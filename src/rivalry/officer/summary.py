"""What was found, and what that means: the first thing on the page, in words without colours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rivalry.evaluate.rulers import number
from rivalry.officer.blocks import Table
from rivalry.officer.tables import GRADES, decimals, of_kind, percent
from rivalry.privacy import read_account
from rivalry.run import Run

MEASURE = "not measured: run `rivalry evaluate {name} --full --target COLUMN --by COLUMN`"
NO_AUDIT = "no audit has been made: run `rivalry audit {name}`"
CLOSE = 2.0
"""Within so many times what real rows score, an error is called about that of real rows."""


def summary(run: Run, sections: Mapping[str, Any], audit: Mapping[str, Any] | None) -> Table:
    rows = [
        ("Likeness", *_likeness(run, sections)),
        *(("Usefulness", *_useful(section)) for section in of_kind(sections, "utility")),
        *(("Groups of people", *_groups(section)) for section in of_kind(sections, "groups")),
        *(("Time to event", *_survival(section)) for section in of_kind(sections, "survival")),
        ("Privacy: guarantee", *_guarantee(run)),
        ("Privacy: attacks", *_attacks(run, audit)),
    ]
    if not of_kind(sections, "utility") and run.spec.kind == "table":
        rows.insert(1, ("Usefulness", _not_measured(run), "Nothing can be said of analyses made on these rows."))
    return Table("", ("question", "what was found", "what that means"), tuple(rows))


def _not_measured(run: Run) -> str:
    words = MEASURE.format(name=run.name)
    return f"{words[0].upper()}{words[1:]}."


def _likeness(run: Run, sections: Mapping[str, Any]) -> tuple[str, str]:
    if "fidelity" not in sections:
        return _not_measured(run), "Nothing can be said of how like the real rows these are."
    section = sections["fidelity"]
    scores, base = section["scores"], section["baseline"]
    found, means = [], []
    if "shape" in scores and scores["shape"]["floor"] is not None:
        shape = scores["shape"]
        found.append(f"Single columns differ by {percent(shape['value'])} on average (real rows: {percent(shape['floor'])}).")
        near = shape["value"] <= CLOSE * shape["floor"]
        means.append("Columns taken alone are about as right as chance allows." if near else
                     "Columns taken alone can be seen to differ.")  # fmt: skip
    if "trend" in scores and scores["trend"]["floor"] is not None:
        trend = scores["trend"]
        found.append(
            f"Relations between two columns differ by {percent(trend['value'])} (real rows: {percent(trend['floor'])}"
            + (f"; shuffled columns: {percent(base['trend'])})." if "trend" in base else ").")
        )
        means += _kept(trend, base)
    if "c2st" in scores:
        found.append(f"A program told synthetic from real rows with an AUC of {decimals(scores['c2st']['value'], 2)} (.5: not at all).")
        means.append("Whole rows can be told apart more often than by guessing." if scores["c2st"]["low"] > 0.5 else
                     "Whole rows could not be told apart.")  # fmt: skip
    if not found:
        shown = [f"{s['name']} {number(s['value'])} (real: {number(s['floor'])})" for s in list(scores.values())[:4]]
        return "; ".join(shown) + ".", "The nearer to what real data score, the more alike; see Likeness for what each is."
    return " ".join(found), " ".join(means)


def _kept(trend: Mapping[str, Any], base: Mapping[str, Any]) -> list[str]:
    """How much of what shuffling loses is there; nothing where shuffling loses nothing."""
    lost = base.get("trend", 0.0) - trend["floor"]
    if lost <= 0.25 * trend["floor"]:
        return ["The columns hardly hang together in the real rows, so this says little."]
    kept = min(1.0, 1 - (trend["value"] - trend["floor"]) / lost)
    return [f"About {max(0.0, kept):.0%} of the relations that shuffling destroys are there."]


def _useful(section: Mapping[str, Any]) -> tuple[str, str]:
    grade, name = GRADES[section["measure"]], section["target"]
    real, fake = (section["intervals"][arm]["trees"]["value"] for arm in ("real rows", "synthetic rows"))
    gap, gain = section["gap"]["trees"], section["gain"]["trees"]
    found = (
        f"Predicting {name} of real people that training did not see: {grade} {decimals(real)} learnt from real rows, "
        f"{decimals(fake)} from synthetic ones (gap {decimals(gap['value'])}, {decimals(gap['low'])} to {decimals(gap['high'])})."
    )
    if gap["low"] > 0:
        means = "A model learnt from the synthetic rows alone predicts worse, by about the gap."
    elif gap["high"] < 0:
        means = "A model learnt from the synthetic rows did no worse here; check that the target is what you mean."
    else:
        means = "No loss was seen; the interval says how large an unseen one may be."
    if gain["low"] > 0:
        means += " Adding synthetic rows to the real ones helped."
    elif gain["high"] < 0:
        means += " Adding synthetic rows to the real ones harmed."
    return found, means


def _groups(section: Mapping[str, Any]) -> tuple[str, str]:
    measured = [g for g in section["groups"] if "trend" in g]
    hidden = f" {section['suppressed']} small group(s) are not shown." if section["suppressed"] else ""
    if not measured:
        return f"No group of {section['by']} was large enough to be measured.{hidden}", "Nothing can be said of groups."
    worst = max(measured, key=lambda g: g["trend"]["value"] - (g["trend"]["floor"] or 0.0))
    found = (
        f"Of the {len(measured)} groups of {section['by']}, {worst['name']} is the least well reproduced: relations differ by "
        f"{percent(worst['trend']['value'])} (real rows of the group: {percent(worst['trend']['floor'])}).{hidden}"
    )
    return found, "Use of these rows for a group should look at its own line below, not at the mean over everybody."


def _survival(section: Mapping[str, Any]) -> tuple[str, str]:
    training = section["training"]
    found = (
        f"Survival curves of {section['time']} differ from those of the training rows by {decimals(training['distance'])} on "
        f"average (chance alone: {decimals(training['chance'])})."
    )
    if training["distance"] <= CLOSE * training["chance"]:
        return found, "The times are about as right as chance allows."
    if abs(training["optimism"]) < training["distance"] / 2:
        return found, "Times are wrong, too long for some and too short for others: see the curves."
    return found, f"Synthetic people live too {'long' if training['optimism'] > 0 else 'short'} on average: see the curves."


def _guarantee(run: Run) -> tuple[str, str]:
    found = read_account(run.path)
    if found is None:
        return "No differential privacy.", "Nothing limits by proof what the model remembers of a person; see the attacks."
    terms, account = found
    return (
        f"Differential privacy of training: epsilon {account.epsilon:.3g}, delta {terms.delta:.2g}.",
        f"Whether a given {run.preparation.unit} was in training changes the chance of any trained networks by a factor of at most e^epsilon, apart from "
        "delta. "
        + ("Measuring is" if run.preparation.whole else "Preparation of some columns, and measuring, are")
        + " not covered; see Defences.",
    )


def _attacks(run: Run, audit: Mapping[str, Any] | None) -> tuple[str, str]:
    if audit is None:
        words = NO_AUDIT.format(name=run.name)
        return f"{words[0].upper()}{words[1:]}.", "Nothing is known of what attackers can find; do not hand the rows on yet."
    verdict = str(audit["verdict"][0])
    if audit["outcome"] == "leaks" and not audit.get("through samples", True):
        verdict += "; attacks on synthetic rows alone found nothing"
        return verdict[0].upper() + verdict[1:] + ".", (
            "The trained model tells who was in its training data; the synthetic rows alone told nothing to these attacks, which "
            "is evidence, not proof. Hand on rows, never the model."
        )
    return verdict[0].upper() + verdict[1:] + ".", {
        "leaks": "The model tells something of who was in its training data: do not hand it on as it is.",
        "nothing found": "These attacks failed. That is evidence, not proof: others may succeed.",
        "unclear": "The audit cannot be read: the real rows differ without the model. Split at random and repeat.",
    }.get(str(audit["outcome"]), "See below.")
