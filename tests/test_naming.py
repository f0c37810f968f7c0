"""PixelDA and CCGAN: games whose outcome is a classifier, the data they learn from, and pictures named in files."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch import Tensor, nn

import rivalry
from contests import Table, turn
from rivalry import zoo
from rivalry.auto import suited
from rivalry.changing import name_files
from rivalry.cli import cli
from rivalry.data import ReadOptions, load
from rivalry.degrade import Masked, Noise
from rivalry.errors import DataError, RecipeError
from rivalry.games import Adapt, Context
from rivalry.nets import DCGANTrunk, FlatTranslator, PictureClassifier, UNet
from rivalry.parts import Source, Turn, Wiring
from rivalry.penalties import SemiSupervised
from rivalry.streams import Draw
from rivalry.terms import CrossEntropy, PairwiseL2
from rivalry.training.contest import hold
from rivalry.types import Batch, Spec
from tiny import CLASSES, CPU, Rows, bars, run

ADAPT = Spec("image", (1, 16, 16), (-1.0, 1.0), ("bar", "dash"), source=(1, 16, 16))


def quiet(line: str) -> None:
    """Says nothing."""


@pytest.fixture
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def two_kinds(n: int = 256) -> Rows:
    """Sources: bright bars on black, with classes; targets: the same dark on light, unpaired, and half as strong."""
    a, b = bars(n), bars(2 * n)
    assert a.labels is not None
    assert b.labels is not None
    return Rows(-0.5 * b.x[n:], b.labels[n:], {"source": a.x, "source-label": a.labels})


def test_pairwise_error_is_that_of_all_pairs(double: None) -> None:
    """Eigen et al. 2014: half the mean over pairs of ((a_i - b_i) - (a_j - b_j))^2, by brute force; what moves together is free."""
    a, b = torch.randn(3, 1, 2, 4), torch.randn(3, 1, 2, 4)
    d = (a - b).flatten(1)
    wanted = 0.5 * (d[:, :, None] - d[:, None]).square().mean((1, 2))
    torch.testing.assert_close(PairwiseL2()(Table(pairs={"made": (a, b)}), turn()), wanted)
    assert PairwiseL2()(Table(pairs={"made": (a, a + 3)}), turn()).abs().max() < 1e-12
    mask = (torch.rand(3, 1, 2, 4) < 0.5).double()
    mask[:, :, 0, 0] = 1
    masked = PairwiseL2()(Table(pairs={"made": (a, b, mask)}), turn())
    for i in range(3):
        kept = d[i][mask[i].flatten() > 0]
        torch.testing.assert_close(masked[i], 0.5 * (kept[:, None] - kept).square().mean())


class One(Source):
    """One batch, whatever it is asked for."""

    def __init__(self, batch: Batch) -> None:
        self.rows = batch

    def batch(self, stream: str, turn: Turn) -> Batch:
        return self.rows


def test_pixelda_is_wired_as_the_paper_says() -> None:
    """Its terms in numbers: the classifier is charged for sources and for what was made of them, with the sources' classes."""
    x, a, label = torch.zeros(4, 1, 8, 8), torch.rand(4, 1, 8, 8), torch.tensor([0, 1, 1, 0])

    def classifier(p: Tensor) -> Tensor:
        return torch.stack([p.mean((1, 2, 3)), -p.mean((1, 2, 3))], 1)

    def generator(p: Tensor, z: Tensor) -> Tensor:
        return p + z[:, :1, None, None]

    at = Turn("generator", 0, 0, 0, Draw(3, ("test",)), {}, {}, 4)
    play = Adapt().play({"generator": generator, "classifier": classifier}, One(Batch(x, None, None, {"source": a, "source-label": label})), at)  # type: ignore[dict-item]
    made = a + at.draw.normal("latent", 4, 10)[:, :1, None, None]
    match = play.match("main")
    assert match.real is not None
    assert match.fake is not None
    torch.testing.assert_close(match.fake.x, made)
    assert torch.equal(match.real.x, x)
    for pair, shown in (("task", made), ("task-source", a)):
        wanted = -classifier(shown).log_softmax(1)[torch.arange(4), label]
        torch.testing.assert_close(CrossEntropy(pair=pair)(play, at), wanted)
    assert torch.equal(play.pair("made")[0], a)
    torch.testing.assert_close(Adapt().logits({"classifier": classifier}, a), classifier(a))  # type: ignore[dict-item]


