import numpy as np
import pytest

from rivalry.data import ReadOptions
from rivalry.data.label_files import apply_labels
from rivalry.data.rows import choose, classify, from_folders, group_by_name, natural
from rivalry.errors import DataError


def test_natural_order():
    assert sorted(["s10", "S2", "s1", "b"], key=natural) == ["b", "s1", "S2", "s10"]


@pytest.mark.parametrize(
    ("values", "codes", "classes"),
    [
        (["b", "a", "b"], [1, 0, 1], ("a", "b")),
        ([10, 2, 10], [1, 0, 1], ("2", "10")),
        ([[1], [0], [1]], [1, 0, 1], ("0", "1")),
        ([[0, 1], [1, 0], [0, 1]], [1, 0, 1], ("0", "1")),
        ([1.0, float("nan"), 0.0], [1, -1, 0], ("0", "1")),
        ([b"x", b"y", b"x"], [0, 1, 0], ("x", "y")),
        ([True, False, True], [1, 0, 1], ("0", "1")),
        (["a", "", "b"], [0, -1, 1], ("a", "b")),
    ],
)
def test_labels_of_any_usual_form(values, codes, classes):
    found, names, note = classify(values)
    assert found.tolist() == codes
    assert names == classes
    assert not note


def test_known_names_for_numbers():
    assert classify([0, 2, 0, 2], ["cat", "dog", "owl"])[1] == ("cat", "owl")


@pytest.mark.parametrize("values", [[0.5, 1.5, 2.0], list(range(100)), np.zeros((4, 2, 2)), [[0.2, 0.8]] * 4])
def test_what_is_no_classes_is_left_out_with_a_note(values):
    codes, names, note = classify(values)
    assert codes is None
    assert names == ()
    assert "left out" in note


def test_sub_folders_are_classes_and_what_all_share_is_stripped():
    rows = from_folders(["data/png/cat/1.png", "data/png/cat/2.png", "data/png/dog/deep/1.png", "data/png/dog/2.png"])
    assert rows.classes == ("cat", "dog")
    assert rows.codes.tolist() == [0, 0, 1, 1]


def test_one_folder_is_no_class():
    assert from_folders([f"png/72/{i}.png" for i in range(9)]).codes is None


def test_files_beside_folders_are_no_classes():
    rows = from_folders(["1.png", "cat/2.png", "dog/3.png"])
    assert rows.codes is None
    assert any("beside" in n for n in rows.notes)


def test_official_folders():
    names = [f"set/{s}/{c}/{i}.png" for s in ("Train", "test") for c in "ab" for i in range(3)]
    rows = from_folders(names)
    assert rows.held.tolist() == [False] * 6 + [True] * 6
    assert rows.classes == ("a", "b")


def test_validation_is_left_aside_where_there_is_a_test():
    rows = from_folders([f"{s}/{i}.png" for s in ("test", "train", "val") for i in range(4)])
    assert len(rows) == 8
    assert rows.held.sum() == 4
    assert "left aside" in rows.notes[0]


def test_validation_is_held_back_where_there_is_no_test():
    rows = from_folders([f"{s}/{i}.png" for s in ("train", "val") for i in range(4)])
    assert rows.held.sum() == 4


def test_train_without_test_is_no_split():
    rows = from_folders([f"{s}/{i}.png" for s in ("train", "extra") for i in range(4)])
    assert rows.held is None


def test_only_and_limit():
    rows = from_folders([f"{c}/{i}.png" for c in "abc" for i in range(10)])
    chosen = choose(rows, ReadOptions(only=("a", "c")))
    assert chosen.tolist() == [*range(10), *range(20, 30)]
    some = choose(rows, ReadOptions(limit=7))
    assert len(some) == 7
    assert np.array_equal(some, choose(rows, ReadOptions(limit=7)))
    assert not np.array_equal(some, choose(rows, ReadOptions(limit=7, seed=1)))
    with pytest.raises(DataError, match="unknown class 'd'; known: a, b, c"):
        choose(rows, ReadOptions(only=("d",)))


