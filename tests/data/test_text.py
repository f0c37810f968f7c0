"""Text: what is read, how it is tokenized and split, and what is said of files that hold none."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import torch

from data.prose import lines
from rivalry.data import ReadOptions, inspect, load, restore
from rivalry.data.text import TextModality
from rivalry.data.text_tokens import BytePairs, Words, words_of
from rivalry.data.text_twins import twins
from rivalry.errors import DataError, MissingExtra
from rivalry.types import EOS, PAD

POEMS = Path("/work/shared/data/text_small/shi.txt.gz")
TEXT = ReadOptions(kind="text")


def modality_of(dataset) -> TextModality:
    assert isinstance(dataset.modality, TextModality)
    return dataset.modality


def all_texts(dataset) -> set[str]:
    sides = (dataset.train, dataset.held)
    return {t for s in sides for t in modality_of(dataset).texts(s.raw(torch.arange(len(s))))}


def written(tmp_path: Path, rows: list[str], name: str = "lines.txt") -> Path:
    path = tmp_path / name
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_lines_become_tokens_that_end_and_are_padded(tmp_path: Path) -> None:
    rows = lines(300)
    found = load(written(tmp_path, rows), options=ReadOptions(tokens=40))
    assert found.spec.kind == "tokens"
    assert found.spec.shape == (40,)
    batch = found.train.batch(torch.arange(5), torch.device("cpu"))
    assert batch.x.dtype == torch.int64
    for row, length in zip(batch.x, batch.extra["length"], strict=True):
        assert int(row[length - 1]) == EOS
        assert bool((row[length:] == PAD).all())
        assert not bool((row[:length] == PAD).any())
    assert all_texts(found) == set(rows)


def test_any_language_goes_there_and_back_through_a_state(tmp_path: Path) -> None:
    rows = [f"{a} Zürich – 北京的春天{i} 😀 {b}" for i, (a, b) in enumerate(zip(lines(60), lines(60, 1), strict=True))]
    found = load(written(tmp_path, rows), options=ReadOptions(tokens=200))
    again = restore("text", json.loads(json.dumps(found.modality.state())))
    assert isinstance(again, TextModality)
    assert again.texts(again.tokens(rows)) == rows
    assert bool((again.tokens(rows) == modality_of(found).tokens(rows)).all())


@pytest.mark.skipif(not POEMS.exists(), reason="the Chinese poems are not on this machine")
def test_chinese_poems() -> None:
    found = load(POEMS, options=ReadOptions(limit=3000))
    poem = modality_of(found).texts(found.train.raw(torch.arange(1)))[0]
    assert len(words_of(poem)) == 24  # four lines of five signs, and four marks
    assert "Chinese" in inspect(POEMS, options=ReadOptions(limit=500)).text()


def test_the_tokenizer_sees_training_lines_only(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    written(tmp_path / "set", lines(200), "train.txt")
    written(tmp_path / "set", [f"xylophonists {line}" for line in lines(100, 1)], "test.txt")
    found = load(tmp_path / "set", options=ReadOptions(vocabulary=600))
    assert len(found.held) == 100
    coder = modality_of(found).coder
    assert isinstance(coder, BytePairs)
    assert any("garden" in name for name in coder.names)
    assert not any("xylo" in name for name in coder.names)
    words = load(tmp_path / "set", options=ReadOptions(tokenizer="words"))
    assert "<unk>" in modality_of(words).texts(words.held.raw(torch.arange(1)))[0]


def test_a_prompt_of_words_that_are_no_tokens_is_refused(tmp_path: Path) -> None:
    modality = modality_of(load(written(tmp_path, lines(200)), options=ReadOptions(tokenizer="words")))
    assert len(modality.prompt("the old")) == 2
    with pytest.raises(DataError, match=r"and not 'zebra', 'quagga'; leave them out, or train with --tokenizer bpe"):
        modality.prompt("the zebra quagga zebra")


def test_words_that_few_lines_have_are_no_tokens() -> None:
    coder = Words.learn([*lines(50), "the secret of Rumpelstiltskin"], 30_000)
    assert "Rumpelstiltskin" not in coder.words
    assert coder.decode(coder.encode(["the Rumpelstiltskin dog"])) == ["the <unk> dog"]


def test_no_token_is_long_or_rare() -> None:
    coder = BytePairs.learn([*lines(200), *(["antidisestablishmentarianism" * 3] * 3)], 4000)
    assert max(len(bytes(name, "utf-8")) for name in coder.names) <= 16
    assert not any("establish" in name for name in coder.names)


def test_what_one_line_repeats_makes_no_token() -> None:
    """A name or a number that a single line says over and over; what many lines have is learned as before."""
    secret = "Zwiebelhuber 88417723 " * 6
    coder = BytePairs.learn([*lines(200), secret, "Zwiebelhuber called", *(["again and again and again"] * 5)], 4000)
    assert not any("wieb" in name or "8841" in name for name in coder.names)
    plain = BytePairs.learn([*lines(200), *(["again and again and again"] * 5)], 4000)
    assert set(plain.names) <= set(coder.names)
    assert coder.decode(coder.encode([secret.strip()])) == [secret.strip()], "it can be written all the same"


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet", "txt.gz"])
def test_text_in_columns_and_archives(tmp_path: Path, ending: str) -> None:
    rows, path = lines(100), tmp_path / f"captions.{ending}"
    if ending == "txt.gz":
        path.write_bytes(gzip.compress("\n".join(rows).encode()))
    elif ending == "jsonl":
        path.write_text("".join(json.dumps({"id": i, "caption": r, "tags": ["a"]}) + "\n" for i, r in enumerate(rows)))
    elif ending == "parquet":
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.table({"id": list(range(100)), "caption": rows}), path)
    else:
        comma = "," if ending == "csv" else "\t"
        path.write_text(f"id{comma}caption\n" + "".join(f'{i}{comma}"{r}"\n' for i, r in enumerate(rows)))
    options = ReadOptions(kind="text", tokens=60) if ending == "txt.gz" else ReadOptions(kind="text", columns=("caption",), tokens=60)
    assert all_texts(load(path, options=options)) == set(rows)


def test_the_only_column_of_words_needs_no_name(tmp_path: Path) -> None:
    rows = lines(50)
    (tmp_path / "t.csv").write_text("n,said\n" + "".join(f"{i},{r}\n" for i, r in enumerate(rows)))
    assert all_texts(load(tmp_path / "t.csv", options=ReadOptions(kind="text", tokens=60))) == set(rows)


def test_copies_and_near_copies_stay_on_one_side(tmp_path: Path) -> None:
    rows = lines(400)
    again = [r.upper().replace(" .", "!") for r in rows[:150]] + rows[150:250] + [f"{r} indeed" for r in rows[250:300]]
    found = load(written(tmp_path, rows + again), options=ReadOptions(tokens=100))
    sides = [modality_of(found).texts(s.raw(torch.arange(len(s)))) for s in (found.train, found.held)]
    plain = [{t.casefold().replace("!", " .") for t in side} for side in sides]
    assert not plain[0] & plain[1]
    told = next(n for n in found.notes if "repeat another" in n)
    assert told.startswith("of the lines 100 repeat another and ")
    once = load(written(tmp_path, rows + again), options=ReadOptions(dedupe=True))
    assert len(once.train) + len(once.held) < 450
    assert once.defences[0].startswith("--dedupe: 100 lines that repeat another and ")


def test_near_copies_by_most_of_their_word_pairs() -> None:
    a = "a long line about the many ways in which one and the same thing can be said twice in a row by two people"
    found = twins([a, a + " today", "something else that has nothing at all to do with it", "short one"])
    assert found.group[0] == found.group[1]
    assert len(set(found.group.tolist())) == 3
    assert found.copies == 0
    assert found.near == 1


def test_notes_and_state_quote_no_line(tmp_path: Path) -> None:
    rows = lines(300)
    found = load(written(tmp_path, rows))
    told = "\n".join((*found.notes, json.dumps(found.modality.state(), ensure_ascii=False)))
    assert not any(" ".join(r.split()[i : i + 3]) in told for r in rows for i in range(len(r.split()) - 2))


def test_writes_what_it_reads(tmp_path: Path) -> None:
    found = load(written(tmp_path, lines(100)), options=ReadOptions(tokens=60))
    x = found.train.raw(torch.arange(10))
    for ending in ("txt", "csv", "tsv", "jsonl", "parquet"):
        (out,) = found.modality.write(x, tmp_path / f"out.{ending}")
        assert out.stat().st_size > 0
    assert (tmp_path / "out.txt").read_text().splitlines() == modality_of(found).texts(x)
    assert json.loads((tmp_path / "out.jsonl").read_text().splitlines()[0]) == {"text": modality_of(found).texts(x)[0]}
    assert (tmp_path / "out.csv").read_text().splitlines()[0] == "text"
    with pytest.raises(DataError, match=r"cannot be written as x\.png"):
        found.modality.write(x, tmp_path / "x.png")


def test_inspect_tells_of_lines_words_copies_and_what_is_broken(tmp_path: Path) -> None:
    rows = lines(300)
    content = "\n".join([*rows, rows[0], rows[1].upper()]).encode() + b"\ncaf\xe9 au lait\n" + b"x" * 30_000 + b"\n"
    (tmp_path / "a.txt").write_bytes(content)
    said = inspect(tmp_path / "a.txt").text()
    assert "a: 304 lines in" in said
    assert "broken: 2 lines: line 303 (not UTF-8, perhaps Latin-1), line 304 (30,000 characters long)" in said
    assert "exact copies: 1: line 1 = line 301" in said
    assert "line 2 ~ line 302" in said
    assert "perhaps English" in said


BAD = {
    "empty": (b"", "is empty; name a text file with a sentence in each line"),
    "blank": (b"\n \n\t\n", "is empty"),
    "one line": (b"just one line", "has only 1 line of text, and at least 8 are needed"),
    "one endless line": (b"word " * 10_000, "is a single line, 49,999 characters long; put each sentence on a line"),
    "binary": (b"\x7fELF\x02\x00\x00\x01" * 100, "is no text but a binary file"),
    "latin-1": (("h\xe9t\xe9rog\xe8ne\n" * 50).encode("latin-1"), r"is not in UTF-8 \(line 1 and 49 more are not\); if it is in Latin-1"),
    "all the same": (b"the same again\n" * 50, "all lines of .* are the same, or nearly"),
}


@pytest.mark.parametrize("name", BAD)
def test_one_clear_sentence(tmp_path: Path, name: str) -> None:
    content, said = BAD[name]
    (tmp_path / "x.txt").write_bytes(content)
    with pytest.raises(DataError, match=said):
        load(tmp_path / "x.txt")


def test_columns_that_hold_no_text(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b,c\n" + "".join(f"{i},x{i},y{i}\n" for i in range(20)))
    with pytest.raises(DataError, match="has columns of words: b, c; name the one that holds the text with --columns"):
        load(tmp_path / "t.csv", options=TEXT)
    with pytest.raises(DataError, match="has no column 'd'"):
        load(tmp_path / "t.csv", options=ReadOptions(kind="text", columns=("d",)))
    with pytest.raises(DataError, match="has no words in that column"):
        load(tmp_path / "t.csv", options=ReadOptions(kind="text", columns=("a",)))
    with pytest.raises(DataError, match=r"a of .* holds no words, and a text is one column: say --columns b alone"):
        load(tmp_path / "t.csv", options=ReadOptions(kind="text", columns=("b", "a")))
    (tmp_path / "t.jsonl").write_text("not json\n")
    with pytest.raises(DataError, match="is no file of JSON lines"):
        load(tmp_path / "t.jsonl", options=TEXT)


def test_options_that_make_no_sense() -> None:
    with pytest.raises(DataError, match="tokenizer must be one of bpe, words"):
        ReadOptions(tokenizer="letters")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="vocabulary must be between 300"):
        ReadOptions(vocabulary=10)
    with pytest.raises(DataError, match="tokens must be between 2 and"):
        ReadOptions(tokens=1)


def test_without_the_extra_words_still_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "tokenizers", None)
    path = written(tmp_path, lines(100))
    with pytest.raises(MissingExtra, match=r"rivalry\[text\]"):
        load(path)
    assert load(path, options=ReadOptions(tokenizer="words")).spec.vocabulary > 20


def test_vowel_signs_belong_to_their_letters() -> None:
    """In Hindi and Thai a mark changes the word; in Chinese beside Latin letters each character is still a word."""
    assert words_of("पुराना किसान, नदी") == ["पुराना", "किसान", ",", "नदी"]
    assert words_of("cafe\u0301 don't") == ["cafe\u0301", "don't"]
    assert words_of("看X光片") == ["看", "X", "光", "片"]
    assert len(set(twins(["वह दिन में खाता है", "वह दान में खाता है", "वह  दिन में, खाता है"]).exact.tolist())) == 3
    assert twins(["वह दिन में खाता है", "वह दान में खाता है", "वह  दिन में, खाता है"]).group.tolist() == [0, 1, 0]