def test_noise_bears_on_the_whole_picture() -> None:
    """Instance norm takes planes of one value away, but for what the border makes of them; the small row's norm does not."""
    wiring = Wiring(10, source=(1, 16, 16))
    x, z = torch.rand(1, 1, 16, 16), torch.randn(2, 10)
    small = zoo.get("pixelda-small").nets["generator"]
    assert isinstance(small, FlatTranslator)
    assert small.norm == "batch"
    net = replace(small, blocks=1).build(ADAPT, wiring).eval()
    with torch.no_grad():
        one, two = (net(x, v[None]) for v in z)
    assert (one - two)[:, :, 7:9, 7:9].abs().max() > 0.01 * one.abs().max()
    assert FlatTranslator(8, 1).build(ADAPT, wiring)(torch.rand(2, 1, 1, 1), z).shape == (2, 1, 1, 1)


def test_a_classifier_goes_over_to_pictures_that_nobody_labelled() -> None:
    """Bars dark on light, learned from bars bright on black: PixelDA's classifier knows them."""
    recipe = zoo.get("pixelda-small")
    nets = {**recipe.nets, "generator": FlatTranslator(8, 1), "classifier": PictureClassifier(DCGANTrunk(8, norm="layer"))}
    recipe = replace(recipe, nets={**nets, "discriminator": replace(recipe.nets["discriminator"], width=8)}, steps=300)  # type: ignore[type-var]
    rows = two_kinds()
    state = run(recipe, ADAPT, rows, 300)
    known = {k: state.ema.get(k, m).eval() for k, m in state.nets.items()}
    with torch.no_grad():
        right = (recipe.game.logits(known, rows.x).argmax(1) == rows.labels).double().mean()
        theirs = (recipe.game.logits(known, rows.extra["source"]).argmax(1) == rows.extra["source-label"]).double().mean()
    assert theirs > 0.95
    assert right > 0.9


def test_ccgan_fills_holes_and_judges_three_pictures() -> None:
    x, label = torch.rand(4, 1, 16, 16), torch.tensor([0, 1, 1, 0])
    game = Context(labelled=0.5)

    def generator(p: Tensor) -> Tensor:
        return torch.full_like(p[:, :1], 0.25)

    def judge(p: Tensor, *cond: Tensor) -> dict[str, Tensor]:
        return {"score": p.mean((1, 2, 3)), "class": torch.stack([p.mean((1, 2, 3)), -p.mean((1, 2, 3))], 1)}

    at = Turn("discriminator", 0, 0, 0, Draw(0, ("test",)), {}, {}, 4)
    index = torch.arange(4)
    nets = {"generator": generator, "discriminator": judge}
    play = game.play(nets, One(Batch(x, label, index)), at)  # type: ignore[arg-type]
    hole = game.source(Batch(x), at.draw)[:, 1:]
    main, whole = play.match("main"), play.match("whole")
    assert main.real is not None
    assert main.fake is not None
    assert torch.equal(main.fake.x, x * (1 - hole) + 0.25 * hole)
    assert whole.real is None
    assert whole.fake is not None
    assert torch.equal(whole.fake.x, torch.full_like(x, 0.25))
    known = main.real.cond[0]
    assert set(known[known >= 0].tolist()) <= {0, 1}
    contest, _ = hold(judge, main, play, at)
    charged = SemiSupervised()(contest)
    wanted = -judge(x)["class"].log_softmax(1)[torch.arange(4), label]
    labelled = (known >= 0).double()
    torch.testing.assert_close(charged, torch.where(known >= 0, wanted, 0.0) * len(known) / labelled.sum())
    many = game._known(Batch(x, torch.zeros(20_000, dtype=torch.long), torch.arange(20_000)))
    assert 0.48 < float((many == 0).double().mean()) < 0.52
    assert torch.equal(Context()._known(Batch(x, label, index)), label)
    assert Context(unlabelled=1)._known(Batch(x, label, index)).tolist() == [0, -1, -1, 0]


