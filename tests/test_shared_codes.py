"""Two sets of pictures that meet in a code: UNIT and MUNIT, their networks, games and charges."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from rivalry import zoo
from rivalry.changing.model import Model
from rivalry.errors import RecipeError
from rivalry.games import Cycle, SharedCode, Styles
from rivalry.games.change import Changing
from rivalry.nets import MUNIT, UNIT, FlatTranslator, UNet
from rivalry.nets.restorers import ChangeModule
from rivalry.nets.two_sets import SOURCE, TARGET, MUNITModule, UNITModule, adain
from rivalry.parts import Net, Play, Source, Turn, Wiring
from rivalry.streams import Draw
from rivalry.terms import UnitKL
from rivalry.types import Batch, Spec
from tiny import Rows, run

SPEC = Spec("image", (3, 16, 16), source=(3, 16, 16))
WIRING = Wiring(4, source=(3, 16, 16))


@pytest.fixture
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


class Two(Source):
    """One batch of each set."""

    def __init__(self, a: Tensor, b: Tensor) -> None:
        self.a, self.b = a, b

    def batch(self, stream: str, turn: Turn) -> Batch:
        return Batch(self.b if stream == "real" else torch.zeros(0), None, None, {"source": self.a})


def turn(n: int) -> Turn:
    return Turn("generator", 0, 0, 0, Draw(0, ("test",)), {}, {}, n)


def played(game: Changing, net: torch.nn.Module) -> tuple[Play, Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    a, b = (torch.rand(2, 3, 16, 16, generator=g, dtype=torch.get_default_dtype()) * 2 - 1 for _ in range(2))
    return game.play({"generator": net}, Two(a, b), turn(2)), a, b


def test_adain_has_the_moments_it_is_told(double: None) -> None:
    """Huang & Belongie 2017, eq. 8, against moments taken by hand."""
    x, gain, bias = torch.randn(2, 3, 5, 7) * 3 + 1, torch.randn(2, 3), torch.randn(2, 3)
    deviation, mean = torch.std_mean(x, (2, 3), correction=0, keepdim=True)
    wanted = gain[:, :, None, None] * (x - mean) / (deviation.square() + 1e-5).sqrt() + bias[:, :, None, None]
    torch.testing.assert_close(adain(x, gain, bias), wanted)
    torch.testing.assert_close(adain(x, gain, bias).mean((2, 3)), bias)


def test_unit_kl_is_that_of_two_normals(double: None) -> None:
    """KL(N(mean, 1) || N(0, 1)) as torch.distributions has it, a mean over the code's numbers."""
    mean = torch.randn(3, 4, 2, 2)
    wanted = torch.distributions.kl_divergence(torch.distributions.Normal(mean, 1.0), torch.distributions.Normal(0.0, 1.0)).flatten(1).mean(1)

    class One:
        nets: dict[str, torch.nn.Module] = {}  # noqa: RUF012

        def pair(self, name: str) -> tuple[Tensor, ...]:
            return (mean,)

    torch.testing.assert_close(UnitKL()(One(), turn(3)), wanted)  # type: ignore[arg-type]


def test_unit_is_wired_as_the_paper_says() -> None:
    """Eq. 3 to 7, written out from the network's parts and the same draws."""
    net = UNIT(4, blocks=2).build(SPEC, WIRING)
    assert isinstance(net, UNITModule)
    play, a, b = played(SharedCode("no"), net)
    draw, size = turn(2).draw, (16, 16)
    with torch.no_grad():
        mean = net.encode(a, SOURCE)
        z = mean + draw.at("code", SOURCE).normal("there", *mean.shape)
        made = net.decode(z, TARGET, size)
        again = net.encode(made, TARGET)
        back = net.decode(again + draw.at("code", SOURCE).normal("back", *mean.shape), SOURCE, size)
        match = play.match("main")
        assert match.real is not None and match.fake is not None  # noqa: PT018
        for found, wanted in (
            (match.real.x, b), (match.fake.x, made), (play.pair("reconstruction")[0], net.decode(z, SOURCE, size)),
            (play.pair("posterior")[0], mean), (play.pair("cycle")[0], back), (play.pair("posterior-cycle")[0], again),
        ):  # fmt: skip
            torch.testing.assert_close(found, wanted)
        assert torch.equal(play.pair("cycle")[1], a)
        assert torch.equal(play.pair("cycle-back")[1], b)


