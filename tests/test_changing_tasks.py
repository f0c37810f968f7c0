"""Which task a recipe learns, which one the layout of pictures asks for, and what is chosen for it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from PIL import Image

from rivalry import zoo
from rivalry.auto import check_task, choose, fitted, read_for, suited
from rivalry.data import ReadOptions, load
from rivalry.degrade import task
from rivalry.errors import DataError, RecipeError
from rivalry.games import Change
from rivalry.nets.contrast import PatchContrast
from rivalry.terms import L1
from rivalry.zoo.changing import house
from wavy import SMALL, photos

CONFLICTS = [
    ("cyclegan-small", "denoise", "learns --task unpaired, not denoise; leave --task out"),
    ("srgan-small", "denoise", "learns --task super-resolution, not denoise"),
    ("srgan-small", "super-resolution-x2", r"add --set game.degradation.scale=2, or leave --recipe out"),
    ("srgan-small", "translate", "learns --task super-resolution, not translate"),
    ("pix2pix-small", "inpaint", "learns --task translate, not inpaint"),
    ("pix2pix-small", "unpaired", "learns --task translate, not unpaired"),
    ("dcgan-small", "denoise", "makes new examples and --task denoise changes what is there"),
    ("ccgan-small", "unpaired", "goes by classes, which --task unpaired has no use for"),
    ("stargan-small", "unpaired", "learns --task domains, not unpaired"),
    ("dcgan-small", "domains", "makes new examples and --task domains changes what is there"),
    ("srgan-small", "generate", "learns --task super-resolution, not generate"),
]


@pytest.mark.parametrize(("recipe", "named", "says"), CONFLICTS)
def test_a_task_that_the_recipe_does_not_learn_is_refused_with_the_remedy(recipe: str, named: str, says: str, tmp_path: Path) -> None:
    """Before any data are read."""
    import rivalry

    with pytest.raises(RecipeError, match=says):
        rivalry.train(tmp_path / "nowhere", recipe=recipe, options=ReadOptions(task=named), run=str(tmp_path / "run"))


def test_tasks_that_recipes_learn_are_let_through() -> None:
    for recipe, named in (
        ("srgan-small", "super-resolution"), ("dncnn-small", "denoise"), ("real-esrgan-small", "restore-x4"), ("lama-small", "inpaint"),
        ("pix2pix-small", "translate"), ("pix2pix-small", "denoise"), ("cut-small", "unpaired"), ("stargan-small", "generate"), ("stargan-small", "domains"), ("dcgan-small", "generate"),
    ):  # fmt: skip
        check_task(zoo.get(recipe), named)
    assert [suited(zoo.get(r)) for r in ("srgan", "dncnn", "deblurgan", "real-esrgan", "lama", "munit")] == [
        "super-resolution", "denoise", "deblur", "restore-x4", "inpaint", "unpaired",
    ]  # fmt: skip


def pairs_of(folder: Path, names: tuple[str, str], scale: int = 1, n: int = 12) -> Path:
    """Waves, and as their partners the waves, each pixel repeated."""
    for name, times in zip(names, (1, scale), strict=True):
        photos(folder / name, n)
        for path in (folder / name).iterdir():
            with Image.open(path) as picture:
                picture.resize((48 * times, 48 * times), Image.Resampling.NEAREST).save(path)
    return folder


def test_the_house_learns_a_task_from_true_pairs(tmp_path: Path) -> None:
    """Enlarging from lr and hr: the layout decides, the network is the restorer by pixels, files come out twice as large."""
    import rivalry

    said: list[str] = []
    data = pairs_of(tmp_path / "d", ("lr", "hr"), 2)
    run = rivalry.train(data, budget="3steps", run=str(tmp_path / "run"), settings=SMALL, tensorboard=False, say=said.append)
    assert run.recipe.name == "house-super-resolution-x2"
    assert isinstance(run.recipe.game, Change)
    assert run.recipe.game.degradation is None
    assert "discriminator" not in run.recipe.nets
    assert any("true pairs" in line for line in said)
    done = run.apply(data / "lr" / "0.png", tmp_path / "out.png")
    with Image.open(done.written[0]) as made:  # type: ignore[union-attr]
        assert made.size == (96, 96)
    changer = run.changer()
    assert (changer.scale, changer.task, changer.keeps_colour) == (2, "super-resolution-x2", True)
    assert run.evaluate().keys() >= {"psnr", "gain"}


def test_a_recipe_with_bad_twins_of_its_own_learns_from_true_pairs(tmp_path: Path) -> None:
    pairs = load(pairs_of(tmp_path / "d", ("noisy", "clean")), options=ReadOptions(task="denoise"))
    recipe, told = fitted(zoo.get("dncnn-small"), pairs)
    assert isinstance(recipe.game, Change)
    assert recipe.game.degradation is None
    assert "true pairs" in told[0]
    alone = load(tmp_path / "d" / "clean", options=ReadOptions(task="denoise"))
    assert fitted(zoo.get("dncnn-small"), alone) == (zoo.get("dncnn-small"), ())


def test_a_recipe_that_makes_pictures_goes_before_the_layout(tmp_path: Path) -> None:
    data, reading = read_for(zoo.get("acgan-small"), pairs_of(tmp_path / "d", ("A", "B")), ReadOptions(size=32))
    assert (data.layout, data.spec.class_names, reading.task) == ("", ("A", "B"), "generate")
    seen, reading = read_for(zoo.get("pix2pix-small"), tmp_path / "d", ReadOptions())
    assert (seen.layout, reading.task) == ("pairs", "translate")


def test_the_seconds_of_the_rulers_are_part_of_the_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two seconds of making the judge leave six of eight; of two they leave one, half of what was asked."""
    import rivalry
    from rivalry.training import session

    plain = session.make_judge

    def slow(*given, **named):  # type: ignore[no-untyped-def]
        time.sleep(2)
        return plain(*given, **named)

    photos(tmp_path / "photos")
    monkeypatch.setattr(session, "make_judge", slow)
    for budget, left in (("8s", "6 s"), ("2s", "1 s")):
        said: list[str] = []
        options = ReadOptions(task="denoise", patch=32)
        run = rivalry.train(tmp_path / "photos", budget=budget, run=str(tmp_path / budget), options=options, settings=SMALL, tensorboard=False, say=said.append)
        assert any(f"2 s went into the feature space of the rulers, so {left} of the budget are left" in line for line in said)
        assert run.folder.settings["plan"]["seconds_per_step"] * run.folder.settings["plan"]["steps"] < 1.5 * float(left[0])