def test_ccgan_learns_classes_from_few_labels() -> None:
    recipe = zoo.get("ccgan-small")
    recipe = replace(recipe, game=Context(labelled=0.25), nets={**recipe.nets, "generator": UNet(8)}, steps=200)
    rows = bars()
    state = run(recipe, CLASSES, rows, 200)
    nets = {k: state.ema.get(k, m).eval() for k, m in state.nets.items()}
    with torch.no_grad():
        right = (recipe.game.logits(nets, rows.x).argmax(1) == rows.labels).double().mean()
        source = recipe.game.source(Batch(rows.x[:64]), Draw(0, ("holes",)))
        filled = recipe.game.change(nets, source, Draw(0, ("made",)))
    assert right > 0.95
    hole = source[:, 1:]
    assert ((filled - rows.x[:64]).abs() * hole).sum() < 0.8 * ((rows.x[:64]).abs() * hole).sum(), "nearer than grey"


def test_games_that_lack_classes_are_refused() -> None:
    plain = Spec("image", (1, 16, 16), source=(1, 16, 16))
    with pytest.raises(RecipeError, match="--task adapt"):
        Adapt().wiring(plain)
    with pytest.raises(RecipeError, match="trainA and trainB"):
        Adapt().wiring(CLASSES)
    with pytest.raises(RecipeError, match="sub-folder"):
        Context().wiring(plain)
    with pytest.raises(RecipeError, match="'masked'"):
        Context(Noise())
    with pytest.raises(RecipeError, match="share of labelled"):
        Context(Masked(), labelled=0.0)
    with pytest.raises(RecipeError, match="number of a class"):
        Context(unlabelled=2).wiring(CLASSES)
    with pytest.raises(RecipeError, match="two classes"):
        PictureClassifier().build(plain, Wiring())
    with pytest.raises(RecipeError, match="pixelda and ccgan"):
        zoo.get("cyclegan").game.logits({}, torch.zeros(1))
    assert suited(zoo.get("pixelda")) == "adapt"
    assert suited(zoo.get("ccgan")) == "generate"


def folders(path: Path, n: int = 32, classes: bool = True) -> Path:
    rows = two_kinds(n)
    g = torch.Generator().manual_seed(1)
    for x in (rows.x, rows.extra["source"]):  # no two alike
        x.add_(0.05 * torch.randn(x.shape, generator=g)).clamp_(-1, 1)

    def save(x: Tensor, place: Path, name: int) -> None:
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(((x[0] + 1) * 127.5).round().to(torch.uint8).numpy()).save(place / f"{name}.png")

    assert rows.labels is not None
    for i in range(n):
        kind = ("bar", "dash")[int(rows.extra["source-label"][i])]
        save(rows.extra["source"][i], path / "trainA" / kind if classes else path / "trainA", i)
        test = i % 4 == 0
        save(rows.x[i], path / "testB" / ("bar", "dash")[int(rows.labels[i])] if test else path / "trainB", i)
    return path


def test_data_have_classes_on_one_side(tmp_path: Path) -> None:
    data = load(folders(tmp_path / "two"), options=ReadOptions(task="adapt"))
    assert data.spec.class_names == ("bar", "dash")
    assert data.spec.shape == data.spec.source == (1, 16, 16)
    assert len(data.held) == 8, "testB is held back"
    batch = data.train.batch(torch.arange(len(data.train)), CPU)
    assert batch.label is None
    upright = batch.extra["source"].mean(2).amax((1, 2)) > 0.5  # a bar stands, a dash lies
    assert torch.equal(batch.extra["source-label"], (~upright).long()), "the classes belong to the sources"
    other = load(folders(tmp_path / "other"), options=ReadOptions(task="adapt"))
    assert other.fingerprint == data.fingerprint
    (tmp_path / "other" / "trainA" / "bar").rename(tmp_path / "other" / "trainA" / "pole")
    assert load(tmp_path / "other", options=ReadOptions(task="adapt")).fingerprint != data.fingerprint


def test_data_that_do_not_fit_are_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="give each class a sub-folder"):
        load(folders(tmp_path / "flat", classes=False), options=ReadOptions(task="adapt"))
    (tmp_path / "flat" / "trainA").rename(tmp_path / "flat" / "others")
    with pytest.raises(DataError, match="takes a folder with trainA"):
        load(tmp_path / "flat", options=ReadOptions(task="adapt"))
    good = folders(tmp_path / "good")
    Image.new("L", (20, 20)).save(good / "trainB" / "large.png")
    with pytest.raises(DataError, match="--size 32"):
        load(good, options=ReadOptions(task="adapt"))
    assert load(good, options=ReadOptions(task="adapt", size=16)).spec.shape == (1, 16, 16)