def test_groups_by_folder_and_by_expression():
    rows = from_folders(["x/p1_a.png", "x/p1_b.png", "y/p2_a.png", "y/odd.png"])
    assert group_by_name(rows, "folder").groups.tolist() == ["x", "x", "y", "y"]
    by = group_by_name(rows, r"(p\d+)_")
    assert by.groups[0] == by.groups[1] != by.groups[2]
    assert len(set(by.groups)) == 3
    assert any("1 file name did not match" in n for n in by.notes)
    with pytest.raises(DataError, match="matches no file name"):
        group_by_name(rows, "(patient)")
    with pytest.raises(DataError, match="no column"):
        group_by_name(rows, "patient")


@pytest.mark.parametrize("how", ["path", "name", "stem"])
def test_labels_from_a_csv(tmp_path, how):
    names = [f"in/{i:02d}.png" for i in range(10)]
    short = {"path": names, "name": [n[3:] for n in names], "stem": [n[3:5] for n in names]}[how]
    table = tmp_path / "labels.csv"
    lines = [f"{s},{'even' if i % 2 == 0 else 'odd'},p{i // 4}" for i, s in enumerate(short[:8])]
    table.write_text("\n".join(["file,label,Patient", *lines, "gone.png,odd,p9"]))
    rows = apply_labels(from_folders(names), ReadOptions(labels=table, group="patient"))
    assert len(rows) == 8
    assert rows.classes == ("even", "odd")
    assert rows.codes.tolist() == [0, 1] * 4
    assert rows.groups.tolist() == ["p0"] * 4 + ["p1"] * 4
    assert any("2 pictures not listed" in n for n in rows.notes)
    assert any("name no picture there: 1" in n for n in rows.notes)


def test_labels_without_a_header(tmp_path):
    table = tmp_path / "labels.txt"
    table.write_text("a.png;1\nb.png;0\nc.png;1\n")
    assert apply_labels(from_folders(["a.png", "b.png", "c.png"]), ReadOptions(labels=table)).codes.tolist() == [
        1,
        0,
        1,
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x.png,1\ny.png,2\n", "lists none"),
        ("a.png\n", "two columns"),
        ("a.png,1\nb.png\n", "two columns"),
        ("", "two columns"),
    ],
)
def test_labels_that_do_not_fit(tmp_path, text, says):
    table = tmp_path / "labels.csv"
    table.write_text(text)
    with pytest.raises(DataError, match=says):
        apply_labels(from_folders(["a.png", "b.png"]), ReadOptions(labels=table))
    with pytest.raises(DataError, match="cannot be read"):
        apply_labels(from_folders(["a.png"]), ReadOptions(labels=tmp_path / "none.csv"))


def labelled(tmp_path, *lines, names=("a.png", "b.png", "c.png", "d.png"), group=None):
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(lines) + "\n")
    return apply_labels(from_folders(names), ReadOptions(labels=table, group=group))


def test_pictures_without_a_label_are_said_to_be_left_out(tmp_path):
    rows = labelled(tmp_path, "file,label", "a.png,x", "b.png,", "c.png,y", "d.png,x")
    assert rows.codes.tolist() == [0, -1, 1, 0]
    assert any("1 picture" in n and "no label" in n and "left out" in n for n in rows.notes)


def test_a_picture_listed_twice_needs_one_label(tmp_path):
    with pytest.raises(DataError, match=r"'b\.png' twice, as 'x' and as 'y'; keep one line"):
        labelled(tmp_path, "file,label", "a.png,x", "b.png,x", "c.png,y", "b.png,y")


def test_a_line_that_is_repeated_names_a_picture(tmp_path):
    rows = labelled(tmp_path, "file,label", "a.png,x", "b.png,x", "c.png,y", "d.png,y", "b.png,x")
    assert rows.codes.tolist() == [0, 0, 1, 1]
    assert not any("name no picture" in n for n in rows.notes)


def test_unknown_words_make_a_header_where_they_name_no_picture(tmp_path):
    rows = labelled(tmp_path, "scan,diagnosis,ward", "a.png,x,w1", "b.png,y,w1", "c.png,x,w2", "d.png,y,w2", group="ward")
    assert rows.codes.tolist() == [0, 1, 0, 1]
    assert rows.groups.tolist() == ["w1", "w1", "w2", "w2"]
    assert not any("name no picture" in n for n in rows.notes)


def test_rows_without_a_group_are_said_to_stay_together(tmp_path):
    rows = labelled(tmp_path, "file,label,ward", "a.png,x,w1", "b.png,y,", "c.png,x,", "d.png,y,w2", group="ward")
    assert any("2 pictures" in n and "'ward'" in n and "one group" in n for n in rows.notes)
