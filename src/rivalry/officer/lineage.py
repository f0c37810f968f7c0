"""Where the data come from, how each column was treated, how the model was made, and what defends those behind the rows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rivalry.baselines import counted
from rivalry.data import restore
from rivalry.data.columns.codes import LevelCode, NumberCode
from rivalry.data.columns.fit import Column
from rivalry.data.options import ReadOptions
from rivalry.data.table import TableModality
from rivalry.officer.blocks import Block, Heading, Items, Table, Text
from rivalry.privacy import exclusions, guarantee, read_account
from rivalry.run import Run

TREATED = {
    "identifier": "not learned; made anew at random, so that no real one appears",
    "text": "left out: free text is never learned nor written",
    "constant": "not learned; the one value is repeated",
}


ROWS = {"records": "Patients", "image": "Pictures", "tokens": "Texts"}
KEPT = {
    "tokens": "Text is learned as it stands, names in it included. With the model are kept the words, or parts of words, that it writes with, each from "
    "at least five places.",
    "image": "Pictures are learned as they are. With the model are kept names and shares of classes, where there are any.",
    "points": "With the model are kept the rounded ends of the numbers.",
}
COLUMNS_KEPT = (
    "Identifiers and free text are never learned. Of each column only smoothed quantiles, shares and names of values are "
    "kept with the model."
)


def lineage(run: Run) -> list[Block]:
    data = run.settings["data"]
    source = Path(data["source"]).name if data["source"] else "given in memory by a program"
    facts = (
        f"Source: **{data['name']}** ({source}), kind '{run.spec.kind}'.",
        f"{ROWS.get(run.spec.kind, 'Rows')}: {data['train']:,} were trained on, {data['held']:,} were kept back"
        + (f". Of the model: {run.before}." if run.before else " and used for measuring only."),
        f"Fingerprint of rows, split and reading options (sha256): `{data['fingerprint']}`. The same data read in the same way "
        "have the same fingerprint.",
        *(f"Reading option: `{name}` = {value}." for name, value in _changed(data["options"]).items()),
        *(f"Noted while reading: {note}." for note in data["notes"]),
    )
    return [Heading("Where the data come from"), Items(facts), *_columns(run)]


def _changed(options: Mapping[str, Any]) -> dict[str, Any]:
    usual = ReadOptions().as_dict()
    return {k: v for k, v in options.items() if v != usual.get(k) and not isinstance(v, dict)}


def _columns(run: Run) -> list[Block]:
    data = run.settings["data"]
    modality = restore(data["kind"], data["state"])
    if not isinstance(modality, TableModality):
        return []
    rows = tuple((c.name, c.type, treated(c)) for c in modality.columns)
    note = "What is kept of a column to write it (smoothed quantiles, names of values, shares) holds no row and no extreme."
    return [Table("Columns, and how each was treated", ("column", "type", "treatment"), rows, (note,))]


def treated(column: Column) -> str:
    """One sentence for people."""
    code = column.code
    origin = {"declared": "; taken from no row: it was declared", "paid": "; measured under differential privacy"}.get(column.public, "")
    gaps = ", missing cells with it" if isinstance(code, NumberCode | LevelCode) and code.gaps else ""
    if isinstance(code, LevelCode):
        return f"learned{gaps}; {len(code.levels):,} values{origin}"
    if isinstance(code, NumberCode):
        step = f", written in steps of {code.step:g}" if code.step and column.type == "number" else ""
        spikes = f"; {len(code.spikes)} frequent single value(s) learned as such" if code.spikes else ""
        return f"learned{gaps}{step}{spikes}{origin}"
    return TREATED.get(column.type, "not learned")


def making(run: Run, step: int) -> list[Block]:
    s, about = run.settings, run.recipe.about
    machine, versions = s["machine"], s["versions"]
    facts = [
        f"Made on {s['created'][:10]} with " + ", ".join(f"{name} {version}" for name, version in versions.items()) + ".",
        f"Recipe: **{run.recipe.name}**" + (f", {about.title} ({about.paper})." if about.title else "."),
        f"Seed {s['train']['seed']}; {s['plan']['steps']:,} steps were planned, the model described here is of step {step:,}; "
        f"budget: {s['train']['budget'] or 'the default'}.",
        f"Machine: {machine['cpu']}" + (f", {machine['gpu']}." if machine["gpu"] else ", no accelerator."),
        *(f"Decision: {reason}" for reason in s["why"]),
        "All settings are in the last section.",
    ]
    return [Heading("How the model was made"), Items(tuple(facts))]


def defences(run: Run) -> list[Block]:
    """What is done by design, and differential privacy where it was used."""
    always = (
        _made(run),
        f"{KEPT.get(run.spec.kind, COLUMNS_KEPT)} The model's folder has a part named `private/` that shows real rows and must never be handed on.",
    )
    blocks: list[Block] = [Heading("Defences"), Items(always), *_of_rows(run)]
    found = read_account(run.path)
    if found is None:
        sentence = (
            "**Differential privacy was not used**: there is no epsilon and no delta, and no proof of how little the model can "
            "tell of one person. `rivalry train DATA --dp-epsilon 3` trains with such a bound."
        )
        return [*blocks, Text(sentence)]
    return [
        *blocks,
        Text("**Training was under differential privacy.** What is guaranteed:"),
        Items(tuple(guarantee(*found, run.preparation))),
        Text("What the guarantee does not cover:"),
        Items(tuple(exclusions(found[0], run.preparation))),
    ]


def _made(run: Run) -> str:
    """Where what comes out is from."""
    net = counted(run.recipe)
    if run.recipe.game.changes:
        return "What comes out is made from what is put in, and shows it: whoever is in that is in this. Besides, a network can remember what it was trained on."
    if net is not None:
        what = "single columns" if net.baseline == "independent" else "single columns and of pairs of columns"
        how = "with noise" if net.private else "kept in multiples of five, those of fewer than five rows as none"
        return (
            f"Rows are drawn from counts of {what}, {how}; none is copied from the data by design. That alone "
            "guarantees nothing: counts tell of rows."
        )
    return (
        "Rows are invented by a network from random numbers; none is copied from the data by design. That alone guarantees nothing: a network "
        "can remember rows."
    )


def _of_rows(run: Run) -> list[Block]:
    """What was done to the rows before anybody learned from them, in counts (`Dataset.defences`)."""
    told = run.settings["data"].get("defences", [])
    if not told:
        flags = "removal of copies, merging of rare values, clipping" if run.spec.kind in ("table", "points") else "removal of copies"
        return [Text(f"No defence was applied to the rows themselves before training ({flags}).")]
    return [Text("Applied to the rows themselves before training:"), Items(tuple(f"{line}." for line in told))]