def test_several_domains_are_sub_folders(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        photos(tmp_path / "d" / name, 9)
    data = load(tmp_path / "d", options=ReadOptions(task="domains"))
    assert (data.layout, data.task, data.spec.class_names) == ("", "domains", ("a", "b", "c"))
    recipe, why = choose(data)
    assert recipe.name == "house-domains"
    assert "3 kinds here" in why[0]
    assert [(type(t), t.pair) for t in recipe.stages[0].sides[1].terms] == [(L1, "cycle"), (L1, "identity")]  # type: ignore[attr-defined]
    check_task(recipe, "domains")
    with pytest.raises(DataError, match="put each kind into a sub-folder"):
        load(tmp_path / "d" / "a", options=ReadOptions(task="domains"))


def test_contrast_has_the_network_of_low_light() -> None:
    one, other = (house(task(name), False, 3, 96) for name in ("contrast", "low-light"))
    assert (one.nets, one.stages, one.steps) == (other.nets, other.stages, other.steps)


def test_without_pairs_the_house_goes_one_way_and_holds_patches() -> None:
    """A way back asks for what must be given up (docs/lab/changing.md); what is already of the other kind must stay."""
    recipe = house(task("unpaired"), False, 3, 64)
    (stage,) = recipe.stages
    generator = stage.sides[1]
    assert set(recipe.nets) == {"generator", "projector", "discriminator"}
    assert generator.modules == ("generator", "projector")
    assert [(type(t), t.pair) for t in generator.terms] == [(PatchContrast, "made"), (L1, "identity")]  # type: ignore[attr-defined]
    check_task(recipe, "unpaired")


def test_domains_are_learned_and_asked_for_by_name(tmp_path: Path) -> None:
    """By the automatic recipe in small, from a folder to a file: each class makes a picture of its own; a class that is none is named."""
    import rivalry

    for name in ("a", "b", "c"):
        photos(tmp_path / "d" / name, 9)
    settings = ("nets.generator.width=4", "nets.generator.blocks=1", "nets.discriminator.width=4", "batch=2")
    run = rivalry.train(tmp_path / "d", budget="6steps", run=str(tmp_path / "run"), options=ReadOptions(task="domains"), settings=settings, tensorboard=False, say=lambda _: None)
    assert run.recipe.name == "house-domains"
    source = next((tmp_path / "d" / "a").iterdir())
    made = []
    for name in ("b", "c"):
        run.apply(source, tmp_path / f"{name}.png", label=name)
        with Image.open(tmp_path / f"{name}.png") as picture, Image.open(source) as before:
            assert picture.size == before.size
            made.append(picture.tobytes())
    assert made[0] != made[1]
    with pytest.raises(RecipeError, match="'z'"):
        run.apply(source, tmp_path / "z.png", label="z")
    assert not (tmp_path / "z.png").exists()
