"""A run on conversations as users have it: trained, talked with in a pipe, asked to reply to files, and what goes wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from data.conversations import write
from rivalry import load, train
from rivalry.api import Run
from rivalry.cli import cli
from rivalry.errors import DataError, RecipeError, RunError
from rivalry.privacy.quota import handed_out
from rivalry.talking import Conversation, Talking, contexts_of

SMALL = ("generator.width=32", "generator.layers=1", "generator.heads=2", "discriminator.reads=32", "discriminator.width=32", "batch=32")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chat")
    write(folder / "talk.jsonl", 160)
    (folder / "lines.txt").write_text("\n".join(f"a line of {i} words and {i * 7} more" for i in range(60)))
    return folder


@pytest.fixture(scope="module")
def run(here: Path) -> Iterator[Run]:
    patch = pytest.MonkeyPatch()
    patch.chdir(here)
    yield train(
        "talk.jsonl", recipe="dialogue-small", settings=SMALL, budget="12steps", run="talk", tensorboard=False, cap=400, say=lambda _: None
    )
    patch.undo()


def told(*arguments: str, given: str = "") -> str:
    found = CliRunner().invoke(cli, list(arguments), input=given)
    assert found.exit_code == 0, found.output
    return found.stdout


def test_a_conversation_in_a_pipe(run: Run) -> None:
    lines = "do you like tea ?\n\nand what about jazz ?\n"
    first = told("apply", "talk", "--chat", given=lines).splitlines()
    assert len(first) == 2, "blank lines are nothing said, and the end of the input ends it"
    assert told("apply", "talk", "--chat", given=lines).splitlines() == first
    assert told("apply", "talk", "--chat", given="do you like tea ?\n/quit\nhello\n").splitlines() == first[:1]
    again = told("apply", "talk", "--chat", given="do you like tea ?\n/reset\n/nonsense\ndo you like tea ?\n").splitlines()
    assert again == first[:1] * 2
    assert told("apply", "talk", "--chat", "--seed", "7", "--temperature", "1.3", given=lines).splitlines() != first


def test_history_and_candidates_from_python(run: Run) -> None:
    talker = load("talk").talker(Talking(candidates=6, temperature=1.0, top_p=1.0))
    answer = talker.answer(["do you like tea ?"])
    assert answer.text == answer.candidates[0][0]
    ratings = [rating for text, rating in answer.candidates if text]
    assert ratings == sorted(ratings, reverse=True)
    assert 1 <= len(answer.candidates) <= 6
    talk = Conversation(talker)
    assert talk.say("   ") is None
    reply = talk.say("do you like tea ?")
    assert talk.history == ["do you like tea ?", reply]
    talk.say("really ?")
    assert len(talk.history) == 4
    talk.reset()
    assert talk.history == []
    assert load("talk").talker().each == 10
    long = talker.answer(["word " * 500, "and " * 300])
    assert isinstance(long.text, str), "what is too long is cut from the left"


def test_replies_to_files(run: Run, here: Path) -> None:
    (here / "asked.txt").write_text("do you like tea ?\n\nhello\tyes ?\tand what about snow ?\n")
    assert "2 replies in out.txt" in told("apply", "talk", "asked.txt", "-o", "out.txt", "--candidates", "3")
    lines = (here / "out.txt").read_text().splitlines()
    assert len(lines) == 2
    (here / "asked.jsonl").write_text('{"turns": ["do you like tea ?"]}\n["hello", "yes ?", "and what about snow ?"]\n')
    told("apply", "talk", "asked.jsonl", "-o", "out.jsonl", "--candidates", "3")
    rows = [json.loads(line) for line in (here / "out.jsonl").read_text().splitlines()]
    assert [r["reply"] for r in rows] == lines
    assert rows[1]["turns"] == ["hello", "yes ?", "and what about snow ?"]
    assert all(r["candidates"][0]["text"] == r["reply"] for r in rows)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("apply", "talk"), "name a FILE of contexts"),
        (("apply", "talk", "asked.txt"), "name a FILE of contexts"),
        (("apply", "talk", "lines.txt", "--chat"), "leave FILE and -o out"),
        (("apply", "talk", "nothing.txt", "-o", "o.txt"), "cannot be read"),
        (("apply", "talk", "lines.txt", "-o", "o.png"), r"cannot be written as o\.png"),
        (("apply", "talk", "--chat", "--candidates", "0"), "candidates must be between 1 and 64"),
        (("apply", "talk", "--chat", "--top-p", "0"), "top-p above 0"),
        (("apply", "talk", "lines.txt", "-o", "o.txt", "--tile", "64"), "--tile is not for conversations, and talk replies; leave it out"),
        (("apply", "talk", "hello", "--style", "glad"), "--style is not for conversations"),
        (("sample", "talk", "-n", "3"), "says nothing by itself"),
    ],
)
def test_what_makes_no_sense_is_said(run: Run, here: Path, arguments: tuple[str, ...], says: str) -> None:
    found = CliRunner().invoke(cli, list(arguments), input="hello\n")
    assert found.exit_code != 0
    with pytest.raises(AssertionError if not says else Exception, match=says):
        raise found.exception if found.exception is not None and not isinstance(found.exception, SystemExit) else RecipeError(found.output)
    assert not (here / "o.png").exists()
    assert not (here / "o.txt").exists()


def test_bad_files_of_contexts(here: Path) -> None:
    for name, text, says in (("e.txt", "\n \n", "is empty"), ("b.jsonl", '{"x": 1}\n', "line 1: no list of turns"), ("c.jsonl", '[" "]\n', "line 1 says nothing")):
        (here / name).write_text(text)
        with pytest.raises(DataError, match=says):
            contexts_of(here / name)
    (here / "d.txt").write_bytes(b"\xff\xfe\x00bad")
    with pytest.raises(DataError, match="not in UTF-8"):
        contexts_of(here / "d.txt")


def test_other_runs_do_not_talk(run: Run, here: Path) -> None:
    lines = train(
        "lines.txt", recipe="mle-small", settings=("generator.width=16",), budget="2steps", run="lines", tensorboard=False, say=lambda _: None
    )
    with pytest.raises(RecipeError, match="does not reply"):
        lines.talker()
    with pytest.raises(RecipeError, match="for conversations"):
        train("lines.txt", recipe="dialogue-small", budget="2steps", run="no", tensorboard=False, say=lambda _: None)
    with pytest.raises(RecipeError, match="for lines of text"):
        train("talk.jsonl", recipe="mle-small", budget="2steps", run="no", tensorboard=False, say=lambda _: None)
    assert not (here / "runs" / "no").exists()


def test_a_cap_counts_replies(run: Run) -> None:
    talker = load("talk").talker(Talking(candidates=1))
    with pytest.raises(RunError, match="400"):
        talker.answers([["hello"]] * 401)


def test_what_is_refused_counts_no_reply(run: Run) -> None:
    before = handed_out(load("talk").folder)
    with pytest.raises(RecipeError, match="top-p above 0 and at most 1"):
        load("talk").talker(Talking(top_p=2.0)).answer(["hello"])
    assert handed_out(load("talk").folder) == before


def test_the_folder_holds_no_turn_outside_private(run: Run, here: Path) -> None:
    turns = {t for line in (here / "talk.jsonl").read_text().splitlines() for t in json.loads(line)["turns"]}
    for path in run.path.rglob("*"):
        if path.suffix in (".toml", ".jsonl", ".json", ".md"):
            assert not any(t in path.read_text() for t in turns), path
    shown = (run.path / "samples" / "final.txt").read_text().splitlines()
    assert len(shown) == 64, "replies alone, without what they reply to"
    assert "rivalry apply talk --chat" in (run.path / "report.md").read_text()


def test_evaluate_says_all_there_is_to_say(run: Run) -> None:
    assert "adversuc" not in json.loads(told("evaluate", "talk", "-n", "60", "--json"))["scores"], "too few to train a judge on"
    found = json.loads(told("evaluate", "talk", "--json"))
    assert set(found["scores"]) == {"perplexity", "hits1", "hits3", "hits1-critic", "hits3-critic", "adversuc", "distinct1", "distinct", "repetition", "length"}
    assert set(found["details"]["judge"]) == {"same", "misplaced"}
    looks = [r["scores"]["hits1-critic"]["value"] for r in run.folder.metrics() if "scores" in r]
    assert looks


def test_the_automatic_recipe_is_for_dialogue(here: Path) -> None:
    from rivalry.auto import choose
    from rivalry.data import load as load_data

    recipe, why = choose(load_data(here / "talk.jsonl"))
    assert recipe.name == "house-dialogue"
    assert "a discriminator that reads context" in why[0]
    with pytest.raises(RecipeError, match="differential privacy yet"):
        choose(load_data(here / "talk.jsonl"), epsilon=3.0)


def test_what_is_replied_to_is_never_written_over(run: Run, here: Path) -> None:
    (here / "asked.txt").write_text("do you like tea ?\n")
    found = CliRunner().invoke(cli, ["apply", "talk", "asked.txt", "-o", "./asked.txt"])
    assert isinstance(found.exception, DataError)
    assert "name another file with -o" in str(found.exception)
    assert (here / "asked.txt").read_text() == "do you like tea ?\n"


def test_bytes_that_are_no_unicode_are_named(run: Run) -> None:
    with pytest.raises(DataError, match="no UTF-8"):
        Conversation(load("talk").talker(Talking())).say("caf\udce9 ?")
    found = CliRunner().invoke(cli, ["apply", "talk", "--chat"], input=b"caf\xe9 ?\n")
    assert isinstance(found.exception, DataError)
    assert "no UTF-8" in str(found.exception)