def test_files_are_named_and_counted(tmp_path: Path) -> None:
    good = folders(tmp_path / "two")
    settings = ("generator.width=4", "generator.blocks=1", "discriminator.width=4", "classifier.trunk.width=4", "batch=4")
    done = rivalry.train(good, recipe="pixelda-small", budget="4steps", run=str(tmp_path / "run"), settings=settings, tensorboard=False, say=quiet)
    out = tmp_path / "classes.csv"
    (good / "testB" / "broken.png").write_bytes(b"no picture")
    named = done.apply(good / "testB", out)
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8
    assert list(rows[0]) == ["file", "class", "probability"]
    assert all(0.5 <= float(r["probability"]) <= 1 for r in rows)
    right = sum(r["file"].startswith(r["class"]) for r in rows)
    assert named.accuracy == pytest.approx(right / 8)  # type: ignore[union-attr]
    assert f"{right} of 8" in named.text()
    assert "broken.png" in named.text()
    single = next((good / "trainB").glob("*.png"))
    assert done.apply(single, tmp_path / "one.csv").accuracy is None  # type: ignore[union-attr]
    done.apply(single, tmp_path / "one.png")
    assert (tmp_path / "one.png").exists(), "and changed into the other kind"
    for arguments, words in (
        ((good / "testB", out), "is there already"), ((tmp_path / "nowhere", tmp_path / "x.csv"), "no picture or folder"),
    ):  # fmt: skip
        with pytest.raises(DataError, match=words):
            done.apply(*arguments)
    with pytest.raises(RecipeError, match="has no use where"):
        done.apply(good / "testB", tmp_path / "x.csv", draws=3)
    said = CliRunner().invoke(cli, ["apply", str(tmp_path / "run"), str(good / "testB"), "-o", str(tmp_path / "again.csv")])
    assert said.exit_code == 0, said.output
    assert "accuracy" in said.output


def test_runs_without_classes_name_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(12):
        Image.fromarray(torch.randint(256, (32, 32, 3), dtype=torch.uint8).numpy()).save(folder / f"{i}.png")
    settings = ("nets.generator.width=4", "nets.generator.blocks=1", "batch=2")
    done = rivalry.train(folder, budget="2steps", run=str(tmp_path / "run"), options=ReadOptions(task="denoise", patch=32), settings=settings, tensorboard=False, say=quiet)
    with pytest.raises(RecipeError, match="learned no classes"):
        name_files(done.folder, done.modality, folder, tmp_path / "x.csv", "best", CPU)  # type: ignore[arg-type]
    assert not (tmp_path / "x.csv").exists()


def test_holes_are_filled_in_files(tmp_path: Path) -> None:
    rows = bars(30)
    assert rows.labels is not None
    for i in range(30):
        place = tmp_path / "data" / ("bar", "dash")[int(rows.labels[i])]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(((rows.x[i, 0] + 1) * 127.5).to(torch.uint8).numpy()).save(place / f"{i}.png")
    settings = ("generator.width=4", "discriminator.trunk.width=4", "batch=4")
    done = rivalry.train(tmp_path / "data", recipe="ccgan-small", budget="3steps", run=str(tmp_path / "run"), settings=settings, options=ReadOptions(holdout=0.2), tensorboard=False, say=quiet)
    picture = next((tmp_path / "data" / "bar").glob("*.png"))
    mask = Image.new("L", (16, 16))
    mask.paste(255, (4, 4, 9, 9))
    mask.save(tmp_path / "mask.png")
    done.apply(picture, tmp_path / "whole.png", mask=tmp_path / "mask.png")
    with Image.open(picture) as before, Image.open(tmp_path / "whole.png") as after:
        assert before.getpixel((0, 0)) == after.getpixel((0, 0))
    named = done.apply(tmp_path / "data", tmp_path / "classes.csv")
    assert named.known == 30  # type: ignore[union-attr]


def test_a_module_of_ones_own_may_stand_in() -> None:
    """A classifier is any network of pictures to logits."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(256, 2))
    assert Adapt().logits({"classifier": net}, torch.zeros(3, 1, 16, 16)).shape == (3, 2)
