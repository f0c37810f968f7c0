"""Sections of a study as tables of words, for the terminal and for the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rivalry.evaluate.rulers import METRICS, number
from rivalry.officer.blocks import Table

ARMS = ("real rows", "synthetic rows", "both")
LEARNERS = {"trees": "boosted trees", "linear": "linear model"}
GRADES = {"auc": "AUC", "r2": "R2"}
ORDER = ("shape", "trend", "missingness", "c2st", "alpha", "beta", "precision", "recall", "density", "coverage", "copies",
         "memorisation")  # fmt: skip
PERCENT = frozenset({"shape", "trend", "missingness", "copies", "memorisation"})


def tables(sections: Mapping[str, Any]) -> list[Table]:
    """In the order of reading, whatever that of the sections."""
    found: list[Table] = []
    for kind, make in MAKERS.items():
        for name, section in sections.items():
            if name.split(": ")[0] == kind:
                found += make(section)
    return found


def of_kind(sections: Mapping[str, Any], kind: str) -> list[Any]:
    """The sections 'kind' and 'kind: ...'."""
    return [section for name, section in sections.items() if name.split(": ")[0] == kind]


def percent(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{100 * value:.{digits}f}%"


def decimals(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _interval(found: Mapping[str, Any], show: Any = decimals) -> str:
    low, high = found.get("low"), found.get("high")
    return show(found["value"]) if low is None else f"{show(found['value'])} ({show(low)} to {show(high)})"


def fidelity(section: Mapping[str, Any]) -> list[Table]:
    rows = []
    scores = section["scores"]
    known = [name for name in ORDER if name in scores]
    for name in [*known, *(n for n in scores if n not in known)]:
        score = scores[name]
        show = percent if name in PERCENT else number
        baseline = section["baseline"].get(name)
        rows.append((
            score["name"],
            show(score["value"]),
            f"{show(score['low'])} to {show(score['high'])}",
            show(score["floor"]) if score["floor"] is not None else "-",
            show(baseline) if baseline is not None else "-",
            METRICS[name].meaning if name in METRICS else "",
        ))  # fmt: skip
    head = ("score", "synthetic rows", "95 %", "real rows", "shuffled columns", "what it is")
    ruler = next(iter(scores.values()))["ruler"]
    notes = (
        f"{ruler['samples']:,} synthetic rows against {ruler['reference']:,} {ruler['split']} rows. Real rows: what as many "
        "training rows score, which no model should be expected to beat. Shuffled columns: each real column shuffled by "
        "itself, so that all relations are lost.",
    )
    return [Table("Scores", head, tuple(rows), notes), *_worst(section.get("columns", {}))]


def _worst(columns: Mapping[str, Any], most: int = 8) -> list[Table]:
    shapes = sorted(columns.get("shape", {}).items(), key=lambda pair: -pair[1])[:most]
    pairs = columns.get("worst pairs", [])[:most]
    found = []
    if shapes:
        rows = tuple((name, percent(error)) for name, error in shapes)
        found.append(Table("Columns that are furthest off", ("column", "shape error"), rows))
    if pairs:
        rows = tuple((f"{a}, {b}", percent(error)) for a, b, error in pairs)
        found.append(Table("Pairs of columns that are furthest off", ("pair", "trend error"), rows))
    return found


def utility(section: Mapping[str, Any]) -> list[Table]:
    grade = GRADES[section["measure"]]
    rows = [(arm, *(_interval(section["intervals"][arm][learner]) for learner in LEARNERS)) for arm in ARMS]
    rows.append(("shuffled columns", *(_interval(section["baseline"][learner]) for learner in LEARNERS)))
    rows.append(("lost by learning from synthetic rows", *(_interval(section["gap"][learner]) for learner in LEARNERS)))
    rows.append(("gained by adding synthetic rows", *(_interval(section["gain"][learner]) for learner in LEARNERS)))
    head = ("trained on", *(f"{grade}, {words}" for words in LEARNERS.values()))
    chance = ".5 is a coin, 1 is perfect" if section["measure"] == "auc" else "0 is always saying the mean, 1 is perfect"
    note = f"Held-out real rows, {section['target']} predicted from the other columns; {chance}. Intervals at 95 %."
    return [Table(f"Usefulness: {section['target']}", head, tuple(rows), (note,))]


def groups(section: Mapping[str, Any]) -> list[Table]:
    head = ("group", "real rows (training, held out)", "share, real", "synthetic", "shape error", "of real rows", "trend error",
            "of real rows")  # fmt: skip
    rows = []
    for group in section["groups"]:
        row = [group["name"], _people(group), *(percent(group["share"].get(side), 0) for side in ("real", "synthetic"))]
        for name in ("shape", "trend"):
            score = group.get(name)
            row += ["too few synthetic rows", "-"] if score is None else [_interval(score, percent), percent(score["floor"])]
        rows.append(tuple(row))
    notes = [
        "Real rows: what training rows of the group score against its held-out rows; small groups have larger errors by chance "
        "alone."
    ]
    if section["suppressed"]:
        notes.append(f"{section['suppressed']} group(s) of fewer than {section['least']} real rows are not shown.")
    return [Table(f"Groups of {section['by']}", head, tuple(rows), tuple(notes)), *_useful_to(section)]


def _people(group: Mapping[str, Any]) -> str:
    counts = (group["training rows"], group["held-out rows"])
    return "not told" if None in counts else f"about {counts[0]:,}, {counts[1]:,}"


def _useful_to(section: Mapping[str, Any]) -> list[Table]:
    found = section["groups"]
    targets = list(dict.fromkeys(target for group in found for target in group["utility"]))
    if not targets:
        return []
    head = ["group", *(f"{target}: learnt from {arm}" for target in targets for arm in ARMS[:2])]
    rows = [(g["name"], *(cell for target in targets for cell in _worths(g["utility"].get(target, {})))) for g in found]
    note = "AUC or R2 of boosted trees that were trained on everybody, on held-out rows of the group, with 95 % intervals."
    return [Table(f"Usefulness for groups of {section['by']}", tuple(head), tuple(rows), (note,))]


def _worths(found: Mapping[str, Any]) -> list[str]:
    if "measure" not in found:
        return [found.get("why not", "-"), "-"]
    return [_interval(found["intervals"][arm]["trees"]) for arm in ARMS[:2]]


def survival(section: Mapping[str, Any]) -> list[Table]:
    rows = [
        ("distance from the curve of held-out rows", _interval(section["distance"]), decimals(section["distance"]["floor"])),
        ("the same with its sign", decimals(section["optimism"]["value"]), decimals(section["optimism"]["floor"])),
        ("distance from the curve of training rows", decimals(section["training"]["distance"]),
         f"{decimals(section['training']['chance'])} by chance"),
        ("the same with its sign", decimals(section["training"]["optimism"]), ""),
        ("share with the event", percent(section["events"]["synthetic"]), percent(section["events"].get("real"))),
    ]  # fmt: skip
    found = section["concordance"] or {}
    rows += [(f"concordance of a Cox model learnt from {arm}", _interval(found[arm]), "") for arm in ARMS if found.get(arm)]
    title = f"Time to event: {section['time']}, {section['event']}"
    note = (
        f"Kaplan-Meier curves up to {section['horizon']:g}: the mean absolute difference (0 to 1), and with its sign (above 0: "
        "synthetic people live longer). Concordance: how often the model ranks two held-out people rightly; .5 is chance."
    )
    return [Table(title, ("measure", "synthetic rows", "real rows"), tuple(rows), (note,))]


def clinical(section: Mapping[str, Any]) -> list[Table]:
    rows: list[tuple[str, ...]] = []
    if section["missing"]["any"]:
        rows.append(_pair("missing together (pairs of columns)", section["missing"]["pairs"]))
        rows.append(_pair("pattern of missing cells (whole rows)", section["missing"]["pattern"]))
    if "zeros" in section:
        rows.append(_pair("share of zeros", section["zeros"]))
    if "codes" in section:
        codes = section["codes"]
        rows.append(_pair("share of rows with each code (dimension-wise probability)", codes["probability"]))
        rows.append(_pair("pairs of codes in one row (co-occurrence)", codes["co-occurrence"]))
        if codes.get("prediction"):
            rows.append(("AUC lost when a code is predicted from the others", decimals(codes["prediction"]["gap"]), "0"))
        rare = codes["rare"]
        if rare["codes"]:
            rows.append((f"rare codes lost, of {rare['codes']}", percent(rare["lost"], 0), "0 %"))
            rows.append(("frequency of rare codes, synthetic over real", decimals(rare["ratio"], 2), "1"))
    note = "Errors are differences of shares of rows; real rows: what as many training rows get against held-out ones."
    found = [Table("Clinical measures", ("measure", "synthetic rows", "real rows"), tuple(rows), (note,))] if rows else []
    return found + _listed("Zeros", section.get("zeros")) + _listed("Codes", section.get("codes"))


def _pair(name: str, found: Mapping[str, Any]) -> tuple[str, ...]:
    return name, decimals(found["value"], 4), decimals(found["floor"], 4)


def _listed(title: str, found: Mapping[str, Any] | None, most: int = 20) -> list[Table]:
    if found is None:
        return []
    columns: Sequence[Mapping[str, Any]] = found["shares"] if "shares" in found else found["columns"]
    rows = tuple((c["column"], percent(c.get("real")), percent(c["synthetic"])) for c in columns[:most])
    note = "Share of rows; '-' where fewer than ten real people would be told of."
    return [Table(f"{title}, by column", ("column", "real rows", "synthetic rows"), rows, (note,))]


MAKERS = {"fidelity": fidelity, "utility": utility, "groups": groups, "survival": survival, "clinical": clinical}
