"""Style transfer without pairs: Yelp sentiment (Li et al. 2018), and modern English <-> King James.

    python benchmarks/styling.py --train yelp --seed 0 --budget 20m
    python benchmarks/styling.py --train bible --seed 0 --budget 20m
    python benchmarks/styling.py --measure
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from functools import cache
from pathlib import Path

from common import WORK, shared

from rivalry.data.text_twins import plainly
from rivalry.streams import key

YELP = ("negative", "positive")


def _lines(folder: str, name: str) -> list[str]:
    path = shared(folder) / name
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [" ".join(line.split()) for line in raw.decode("utf-8").splitlines() if line.strip()]


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


if __name__ == "__main__":
    {"yelp": yelp, "bible": bible}[sys.argv[1]]()
