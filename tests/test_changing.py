"""Games, networks, losses and judges of runs that change pictures."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from rivalry import zoo
from rivalry.auto import check_task, choose, fitted, read_for, suited
from rivalry.data import ReadOptions, load
from rivalry.degrade import Down, Masked, Noise, task
from rivalry.errors import DataError, Diverged, RecipeError, RunError
from rivalry.evaluate import PairedJudge
from rivalry.evaluate.extractor import Pixels
from rivalry.games import Change, Cycle
from rivalry.games.change import Untouched, turned
from rivalry.nets import PatchGAN, Restorer, UNet, UNetJudge
from rivalry.nets.contrast import contrast
from rivalry.nets.translators import ResNetTranslator
from rivalry.parts import Contest, Turn, Wiring
from rivalry.penalties import SeenAlike
from rivalry.sampling import Sampler, picked
from rivalry.streams import Draw
from rivalry.training.engine import Engine
from rivalry.training.state import build_state, load_nets
from rivalry.types import Batch, Judged, Match, Point, Spec
from rivalry.zoo.changing import house
from tiny import Rows

CPU = torch.device("cpu")
SPEC = Spec("image", (3, 32, 32))
DRAW = Draw(0, ("test",))


def waves(n: int = 64, side: int = 32) -> Rows:
    g = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(torch.linspace(0, 6, side), torch.linspace(0, 6, side), indexing="ij")
    f = torch.rand(n, 3, 1, 1, generator=g) * 3
    return Rows(0.6 * torch.sin(f * x + 2 * f.flip(1) * y))


@pytest.mark.parametrize("size", [(1, 1), (7, 13), (33, 20), (64, 64)])
@pytest.mark.parametrize(
    "net",
    [Restorer(8, 2), Restorer(8, 2, shrink=2), Restorer(8, 1, body="dense", grow=4), Restorer(8, 2, body="plain", norm=True), UNet(8), ResNetTranslator(8, 2)],
    ids=repr,
)
def test_networks_take_any_size(net, size: tuple[int, int]) -> None:  # type: ignore[no-untyped-def]
    module = net.build(SPEC, Wiring(source=(3, 32, 32))).eval()
    assert module(torch.randn(2, 3, *size)).shape == (2, 3, *size)


def test_a_restorer_begins_as_the_identity_or_as_bicubic() -> None:
    x = torch.rand(2, 3, 9, 11) * 2 - 1
    assert torch.equal(Restorer(8, 2).build(SPEC, Wiring(source=(3, 32, 32)))(x), x)
    larger = Restorer(8, 2).build(SPEC, Wiring(source=(3, 8, 8)))(x)
    assert larger.shape == (2, 3, 36, 44)
    wanted = torch.nn.functional.interpolate(x, scale_factor=4, mode="bicubic", align_corners=False)
    assert torch.allclose(larger, wanted, atol=1e-6)
    grey = Restorer(8, 2).build(SPEC, Wiring(source=(1, 32, 32)))(x[:, :1])
    assert torch.equal(grey, x[:, :1].expand(-1, 3, -1, -1))


def test_nothing_beyond_its_reach_bears_on_a_pixel() -> None:
    for net in (Restorer(8, 3), Restorer(8, 2, shrink=2), ResNetTranslator(8, 1, norm="none", out="none"), UNet(8, depth=2, norm="none", out="none")):
        module = net.build(SPEC, Wiring(source=(3, 32, 32)))
        for p in module.parameters():
            torch.nn.init.normal_(p, 0, 0.3)
        x = torch.randn(1, 3, 160, 160, requires_grad=True)
        (slope,) = torch.autograd.grad(module(x)[0, :, 80, 80].sum(), x)
        rows, columns = slope.abs().sum((0, 1)).nonzero().unbind(1)
        far = int(torch.stack([(rows - 80).abs().max(), (columns - 80).abs().max()]).max())
        assert far <= module.reach, f"{net}: {far} > {module.reach}"


def test_sizes_that_are_no_multiple_are_refused() -> None:
    with pytest.raises(RecipeError, match="whole numbers"):
        Restorer().build(SPEC, Wiring(source=(3, 12, 12)))
    with pytest.raises(RecipeError, match="keeps the size"):
        UNet().build(SPEC, Wiring(source=(3, 16, 16)))
    with pytest.raises(RecipeError, match="makes them of noise"):
        Restorer().build(SPEC, Wiring(latent=8))


def test_judges_of_patches_see_what_it_was_made_from() -> None:
    for net, scores in ((PatchGAN(8, 2, conditional=True), 36), (PatchGAN(8, 2, scales=2, conditional=True), 36 + 4), (UNetJudge(8, conditional=True), 32 * 32)):
        judge = net.build(SPEC, Wiring(source=(1, 8, 8)))
        x, source = torch.randn(2, 3, 32, 32), torch.randn(2, 1, 8, 8)
        heads = judge(x, source)
        assert heads["score"].shape == (2, scores)
        assert not torch.allclose(heads["score"], judge(x, source + 1)["score"])
        assert heads["maps"].dim() == 2


def test_pictures_of_an_example_are_turned_alike() -> None:
    x = torch.rand(64, 1, 6, 6)
    a, b = turned((x, x * 2), "all", DRAW)
    assert torch.allclose(a * 2, b)
    kinds = {tuple(bool((p - q).abs().max() < 1e-9) for q in _eight(o)) for p, o in zip(a, x, strict=True)}
    assert len(kinds) == 8, "all eight ways occur"
    assert torch.equal(turned((x,), "no", DRAW)[0], x)


def _eight(x: Tensor) -> list[Tensor]:
    return [w for t in range(4) for w in (torch.rot90(x, t, (1, 2)), torch.rot90(x.flip(2), t, (1, 2)))]


def test_only_holes_are_filled() -> None:
    game = Change(Masked())
    x = torch.rand(4, 3, 32, 32) * 2 - 1
    source = game.source(Batch(x), DRAW)
    hole = source[:, 3:]
    made = game.change({"generator": lambda s: torch.full_like(x, 0.5)}, source, DRAW)  # type: ignore[dict-item]
    assert torch.equal(made * (1 - hole), x * (1 - hole))
    assert torch.equal(made * hole, 0.5 * hole.expand_as(made))


def test_zoomed_pictures_stay_multiples_and_shares_agree() -> None:
    game = Change(Down(4), zoom=0.5)
    sizes = set()
    for i in range(40):
        x = game._zoomed(torch.zeros(2, 3, 96, 96), Draw(i, ("zoom",), share=(1, 2)))
        assert x.shape == game._zoomed(torch.zeros(2, 3, 96, 96), Draw(i, ("zoom",), share=(0, 2))).shape
        assert x.shape[2] % 24 == 0
        sizes.add(x.shape[2])
    assert sizes == {48, 72, 96}
    assert torch.equal(Change(Down(4))._zoomed(x, DRAW), x)


def test_doing_nothing_is_bicubic_or_the_source_itself() -> None:
    x = torch.rand(2, 3, 32, 32) * 2 - 1
    for fault in (Down(4), Noise(25, 25), Masked()):
        game = Change(fault)
        source = game.source(Batch(x), DRAW)
        nothing = Untouched(game, (3, 32, 32)).change({}, source, DRAW)
        assert nothing.shape == x.shape
        if not isinstance(fault, Down):
            assert torch.equal(nothing, source[:, :3])


def test_patch_contrast_is_its_closed_form() -> None:
    """Orthogonal patches at tau: -log(e^(1/tau) / (e^(1/tau) + S - 1)); patches that are all alike: log S."""
    unit = torch.eye(5, dtype=torch.float64)[None]
    tau = 0.3
    e = torch.tensor(1 / tau, dtype=torch.float64).exp()
    assert contrast(unit, unit, tau).item() == pytest.approx(float(-(e / (e + 4)).log()), rel=1e-9)
    same = unit[:, :1].expand(1, 5, 5)
    assert contrast(same, same, tau).item() == pytest.approx(float(torch.tensor(5.0).log()), rel=1e-6)


def test_seen_alike_is_the_mean_difference_of_what_layers_saw() -> None:
    real, fake = torch.randn(3, 7, dtype=torch.float64), torch.randn(3, 7, dtype=torch.float64, requires_grad=True)
    point = Point(torch.zeros(3, 1))
    contest = Contest(
        Match("d", point, point), Judged(point, {"score": real[:, 0], "maps": real}), Judged(point, {"score": fake[:, 0], "maps": fake}), (),
        lambda x: {}, None, Turn("g", 0, 0, 0, DRAW, {}),  # type: ignore[arg-type]
    )  # fmt: skip
    charged = SeenAlike()(contest)
    assert torch.allclose(charged, (real - fake).abs().mean(1))


class Store(Rows):
    labels = None

    def raw(self, index: Tensor) -> Tensor:
        return self.x[index]


def judge_on(rows: Rows, game: Change) -> PairedJudge:
    from rivalry.data.base import Dataset
    from rivalry.data.image import ImageModality

    store = Store(rows.x)
    data = Dataset("waves", SPEC, ImageModality((3, 32, 32)), store, store, "f", layout="patches", task="denoise")  # type: ignore[arg-type]
    return PairedJudge(data, Pixels(), game)


def test_the_judge_knows_good_from_bad_and_from_nothing() -> None:
    rows, game = waves(), Change(Noise(25, 25))
    judge = judge_on(rows, game)

    def truth(n: int, seed: int) -> Tensor:
        return rows.x[picked(len(rows), n, seed)]

    perfect = judge.gate(truth, 0)
    noisy = judge.gate(lambda n, seed: truth(n, seed) + 0.1, 0)
    flat = judge.gate(lambda n, seed: torch.zeros(n, 3, 32, 32), 0)
    others = judge.gate(lambda n, seed: truth(n, seed).roll(1, 0), 0)
    nothing = judge.gate(Sampler(Untouched(game, SPEC.shape), game.wiring(SPEC), {}, CPU, rows=Store(rows.x)), 0)  # type: ignore[arg-type]
    assert perfect["psnr"].value == pytest.approx(100)
    assert perfect["psnr"].value > noisy["psnr"].value > flat["psnr"].value > others["psnr"].value - 5
    assert nothing["gain"].value == pytest.approx(0, abs=1e-6)
    assert nothing["psnr"].value == pytest.approx(20.2, abs=0.3)  # 20 log10(255 / 25), and what is clipped
    assert others["ssim"].value < 0.5 < noisy["ssim"].value
    assert judge.headline == "psnr"
    assert perfect["psnr"].ruler.resize == "none, border of 0 left out"
    with pytest.raises(Diverged):
        judge.gate(lambda n, seed: torch.full((n, 3, 32, 32), torch.nan), 0)


def test_data_without_pairs_are_refused_with_the_remedy() -> None:
    with pytest.raises(RecipeError, match="--task"):
        Change().wiring(SPEC)
    with pytest.raises(RecipeError, match="trainA and trainB"):
        Cycle().wiring(SPEC)
    with pytest.raises(RecipeError, match="rivalry apply"):
        Change(Noise()).sample({}, Wiring(), DRAW, 4)


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
    assert recipe.name == "stargan-small"
    assert "3 here" in why[0]
    with pytest.raises(DataError, match="put each kind into a sub-folder"):
        load(tmp_path / "d" / "a", options=ReadOptions(task="domains"))


def test_contrast_has_the_network_of_low_light() -> None:
    one, other = (house(task(name), False, 3, 96) for name in ("contrast", "low-light"))
    assert (one.nets, one.stages, one.steps) == (other.nets, other.stages, other.steps)


def test_a_judge_may_join_after_training_by_pixels(tmp_path: Path) -> None:
    """A run by pixels alone is gone on from by a recipe that has a discriminator; networks that it did not have start afresh."""
    import rivalry

    photos(tmp_path / "photos")
    first = rivalry.train(
        tmp_path / "photos", budget="8steps", run=str(tmp_path / "one"), options=ReadOptions(task="denoise", patch=32), settings=SMALL, tensorboard=False, say=quiet
    )
    both = house(task("denoise"), False, 3, 32, adversarial=True)
    recipe = replace(both, stages=both.stages[1:], nets={**both.nets, "generator": first.recipe.nets["generator"]})
    state = build_state(recipe, first.folder.spec, 1, CPU)
    load_nets(state, first.folder)
    saved, _ = first.folder.state("last")
    assert torch.equal(state.nets["generator"].head.weight, saved["nets/generator/head.weight"])  # type: ignore[union-attr]
    with pytest.raises(RunError, match="none of the networks"):
        load_nets(build_state(replace(recipe, nets={"other": recipe.nets["generator"]}, stages=_renamed(recipe), ema=replace(recipe.ema, modules=())), first.folder.spec, 1, CPU), first.folder)


def _renamed(recipe):  # type: ignore[no-untyped-def]
    (stage,) = recipe.stages
    side = stage.sides[1]
    return (replace(stage, sides=(replace(side, modules=("other",), fools=()),)),)


SMALL = ("nets.generator.width=8", "nets.generator.blocks=2", "batch=4")


def quiet(line: str) -> None:
    """Says nothing."""


def photos(folder: Path, n: int = 12) -> None:
    folder.mkdir(parents=True)
    shown = ((waves(n, 48).x + 1) * 127.5).round().to(torch.uint8)
    for i, p in enumerate(shown):
        Image.fromarray(p.permute(1, 2, 0).numpy()).save(folder / f"{i}.png")


def test_denoising_learns_and_files_are_changed(tmp_path: Path) -> None:
    import rivalry

    photos(tmp_path / "photos")
    run = rivalry.train(
        tmp_path / "photos", budget="150steps", run=str(tmp_path / "run"), options=ReadOptions(task="denoise", patch=32), settings=SMALL, tensorboard=False, say=quiet
    )
    scores = run.evaluate(64)
    assert scores["gain"].low > 1.0, "a dB better than doing nothing"
    report = (run.path / "report.md").read_text()
    assert "changed/final.png" in report
    assert f"rivalry apply {run.path}" in report
    assert not list((run.path / "samples").glob("*")), "the user's own pictures stay in private/"
    noisy = tmp_path / "noisy.png"
    values = waves(1, 70).x[0] + 0.2 * torch.randn(3, 70, 70, generator=torch.Generator().manual_seed(0))
    Image.fromarray(((values.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()).save(noisy)
    run.apply(noisy, tmp_path / "clean.png")
    with Image.open(tmp_path / "clean.png") as clean:
        assert clean.size == (70, 70)
    with pytest.raises(RecipeError, match="rivalry apply"):
        run.sample(4)


def test_the_variety_of_changed_pictures_is_not_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is that of what was put in: a run on brain slices was called collapsed since its held-out ones are more alike than the others.
    Below eight samples the monitor looks at numbers only."""
    import rivalry
    from rivalry.health import Monitor

    seen, real = list[int](), Monitor.pulse

    def watched(self: Monitor, step: int, fakes: Tensor, *rest, **named):  # type: ignore[no-untyped-def]
        seen.append(len(fakes))
        return real(self, step, fakes, *rest, **named)

    monkeypatch.setattr(Monitor, "pulse", watched)
    photos(tmp_path / "photos")
    rivalry.train(
        tmp_path / "photos", budget="20steps", run=str(tmp_path / "run"), options=ReadOptions(task="denoise", patch=32), settings=SMALL, tensorboard=False, say=quiet
    )
    assert seen
    assert max(seen) < 8