def test_unit_shares_what_it_should() -> None:
    """Both encoders end in the same block, both decoders begin with the same; their own parts differ."""
    net = UNIT(4, blocks=3, shared=1).build(SPEC, WIRING)
    assert isinstance(net, UNITModule)
    x = torch.randn(1, 3, 16, 16)

    def bears(out: Tensor, part: torch.nn.Module) -> bool:
        slopes = torch.autograd.grad(out.square().sum(), list(part.parameters()), allow_unused=True, retain_graph=True)
        return any(s is not None and bool(s.abs().sum() > 0) for s in slopes)

    for which in (SOURCE, TARGET):
        code = net.encode(x, which)
        made = net.decode(code.detach(), which, (16, 16))
        assert bears(code, net.shared_in)
        assert bears(made, net.shared_out)
        assert bears(code, net.encoders[which])
        assert not bears(code, net.encoders[1 - which])
        assert not bears(made, net.decoders[1 - which])
    with pytest.raises(RecipeError, match="cannot be shared"):
        UNIT(4, blocks=1, shared=2).build(SPEC, WIRING)


def test_munit_is_wired_as_the_paper_says() -> None:
    net = MUNIT(4, blocks=1, hidden=8).build(SPEC, WIRING)
    assert isinstance(net, MUNITModule)
    game = Styles("no", latent=4)
    play, a, b = played(game, net)
    z, size = turn(2).draw.at("style", SOURCE).normal("latent", 2, 4), (16, 16)
    with torch.no_grad():
        content, style = net.encode(a, SOURCE), net.style(a, SOURCE)
        made = net.decode(content, z, TARGET, size)
        match = play.match("main")
        assert match.real is not None and match.fake is not None  # noqa: PT018
        assert torch.equal(match.real.x, b)
        pairs = {
            "reconstruction": (net.decode(content, style, SOURCE, size), a), "content": (net.encode(made, TARGET), content),
            "style": (net.style(made, TARGET), z), "cycle": (net.decode(net.encode(made, TARGET), style, SOURCE, size), a),
        }  # fmt: skip
        torch.testing.assert_close(match.fake.x, made)
        for name, wanted in pairs.items():
            for found, one in zip(play.pair(name), wanted, strict=True):
                torch.testing.assert_close(found, one, msg=name)
    assert play.match("back").judge == "judge-back"


def test_content_is_kept_and_style_has_no_place(double: None) -> None:
    """A style changes the moments of channels and nothing else, and two styles make two pictures."""
    net = MUNIT(4, blocks=1, hidden=8).build(SPEC, WIRING)
    x, z = torch.randn(1, 3, 16, 16), torch.randn(2, 4)
    one, two = (net(x, v[None]) for v in z)
    assert not torch.allclose(one, two)
    assert isinstance(net, MUNITModule)
    moved = x.roll((4, 8), (2, 3))
    torch.testing.assert_close(net.style(x, SOURCE).shape, torch.Size((1, 4)))
    assert (net.encode(x, SOURCE) - net.encode(moved, SOURCE)).abs().max() > 0.1, "content has a place"


@pytest.mark.parametrize("size", [(1, 1), (7, 13), (33, 20)])
@pytest.mark.parametrize("net", [UNIT(4, blocks=2), MUNIT(4, blocks=1, hidden=8)], ids=repr)
def test_networks_take_any_size(net: UNIT | MUNIT, size: tuple[int, int]) -> None:
    module = net.build(SPEC, WIRING).eval()
    z = (torch.randn(2, 4),) if isinstance(net, MUNIT) else ()
    assert module(torch.randn(2, 3, *size), *z).shape == (2, 3, *size)


@pytest.mark.parametrize("net", [UNIT(4, blocks=2), MUNIT(4, blocks=1, hidden=8)], ids=repr)
def test_nothing_beyond_its_reach_bears_on_a_pixel(net: UNIT | MUNIT, double: None) -> None:
    """With the statistics over the whole picture held fixed, as tiles have them."""
    from rivalry.changing import Changer
    from rivalry.changing.whole import Statistics

    module = net.build(SPEC, WIRING)
    z = (torch.randn(1, 4),) if isinstance(net, MUNIT) else ()
    x, held = torch.randn(1, 3, 160, 160, requires_grad=True), Statistics()
    with held.taking(), torch.no_grad():
        module(x, *z)
    with held.using():
        made = module(x, *z)
    (slope,) = torch.autograd.grad(made[0, :, 80, 80].sum(), x)
    rows, columns = slope.abs().sum((0, 1)).nonzero().unbind(1)
    far = int(torch.stack([(rows - 80).abs().max(), (columns - 80).abs().max()]).max())
    assert far <= module.reach, f"{net}: {far} > {module.reach}"  # type: ignore[operator]
    torch.set_default_dtype(torch.float32)
    assert Model(Changer(module.float(), 3, 3, latent=4 * len(z))).looks_at_the_whole()


