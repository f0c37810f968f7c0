"""The whole page, in the order in which it is read."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rivalry.errors import RunError
from rivalry.evaluate.study import read_record
from rivalry.files import write_text
from rivalry.officer import pictures
from rivalry.officer.attacks import attacks, read_audit
from rivalry.officer.blocks import Block, Heading, Items, Listing, Picture, Text
from rivalry.officer.html import to_html
from rivalry.officer.lineage import defences, lineage, making
from rivalry.officer.markdown import to_markdown
from rivalry.officer.summary import MEASURE, summary
from rivalry.officer.tables import of_kind, tables
from rivalry.run import Run

WRITERS = {".html": to_html, ".htm": to_html, ".md": to_markdown}

TITLES = {"utility": "Usefulness", "groups": "Groups of people", "survival": "Time to event", "clinical": "Clinical measures"}

INTENDED = (
    "To try out methods, programs and interfaces, to teach, and to plan a study, with rows that look like the real ones.",
    "To train or test models where the section on usefulness shows that what is lost can be borne, and where results are "
    "confirmed on real data before anybody relies on them.",
)
NOT_INTENDED = (
    "Decisions about a person, or statements about one: no synthetic row is anybody.",
    "Findings: an effect, a rate or a survival time that is read off synthetic rows is a hypothesis about the real ones.",
    "Groups that this report does not show, or shows to be reproduced badly; rare cases may be missing altogether.",
    "Handing on the run's folder: only the synthetic rows, and this report. The folder's `private/` shows real rows.",
)
COLUMNS = (
    "Scores compare distributions of columns, of pairs, and of whole rows by some methods. A relation of three columns or more, "
    "or one in few rows, can be wrong without being seen."
)
FEATURES = "Scores compare distributions of features. What these do not see, and what is in few rows only, can be wrong without being seen."
PATIENTS = "Every patient counts once, with all visits. Whoever is listed under several keys counts as often."
PEOPLE = "Rows stand for people only if each person has one row. Otherwise guarantee, attacks and intervals are about rows."
LIMITS = (
    "Intervals cover the drawing of the rows that were compared, not what another training with another seed would give.",
    "The model repeats the errors and biases of its data.",
    "Terms and laws that bind the real data may bind the synthetic ones; this report is no legal opinion.",
)

WORDS = (
    "**Held out**: real rows that training never saw; everything is measured against them.",
    "**Real rows** beside a score: what real training rows score in place of synthetic ones. Nothing should be expected to do "
    "better; what comes near cannot be told from chance.",
    "**Shuffled columns**: real columns shuffled one by one. Right in every column, wrong in every relation.",
    "**95 %, interval**: of a hundred such intervals about ninety-five hold the value that very many rows would give.",
    "**AUC**: of two rows, one of each kind, how often the right one is ranked higher; .5 is a coin, 1 never errs.",
    "**R2**: the share of a number's variation that is predicted; 0 is always saying the mean, below 0 is worse than that.",
    "**Epsilon, delta**: differential privacy. One row (of patient records one patient, with all visits) changes the chance of any outcome of training by a factor of at most "
    "e^epsilon (1: 2.7, 3: 20), except with chance delta; what was read off the rows without noise before training (names of levels, ranges), where the guarantee names any, is outside it.",
    "**Member**: a row that training saw. An attack on membership asks whether a given person was in the data.",
)


def officer_page(run: Run) -> list[Block]:
    """The page's blocks, from the run folder alone.  RunError for a run without a checkpoint or with damaged files."""
    stored, audit, step = read_record(run.path), read_audit(run), run.step()
    sections = stored if run.spec.kind == "table" else _last_look(run) | stored
    today = datetime.now(UTC).date().isoformat()
    return [
        Heading(f"Report on synthetic data: {run.name}", 1),
        Text(
            f"Made on {today} from the run `{run.name}`, for whoever decides whether synthetic rows may be used or handed on. "
            "It holds no row of the real data. Tables and curves leave out counts of fewer than ten people; what was noted while reading is "
            "told as it is."
        ),
        Heading("Summary"),
        summary(run, sections, audit),
        *_stale(run, stored),
        *lineage(run),
        *making(run, step),
        *defences(run),
        *_likeness(run, sections),
        *(block for kind in TITLES for block in _part(sections, kind)),
        *attacks(run, audit),
        Heading("Limits"),
        Items(_limits(run)),
        Heading("Intended use"),
        Items(INTENDED),
        Heading("Not intended"),
        Items(NOT_INTENDED),
        Heading("Words"),
        Items(WORDS),
        Heading("To repeat this"),
        Listing(_commands(run, stored)),
        Heading("All settings"),
        Listing(run.recipe.to_toml().strip()),
    ]


