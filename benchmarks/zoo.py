"""A page per row of the zoo: what it is, samples, curve, and its score after an equal budget on Fashion-MNIST.

Resumable: rows that have a page of the same budget are skipped.  Pages are written to docs/zoo/.  Rows that change pictures have pages
without scores: what they learn from, what each player is charged with, settings.

    python benchmarks/zoo.py                          # every row, three minutes on one core each
    python benchmarks/zoo.py --pages                  # the pages of rows that change pictures, which need no training
    python benchmarks/zoo.py --rows dcgan,wgan-gp     # two of these, of different rows, may run side by side
"""

from __future__ import annotations

import argparse
import inspect
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from common import HERE, WORK, about, table, threads
from PIL import Image

from rivalry import zoo
from rivalry.auto import suited
from rivalry.catalogue import name_of
from rivalry.data import load
from rivalry.degrade import TASKS
from rivalry.errors import RunError
from rivalry.experiments import compare_recipes, finished
from rivalry.files import write_json, write_text
from rivalry.recipe import Recipe, Side
from rivalry.run import ROOT, Run

DATA = "fashion-mnist"
PAGES = HERE.parent / "docs" / "zoo"
SCORES = PAGES / "scores.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="")
    parser.add_argument("--budget", default="3m")
    parser.add_argument("--pages", action="store_true")
    given = parser.parse_args()
    for name in of_changes():
        write_text(PAGES / f"{name}.md", changing_page(name))
    if given.pages:
        write_text(PAGES / "README.md", index(known()))
        return
    threads(1)
    load(DATA)  # missing data end the benchmark here; they are not a row's failure
    folder = str(WORK / f"zoo-{given.budget}")
    for name in given.rows.split(",") if given.rows else zoo.names():
        if name not in of_pictures() or known().get(name, {}).get("budget") == given.budget:
            continue
        result = {"budget": given.budget, "machine": about(), **one(name, given.budget, folder)}
        write_json(SCORES, {**known(), name: result})
        write_text(PAGES / f"{name}.md", page(name, result))
    write_text(PAGES / "README.md", index(known()))


def of_pictures() -> list[str]:
    """Rows that can be trained on Fashion-MNIST."""
    rows = ((name, zoo.row(name).small) for name in zoo.names())
    return [name for name, small in rows if small.about.group not in ("points", "tables", "records", "text") and not small.game.changes]


def of_changes() -> list[str]:
    """Rows that change pictures."""
    return [name for name in zoo.names() if zoo.row(name).small.about.group == "changing"]


def known() -> dict[str, dict[str, object]]:
    """What has been measured so far; read anew each time, since two of these may run side by side."""
    return json.loads(SCORES.read_text()) if SCORES.exists() else {}


def one(name: str, budget: str, folder: str) -> dict[str, object]:
    """Trains the row's small setting and measures it; what went wrong, in words, if it did."""
    recipe = f"{name}-small"
    run = Run(ROOT / folder / f"{recipe}-seed0")
    try:
        found = compare_recipes(DATA, [recipe], [0], budget, folder, device="cpu", precision="float32")
    except RunError:
        ends = [e for e in run.events() if e["kind"] == "end"] if finished(run.path) else []
        if not ends or ends[-1]["why"] != "diverged":
            raise  # stopped from outside, a full disk: no fault of the row
        return {"failed": "; ".join(e["sentence"] for e in run.events())}
    entry = next(e for e in found.entries if e.name == recipe)
    PAGES.mkdir(parents=True, exist_ok=True)
    for source, target in (("samples/final.png", f"{name}.png"), ("plots/scores.png", f"{name}-curve.png")):
        if (run.path / source).exists():
            small(run.path / source, PAGES / target)
    events = [e["sentence"] for e in run.events() if e["kind"] not in ("end", "resume")]
    steps = run.metrics()[-1]["step"]
    return {
        "scores": {k: v[0] for k, v in entry.scores.items()},
        "names": found.names,
        "events": events,
        "steps": steps,
    }


def small(source: Path, target: Path) -> None:
    """A plot or sheet in a palette: a third of its bytes, and nobody sees it."""
    with Image.open(source) as picture:
        picture.convert("RGB").quantize(128).save(target, optimize=True)


def page(name: str, result: dict[str, object]) -> str:
    row = zoo.row(name)
    about_ = row.published.about
    lines = [f"# {about_.title} (`{name}`)", "", f"{about_.paper} ({about_.group}).", "", about_.distinctive, ""]
    if about_.failing:
        lines += [f"**Marked as failing**: {about_.failing}", ""]
    if "failed" in result:
        lines += [f"**Failed** at its small setting: {result['failed']}", ""]
    else:
        lines += ["## After an equal budget", "", _scores(result), ""]
        lines += [f"![samples]({name}.png)", "", f"![curves]({name}-curve.png)", ""]
    lines += ["## Settings", "", "Published:", "", "```toml", row.published.to_toml().strip(), "```", ""]
    lines += ["Small:", "", "```toml", row.small.to_toml().strip(), "```", ""]
    return "\n".join(lines)


