"""Style transfer without pairs: Yelp sentiment (Li et al. 2018), and modern English <-> King James.

    python benchmarks/styling.py --train yelp --seed 0 --budget 20m
    python benchmarks/styling.py --train bible --seed 0 --budget 20m
    python benchmarks/styling.py --measure all
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import torch
from common import WORK, keep, shared, table

from rivalry import ReadOptions, load, restyle, train
from rivalry.api import Run
from rivalry.data import load as load_data
from rivalry.data.text_twins import plainly
from rivalry.evaluate.style_ruler import StyleRuler, lines_of, ruler_of
from rivalry.run import ROOT
from rivalry.stats.translation import bleu
from rivalry.streams import key

YELP = ("negative", "positive")


def _lines(folder: str, name: str, blank: bool = False) -> list[str]:
    """The lines of a file; blank: also those where a system said nothing."""
    path = shared(folder) / name
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [" ".join(line.split()) for line in raw.decode("utf-8", "replace").rstrip("\n").split("\n") if blank or line.strip()]


def yelp_test() -> tuple[list[str], list[int], list[str]]:
    """(Li et al.'s 1,000 sentences, their styles, the human reference of each)."""
    lines, styles, references = list[str](), list[int](), list[str]()
    for number in (0, 1):
        for line in (shared("style_li2018") / f"yelp/reference.{number}").read_text(encoding="utf-8").splitlines():
            source, reference = line.split("\t")
            lines.append(source.strip())
            styles.append(number)
            references.append(reference.strip())
    return lines, styles, references


def yelp() -> Path:
    """A folder of negative and positive lines to train on and for choosing: Shen et al.'s dev and test, less every sentence of Li et al.'s
    test and dev; dev is Li et al.'s, less their test."""
    folder = WORK / "yelp"
    if folder.exists():
        return folder
    test = {plainly(line) for number in (0, 1) for line in _lines("style_li2018", f"yelp/sentiment.test.{number}.gz")}
    test |= {plainly(line) for line in yelp_test()[0]}
    dev = [_lines("style_li2018", f"yelp/sentiment.dev.{number}.gz") for number in (0, 1)]
    held = test | {plainly(line) for part in dev for line in part}
    folder.mkdir(parents=True)
    for number, style in enumerate(YELP):
        train = [line for part in ("dev", "test") for line in _lines("style_yelp_shen", f"sentiment.{part}.{number}.gz")]
        kept = [line for line in train if plainly(line) not in held]
        chosen = [line for line in dev[number] if plainly(line) not in test]
        print(f"{style}: {len(train):,} lines, {len(train) - len(kept):,} of them in Li et al.'s dev or test; {len(chosen):,} to choose by")
        (folder / f"{style}.train.txt").write_text("\n".join(kept) + "\n", encoding="utf-8")
        (folder / f"{style}.dev.txt").write_text("\n".join(chosen) + "\n", encoding="utf-8")
    return folder


BIBLE = ("king-james", "modern")
MARKS = re.compile("[\u201c\u201d\u2018]|(?<!\\w)\u2019|\u2019(?!\\w)|\u00b6")


def _sword() -> Path:
    """Where the verses are: Debian's sword-text-kjv and sword-text-web, installed or unpacked under work/."""
    found = next((p for p in (WORK / "sword/usr/share/sword", Path("/usr/share/sword")) if (p / "mods.d").exists()), None)
    if found is None:
        sys.exit(
            "this benchmark reads Debian's Bible texts: in benchmarks/work/sword, run `apt-get download sword-text-kjv sword-text-web` and "
            "`for f in *.deb; do dpkg -x $f .; done`, and install the reader with: pip install --no-deps pysword"
        )
    return found


def verses() -> dict[tuple[str, int], list[tuple[str, str]]]:
    """(book, chapter) -> (King James, modern) of its verses that both have; without quotation marks, which only one of them has."""
    from pysword.modules import SwordModules

    modules = SwordModules(str(_sword()))
    modules.parse_modules()
    bibles = [modules.get_bible_from_module(name) for name in ("engKJV2006eb", "engWEB2015eb")]
    for one in bibles:
        one._decompress = cache(one._decompress)  # else a book is unpacked anew for every verse
    found: dict[tuple[str, int], list[tuple[str, str]]] = {}
    books = [b for part in bibles[0].get_structure().get_books().values() for b in part]
    for book in books:
        for chapter in range(1, book.num_chapters + 1):
            sides = [list(bible.get_iter(books=[book.name.lower()], chapters=[chapter])) for bible in bibles]
            pairs = [(_plain(a), _plain(b)) for a, b in zip(*sides, strict=False)]
            found[book.name, chapter] = [(a, b) for a, b in pairs if a and b]
    return found


def _plain(verse: str) -> str:
    return " ".join(MARKS.sub("", verse).replace("\u2019", "'").split())


def bible() -> Path:
    """A folder of King James and modern verses of different chapters; held-out chapters of both for choosing, others for the test."""
    folder, test = WORK / "bible", WORK / "bible-test.jsonl"
    if folder.exists() and test.exists():
        return folder
    files: dict[str, list[str]] = {f"{style}.{part}.txt": [] for style in BIBLE for part in ("train", "dev")}
    held: list[tuple[str, str]] = []
    for number, ((book, chapter), pairs) in enumerate(verses().items()):
        drawn = key("bible", book, chapter) % 20
        if drawn == 0:
            held += pairs
        elif drawn == 1:
            for style, side in zip(BIBLE, zip(*pairs, strict=True), strict=True):
                files[f"{style}.dev.txt"] += side
        else:
            files[f"{BIBLE[number % 2]}.train.txt"] += [pair[number % 2] for pair in pairs]
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in files.items():
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"{name}: {len(lines):,} verses")
    test.write_text("".join(json.dumps(pair, ensure_ascii=False) + "\n" for pair in held), encoding="utf-8")
    print(f"test: {len(held):,} verses")
    return folder