def _limits(run: Run) -> tuple[str, ...]:
    kind = run.spec.kind
    return (COLUMNS if kind in ("table", "records") else FEATURES, *LIMITS, PATIENTS if kind == "records" else PEOPLE)


def _commands(run: Run, stored: Mapping[str, Any]) -> str:
    """What measures, attacks and writes this again, with the columns that were asked for."""
    asked = [("target", one["target"]) for one in of_kind(stored, "utility")]
    asked += [("by", one["by"]) for one in of_kind(stored, "groups")]
    asked += [("survival", f"{one['time']},{one['event']}={one['happened']}") for one in of_kind(stored, "survival")]
    named = "".join(f" --{flag} {shlex.quote(text)}" for flag, text in asked)
    measure = f"rivalry evaluate {run.name} --full{named}\n" if run.spec.kind == "table" else f"rivalry evaluate {run.name}\n"
    return f"{measure}rivalry audit {run.name}\nrivalry report {run.name} --officer -o officer.html"


def _last_look(run: Run) -> dict[str, Any]:
    """Of data that are no table: what was measured last while training, as a section; {} before any look."""
    looks = [r for r in run.metrics() if r.get("scores")]
    if not looks:
        return {}
    scores = looks[-1]["scores"]
    samples = next(iter(scores.values()))["ruler"]["samples"]
    made = {"date": run.settings["created"][:10], "step": looks[-1]["step"], "checkpoint": "last", "samples": samples,
            "seed": run.settings["train"]["seed"]}  # fmt: skip
    return {"fidelity": {"scores": scores, "baseline": {}, "made": made}}


def _likeness(run: Run, sections: Mapping[str, Any]) -> list[Block]:
    blocks: list[Block] = [Heading("Likeness")]
    if "fidelity" in sections:
        blocks += [*tables({"fidelity": sections["fidelity"]}), *_measured(sections["fidelity"])]
    else:
        words = MEASURE.format(name=run.name)
        blocks.append(Text(f"{words[0].upper()}{words[1:]}."))
    return blocks + list[Block](pictures.pictures(sections))


def _part(sections: Mapping[str, Any], kind: str) -> list[Block]:
    found = of_kind(sections, kind)
    blocks: list[Block] = [Heading(TITLES[kind])] if found else []
    for section in found:
        blocks += [*tables({kind: section}), *_curves(kind, section)]
    return blocks + list[Block](dict.fromkeys(text for section in found for text in _measured(section)))


def _curves(kind: str, section: Mapping[str, Any]) -> list[Picture]:
    return [pictures.survival(section)] if kind == "survival" else []


def _measured(section: Mapping[str, Any]) -> list[Text]:
    made = section["made"]
    return [
        Text(
            f"Measured on {made['date']} with {made['samples']:,} samples (seed {made['seed']}) of checkpoint "
            f"'{made['checkpoint']}', step {made['step']:,}."
        )
    ]


def _stale(run: Run, sections: Mapping[str, Any]) -> list[Block]:
    """Sections that were measured at another step than the checkpoint's."""
    steps = {which: run.step(which) for which in ("best", "last")}
    old = [name for name, one in sections.items() if one["made"]["step"] != steps[one["made"]["checkpoint"]]]
    if not old:
        return []
    return [Text(f"**Out of date**: the model was trained on since these were measured: {', '.join(old)}. Measure again.")]


def write_officer(run: Run, out: Path) -> Path:
    """The report as one file, .html or .md by out's ending; returns it.  RunError for another ending."""
    writer = WRITERS.get(out.suffix.lower())
    if writer is None:
        raise RunError(f"a report is written as .html or .md, not as {out.name!r}; give -o report.html")
    write_text(out, writer(officer_page(run)))
    return out