DATA_OF = {
    "patches": ("photos", "a folder of good pictures, of which bad twins are made on the fly"), "pairs": ("pairs", "pairs: two sub-folders of equal file names"),
    "unpaired": ("styles", "two sets without pairs: trainA and trainB"), "classes": ("seasons", "several sets, a sub-folder for each"),
}  # fmt: skip


def changing_page(name: str) -> str:
    """What it is and learns from, what each player is charged with, its parts by their equations, and both settings."""
    row = zoo.row(name)
    about_, task = row.published.about, TASKS.get(suited(row.published))
    folder, learned = DATA_OF[task.layout] if task is not None else ("seasons", "pictures in classes, a sub-folder for each")
    if task is not None and task.labelled:
        folder, learned = "digits", "two sets: trainA with a sub-folder for each class, and trainB"
    lines = [f"# {about_.title} (`{name}`)", "", f"{about_.paper} ({about_.year}).", "", about_.distinctive, ""]
    if about_.failing:
        lines += [f"**Marked as failing**: {about_.failing}", ""]
    lines += [f"Learns from {learned}; see [changing pictures](../changing.md) for layouts and for what was measured.", ""]
    lines += ["```bash", f"rivalry train {folder}/ --recipe {name}-small --budget 20m --run changed", "```", ""]
    lines += ["## What each player is charged with", "", *_players(row.published), "", "## Parts", "", *_parts(row.published), ""]
    lines += ["## Settings", "", "Published:", "", "```toml", row.published.to_toml().strip(), "```", ""]
    lines += ["Small:", "", "```toml", row.small.to_toml().strip(), "```", ""]
    return "\n".join(lines)


def _players(recipe: Recipe) -> Iterator[str]:
    several = len(recipe.stages) > 1
    for stage in recipe.stages:
        when = f", stage {stage.name!r} ({stage.share:.0%} of the steps)" if several else ""
        for side in stage.sides:
            yield f"- **{side.name}**{when}: {'; '.join(_charges(recipe, side))}."


def _charges(recipe: Recipe, side: Side) -> Iterator[str]:
    if side.judges:
        yield f"judges by `{name_of(recipe.objective)}` in {' and '.join(side.judges)}"
    if side.fools:
        yield f"fools by `{name_of(recipe.objective)}` in {' and '.join(side.fools)}"
    for part in (*side.terms, *side.penalties):
        own = asdict(part)  # type: ignore[call-overload]
        on = own.get("pair") or own.get("match") or ""
        yield f"{own.get('weight', 1.0):g} `{name_of(part)}`{f' on {on}' if on else ''}"


def _parts(recipe: Recipe) -> Iterator[str]:
    """Each part once, by the beginning of its own words, which have the equation."""
    charged = [part for side in recipe.sides() for part in (*side.terms, *side.penalties)]
    parts = [recipe.game, *([recipe.objective] if any(side.judges for side in recipe.sides()) else []), *charged, *recipe.nets.values()]
    for cls, called in {type(part): name_of(part) for part in parts}.items():
        words = " ".join((inspect.getdoc(cls) or "").split("\n\n")[0].split())
        yield f"- `{called}`: {words}"


def _scores(result: dict[str, object]) -> str:
    scores, events, names = result["scores"], result["events"], result["names"]
    assert isinstance(scores, dict)
    assert isinstance(names, dict)
    assert isinstance(events, list)
    text = table(("ruler", "value"), [(names[k], float(v)) for k, v in scores.items()])
    text += f"\n\nSmall setting on Fashion-MNIST, {result['budget']} on one core ({result['steps']} steps), seed 0, best "
    text += f"checkpoint; {result['machine']}."
    return text + ("\n\nWhat was seen: " + "; ".join(events) + "." if events else "")


def index(scores: dict[str, dict[str, object]]) -> str:
    rows = []
    for name in of_pictures():
        about_ = zoo.row(name).published.about
        result = scores.get(name, {})
        found = result.get("scores")
        fd = float(found["fd"]) if isinstance(found, dict) else float("nan")
        value = f"{fd:.3g}" if found else ("failed" if "failed" in result else "not measured yet")
        value += ", marked as failing" if about_.failing else ""
        link = f"[{name}]({name}.md)" if result else name
        rows.append((fd if found else 1e9, (link, about_.year, about_.group, value)))
    rows.sort(key=lambda r: r[0])
    text = table(("row", "year", "group", "FD-local"), [r[1] for r in rows])
    return (
        "# The zoo\n\nSmall settings on Fashion-MNIST after an equal budget of three minutes on one core, in float32; one seed, one "
        "ruler (a classifier trained on the training split). Each page names its machine; compare rows of one. Made by `python benchmarks/zoo.py`, which goes on where it "
        f"stopped.\n\n{text}\n\n## Rows that change pictures\n\nWhat was measured of them is told in [changing pictures](../changing.md#where-it-stands).\n\n{_changing()}\n"
    )


def _changing() -> str:
    rows = [(f"[{name}]({name}.md)", about_.year, suited(zoo.row(name).published), about_.title) for name in of_changes() if (about_ := zoo.row(name).published.about)]
    return table(("row", "year", "learns as --task", "title"), rows)


if __name__ == "__main__":
    main()
