"""A run's model card: what whoever is handed the model should know, in the sections of Mitchell et al. 2019.

Reads the run folder only, and tells nothing of single training rows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rivalry.baselines import counted
from rivalry.data.medical.warning import of_run
from rivalry.degrade import TASKS
from rivalry.files import write_text
from rivalry.privacy import exclusions, guarantee, read_account
from rivalry.run import Run


def write_card(run: Run) -> Path:
    """model-card.md; returns its path."""
    records, events = run.metrics(), run.events()
    parts = [
        f"# Model card: {run.name}",
        _section("Model", _model(run, records)),
        _section("Training data", _data(run)),
        _section("Intended use", _use(run)),
        _section("Evaluation", _scores(run, records)),
        _section("Limits", _limits(run, events)),
        _section("Loading", _loading(run)),
    ]
    path = run.path / "model-card.md"
    write_text(path, "\n\n".join(parts) + "\n")
    return path


def _section(title: str, lines: list[str]) -> str:
    return f"## {title}\n\n" + "\n".join(lines)


def _model(run: Run, records: list[dict[str, Any]]) -> list[str]:
    s, about = run.settings, run.recipe.about
    steps = records[-1]["step"] if records else 0
    return [
        f"- Recipe: **{run.recipe.name}**" + (f", {about.title} ({about.paper})." if about.title else "."),
        f"- Trained {s['created'][:10]} with rivalry {s['versions']['rivalry']}, PyTorch {s['versions']['torch']}: {steps} "
        f"steps, seed {s['train']['seed']}, on {s['machine']['cpu']}"
        + (f" with {s['machine']['gpu']}" if s["machine"]["gpu"] else "")
        + ".",
        f"- Weights: {_weights(run)} Nothing is pickled; loading runs no code from the files.",
    ]


def _weights(run: Run) -> str:
    if counted(run.recipe) is not None:
        return "`checkpoints/last/model.safetensors` (counts, taken once; nothing was trained or chosen)."
    if run.recipe.private:
        return "`checkpoints/last/model.safetensors` (averaged); none is chosen by its score."
    return "`checkpoints/best/model.safetensors` (averaged; the latest that is, within noise, the best by the held-out score) and `checkpoints/last`."


def _data(run: Run) -> list[str]:
    data, spec = run.settings["data"], run.spec
    lines = [
        f"- **{data['name']}**: {data['train']:,} rows for training, {data['held']:,} held out for evaluation; "
        f"kind '{spec.kind}', shape {list(spec.shape)}.",
        f"- Fingerprint of rows and split: `{data['fingerprint'][:16]}`.",
    ]
    if spec.class_names and len(spec.class_names) <= 20:
        lines.append(f"- Classes: {', '.join(spec.class_names)}.")
    told = [f"- Defence: {told}" for told in data.get("defences", ())]
    return lines + [f"- {note}" for note in data["notes"]] + told


def _use(run: Run) -> list[str]:
    return [
        *_purpose(run),
        *([f"- The run hands out {cap:,} samples in all, and no more."] if (cap := run.settings["train"].get("cap", 0)) else []),
        "- Terms of the training data may bind the model and its samples; they are not recorded here.",
    ]


def _purpose(run: Run) -> list[str]:
    if not (run.recipe.game.changes and run.spec.kind == "image"):
        return [
            "- To draw new rows of the kind it was trained on: to try things out, to teach, to augment or stand in for data "
            "where that is allowed.",
            "- Not for decisions about people, and not as evidence of facts: what it makes is invented.",
        ]
    known = TASKS.get(str(run.settings["data"].get("task", "")))
    what = f"It {known.does} (task '{known.name}')" if known is not None else "It makes pictures of one class out of those of others"
    return [
        f"- To change pictures of the kind it was trained on: `{run.recipe.game.used(run.name)}`. {what}.",
        "- Not for decisions about people, and not as evidence of facts: detail that it adds may be invented, and detail that was there may be "
        "missing. On pictures of another kind, or with other faults, it may do harm unseen.",
    ]


def _scores(run: Run, records: list[dict[str, Any]]) -> list[str]:
    looks = [r for r in records if "scores" in r]
    if not looks:
        return ["Not measured yet: `rivalry evaluate` does it."]
    which = "last" if run.recipe.private else "best"  # of the weights that are named above
    step = run.step(which) if run.checkpoint("last").exists() else looks[-1]["step"]
    last = next((r for r in reversed(looks) if r["step"] == step), looks[-1])["scores"]
    rows = [f"| ruler | at step {step} | 95 % interval | real data (floor) |", "|---|---|---|---|"]
    for score in last.values():
        floor = "" if score["floor"] is None else f"{score['floor']:.4g}"
        rows.append(f"| {score['name']} | {score['value']:.4g} | {score['low']:.4g} to {score['high']:.4g} | {floor} |")
    ruler = next(iter(last.values()))["ruler"]
    if "psnr" in last:
        paired = next((r["paired"] for r in looks if r["step"] == step and "paired" in r), {"said": [last["psnr"]["ruler"]["resize"]]})
        return [*rows, "", f"{last['psnr']['ruler']['samples']} held-out squares whose truth is known: {'; '.join(paired['said'])}."]
    return [
        *rows,
        "",
        f"{ruler['samples']} samples against {ruler['reference']} rows of the {ruler['split']} split, features "
        f"'{ruler['extractor']}' ({ruler['extractor_sha'][:8]}). Scores of other rulers cannot be compared with these.",
    ]


def _limits(run: Run, events: list[dict[str, Any]]) -> list[str]:
    lines = [f"- Seen in training: {e['sentence']}." for e in events if e["kind"] not in ("end", "resume", "target")]
    if run.recipe.about.failing:
        lines.append(f"- The recipe is marked as failing: {run.recipe.about.failing}")
    warned = of_run(run.settings["data"]["state"], run.recipe.game.changes)
    return [
        *([f"- **{warned}**"] if warned else []),
        *([f"- Held-out rows: {run.before}."] if run.before else []),
        *lines,
        "- It repeats the biases of its training data, and rare cases may be missing from what it makes.",
        *_privacy(run),
    ]


def _privacy(run: Run) -> list[str]:
    found = read_account(run.path)
    if found is None:
        return [
            "- No privacy guarantee: a GAN can remember training rows. `private/` in the run folder shows training data and "
            "must not be handed on."
        ]
    return [f"- {line}" for line in guarantee(*found, run.preparation)] + [
        f"- Not covered: {line}" for line in exclusions(found[0], run.preparation)
    ]


def _loading(run: Run) -> list[str]:
    does = f'samples = rivalry.load("{run.name}").{"texts" if run.spec.kind == "tokens" else "sample"}(64, seed=0)'
    if run.recipe.game.changes and run.spec.kind == "image":
        does = f'rivalry.load("{run.name}").apply("photo.png", "changed.png")'
    return ["```python", "import rivalry", "", does, "```"]
