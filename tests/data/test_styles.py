"""Texts in several styles: how files and tables say so, what leaks is taken out, and what is no style is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from data.moods import lines
from rivalry.data import Dataset, ReadOptions, inspect, load
from rivalry.data.styles import layout
from rivalry.data.text import TextModality
from rivalry.errors import DataError, RecipeError

WORDS = ReadOptions(tokenizer="words")
STYLE = ReadOptions(tokenizer="words", task="style")


def written(folder: Path, files: dict[str, list[str]]) -> Path:
    for name, rows in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def texts(data: Dataset, side: str) -> dict[str, set[str]]:
    """The lines of a side by style."""
    store = data.train if side == "train" else data.held
    assert isinstance(data.modality, TextModality)
    assert store.labels is not None
    found = data.modality.texts(store.raw(torch.arange(len(store))))
    return {name: {t for t, k in zip(found, store.labels.tolist(), strict=True) if k == i} for i, name in enumerate(data.spec.class_names)}


@pytest.mark.parametrize(
    ("files", "styles", "parts"),
    [
        (("glad.txt", "sour.txt"), ("glad", "sour"), ("train", "train")),
        (("glad.train.txt", "glad.dev.txt", "sour_train.txt.gz", "sour-test.txt"), ("glad", "glad", "sour", "sour"), ("train", "dev", "train", "test")),
        (("train/glad.txt", "valid/glad.txt", "train/sour.txt"), ("glad", "glad", "sour"), ("train", "dev", "train")),
        (("glad/train.txt", "sour/train.txt", "sour/test.txt"), ("glad", "sour", "sour"), ("train", "train", "test")),
        (("king-james.txt", "modern.txt", "slang.txt"), ("king-james", "modern", "slang"), ("train", "train", "train")),
    ],
)
def test_names_of_files_give_styles_and_parts(files: tuple[str, ...], styles: tuple[str, ...], parts: tuple[str, ...]) -> None:
    found = layout(files, ReadOptions())
    assert found is not None
    assert (found.styles, found.parts) == (styles, parts)


@pytest.mark.parametrize(
    "files", [("part-1.txt", "part-2.txt"), ("train.txt", "test.txt"), ("all.txt",), ("glad.txt", "sour.test.txt"), ("1.txt", "2.txt")]
)
def test_other_files_are_one_text(files: tuple[str, ...]) -> None:
    assert layout(files, ReadOptions()) is None
    assert layout(("glad.txt", "sour.txt"), ReadOptions(kind="text")) is None


def test_a_folder_with_a_file_for_each_style_is_read_so_and_it_is_said(tmp_path: Path) -> None:
    written(tmp_path, {f"{mood}.txt": lines(mood, 200) for mood in ("glad", "sour")})
    data = load(tmp_path, options=WORDS)
    assert (data.layout, data.task, data.spec.class_names) == ("styles", "style", ("glad", "sour"))
    assert any("a file for each style" in note and "glad (200), sour (200)" in note for note in data.notes)
    held = texts(data, "held")
    assert all(held.values())
    assert {t for part in texts(data, "train").values() for t in part} & {t for part in held.values() for t in part} == set()
    assert inspect(tmp_path).classes == {"glad": 200, "sour": 200}
    plain = load(tmp_path, options=ReadOptions(tokenizer="words", kind="text"))
    assert plain.layout == ""
    assert plain.spec.classes == 0
    assert plain.fingerprint != data.fingerprint


def test_what_leaks_between_parts_and_styles_is_taken_out_and_said(tmp_path: Path) -> None:
    glad, sour = lines("glad", 300), lines("sour", 300)
    both = ["the soup was there ."] * 1
    near = glad[0].replace("the ", "The ", 1).upper()
    written(tmp_path, {
        "glad.train.txt": [*glad[:200], *both, *sour[250:260]],
        "sour.train.txt": [*sour[:200], *both],
        "glad.dev.txt": [*glad[200:250], near],
        "sour.dev.txt": sour[200:250],
        "glad.test.txt": [*glad[250:], glad[5]],
        "sour.test.txt": sour[250:],
    })  # fmt: skip
    data = load(tmp_path, options=WORDS)
    train = texts(data, "train")
    assert both[0] not in train["glad"] | train["sour"]
    assert glad[0] not in train["glad"], "its copy in dev differs in case only"
    assert not set(sour[250:]) & (train["glad"] | train["sour"]), "lines of the test files leave training, whatever style they are under there"
    assert glad[5] not in train["glad"]
    assert texts(data, "held")["sour"] <= set(sour[200:250])
    said = " / ".join(data.notes)
    assert "1 line that two styles have: left out" not in said
    assert "2 lines that two styles have: left out" in said
    assert "11 lines that the test files have too: left out" in said
    assert "that held-out lines repeat, or nearly do: left out" in said
    assert "the test files are left aside: 101 lines" in said


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_table_with_a_text_and_a_style_column(kind: str, tmp_path: Path) -> None:
    rows = [{"text": t, "style": m} for m in ("glad", "sour") for t in lines(m, 60)]
    path = tmp_path / f"rows.{kind}"
    if kind == "csv":
        path.write_text("text,style\n" + "".join(f"{r['text']},{r['style']}\n" for r in rows))
    elif kind == "jsonl":
        path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    else:
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    data = load(path, options=WORDS)
    assert (data.layout, data.spec.class_names) == ("styles", ("glad", "sour"))
    assert texts(data, "train")["glad"] <= set(lines("glad", 60))
    assert any("the column 'style' gives the styles: glad, sour" in note for note in data.notes)


def test_a_column_of_numbers_may_give_the_styles_where_they_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    rows = [f"{i},{t},{k}" for k, m in enumerate(("sour", "glad")) for i, t in enumerate(lines(m, 200))]
    path.write_text("number,review,label\n" + "\n".join(rows) + "\n")
    data = load(path, options=STYLE)
    assert data.spec.class_names == ("0", "1")
    assert texts(data, "train")["1"] <= set(lines("glad", 200))


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"glad.txt": lines("glad", 100), "sour.txt": lines("sour", 3)}, "the style 'sour' of .* has 3 lines, and at least 20 are needed"),
        ({"one.txt": lines("glad", 100)}, "a text file for each of 2 to 20 styles"),
        ({"glad.txt": lines("glad", 100), "sour.test.txt": lines("sour", 50)}, "the style 'sour' has no file to train on"),
        ({"glad.txt": lines("glad", 100), "sour.txt": lines("glad", 100)}, "the style 'glad' of .* has 0 lines"),
        ({"glad.txt": lines("glad", 100), "sour.txt": []}, "empty"),
    ],
)  # fmt: skip
def test_folders_that_hold_no_styles_are_refused(files: dict[str, list[str]], said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=said):
        load(written(tmp_path, files), options=STYLE)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("text,mood\n" + "\n".join(f"{t},glad" for t in lines("glad", 60)), "call the column that gives the styles 'style'"),
        ("text,style\n" + "\n".join(f"{t},glad" for t in lines("glad", 60)), "names no styles"),
        ("text,style\n" + "\n".join(f"{t},s{i}" for i, t in enumerate(lines("glad", 60))), "names no styles"),
    ],
)
def test_tables_without_styles_are_refused(content: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(content + "\n")
    with pytest.raises(DataError, match=said):
        load(path, options=STYLE)


def test_one_file_of_lines_and_pictures_have_no_styles(tmp_path: Path) -> None:
    written(tmp_path, {"all.txt": lines("glad", 100)})
    with pytest.raises(DataError, match="is one text; --task style takes a folder"):
        load(tmp_path / "all.txt", options=STYLE)
    with pytest.raises(DataError, match="holds no text, and --task style rewrites texts"):
        load("digits8", options=STYLE)


def test_a_row_that_rewrites_refuses_texts_without_styles(tmp_path: Path) -> None:
    from rivalry import zoo
    from rivalry.training.state import build_state

    written(tmp_path, {"all.txt": lines("glad", 100)})
    data = load(tmp_path / "all.txt", options=WORDS)
    with pytest.raises(RecipeError, match="the data name none; give a folder with a text file for each style"):
        build_state(zoo.get("style-editor-small"), data.spec, 0, torch.device("cpu"))
