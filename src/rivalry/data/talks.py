"""Conversations as people keep them: JSON lines, tables with a row for each turn, plain text.  What they are laid out as is said."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby, islice
from typing import Any

import numpy as np

from rivalry.data.columns.cells import Cells, numeric, spelled
from rivalry.data.containers import Content
from rivalry.data.idx import unzip
from rivalry.data.rows import Rows, official_split
from rivalry.data.sources import Columns, Talk, Talks
from rivalry.data.tables import side_of
from rivalry.data.text_files import clean, whole_lines
from rivalry.data.words import count, some
from rivalry.errors import DataError

TURNS = ("turns", "dialogue", "dialog", "conversation", "messages", "utterances", "conversations")
"""Names that a list of turns has in an object of JSON."""
TEXT = ("text", "content", "value", "utterance", "message")
SPEAKER = ("speaker", "role", "from", "name", "user", "author")
IDS = ("conversation", "conversation_id", "conv_id", "dialogue", "dialogue_id", "dialog", "dialog_id", "thread", "thread_id")
ORDER = ("turn", "turn_id", "turn_number", "utterance_id", "position", "order", "index")
PAIRS = (
    ("question", "answer"), ("context", "response"), ("context", "reply"), ("prompt", "response"), ("prompt", "completion"), ("instruction", "output"),
    ("input", "output"), ("source", "target"),
)  # fmt: skip
"""Names of two columns, or of two texts in an object of JSON, that are what is said and what is replied."""
END = "__eou__"
MOSTLY = 0.9
FIRST = 20
HALVES = re.compile("[\ud800-\udfff]")
_NAMED = re.compile(r"^([^\W\d_][\w .'\-]{0,24}):\s+(\S.*)$")


def told_in_json(content: Content, where: str, alone: bool = False, pairs: bool = False) -> bool:
    """Whether one of the first lines is a list of turns, or an object with one: any of them may be broken.  alone: and with nothing else.  pairs:
    two texts that are a pair count too."""
    raw = unzip(content, where) if isinstance(content, bytes) else b""
    first = islice((line for line in raw[: 1 << 20].splitlines() if line.strip()), FIRST)
    return any(_tells(line, alone, pairs) for line in first)


def _tells(line: bytes, alone: bool, pairs: bool) -> bool:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return False
    turns = _listed(found, pairs)
    if alone and isinstance(found, Mapping) and len(found) > 1:
        return False
    return turns is not None and all(isinstance(t, str | Mapping) for t in turns)


def told_in_text(raw: bytes) -> bool:
    """Whether plain text says by itself that it holds conversations: turns end in __eou__, or each line names its speaker
    and blank lines part them."""
    lines = raw[: 1 << 20].decode("utf-8", "replace").splitlines()
    full = [line for line in lines if line.strip()]
    if not full:
        return False
    if sum(END in line for line in full) >= MOSTLY * len(full):
        return True
    blocks = _blocks(lines)
    return len(blocks) > 1 and sum(bool(_NAMED.match(line.strip())) for line in full) >= MOSTLY * len(full)


def read(files: Sequence[tuple[str, Content]], name: str, where: str) -> Talks:
    """Conversations of one or several files; names of files give the official split ('train.jsonl' beside 'valid.jsonl').

    Raises DataError for what cannot be read, and where no conversation has two turns.
    """
    talks, names, broken, sides, layouts = list[Talk](), list[str](), list[tuple[str, str]](), list[str](), list[str]()
    for file, content in files:
        place = where if len(files) == 1 else f"{where}/{file}"
        if not isinstance(content, bytes):
            raise DataError(f"{place} cannot be read: {content}")
        prefix = "" if len(files) == 1 else f"{file}:"
        found, odd, layout = _in_json(unzip(content, place), place) if told_in_json(content, place, pairs=True) else _in_text(unzip(content, place), place)
        kept = [(number, turns) for number, turns in found if len(turns) > 1]
        odd += [(number, "has fewer than two turns") for number, turns in found if len(turns) < 2]
        talks += [turns for _, turns in kept]
        names += [f"{prefix}line {number}" for number, _ in kept]
        broken += [(f"{prefix}line {number}", reason) for number, reason in odd]
        sides += [side_of(file)] * len(kept)
        layouts.append(layout)
    if not talks:
        raise DataError(f"no conversation of {where} has two turns or more, so there is nothing to reply to; see docs/dialogue.md for what is read")
    rows = Rows(len(talks), tuple(names))
    held, keep, note = official_split(np.array(sides))
    if held is not None:
        rows = replace(rows, held=held).noted(note)
    if keep is not None:
        rows, talks = rows.take(keep), [talks[i] for i in keep.tolist()]
    return _done(name, where, rows, talks, broken, layouts[0])


def from_columns(table: Columns, wanted: Sequence[str] = ()) -> Talks:
    """A row for each turn: a column names the conversation, others the text and, if there are any, place and speaker.  Or a row for each pair.

    wanted: of these columns alone; two that are called nothing known are what is said and what is replied, in that order.
    Raises DataError that names what is missing.
    """
    for name in wanted:
        if name not in table.names:
            raise DataError(f"{table.where} has no column {name!r}; it has {some(table.names, 12)}")
        if list(wanted).count(name) > 1:
            raise DataError(f"--columns names {name!r} twice; name what is said and what is replied")
    if wanted:
        kept = dict(zip(table.names, table.cells, strict=True))
        table = replace(table, names=tuple(wanted), cells=tuple(kept[n] for n in wanted))
    named_pair = len(set(wanted)) == len(wanted) == 2 and not any(role(wanted, words) for words in (TEXT, SPEAKER, ORDER))
    pair = _pair(table.names) or (tuple(wanted) if named_pair else None)
    if pair and not role(table.names, IDS):
        return _paired(table, *pair)
    named = {k: role(table.names, words) for k, words in (("conversation", IDS), ("text", TEXT), ("turn", ORDER), ("speaker", SPEAKER))}
    for what, words in (("conversation", IDS), ("text", TEXT)):
        if not named[what]:
            raise DataError(
                f"{table.where} has no column that is the {what} of a turn ({some(words)}), and no two that are a pair (such as question and answer); it has {some(table.names, 12)}: rename one"
            )
    cells = dict(zip(table.names, table.cells, strict=True))
    ids, texts = _spelled(cells[named["conversation"]]), _spelled(cells[named["text"]])
    speakers = _spelled(cells[named["speaker"]]) if named["speaker"] else [""] * len(ids)
    place = list(range(len(ids)))
    first = {key: i for i, key in reversed(list(enumerate(ids)))}
    if named["turn"]:
        turns = numeric(cells[named["turn"]])
        if bool(turns.missing.any()):
            raise DataError(f"the column {named['turn']!r} of {table.where} is to say which turn of its conversation a row is, and holds no numbers in some of them")
        place = turns.values.argsort(kind="stable").argsort(kind="stable").tolist()
    order = sorted((i for i in range(len(ids)) if ids[i]), key=lambda i: (first[ids[i]], place[i]))
    talks, names, broken = list[Talk](), list[str](), list[tuple[str, str]]()
    for key, group in groupby(order, lambda i: ids[i]):
        turns_of = joined((speakers[i], texts[i]) for i in group)
        if len(turns_of) > 1:
            talks.append(turns_of)
            names.append(key)
        else:
            broken.append((key, "has fewer than two turns"))
    if not talks:
        raise DataError(f"no conversation of {table.where} has two turns or more; does {named['conversation']!r} name them?")
    said = f"a row for each turn: {named['conversation']!r} names the conversation, {named['text']!r} is what was said"
    said += f", {named['turn']!r} its place" if named["turn"] else ", in the order of the rows"
    said += f", {named['speaker']!r} who said it" if named["speaker"] else ""
    return _done(table.name, table.where, Rows(len(talks), tuple(names)), talks, broken, said)


def _pair(names: Sequence[str]) -> tuple[str, str] | None:
    found = ((role(names, (asked,)), role(names, (said,))) for asked, said in PAIRS)
    return next(((a, b) for a, b in found if a and b), None)


def _paired(table: Columns, asked: str, said: str) -> Talks:
    """A row for each conversation of two turns."""
    cells = dict(zip(table.names, table.cells, strict=True))
    every = [joined((("", a), ("", b))) for a, b in zip(_spelled(cells[asked]), _spelled(cells[said]), strict=True)]
    talks, names = [t for t in every if len(t) > 1], [f"row {i}" for i, t in enumerate(every, 1) if len(t) > 1]
    broken = [(f"row {i}", "has fewer than two turns") for i, t in enumerate(every, 1) if len(t) < 2]
    if not talks:
        raise DataError(f"no row of {table.where} has a text both in {asked!r} and in {said!r}")
    layout = f"a row for each pair: {said!r} replies to {asked!r}"
    return _done(table.name, table.where, Rows(len(talks), tuple(names)), talks, broken, layout)


def role(names: Sequence[str], words: Sequence[str]) -> str:
    """The first of the columns that is called by one of these words, '' for none."""
    plain = {n.strip().lower().replace(" ", "_").replace("-", "_"): n for n in reversed(names)}
    return next((plain[w] for w in words if w in plain), "")


def joined(turns: Iterable[tuple[str, str]]) -> Talk:
    """(speaker, text) of each turn, clean; what one speaker says in a row is one turn, and nameless turns alternate."""
    said = [(speaker, clean(text)) for speaker, text in turns]
    said = [(speaker, text) for speaker, text in said if text]
    if not any(speaker for speaker, _ in said):
        return tuple((i % 2, text) for i, (_, text) in enumerate(said))
    numbers: dict[str, int] = {}
    runs = [(key, " ".join(text for _, text in group)) for key, group in groupby(said, lambda turn: turn[0])]
    return tuple((numbers.setdefault(speaker, len(numbers)), text) for speaker, text in runs)


def _done(name: str, where: str, rows: Rows, talks: list[Talk], broken: list[tuple[str, str]], layout: str) -> Talks:
    turns = sum(map(len, talks))
    rows = rows.noted(f"conversations: {len(talks):,} of {turns / len(talks):.1f} turns; {layout}")
    if broken:
        rows = rows.noted(f"{count(len(broken), 'conversation')} that cannot be used left out (see `rivalry data inspect`)")
    return Talks(name, where, rows, tuple(talks), tuple(broken))


Read = tuple[list[tuple[int, Talk]], list[tuple[int, str]], str]
"""((line, turns) of each conversation, (line, reason) of what cannot be used, the layout in words)."""


def _in_json(raw: bytes, where: str) -> Read:
    found, odd, named = list[tuple[int, Talk]](), list[tuple[int, str]](), 0
    for number, line in enumerate(raw.splitlines(), 1):
        if not line.strip():
            continue
        try:
            pairs = turns_in(json.loads(line))
        except ValueError as error:
            odd.append((number, str(error).split(" (char")[0]))
            continue
        except RecursionError:
            odd.append((number, "is nested too deeply"))
            continue
        named += any(speaker for speaker, _ in pairs)
        found.append((number, joined(pairs)))
    if len(odd) > max(1, MOSTLY * (len(found) + len(odd))):
        raise DataError(f"{where} is no file of conversations: line {odd[0][0]}: {odd[0][1]}; each line must hold a list of turns")
    who = "each turn names its speaker" if named > len(found) / 2 else "turns alternate between two speakers"
    return found, odd, f"JSON lines, a list of turns each; {who}"


def turns_in(value: Any) -> list[tuple[str, str]]:
    """(speaker or '', text) of each turn of a list of them, or of an object with one.  ValueError for what is neither."""
    turns = _listed(value)
    if turns is None:
        raise ValueError(f"no list of turns, by itself or under {some(TURNS)}")
    return [_turn(t) for t in turns]


def _listed(value: Any, pairs: bool = True) -> list[Any] | None:
    if isinstance(value, list):
        return value or None
    if isinstance(value, Mapping):
        turns = next((value[k] for k in TURNS if isinstance(value.get(k), list) and value[k]), None)
        pair = _pair([k for k, v in value.items() if isinstance(v, str)]) if turns is None and pairs else None
        return turns if pair is None else [value[k] for k in pair]
    return None


def _turn(value: Any) -> tuple[str, str]:
    """(speaker or '', text), without halves of characters, which escapes can be.  ValueError for what is none."""
    if isinstance(value, str):
        return "", HALVES.sub("", value)
    if isinstance(value, Mapping):
        text = next((value[k] for k in TEXT if isinstance(value.get(k), str)), None)
        who = next((value[k] for k in SPEAKER if isinstance(value.get(k), str | int)), "")
        if text is not None:
            return HALVES.sub("", str(who)), HALVES.sub("", text)
    raise ValueError("a turn is neither text nor an object with a text")


def _in_text(raw: bytes, where: str) -> Read:
    lines = whole_lines(raw, where)
    full = [(n, line) for n, line in enumerate(lines, 1) if line.strip()]
    if full and sum(END in line for _, line in full) >= MOSTLY * len(full):
        return [(n, joined(("", t) for t in line.split(END))) for n, line in full], [], f"plain text, a conversation a line, turns end in {END}"
    blocks = _blocks(lines)
    if len(blocks) < 2:
        raise DataError(f"{where} is a single block of lines; put a blank line between conversations and each turn on a line of its own")
    named = sum(bool(_NAMED.match(line)) for _, block in blocks for line in block) >= MOSTLY * len(full)
    found = [(n, joined(_spoken(block) if named else (("", line) for line in block))) for n, block in blocks]
    who = "each line names its speaker" if named else "turns alternate between two speakers"
    return found, [], f"plain text, blank lines between conversations; {who}"


def _spoken(block: Sequence[str]) -> list[tuple[str, str]]:
    """(speaker, text) of lines 'Name: text'; one without a name goes on with what was said before."""
    out: list[tuple[str, str]] = []
    for line in block:
        hit = _NAMED.match(line)
        out.append((hit[1], hit[2]) if hit else (out[-1][0] if out else "?", line))
    return out


def _blocks(lines: Sequence[str]) -> list[tuple[int, list[str]]]:
    """(number of the first line, lines) between blank lines."""
    numbered = [(n, line.strip()) for n, line in enumerate(lines, 1)]
    runs = [list(group) for full, group in groupby(numbered, lambda pair: bool(pair[1])) if full]
    return [(run[0][0], [line for _, line in run]) for run in runs]


def _spelled(cells: Cells) -> list[str]:
    """Each cell as a word, '' where it is missing."""
    told = spelled(cells)
    words = told.words.to_pylist()
    return ["" if c < 0 else str(words[c]) for c in told.codes.tolist()]
