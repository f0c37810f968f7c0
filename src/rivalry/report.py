"""A run's report: what was asked, what happened, what came out; curves and pictures beside the words.

Reads the run folder only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rivalry.card import write_card
from rivalry.data.medical.warning import of_run
from rivalry.files import atomic, write_text
from rivalry.privacy import exclusions, guarantee, read_account
from rivalry.run import PIXELS, Run

Series = dict[str, tuple[list[int], list[float]]]
EQUILIBRIUM = -math.log(4)


def write_report(run: Run) -> Path:
    """report.md, model-card.md and plots/*.png; returns the report's path."""
    write_card(run)
    records, events = run.metrics(), run.events()
    plots = draw_plots(run.path / "plots", records)
    parts = [
        f"# {run.name}",
        _warning(run),
        _summary(run, records, events),
        _section("Samples", _samples(run)),
        _section("Scores", _scores(run, records)),
        _section("Privacy", _privacy(run)),
        _section("What happened", [f"- step {e['step']}: {e['sentence']}" for e in events]),
        _section("Curves", [f"![{p.stem}](plots/{p.name})" for p in plots]),
        _section("Recipe", _recipe(run)),
        _section("How to go on", _commands(run)),
    ]
    path = run.path / "report.md"
    write_text(path, "\n\n".join(p for p in parts if p) + "\n")
    return path


def _warning(run: Run) -> str:
    """Of runs on scans, before anything else."""
    said = of_run(run.settings["data"]["state"], run.recipe.game.changes)
    return f"**{said}**" if said else ""


def _section(title: str, lines: Sequence[str]) -> str:
    return f"## {title}\n\n" + "\n".join(lines) if lines else ""


def _summary(run: Run, records: list[dict[str, Any]], events: list[dict[str, Any]]) -> str:
    s = run.settings
    ended = next((e["sentence"] for e in reversed(events) if e["kind"] == "end"), "not finished yet")
    steps = records[-1]["step"] if records else 0
    seconds = records[-1]["seconds"] if records else 0.0
    data, machine = s["data"], s["machine"]
    lines = [
        f"- Recipe **{s['recipe']['name']}** on **{data['name']}** "
        f"({data['train']} examples for training, {data['held']} held out), seed {s['train']['seed']}.",
        f"- {steps} of {s['plan']['steps']} steps in {seconds:.0f} s of wall time on {machine['cpu']}, "
        f"{machine['threads']} threads{', ' + machine['gpu'] if machine['gpu'] else ''}.",
        f"- Ended: {ended}.",
        *(f"- {reason}" for reason in s["why"]),
        *([f"- Held-out rows: {run.before}."] if run.before else []),
        *_memory(records),
        *(f"- Data: {note}" for note in data["notes"]),
        *(f"- Defence: {told}" for told in data.get("defences", ())),
    ]
    return "\n".join(lines)


REMEMBERS = 0.5
"""Share of the way from training rows to fakes at which held-out rows score, from which the report speaks of it."""


def _memory(records: list[dict[str, Any]]) -> list[str]:
    """A sentence where the discriminator knows its training rows by heart."""
    looks = [r["memory"] for r in records if r.get("memory")]
    shares = [v for k, v in looks[-1].items() if k.endswith(".memory")] if looks else []
    if not shares or max(shares) < REMEMBERS:
        return []
    return [
        f"- The discriminator has overfitted: it puts held-out rows {max(shares):.0%} of the way from training rows to "
        "fakes (plots/memory.png), so the generator learns little more from it; more data, augmentation "
        "(`--recipe auto` turns it on for few pictures) or an earlier stop help."
    ]


def _samples(run: Run) -> list[str]:
    pictures = sorted((run.path / "samples").glob("*.png"))
    shown = [p for p in pictures if not p.name.startswith("step-")]
    steps = [p for p in pictures if p.name.startswith("step-")]
    if steps and not shown:
        shown = steps[-1:]
    neighbours = run.path / "private" / "neighbours.png"
    lines = [f"![{p.stem}](samples/{p.name})" for p in shown]
    final = run.path / "samples" / "final.txt"
    if final.exists():
        lines += ["```", *final.read_text(encoding="utf-8").splitlines()[:20], "```"]
    if (run.path / "private" / "changed" / "final.png").exists():
        lines.append(
            "Held-out pictures: what was put in, what was made of it, and (where it is known) what it should be (kept in private/, since "
            "they are your own):\n\n![changed](private/changed/final.png)"
        )
    if (run.path / "private" / "changed" / "worst.png").exists():
        lines.append("Those that came out worst, by PSNR:\n\n![worst](private/changed/worst.png)")
    if neighbours.exists():
        lines.append(
            "Each sample beside its nearest training pictures, to see whether it is a copy "
            "(kept in private/, since it shows training data):\n\n![neighbours](private/neighbours.png)"
        )
    if (run.path / "private" / "columns.png").exists():
        lines.append(
            "Columns of samples beside those of held-out rows (kept in private/, since it shows real data):\n\n"
            "![columns](private/columns.png)"
        )
    return lines


def _scores(run: Run, records: list[dict[str, Any]]) -> list[str]:
    """The last look, beside that of the best checkpoint, that of the end of the stage by pixels alone, and what doing nothing scores.
    A column is one look, so its numbers belong together."""
    looks = [r for r in records if "scores" in r]
    if not looks:
        return []
    last, paired = looks[-1], looks[-1].get("paired", {})
    beside = {f"{title} (step {look['step']})": _values(look) for title, which in OTHERS if (look := _look_of(run, looks, which)) is not None}
    if paired:
        beside["doing nothing"] = paired["untouched"]
    rows = [f"| ruler | last (step {last['step']}) | 95 % interval | {''.join(f'{title} | ' for title in beside)}floor (real data) |", "|---" * (4 + len(beside)) + "|"]
    for name, score in last["scores"].items():
        others = "".join(f" {_number(values.get(name))} |" for values in beside.values())
        rows.append(f"| {score['name']} | {score['value']:.4g} | {score['low']:.4g} to {score['high']:.4g} |{others} {_number(score['floor'])} |")
    ruler = next(iter(last["scores"].values()))["ruler"]
    if "psnr" in last["scores"]:
        ruler = last["scores"]["psnr"]["ruler"]
        said = "; ".join([*paired.get("said", [ruler["resize"]]), *filter(None, [run.untwinned])])  # older runs recorded less
        rows.append(
            f"\nMeasured on {ruler['samples']} held-out squares whose truth is known: {said}. Doing nothing is the input "
            "itself, enlarged bicubically where sizes differ."
        )
        return rows
    rows.append(
        f"\nMeasured at step {last['step']} on {ruler['samples']} samples against {ruler['reference']} rows of the "
        f"{ruler['split']} split, in the feature space {ruler['extractor']} ({ruler['extractor_sha'][:8]}). The floor "
        "is what real training data score on the same ruler; scores of other rulers cannot be compared with these."
    )
    return rows


OTHERS = (("best checkpoint", "best"), ("pixels alone", PIXELS))


def _look_of(run: Run, looks: Sequence[dict[str, Any]], which: str) -> dict[str, Any] | None:
    """The look that was taken of a checkpoint."""
    step = run.step(which) if run.checkpoint(which).exists() else None
    return next((look for look in looks if look["step"] == step), None)


def _values(look: Mapping[str, Any]) -> dict[str, float]:
    return {name: score["value"] for name, score in look["scores"].items()}


def _privacy(run: Run) -> list[str]:
    """The guarantee of a training under differential privacy, and what it leaves out."""
    found = read_account(run.path)
    if found is None:
        return []
    terms, account = found
    return [
        *(f"- {line}" for line in guarantee(terms, account, run.preparation)),
        "\nNot covered:\n",
        *(f"- {line}" for line in exclusions(terms, run.preparation)),
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _recipe(run: Run) -> list[str]:
    about = run.recipe.about
    words = [f"{about.title}: {about.distinctive}", f"Source: {about.paper}."] if about.title else []
    return [*words, "", "```toml", run.recipe.to_toml().strip(), "```"]


def _commands(run: Run) -> list[str]:
    out = "samples.txt" if run.spec.kind == "tokens" else "samples.png"
    use = run.recipe.game.used(run.called) or f"rivalry sample {run.called} -n 64 -o {out}"
    return [
        "```",
        use,
        f"rivalry evaluate {run.called}",
        f"rivalry resume {run.called}",
        "```",
    ]


# -- plots ----------------------------------------------------------------------------------------------------------


def series(records: list[dict[str, Any]], key: str) -> Series:
    """Curves of a part of the records ('notes', 'knobs'), by name: (steps, values)."""
    found: Series = {}
    for record in records:
        for name, value in record.get(key, {}).items():
            steps, values = found.setdefault(name, ([], []))
            steps.append(record["step"])
            values.append(value)
    return found


def draw_plots(folder: Path, records: list[dict[str, Any]]) -> list[Path]:
    """losses.png, scores on real and fake, value.png (V(D, G) with its equilibrium), memory.png (scores on training
    rows, held-out rows and fakes), scores.png, knobs.png."""
    notes, knobs, memory = (series(records, key) for key in ("notes", "knobs", "memory"))
    groups: list[tuple[str, str, Series, float | None]] = [
        ("losses", "loss", {k: v for k, v in notes.items() if k.endswith(".loss")}, None),
        ("discriminator", "mean score (logit)", {
            k: v for k, v in notes.items() if k.count(".") == 2 and k.endswith((".real", ".fake"))}, None),
        ("value", "V(D, G)", {k: v for k, v in notes.items() if k.endswith(".value")}, EQUILIBRIUM),
        ("memory", "mean score (logit)", {k: v for k, v in memory.items() if not k.endswith(".memory")}, None),
        ("knobs", "knob", knobs, None),
    ]  # fmt: skip
    made = [_curves(folder / f"{name}.png", label, curves, line) for name, label, curves, line in groups if curves]
    scores = _score_plots(folder, records)
    optimal = folder / "optimal.png"
    return made + ([scores] if scores else []) + ([optimal] if optimal.exists() else [])


def _curves(path: Path, label: str, curves: Series, line: float | None) -> Path:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.subplots()
    for name, (steps, values) in sorted(curves.items()):
        axes.plot(steps, values, label=name, linewidth=1)
    if line is not None:
        axes.axhline(line, color="grey", linestyle="--", linewidth=1, label="equilibrium -log 4")
    axes.set_xlabel("step")
    axes.set_ylabel(label)
    axes.legend(fontsize=7)
    axes.grid(alpha=0.3)
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=110)
    return path


def _score_plots(folder: Path, records: list[dict[str, Any]]) -> Path | None:
    """A small plot per ruler, with the floor as a dashed line."""
    from matplotlib.figure import Figure

    looks = [r for r in records if "scores" in r]
    if not looks:
        return None
    names = list(looks[-1]["scores"])
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(3.2 * columns, 2.4 * rows), layout="constrained")
    for i, name in enumerate(names):
        axes = figure.add_subplot(rows, columns, i + 1)
        _one_score(axes, name, [r for r in looks if name in r["scores"]])
    path = folder / "scores.png"
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=110)
    return path


def _one_score(axes: Any, name: str, looks: Sequence[Mapping[str, Any]]) -> None:
    steps = [r["step"] for r in looks]
    scores = [r["scores"][name] for r in looks]
    axes.plot(steps, [s["value"] for s in scores], marker=".", linewidth=1)
    axes.fill_between(steps, [s["low"] for s in scores], [s["high"] for s in scores], alpha=0.2)
    if scores[-1]["floor"] is not None:
        axes.axhline(scores[-1]["floor"], color="grey", linestyle="--", linewidth=1)
    axes.set_title(scores[-1]["name"], fontsize=9)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)
    if name in ("fd", "kid", "swd") and min(s["value"] for s in scores) > 0:
        axes.set_yscale("log")
