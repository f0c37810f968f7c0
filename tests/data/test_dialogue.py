"""Conversations as users keep them: what they are laid out as is found, and no reply has its context on the other side."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as arrow
import pytest
import torch
from pyarrow import parquet

from data.conversations import conversations, replies, write
from rivalry.data import Dataset, ReadOptions, inspect, load, restore
from rivalry.data.dialogue import DialogueModality
from rivalry.data.talks import turns_in
from rivalry.data.text_files import every_line, pieces
from rivalry.errors import DataError
from rivalry.talking import contexts_of
from rivalry.types import BOS, EOS, PAD

CPU = torch.device("cpu")


def told(dataset: Dataset, side: str = "train") -> list[tuple[list[tuple[bool, str]], str]]:
    """(turns of the context, reply) of every row."""
    store, modality = (dataset.train if side == "train" else dataset.held), dataset.modality
    assert isinstance(modality, DialogueModality)
    x = store.raw(torch.arange(len(store)))
    return list(zip(modality.turns(x), modality.texts(x), strict=True))


def layouts(folder: Path) -> dict[str, Path]:
    """The same conversations in every layout that is read."""
    talks = conversations(60)
    name = ("Ann", "Bob")
    files = {
        "lists": ("a.jsonl", "".join(json.dumps(t) + "\n" for t in talks)),
        "turns": ("b.jsonl", "".join(json.dumps({"topic": "x", "turns": t}) + "\n" for t in talks)),
        "speakers": (
            "c.jsonl",
            "".join(json.dumps({"dialogue": [{"speaker": name[i % 2], "text": s} for i, s in enumerate(t)]}) + "\n" for t in talks),
        ),
        "blank lines": ("d.txt", "\n\n".join("\n".join(t) for t in talks) + "\n"),
        "named": ("e.txt", "\n\n".join("\n".join(f"{name[i % 2]}: {s}" for i, s in enumerate(t)) for t in talks) + "\n"),
        "eou": ("f.txt", "".join(" __eou__ ".join(t) + " __eou__\n" for t in talks)),
        "table": (
            "g.csv",
            "conversation_id,turn,speaker,text\n"
            + "".join(f'{k},{i},{name[i % 2]},"{s}"\n' for k, t in enumerate(talks) for i, s in reversed(list(enumerate(t)))),
        ),
    }
    for file, text in files.values():
        (folder / file).write_text(text)
    return {kind: folder / file for kind, (file, _) in files.items()}


def test_every_layout_is_found_and_holds_the_same(tmp_path: Path) -> None:
    found = {}
    for kind, path in layouts(tmp_path).items():
        options = ReadOptions(kind="dialogue" if kind == "blank lines" else None, tokenizer="words")
        dataset = load(path, options=options)
        assert dataset.modality.kind == "dialogue", kind
        found[kind] = told(dataset)
        assert any("conversations: 60 of 6.0 turns" in note for note in dataset.notes), kind
    assert all(rows == found["lists"] for rows in found.values())
    assert any("each line names its speaker" in note for note in load(tmp_path / "e.txt").notes)
    assert any("'conversation_id' names the conversation" in note for note in load(tmp_path / "g.csv").notes)


def test_replies_come_after_what_was_said_before_them(tmp_path: Path) -> None:
    talks = {" / ".join(t): t for t in conversations(60)}
    dataset = load(write(tmp_path / "a.jsonl", 60), options=ReadOptions(tokenizer="words", vocabulary=400))
    rows = told(dataset)
    for turns, reply in rows[:100]:
        history = [text for _, text in turns] + [reply]
        assert any(" / ".join(history) in " / ".join(t) for t in talks.values())
        mine = [m for m, _ in turns]
        assert mine == [(len(mine) - i) % 2 == 0 for i in range(len(mine))], "speakers take turns, the other one spoke last"


def test_a_conversation_is_on_one_side_only(tmp_path: Path) -> None:
    talks = [[f"word{k}a is said ?", f"word{k}b is said .", f"word{k}c too ."] for k in range(40)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(t) + "\n" for t in talks))
    dataset = load(tmp_path / "a.jsonl")
    sides = [{word for turns, reply in told(dataset, side) for text in [*(t for _, t in turns), reply] for word in text.split() if word.startswith("word")} for side in ("train", "held")]
    numbers = [{w.strip("wordabc") for w in side} for side in sides]
    assert numbers[0] | numbers[1] == {str(k) for k in range(40)}
    assert not numbers[0] & numbers[1]
    assert len(dataset.train) + len(dataset.held) == 80
    batch = dataset.train.batch(torch.arange(4), CPU)
    assert batch.extra["talk"].tolist() == [0, 0, 1, 1]


def test_contexts_are_cut_from_the_left(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", 60)
    whole, cut = (load(path, options=ReadOptions(context=c, tokens=6)) for c in (64, 12))
    a, b = (d.train.raw(torch.arange(50)) for d in (whole, cut))
    assert b.shape == (50, 18)
    assert torch.equal(a[:, 64 - 11 : 64], b[:, 1:12])
    assert torch.equal(a[:, 64:], b[:, 12:])
    assert bool((b[:, 11] == BOS).all())
    last = b[:, -1]
    assert bool(((last == PAD) | (last == EOS) | (b[:, 12:] != EOS).all(1)).all())


def test_what_is_typed_is_encoded_as_what_was_read(tmp_path: Path) -> None:
    dataset = load(write(tmp_path / "a.jsonl", 60))
    modality = dataset.modality
    assert isinstance(modality, DialogueModality)
    x = dataset.train.raw(torch.arange(30))
    for row, turns in zip(x, modality.turns(x), strict=True):
        if row[0] == PAD:
            assert torch.equal(modality.contexts([[text for _, text in turns]])[0], row[: modality.context])
    assert torch.equal(replies(modality, modality.texts(x)), x[:, modality.context :])
    again = restore("dialogue", dict(modality.state()))
    assert again == modality
    with pytest.raises(DataError, match="context 2 says nothing"):
        modality.contexts([["hello"], ["", "  "]])


def test_one_speaker_in_a_row_is_one_turn(tmp_path: Path) -> None:
    turns = [("a", "hello"), ("a", "are you there ?"), ("b", "yes"), ("c", "me too"), ("a", "good")]
    line = json.dumps([{"role": s, "content": t} for s, t in turns])
    (tmp_path / "a.jsonl").write_text((line + "\n") * 3 + "".join(json.dumps(t) + "\n" for t in conversations(20)))
    rows = told(load(tmp_path / "a.jsonl", options=ReadOptions(holdout=0.1)), "train") + told(load(tmp_path / "a.jsonl", options=ReadOptions(holdout=0.1)), "held")
    assert ([(False, "hello are you there ?")], "yes") in rows
    assert ([(True, "hello are you there ?"), (False, "yes"), (False, "me too")], "good") in rows


def test_names_of_files_give_the_official_split(tmp_path: Path) -> None:
    for name, seed in (("train", 0), ("valid", 1)):
        raw = write(tmp_path / "x", 40, seed).read_bytes()
        (tmp_path / f"{name}.jsonl.gz").write_bytes(gzip.compress(raw))
    (tmp_path / "x").unlink()
    dataset = load(tmp_path)
    assert any("official split" in note for note in dataset.notes)
    assert dataset.spec.context == 48


def test_inspection_says_what_there_is(tmp_path: Path) -> None:
    text = inspect(write(tmp_path / "a.jsonl", 60)).text()
    assert "60 conversations" in text
    assert "turns a conversation" in text
    assert "speakers a conversation: 2 (60)" in text


def test_plain_lines_stay_lines(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n".join(f"a line of {i} words\n" for i in range(40)))
    assert load(tmp_path / "a.txt").modality.kind == "text"
    (tmp_path / "b.csv").write_text("text,label\n" + "".join(f"hello {i},{'ab'[i % 2]}\n" for i in range(40)))
    assert load(tmp_path / "b.csv").modality.kind == "table"


@pytest.mark.parametrize(
    ("file", "text", "kind", "says"),
    [
        ("a.jsonl", '["only one"]\n' * 20, None, "no conversation of .* has two turns"),
        ("a.jsonl", '["a", "b"]\n' * 3, None, "has only 3 conversations"),
        ("a.jsonl", '["a", "b"]\n' + '{"x": 1}\n' * 40, None, "no list of turns"),
        ("a.txt", "one\ntwo\nthree\n", "dialogue", "a single block of lines"),
        ("a.csv", "who,what\na,b\n", "dialogue", "no column that is the conversation"),
        ("a.csv", "conversation,text,turn\n" + "1,hello,x\n1,there,y\n" * 9, None, "holds no numbers"),
    ],
)
def test_bad_conversations_are_one_sentence(tmp_path: Path, file: str, text: str, kind: str | None, says: str) -> None:
    (tmp_path / file).write_text(text)
    with pytest.raises(DataError, match=says):
        load(tmp_path / file, options=ReadOptions(kind=kind))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["table", "text"])
def test_what_is_asked_for_comes_before_what_lines_look_like(tmp_path: Path, kind: Literal["table", "text"]) -> None:
    rows = [{"age": 20 + i % 7, "sex": "fm"[i % 2], "note": f"the {i}th of many notes", "messages": [f"so {i}", "yes", f"and {i * i}"]} for i in range(60)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    assert load(tmp_path / "a.jsonl").spec.context
    found = load(tmp_path / "a.jsonl", options=ReadOptions(kind=kind, columns=("note",) if kind == "text" else ()))
    assert found.spec.kind == ("tokens" if kind == "text" else "table")
    assert not found.spec.context


def test_numbers_of_conversations_keep_all_their_digits(tmp_path: Path) -> None:
    turns = [(5_000_000 + i, text) for i, talk in enumerate(conversations(40)) for text in talk]
    parquet.write_table(arrow.table({"conversation": [n for n, _ in turns], "text": [t for _, t in turns]}), tmp_path / "a.parquet")
    dataset = load(tmp_path / "a.parquet")
    assert any("conversations: 40 " in note for note in dataset.notes)


def test_who_says_nothing_lets_the_other_go_on(tmp_path: Path) -> None:
    modality = load(write(tmp_path / "a.jsonl", 60)).modality
    assert isinstance(modality, DialogueModality)
    found = modality.turns(modality.contexts([["do you like tea ?", "", "and snow ?"], ["tea ?", "yes .", "", "no ."]]))
    assert [[mine for mine, _ in turns if _] for turns in found] == [[False], [True, False]]
    assert found[0][0][1] == "do you like tea ? and snow ?"


def test_separators_of_unicode_part_no_lines(tmp_path: Path) -> None:
    for name, raw in (
        ("bytes", "a\u2028b\r\n\x0cc\n\nd".encode()), ("mark", "\ufeffa\u2028b\n\x0cc\r\n\nd\n".encode()),
    ):  # fmt: skip
        (tmp_path / name).write_bytes(raw)
        assert every_line(tmp_path / name) == ["a\u2028b", "\x0cc", "", "d"]
    assert pieces("a\u2028b\n\x0cc\r\n\nd\r\n".encode("utf-16")) == ["a\u2028b", "\x0cc", "", "d"]
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + '["one\u2028two", "three"]\n'.encode())
    assert contexts_of(tmp_path / "a.jsonl") == [["one two", "three"]]
    (tmp_path / "b.jsonl").write_text('[{"speaker": "a", "text": "hello"}, {"speaker": "a", "text": "there"}, {"speaker": "b", "text": "fine"}]\n')
    assert contexts_of(tmp_path / "b.jsonl") == [["hello there", "fine"]]


def test_scores_need_two_conversations_that_are_held_back(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", 40)
    (tmp_path / "valid.jsonl").write_text(json.dumps({"turns": [f"turn {i} of a long talk" for i in range(90)]}) + "\n")
    with pytest.raises(DataError, match="holds back 1 conversation"):
        load(tmp_path)


def test_broken_lines_are_left_out_and_said(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", 40)
    path.write_text(path.read_text() + '{"turns": ["a", 5]}\n["alone"]\nnot json\n')
    dataset = load(path)
    assert any("3 conversations that cannot be used" in note for note in dataset.notes)
    assert "a turn is neither text nor an object" in repr(inspect(path).broken)


@pytest.mark.parametrize("line", ["[1, 2, 3]", "[" * 100_000, '{"turns":' * 3000, "no json"])
@pytest.mark.parametrize("kind", [None, "dialogue"])
def test_a_broken_line_is_left_out_wherever_it_stands(line: str, kind: Literal["dialogue"] | None, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", 40)
    good = path.read_text()
    for text in (f"{line}\n{good}", f"{good}{line}\n"):
        path.write_text(text)
        dataset = load(path, options=ReadOptions(kind=kind))
        assert any("1 conversation that cannot be used" in note for note in dataset.notes)
        assert "broken: 1 line" in inspect(path).text()


def test_half_an_emoji_is_no_letter(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", 40)
    told = [["hello \ud83d there", "well \ud83d\ude00"], [{"speaker": "a\ud83d", "text": "\ude00 yes"}, {"speaker": "b", "text": "no"}]]
    path.write_text(path.read_text() + "".join(json.dumps(turns) + "\n" for turns in told))
    assert any("42 of" in note for note in load(path).notes)
    assert turns_in(json.loads(json.dumps(told[0]))) == [("", "hello  there"), ("", "well \U0001f600")]


def test_options_for_tables_and_sizes_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", 40)
    with pytest.raises(DataError, match="context must be between 4"):
        ReadOptions(context=2)
    with pytest.raises(DataError, match=r"--dedupe is for rows of tables.*these data are dialogue"):
        load(path, options=ReadOptions(dedupe=True))
    with pytest.raises(DataError, match="no table"):
        load(path, options=ReadOptions(kind="points"))
    assert np.isclose(len(load(path, options=ReadOptions(limit=20)).train), 16 * 5, atol=25)


def test_columns_that_are_named_are_what_is_said_and_replied(tmp_path: Path) -> None:
    pairs = [(f"what is {i} and one ?", f"it is {i + 1} .") for i in range(60)]
    (tmp_path / "faq.csv").write_text("id,reply,asked\n" + "".join(f"{i},{a},{q}\n" for i, (q, a) in enumerate(pairs)))
    found = load(tmp_path / "faq.csv", options=ReadOptions(kind="dialogue", columns=("asked", "reply")))
    assert {(context[0][1], reply) for context, reply in told(found) + told(found, "held")} == set(pairs)
    with pytest.raises(DataError, match=r"has no column 'answer'; it has id, reply, asked"):
        load(tmp_path / "faq.csv", options=ReadOptions(kind="dialogue", columns=("asked", "answer")))
    with pytest.raises(DataError, match="names 'asked' twice"):
        load(tmp_path / "faq.csv", options=ReadOptions(kind="dialogue", columns=("asked", "asked")))
    (tmp_path / "said.csv").write_text("speaker,text\n" + "".join(f"ann,{q}\nbob,{a}\n" for q, a in pairs))
    with pytest.raises(DataError, match="has no column that is the conversation of a turn"):
        load(tmp_path / "said.csv", options=ReadOptions(kind="dialogue", columns=("speaker", "text")))
    with pytest.raises(DataError, match="is no table and has no columns"):
        load(write(tmp_path / "a.jsonl", 40), options=ReadOptions(kind="dialogue", columns=("a", "b")))


def test_pairs_of_columns_are_conversations_of_two_turns(tmp_path: Path) -> None:
    pairs = [(f"what is {i} and one ?", f"it is {i + 1} .") for i in range(60)]
    (tmp_path / "qa.csv").write_text("question,answer\n" + "".join(f"{q},{a}\n" for q, a in pairs))
    (tmp_path / "qa.jsonl").write_text("".join(json.dumps({"id": i, "context": q, "response": a}) + "\n" for i, (q, a) in enumerate(pairs)))
    for file in ("qa.csv", "qa.jsonl"):
        data = load(tmp_path / file, options=ReadOptions(kind="dialogue"))
        found = told(data) + told(data, "held")
        assert len(found) == 60
        assert {(context[0][1], reply) for context, reply in found} == set(pairs)
    with pytest.raises(DataError, match="--kind dialogue where one replies to the other"):
        load(tmp_path / "qa.csv")
