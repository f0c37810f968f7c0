"""Text from a file to a run folder and back to lines: train, sample, evaluate, sweep, as users type it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from data.prose import lines
from rivalry import load, train
from rivalry.api import Run
from rivalry.cli import cli
from rivalry.data import load as load_data
from rivalry.drawing import Decoding
from rivalry.errors import DataError, RecipeError, RulerMismatch, RunError
from rivalry.nets.language import LanguageModel
from rivalry.sweeping import dominance, sweep
from rivalry.training.watch import bags

SMALL = ("generator.width=32", "generator.dropout=0.0", "batch=32")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("text")
    (folder / "lines.txt").write_text("\n".join(lines(600)) + "\n")
    (folder / "others.txt").write_text("\n".join(lines(600, 1)) + "\n")
    return folder


@pytest.fixture(scope="module")
def run(here: Path) -> Iterator[Run]:
    patch = pytest.MonkeyPatch()
    patch.chdir(here)
    yield train("lines.txt", recipe="mle-small", settings=SMALL, budget="150steps", run="prose", tensorboard=False, say=lambda _: None)
    patch.undo()


def told(*arguments: str) -> str:
    found = CliRunner().invoke(cli, list(arguments))
    assert found.exit_code == 0, found.output
    return found.output


def test_samples_look_like_the_lines(run: Run, here: Path) -> None:
    assert told("sample", "prose", "-n", "20", "-o", "o.txt", "--temperature", ".5", "--prompt", "the old")
    made = (here / "o.txt").read_text().splitlines()
    assert len(made) == 20
    assert all(line.startswith("the old") for line in made)
    assert run.texts(20, temperature=0.5, prompt="the old") == made
    assert len(set(run.texts(5, temperature=0))) == 1
    assert run.sample(3).shape == (3, run.folder.spec.shape[0])


def test_what_is_loaded_is_the_best_model_that_was_seen(run: Run) -> None:
    """A bug of others: samples worse after a reload, since another generator was saved than the one that was measured."""
    looks = [r["scores"]["nll"]["value"] for r in run.folder.metrics() if "scores" in r]
    assert looks[0] > min(looks)
    model = run.folder.networks("best")["generator"]
    assert isinstance(model, LanguageModel)
    judge = run._judge(run.data(), None, None, 1, "cpu")
    held = judge.cheap.held.points
    assert held is not None
    tokens = held.long()
    with torch.no_grad():
        again = float(model.surprise(tokens).sum() / (tokens != 0).sum())
    assert again == pytest.approx(min(looks), rel=1e-5)


def test_the_folder_holds_no_line_outside_private(run: Run, here: Path) -> None:
    """Samples may happen to be lines; nothing else may quote one."""
    rows = (here / "lines.txt").read_text().splitlines()
    for path in run.path.rglob("*"):
        if path.suffix in (".toml", ".jsonl", ".json") or path.name == "model-card.md":
            text = path.read_text()
            assert not any(row in text for row in rows), path


def test_evaluate_and_sweep_on_the_command_line(run: Run, here: Path) -> None:
    found = json.loads(told("evaluate", "prose", "-n", "50", "--json"))["scores"]
    assert {"nll", "lm", "reverse", "bleu5", "selfbleu5", "fd", "frontier", "span", "verbatim"} <= set(found)
    assert found["fd"]["name"] == "FD-local-text"
    said = told("evaluate", "prose", "--sweep", "--temperatures", ".3,1.5", "-n", "50")
    assert "mle-small" in said
    assert (run.path / "plots" / "sweep.png").stat().st_size > 1000


def test_a_lower_temperature_buys_quality_with_variety(run: Run) -> None:
    found = sweep([run.folder], run.data(), (0.3, 1.0), n=60)
    cold, warm = found.points
    assert cold.values["lm"] < warm.values["lm"]
    assert cold.values["selfbleu5"] > warm.values["selfbleu5"]
    assert len(found.table()) == 4
    assert found.dominance("mle-small", "mle-small", axis=2)[0].gain == pytest.approx(0)
    with pytest.raises(RulerMismatch, match="was trained on other data than others"):
        sweep([run.folder], load_data("others.txt"), (1.0,), n=50)


def test_dominance_is_judged_at_equal_variety_over_seeds() -> None:
    """Two seeds each; lower is better (sign -1): the first curve lies .5 below the second everywhere."""
    x = np.linspace(4, 6, 5)
    first = [(x, 3 - 0.5 * (x - 4) + d) for d in (0.0, 0.02)]
    second = [(x + 0.1, 3.5 - 0.5 * (x + 0.1 - 4) + d) for d in (0.01, 0.03)]
    levels = dominance(first, second, -1.0)
    assert [v.variety for v in levels] == pytest.approx(np.linspace(4.1, 6.0, 5).tolist())
    assert all(v.gain == pytest.approx(0.51, abs=1e-9) for v in levels)
    assert all(v.verdict == "better" for v in levels)
    assert all(v.verdict == "worse" for v in dominance(second, first, -1.0))
    noisy = [(x, 3 - 0.5 * (x - 4) + d) for d in (-1.0, 1.2)]
    assert all(v.verdict == "no difference" for v in dominance(noisy, first, -1.0))
    assert dominance(first[:1], second, -1.0)[0].verdict == "one seed, no test"
    with pytest.raises(RecipeError, match="no variety in common"):
        dominance(first, [(x + 10, x)], -1.0)
    hot = [(np.insert(a, 2, a[2] - 0.1), np.insert(b, 2, 9.0)) for a, b in second]  # worse than the first point in both
    assert [v.gain for v in dominance(first, hot, -1.0)] == pytest.approx([v.gain for v in levels])
    assert [v.gain for v in dominance(hot, first, -1.0)] == pytest.approx([-v.gain for v in levels])


def test_the_automatic_recipe_for_text_says_why(here: Path) -> None:
    from rivalry.auto import choose

    recipe, why = choose(load_data(here / "lines.txt"))
    assert recipe.name == "house-text"
    assert "maximum likelihood" in why[0]
    assert why[0].endswith(" times over the lines.")
    assert choose(load_data(here / "lines.txt"), "5m")[1][0].endswith(", as far as the budget of 5m goes.")
    with pytest.raises(RecipeError, match="differential privacy yet"):
        choose(load_data(here / "lines.txt"), epsilon=3.0)


def test_what_text_cannot_do_is_said(run: Run) -> None:
    with pytest.raises(DataError, match=r"cannot be written as o\.png"):
        run.write_samples(run.path / "o.png", 2)
    with pytest.raises(RecipeError, match="no latent"):
        run.walk(run.path / "walk.png")
    with pytest.raises(DataError, match="the prompt has"):
        run.texts(1, prompt="the old man " * 50)
    found = CliRunner().invoke(cli, ["evaluate", "prose", "--sweep", "--temperatures", "warm"])
    assert "takes numbers with commas between them" in str(found.exception or found.output)


def test_temperature_is_for_text() -> None:
    from rivalry.data.points import PointsModality
    from rivalry.games import Sample
    from rivalry.parts import Wiring
    from rivalry.sampling import Sampler

    sampler = Sampler(Sample(), Wiring(), {}, torch.device("cpu"))
    assert Decoding().of(sampler, PointsModality()) is sampler
    with pytest.raises(RecipeError, match="are for runs that make text"):
        Decoding(0.5).of(sampler, PointsModality())


def test_bags_count_tokens_without_padding() -> None:
    found = bags(torch.tensor([[4, 4, 2, 0], [5, 2, 0, 0]]), 8)
    assert found.tolist() == [[0, 0, 1, 0, 2, 0, 0, 0], [0, 0, 1, 0, 0, 1, 0, 0]]


def test_runs_of_text_load_by_name(run: Run) -> None:
    assert load("prose").texts(2, seed=3) == run.texts(2, seed=3)


def refused(*arguments: str) -> str:
    found = CliRunner().invoke(cli, list(arguments))
    assert found.exit_code, found.output
    return f"{found.output}{found.exception}"


def test_what_has_no_say_in_text_is_refused(run: Run, here: Path) -> None:
    assert "--temperature" in refused("sample", "prose", "-n", "3", "-o", "o.txt", "--truncation", ".5")
    assert "temperature must be at least 0" in refused("sample", "prose", "-n", "3", "-o", "o.txt", "--temperature", "nan")
    assert "add --sweep" in refused("evaluate", "prose", "--temperatures", ".5")


def test_runs_with_one_seed_are_contenders_of_their_own(run: Run, here: Path) -> None:
    train("lines.txt", recipe="mle-small", settings=("generator.width=16", *SMALL[1:]), budget="10steps", run="apart/prose", tensorboard=False, say=lambda _: None)
    found = sweep([run.folder, load("apart/prose").folder], run.data(), [1.0], n=50)
    assert found.contenders == ("prose", "apart/prose")
    said = told("evaluate", "prose", "--sweep", "--temperatures", "1", "--beside", "apart/prose", "-n", "50")
    assert "real data (floor)" in said, "what was measured is shown where curves do not meet"
    assert said.count("the curves have no variety in common") == 3


def test_samples_of_short_or_no_words_are_measured(run: Run, here: Path) -> None:
    """Names: no five words in any line, so no five-grams."""
    names = [f"{a}{b}" for a in ("An", "Be", "Ca", "Do", "El", "Fa", "Gi", "Ha") for b in ("na", "la", "ra", "ma", "ka", "ta", "sa", "va", "da", "ga")]
    (here / "names.txt").write_text("\n".join(names) + "\n")
    made = train("names.txt", recipe="mle-small", settings=SMALL, budget="4steps", run="names", tensorboard=False, say=lambda _: None)
    assert len(made.texts(3)) == 3


def test_a_target_of_fd_alone_is_told_what_it_misses(run: Run) -> None:
    said = list[str]()
    train("lines.txt", recipe="mle-small", settings=SMALL, budget="2steps", until="fd<1.5x floor", run="aimed", tensorboard=False, say=said.append)
    assert any("--until 'fd<1.5x floor, lm<1.2x floor'" in line for line in said)


def test_lines_stay_lines_whatever_bytes_are_drawn() -> None:
    from rivalry.data.text_tokens import BytePairs

    coder = BytePairs(())
    (row,) = coder.encode(["a\nb\r\x00c\u2028d"])
    (line,) = coder.decode([row])
    assert len(line.splitlines()) == 1
    assert line.split() == ["a", "b", "c", "d"]


def test_a_folder_where_a_file_should_be_is_said(run: Run, here: Path) -> None:
    (here / "folder.txt").mkdir()
    made = CliRunner().invoke(cli, ["sample", run.folder.name, "-n", "4", "-o", str(here / "folder.txt")])
    assert isinstance(made.exception, RunError)
    assert "folder.txt is a folder, and a file is to be written" in str(made.exception)
    assert not list((here / "folder.txt").iterdir())


@pytest.mark.parametrize("recipe", ["gan-small", "dcgan-small"])
def test_rows_that_make_numbers_are_refused_for_text(recipe: str, here: Path) -> None:
    with pytest.raises(RecipeError, match="zoo search text"):
        train(here / "lines.txt", recipe=recipe, budget="2steps", run=str(here / "numbers"))