def test_nets_and_games_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(RecipeError, match="trainA and trainB"):
        SharedCode().wiring(Spec("image", (3, 16, 16)))
    with pytest.raises(RecipeError, match="takes a style"):
        MUNIT().build(SPEC, Cycle().wiring(SPEC))
    for game, name in ((SharedCode(), "unit"), (Styles(), "munit")):
        with pytest.raises(RecipeError, match=f"needs the net '{name}'"):
            played(game, UNet(4).build(SPEC, WIRING))


def stripes(n: int = 64) -> Rows:
    """Squares at a random place: dark on light (set a), and light on dark (set b), of other squares."""
    g = torch.Generator().manual_seed(0)

    def squares() -> Tensor:
        x = torch.full((n, 3, 16, 16), -0.8)
        for i, (top, left) in enumerate(torch.randint(1, 9, (n, 2), generator=g).tolist()):
            x[i, :, top : top + 6, left : left + 6] = 0.8
        return x

    return Rows(squares(), extra={"source": -squares()})


@pytest.mark.parametrize(("name", "net"), [("unit-small", UNIT(8, blocks=2)), ("munit-small", MUNIT(8, blocks=1, hidden=16))])
def test_a_few_steps_turn_dark_on_light_to_light_on_dark(name: str, net: UNIT | MUNIT) -> None:
    recipe = zoo.get(name)
    judge = replace(recipe.nets["discriminator"], width=8)  # type: ignore[type-var]
    recipe = replace(recipe, nets={"generator": net, "discriminator": judge, "judge-back": judge}, batch=4, steps=150)
    rows = stripes()
    state = run(recipe, SPEC, rows, 150)
    assert all(bool(torch.isfinite(v)) for v in state.sums.values())
    nets = {k: state.ema.get(k, m).eval() for k, m in state.nets.items()}
    with torch.no_grad():
        made = recipe.game.change(nets, rows.extra["source"][:32], Draw(0, ("made",)))
    ground = made.flatten(2).median(2).values.mean()
    assert ground < -0.4, f"the ground of set a is .8, that of set b -.8, and it became {float(ground):.2f}"


def test_files_are_changed_with_many_answers(tmp_path: Path) -> None:
    import rivalry
    from rivalry.data import ReadOptions

    g = torch.Generator().manual_seed(0)
    for side in ("trainA", "trainB"):
        (tmp_path / "sets" / side).mkdir(parents=True)
        for i in range(30):  # fewer than a feature space is trained on
            Image.fromarray(torch.randint(256, (16, 16, 3), generator=g, dtype=torch.uint8).numpy()).save(tmp_path / "sets" / side / f"{side}{i}.png")
    done = rivalry.train(
        tmp_path / "sets", recipe="munit-small", budget="3steps", run=str(tmp_path / "run"), tensorboard=False, say=lambda s: None, options=ReadOptions(task="unpaired", holdout=0.2),
        settings=("generator.width=4", "generator.blocks=1", "discriminator.width=4", "judge-back.width=4", "nets.generator.hidden=8"),
    )  # fmt: skip
    Image.fromarray(torch.randint(256, (40, 50, 3), generator=g, dtype=torch.uint8).numpy()).save(tmp_path / "one.png")
    done.apply(tmp_path / "one.png", tmp_path / "out.png", draws=3)
    answers = []
    for i in (1, 2, 3):
        with Image.open(tmp_path / f"out-{i}.png") as picture:
            assert picture.size == (50, 40)
            answers.append(picture.tobytes())
    assert len(set(answers)) == 3


@pytest.mark.parametrize(
    "net", [MUNIT(4, blocks=1, hidden=8), *(pytest.param(n, marks=pytest.mark.slow) for n in (UNIT(4, blocks=1), FlatTranslator(4, 1)))], ids=repr
)
def test_networks_are_exported_for_any_size(net: Net, tmp_path: Path) -> None:
    """Held against onnxruntime by the exporter: other numbers of pictures, other sizes."""
    pytest.importorskip("onnxruntime")
    from rivalry.changing import Changer
    from rivalry.exporting import export_changer

    latent = 0 if isinstance(net, UNIT) else 4
    module = net.build(SPEC, Wiring(latent, source=(3, 16, 16))).eval()
    assert isinstance(module, ChangeModule)
    done = export_changer(Changer(module, 3, 3, context=module.reach, multiple=module.multiple, latent=latent), tmp_path / "net.onnx")
    assert done.checked == 4
