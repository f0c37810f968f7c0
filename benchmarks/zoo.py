"""A page per row of the zoo: what it is, samples, curve, and its score after an equal budget on Fashion-MNIST.

Resumable: rows that have a page of the same budget are skipped.  Pages are written to docs/zoo/.

    python benchmarks/zoo.py                          # every row, three minutes on one core each
    python benchmarks/zoo.py --rows dcgan,wgan-gp     # two of these, of different rows, may run side by side
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from common import HERE, WORK, about, table, threads
from PIL import Image

from rivalry import zoo
from rivalry.data import load
from rivalry.errors import RunError
from rivalry.experiments import compare_recipes, finished
from rivalry.files import write_json, write_text
from rivalry.run import ROOT, Run

DATA = "fashion-mnist"
PAGES = HERE.parent / "docs" / "zoo"
SCORES = PAGES / "scores.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="")
    parser.add_argument("--budget", default="3m")
    given = parser.parse_args()
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
        f"stopped.\n\n{text}\n"
    )


if __name__ == "__main__":
    main()
