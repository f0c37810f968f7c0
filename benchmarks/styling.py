"""Style transfer without pairs: Yelp sentiment (Li et al. 2018), and modern English <-> King James.

    python benchmarks/styling.py --train yelp --seed 0 --budget 20m
    python benchmarks/styling.py --train bible --seed 0 --budget 20m
    python benchmarks/styling.py --measure
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

from common import WORK, shared

from rivalry.data.text_twins import plainly

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


if __name__ == "__main__":
    yelp()
    sys.exit()
