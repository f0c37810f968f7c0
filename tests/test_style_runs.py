"""Texts of two moods from a folder to a run and back to rewritten lines: train, apply, evaluate, as users type it."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr
from pathlib import Path
from unittest.mock import patch

import pytest
from click.testing import CliRunner

from data.moods import MOODS, lines
from rivalry import ReadOptions, load, restyle, train
from rivalry.api import Run
from rivalry.cli import cli, main
from rivalry.errors import DataError, RecipeError, UnknownName
from rivalry.styling import Stylist, measured, pieces

SMALL = ("generator.width=32", "generator.dropout=0.0", "discriminator.embed=16", "discriminator.filters=16", "batch=32", "generator.layers=2",
         "stages.0.share=0.75", "stages.1.share=0.04", "stages.2.share=0.21", "stages.0.sides.0.optimiser.lr=0.003",
         "stages.2.sides.1.optimiser.lr=0.0003")  # fmt: skip
WORDS = ReadOptions(tokenizer="words")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("styles")
    (folder / "moods").mkdir()
    for mood in MOODS:
        (folder / "moods" / f"{mood}.txt").write_text("\n".join(lines(mood, 500)) + "\n")
    (folder / "some.txt").write_text("the soup and the bread were stale today .\n\nthe view and the room were awful again .\n")
    return folder


@pytest.fixture(scope="module")
def run(here: Path) -> Iterator[Run]:
    place = pytest.MonkeyPatch()
    place.chdir(here)
    said: list[str] = []
    yield train("moods", settings=SMALL, budget="1000steps", run="mood", tensorboard=False, say=said.append, options=WORDS)
    place.undo()
    assert any("styles that have no partners" in line for line in said)


def told(*arguments: str) -> str:
    found = CliRunner().invoke(cli, list(arguments))
    assert found.exit_code == 0, found.output
    return found.output


def refused(*arguments: str) -> str:
    """What is said on stderr of a command that ends with exit code 2."""
    said = io.StringIO()
    with patch.object(sys, "argv", ["rivalry", *arguments]), redirect_stderr(said), pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert said.getvalue().startswith("error: ")
    assert said.getvalue().count("\n") == 1
    return said.getvalue()


def test_a_short_run_learns_to_turn_the_mood_and_to_keep_the_rest(run: Run) -> None:
    assert run.recipe.name == "house-style"
    found = measured(run)
    assert found.accuracy > 97
    assert found.scores["style"].value > 85
    assert found.scores["kept"].value > 45
    assert found.copied["style"] < 5
    assert found.copied["kept"] == pytest.approx(100)
    assert found.scores["transfer"].value > 2 * found.copied["transfer"]


def test_a_line_that_is_typed_is_answered_at_once(run: Run) -> None:
    made = told("apply", "mood", "--style", "glad", "the soup and the bread were stale today .").strip()
    assert restyle(run, ["the soup and the bread were stale today ."], "Glad") == [made]
    assert restyle(load("mood"), ["the soup and the bread were stale today .", ""], "glad") == [made, ""]
    assert any(word in made for word in MOODS["glad"])
    same = "the soup and the bread were stale today ."
    assert told("apply", "mood", "--style", "glad", "--strength", "0", same).strip() == same
    assert told("apply", "mood", "--style", "glad", "--strength", "auto", same).strip() == made


def test_by_itself_a_line_is_changed_as_much_as_it_needs(run: Run) -> None:
    """What is in the style already stays as it is, and no fewer lines get the style than at the strength of the training."""
    glad, sour = lines("glad", 60, seed=7), lines("sour", 60, seed=7)
    assert sum(a == b for a, b in zip(restyle(run, glad, "glad"), glad, strict=True)) > 50
    given = {line: sum(any(w in made.split() for w in MOODS["glad"]) for made in restyle(run, sour, "glad", strength=line)) for line in (None, 1.0)}
    assert given[None] >= given[1.0]


def test_words_that_were_never_learned_stay_as_they_are(run: Run) -> None:
    """Of a tokenizer of words they have no number."""
    made = restyle(run, ["the zyx was awful and the qwv was awful"], run.folder.spec.class_names[0])[0]
    assert "<unk>" not in made
    assert "zyx" in made
    assert "qwv" in made


def test_what_is_typed_may_be_long_and_hold_slashes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    long = " ".join(["the bread was cold ."] * 30)
    assert len(told("apply", "mood", "--style", "glad", long).strip().split()) > 60
    monkeypatch.setattr(Stylist, "rewrite", lambda self, lines, style: lines)
    assert told("apply", "mood", "--style", "glad", "see http://x.y // or .").strip() == "see http://x.y // or ."


def test_a_file_gives_a_line_for_each_of_its_lines(run: Run, here: Path) -> None:
    assert "3 lines rewritten as 'glad' in out.txt" in told("apply", "mood", "--style", "glad", "some.txt", "-o", "out.txt")
    made = (here / "out.txt").read_text().split("\n")
    assert made[1] == ""
    assert made[0] == restyle(run, ["the soup and the bread were stale today ."], "glad")[0]
    assert told("apply", "mood", "--style", "glad", "some.txt").split("\n") == made


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--style", "glat", "a text"), "unknown style 'glat'; did you mean 'glad'"),
        (("--style", "glad", "--strength", "3", "a text"), "strength lies between 0, which changes nothing, and 2, not 3"),
        (("--style", "glad", "--strength", "much", "a text"), "--strength must be a number, or auto, not 'much'"),
        (("--style", "glad", "a text", "--draws", "3"), "--draws has no use where texts are rewritten; leave it out"),
        (("--style", "glad", "a text", "--candidates", "3"), "--candidates is for runs that reply, and mood does not; leave it out"),
        (("a text",), "rewrites texts; say in which style with --style"),
        (("some.txt", "-o", "out2.txt"), "say in which style with --style, one of glad, sour"),
        (("--style", "glad", "some.txt", "-o", "some.txt"), "is what is to be rewritten"),
        (("--style", "glad", "some.txt", "-o", "out2.png"), "rewritten lines go into a text file"),
        (("--style", "glad", "no such text", "-o", "out2.txt"), "there is no file no such text"),
    ],
)
def test_bad_asking_gets_a_sentence_and_exit_code_2(run: Run, here: Path, arguments: tuple[str, ...], said: str) -> None:
    assert said in refused("apply", "mood", *arguments)
    assert not (here / "out2.txt").exists()
    assert not (here / "out2.png").exists()


def test_files_that_hold_no_lines_are_refused(run: Run, here: Path) -> None:
    (here / "empty.txt").write_text("\n\n")
    (here / "binary.txt").write_bytes(b"\x00\x01\xff")
    (here / "latin.txt").write_bytes("café\n".encode("latin-1"))
    for name, said in (("empty.txt", "holds no line of text"), ("latin.txt", "is not in UTF-8")):
        assert said in refused("apply", "mood", "--style", "glad", name, "-o", "out3.txt")
    assert "is not in UTF-8" in refused("apply", "mood", "--style", "glad", "binary.txt", "-o", "out3.txt")
    assert not (here / "out3.txt").exists()
    with pytest.raises(DataError, match="a list of lines"):
        restyle(run, "one line", "glad")
    with pytest.raises(UnknownName, match="glad"):
        restyle(run, ["one line"], "glaad")


def test_evaluate_shows_copying_beside_and_examples(run: Run) -> None:
    shown = told("evaluate", "mood", "-n", "60")
    assert "copying the input" in shown
    assert "style accuracy" in shown
    assert "at random:" in shown
    assert "the classifier of styles is trained apart" in shown
    found = json.loads(told("evaluate", "mood", "-n", "60", "--json"))
    assert set(found["scores"]) == {"transfer", "style", "kept", "kept-chrf", "style-perplexity"}
    assert found["copied"]["kept"] == pytest.approx(100)
    assert found["examples"]


def test_held_out_lines_are_shown_in_private_only(run: Run, here: Path) -> None:
    assert (run.path / "private" / "changed" / "final.txt").read_text().count("  -> ") > 20
    known = {line for mood in MOODS for line in lines(mood, 500)}
    for path in run.path.rglob("*"):
        if path.is_file() and "private" not in path.parts and path.suffix in (".txt", ".md", ".toml", ".jsonl", ".json"):
            assert not any(line in path.read_text() for line in known), path


def test_the_run_says_how_it_is_used_and_what_it_is_not_for(run: Run) -> None:
    assert "rivalry apply mood --style STYLE" in (run.path / "report.md").read_text()
    assert "rivalry apply mood --style STYLE" in refused("sample", "mood", "-n", "3", "-o", "o.txt")
    with pytest.raises(RecipeError):
        run.sample(3)
    with pytest.raises(DataError):
        run.export("o.onnx")


def test_long_lines_are_rewritten_in_pieces_and_lose_no_word(run: Run) -> None:
    stylist = Stylist(run.folder)
    one = "the soup and the bread were stale today ."
    long = " ".join([one] * 4)
    made = stylist.rewrite([long], "glad")[0]
    assert made == " ".join(stylist.rewrite([one], "glad") * 4)
    counted = lambda text: len(text.split())  # noqa: E731
    assert pieces("a b c , d e f . g h", counted, 4) == ["a b c , ", "d e f . ", "g h"]
    assert pieces("a b c d e f g", counted, 3) == ["a b c ", "d e f ", "g"]
    assert pieces("abc", counted, 3) == ["abc"]
    chinese = "店今天很难吃，我们都讨厌。饭店很好"
    assert pieces(chinese, len, 8) == ["店今天很难吃，", "我们都讨厌。", "饭店很好"]
    assert pieces(chinese, len, 5) == ["店今天很难", "吃，", "我们都讨厌", "。饭店很好"]
    assert stylist.rewrite(["Zebra ,  kept"], "glad") != ["Zebra ,  kept"] == Stylist(run.folder, strength=0.0).rewrite(["Zebra ,  kept"], "glad")


def test_other_runs_have_no_styles(run: Run, here: Path) -> None:
    made = train("ring8", recipe="house-points", budget="2steps", run="ring", tensorboard=False, say=lambda _: None)
    with pytest.raises(RecipeError, match="--style is for runs on texts"):
        Stylist(made.folder)
    assert "--style is for runs on texts" in refused("apply", "ring", "--style", "glad", "a text")


def test_what_is_missing_is_named(run: Run, here: Path) -> None:
    assert "--style" in refused("apply", "mood", "the food was cold")
    assert "say what is to be rewritten" in refused("apply", "mood", "--style", "glad")
    assert "there is no file nosuch.txt" in refused("apply", "mood", "--style", "glad", "nosuch.txt")
    (here / "folder").mkdir()
    assert "is a folder" in refused("apply", "mood", "--style", "glad", "folder")
    assert "leave --sweep out" in refused("evaluate", "mood", "--sweep")
