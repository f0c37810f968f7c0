"""What `rivalry data inspect` says of text: lines, lengths, words, languages, copies, what is broken."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from rivalry.data.inspection import SHOWN, Column, Inspection
from rivalry.data.rows import balance
from rivalry.data.sources import Texts
from rivalry.data.split import share_held
from rivalry.data.text_tokens import words_of
from rivalry.data.text_twins import Twins, twins

SCRIPTS = ("LATIN", "CJK", "HIRAGANA", "KATAKANA", "HANGUL", "CYRILLIC", "ARABIC", "GREEK", "HEBREW", "DEVANAGARI", "THAI")
HINTS = {
    "English": ("the", "and", "of", "is", "a"),
    "German": ("der", "und", "die", "ist", "das"),
    "French": ("le", "et", "les", "est", "la"),
    "Spanish": ("el", "y", "los", "es", "la"),
    "Italian": ("il", "e", "di", "che", "la"),
}
SAMPLE = 2000


def look(texts: Texts) -> Inspection:
    """An Inspection of lines that were read."""
    lines, found = texts.lines, twins(texts.lines)
    words = [words_of(line) for line in lines]
    counts = Counter(w for row in words for w in row)
    once = sum(n == 1 for n in counts.values())
    held = texts.rows.held
    back = round(share_held(len(lines), None) * len(lines)) if held is None else int(held.sum())
    return Inspection(
        texts.name, texts.where, "text",
        total=len(lines) + len(texts.broken),
        whole=len(lines),
        held=None if held is None else back,
        classes=balance(texts.rows),
        broken=texts.broken,
        duplicates=_groups(found.exact, texts),
        near=_near(found, texts),
        near_checked=len(lines),
        columns=(lengths("characters a line", [len(line) for line in lines]), lengths("words a line", [len(row) for row in words])),
        proposal={"held back": back},
        notes=(
            *texts.rows.notes,
            f"different words: {len(counts):,}, {once / max(len(counts), 1):.0%} of them only once",
            f"written in {_scripts(lines)}",
        ),
    )  # fmt: skip


def lengths(name: str, of: Sequence[int]) -> Column:
    """The range and moments of what is counted, as a column in brackets: the data have no such column."""
    values = np.array(of, dtype=np.float64)
    return Column(f"({name})", float(values.min()), float(values.max()), float(values.mean()), float(values.std()))


def _groups(numbers: np.ndarray[tuple[int, ...], np.dtype[np.int64]], texts: Texts) -> tuple[tuple[str, ...], ...]:
    """Names of lines of equal number, where there are two or more."""
    by_number: dict[int, list[str]] = defaultdict(list)
    for i, number in enumerate(numbers.tolist()):
        by_number[number].append(texts.rows.name(i))
    return tuple(tuple(names) for names in by_number.values() if len(names) > 1)


def _near(found: Twins, texts: Texts) -> tuple[tuple[str, str], ...]:
    """Pairs of names in one group that are no exact copies: each with the first of its group."""
    first: dict[int, int] = {}
    pairs = []
    for i, (group, exact) in enumerate(zip(found.group.tolist(), found.exact.tolist(), strict=True)):
        leader = first.setdefault(group, i)
        if leader != i and found.exact[leader] != exact:
            pairs.append((texts.rows.name(leader), texts.rows.name(i)))
    return tuple(pairs)


def _scripts(lines: Sequence[str]) -> str:
    """'Latin script (97 %), perhaps English': by the letters and commonest words of a part of the lines."""
    part = lines[:: max(1, len(lines) // SAMPLE)]
    letters = Counter(c for line in part for c in line if c.isalpha())
    scripts: Counter[str] = Counter()
    for letter, n in letters.items():
        name = unicodedata.name(letter, "")
        scripts[next((s for s in SCRIPTS if name.startswith(s)), "OTHER")] += n
    if not scripts:
        return "no letters"
    total = sum(scripts.values())
    said = [f"{s.title() if s != 'CJK' else 'Chinese'} ({n / total:.0%})" for s, n in scripts.most_common(3) if n > 0.01 * total]
    common = Counter(w.casefold() for line in part for w in line.split())
    scores = {tongue: sum(common[w] for w in words) for tongue, words in HINTS.items()}
    best = max(scores, key=lambda t: scores[t])
    sure = scripts.most_common(1)[0][0] == "LATIN" and scores[best] > 0.03 * sum(common.values())
    return ", ".join(said[:SHOWN]) + (f", perhaps {best}" if sure else "")