SETS: dict[str, tuple[Callable[[], Path], ReadOptions]] = {
    "yelp": (yelp, ReadOptions(vocabulary=4000)),
    "bible": (bible, ReadOptions(vocabulary=4000, tokens=64)),
}
SYSTEMS = (
    "CrossAlignment_Shen", "DeleteRetrieve_Li", "DeleteOnly_Li", "TemplateBase_Li", "StyleEmbedding_Fu", "Multidecoder_Fu", "UnpairedRL_Xu",
    "UnsuperMT_Zhang", "DualRL",
)  # fmt: skip
JUDGING = 1
"""The seed of the classifier that measures; the one that chose the checkpoint had the run's."""


def train_one(name: str, row: str, seed: int, budget: str, settings: list[str]) -> None:
    """Trains a row (auto: the house recipe) on a data set, in a run of that name."""
    path, reading = SETS[name][0](), SETS[name][1]
    run = f"style-{name}-{row}-{seed}"
    train(
        path, recipe=row, seed=seed, budget=budget, run=run, overwrite=True, settings=settings, options=reading, tensorboard=False, say=print
    )


def runs(name: str) -> list[Run]:
    """The runs there are on a data set."""
    return [load(p.name) for p in sorted(ROOT.glob(f"style-{name}-*")) if (p / "checkpoints/best").exists()]


def ruler(name: str) -> StyleRuler:
    """A classifier and language models of that data set's training lines."""
    data = load_data(SETS[name][0](), options=SETS[name][1])
    return ruler_of(data, JUDGING)


def told(run: Run) -> str:
    """How a run was trained, in words."""
    plan, events = run.folder.settings["plan"], run.folder.metrics()
    seconds = max((float(e["seconds"]) for e in events if "seconds" in e), default=0.0)
    return f"{run.name}: {plan['steps']:,} steps, {seconds / 60:.0f} min of one core, kept that of step {run.folder.step('best'):,}"


def measure_yelp(strengths: Mapping[str, float | None]) -> str:
    """Li et al.'s 1,000 sentences: the runs beside stored outputs, all by one classifier."""
    source, styles, _ = yelp_test()
    wanted = 1 - torch.tensor(styles)
    one = ruler("yelp")
    outputs = {"copying the input": source}
    for system in SYSTEMS:
        outputs[system] = [line for k in (0, 1) for line in _lines("style_dualrl_outputs", f"yelp/{system}/test.{k}.tsf", True)]
    people = [[line for k in (0, 1) for line in _lines("style_dualrl_outputs", f"yelp/Human{i}/test.{k}.tsf", True)] for i in range(4)]
    outputs["a person (Human1)"] = people[1]
    mine = runs("yelp")
    for run in mine:
        made = [restyle(run, source[500 * k : 500 * k + 500], YELP[1 - k], strength=strengths["yelp"]) for k in (0, 1)]
        outputs[run.name] = [*made[0], *made[1]]
    rows = []
    for system, lines in outputs.items():
        if len(lines) != len(source):
            print(f"{system} has {len(lines)} lines, and there are {len(source)}: left out")
            continue
        found = one.measured(lines, source, wanted, [people[0]])
        four = bleu(lines, *people)
        rows.append((system, *(f"{found[m]:.1f}" for m in ("style", "kept", "bleu", "overall")), f"{four:.1f}", f"{found['chrf']:.1f}", f"{found['style-perplexity']:.0f}"))
    head = ("system", "style accuracy %", "self-BLEU", "BLEU", "geometric mean", "BLEU, 4 people", "chrF", "perplexity")
    return (
        f"Yelp, Li et al.'s 1,000 test sentences. The classifier (words and pairs of words, seed {JUDGING}) was trained on training lines alone and "
        f"knows {one.accuracy:.1f} % of the dev lines. BLEU is against the first person's rewriting (Human0), self-BLEU against "
        "the input, both by sacrebleu 13a; the mean is of the three columns before it. Perplexity is of an n-gram model of the style wanted.\n\n"
        + "\n".join(f"- {told(run)}" for run in mine)
        + f"\n\n{table(head, rows)}"
    )