def test_resume_is_exact_with_pictures_to_change(tmp_path: Path) -> None:
    import rivalry

    photos(tmp_path / "photos")
    options = ReadOptions(task="restore", patch=32)
    given = {"options": options, "settings": ("nets.generator.width=8", "nets.generator.blocks=1", "batch=2", "nets.discriminator.width=4"), "tensorboard": False, "say": quiet}
    whole = rivalry.train(tmp_path / "photos", budget="6steps", run=str(tmp_path / "whole"), **given)
    assert len(whole.recipe.stages) == 2
    data = load(tmp_path / "photos", options=options)
    half = build_state(whole.recipe, data.spec, 0, CPU)
    from rivalry.training.loop import Trainer
    from rivalry.training.state import pack_state, unpack_state

    first = Trainer(half, data.train, 6, Engine("cpu"))
    for _ in range(3):
        first.step()
    tensors, meta = pack_state(half)
    again = build_state(whole.recipe, data.spec, 0, CPU)
    unpack_state(again, tensors, meta, "test")
    rest = Trainer(again, data.train, 6, Engine("cpu"))
    for _ in range(3):
        rest.step()
        first.step()
    for name, value in pack_state(half)[0].items():
        assert torch.equal(value, pack_state(again)[0][name]), name


def test_domains_go_to_the_class_that_is_asked_for(tmp_path: Path) -> None:
    """A network that adds its class: the match's fakes carry the class they were asked for, the way back asks for their own."""
    from rivalry.games import Domains
    from rivalry.parts import Source

    x, label = torch.zeros(6, 1, 8, 8), torch.tensor([0, 1, 2, 0, 1, 2])

    class One(Source):
        def batch(self, stream: str, turn: Turn) -> Batch:
            return Batch(x, label)

    def net(source: Tensor, wanted: Tensor) -> Tensor:
        return source * 10 + 1 + wanted.view(-1, 1, 1, 1).float()

    play = Domains("no").play({"generator": net}, One(), Turn("g", 0, 0, 0, DRAW, {}, {}, 6))  # type: ignore[dict-item]
    match = play.match("main")
    assert match.real is not None
    assert match.fake is not None
    assert torch.equal(match.real.cond[0], label)
    assert sorted(match.fake.cond[0].tolist()) == sorted(label.tolist())
    assert torch.equal(match.fake.x[:, 0, 0, 0], 1 + match.fake.cond[0].float())
    back, truth = play.pair("cycle")
    assert torch.equal(truth, x)
    assert torch.equal(back[:, 0, 0, 0], 10 * match.fake.x[:, 0, 0, 0] + 1 + label.float())
    with pytest.raises(RecipeError, match="sub-folder"):
        Domains().wiring(SPEC)