def measure_bible(strengths: Mapping[str, float | None]) -> str:
    """Held-out verses both ways: what was made of one version against the other."""
    bible()
    pairs = [json.loads(line) for line in (WORK / "bible-test.jsonl").read_text(encoding="utf-8").splitlines()]
    one, rows, mine = ruler("bible"), [], runs("bible")
    for k, style in enumerate(BIBLE):
        truth, source = [p[k] for p in pairs], [p[1 - k] for p in pairs]
        outputs = {"copying the input": source, **{run.name: restyle(run, source, style, strength=strengths["bible"]) for run in mine}, "the true verse": truth}
        for system, lines in outputs.items():
            found = one.measured(lines, source, torch.full((len(lines),), k), [truth])
            rows.append((f"to {style}", system, *(f"{found[m]:.1f}" for m in ("style", "chrf", "bleu", "kept", "kept-chrf")), f"{found['style-perplexity']:.0f}"))
    head = ("direction", "system", "style accuracy %", "chrF", "BLEU", "self-BLEU", "self-chrF", "perplexity")
    return (
        f"King James and modern (World English Bible), {len(pairs):,} verses of held-out chapters; the two styles were learned from different chapters. "
        f"The classifier (seed {JUDGING}) knows {one.accuracy:.1f} % of the dev verses. chrF and BLEU are against the true verse of the other "
        "version, sacrebleu. Quotation marks, which only one version has, were taken out.\n\n"
        + "\n".join(f"- {told(run)}" for run in mine)
        + f"\n\n{table(head, rows)}\n\n{_shown(mine, pairs, strengths['bible'])}"
    )


def tune(name: str) -> None:
    """Dev lines at several strengths, by the classifier that chose the checkpoint."""
    data = load_data(SETS[name][0](), options=SETS[name][1])
    one = ruler_of(data, 0)
    lines, styles = lines_of(data, "held")
    few = torch.randperm(len(lines), generator=torch.Generator().manual_seed(0))[:400].tolist()
    source, wanted = [lines[i] for i in few], 1 - styles[few]
    for run in runs(name):
        for strength in (None, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4):
            made = [restyle(run, source, style, strength=strength) for style in data.spec.class_names]
            found = one.measured([made[w][i] for i, w in enumerate(wanted.tolist())], source, wanted)
            print(run.name, strength, {k: round(v, 1) for k, v in found.items()}, flush=True)


def _shown(mine: list[Run], pairs: list[tuple[str, str]], strength: float | None) -> str:
    """Verses at even distances, unpicked (public domain), of the last run."""
    if not mine:
        return ""
    few = pairs[:: max(1, len(pairs) // 8)][:8]
    found = []
    for k, style in enumerate(BIBLE):
        made = restyle(mine[-1], [p[1 - k] for p in few], style, strength=strength)
        found += [f"- to {style}: {p[1 - k]}\n  - made: {line}\n  - true: {p[k]}" for p, line in zip(few, made, strict=True)]
    return f"Unpicked, by {mine[-1].name}:\n\n" + "\n".join(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", choices=sorted(SETS))
    parser.add_argument("--row", default="auto", help="a row of the zoo; auto: the house recipe")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--budget", default="20m")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--measure", choices=["yelp", "bible", "all"])
    parser.add_argument("--strength", type=float, help="the same for all lines, found on dev lines by --tune; without it as much as each line needs")
    parser.add_argument("--tune", choices=sorted(SETS), help="measures strengths on dev lines, never on the test")
    given = parser.parse_args()
    strengths = dict.fromkeys(SETS, given.strength)
    torch.set_num_threads(1)
    WORK.mkdir(exist_ok=True)
    os.chdir(WORK)
    if given.train:
        train_one(given.train, given.row, given.seed, given.budget, given.settings)
    if given.tune:
        tune(given.tune)
    if given.measure in ("yelp", "all"):
        keep("styling_yelp", "Style transfer: Yelp sentiment without pairs", measure_yelp(strengths))
    if given.measure in ("bible", "all"):
        keep("styling_bible", "Style transfer: modern English and King James without pairs", measure_bible(strengths))


if __name__ == "__main__":
    main()
