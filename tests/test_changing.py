"""Games, networks, losses and judges of what changes pictures."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import pad

from rivalry.degrade import Down, Masked, Noise
from rivalry.errors import Diverged, RecipeError
from rivalry.evaluate import PairedJudge
from rivalry.evaluate.extractor import Pixels
from rivalry.games import Change, Cycle
from rivalry.games.change import Untouched, moved, turned
from rivalry.nets import PatchGAN, Restorer, UNet, UNetJudge
from rivalry.nets.contrast import PatchContrast, PatchProjector, contrast
from rivalry.nets.translators import ResNetTranslator
from rivalry.parts import Contest, Turn, Wiring
from rivalry.penalties import SeenAlike
from rivalry.sampling import Sampler, picked
from rivalry.streams import Draw
from rivalry.training.sources import FixedRows
from rivalry.types import Batch, Judged, Match, Point, Spec
from tiny import Rows
from wavy import waves

CPU = torch.device("cpu")
SPEC = Spec("image", (3, 32, 32))
DRAW = Draw(0, ("test",))


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


def test_a_near_translator_begins_as_the_identity() -> None:
    """It was tanh of twice the source and of what an untrained last layer makes: too much contrast, and noise."""
    x = torch.rand(2, 3, 13, 21) * 2 - 1
    assert torch.equal(ResNetTranslator(8, 1, near=True).build(SPEC, Wiring(source=(3, 32, 32)))(x), x)


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


def test_pairs_are_moved_alike_and_borders_reflect() -> None:
    """Every picture is a piece of its own reflection at the borders, and both of a pair are the same piece."""
    x = torch.rand(64, 1, 8, 8)
    a, b = moved((x, x * 2), 0.25, DRAW)
    assert torch.equal(b, a * 2)
    wide = pad(x, (2, 2, 2, 2), mode="reflect")
    places = {(i, j): wide[:, :, i : i + 8, j : j + 8] for i in range(5) for j in range(5)}
    found = [[k for k, v in places.items() if torch.equal(v[n], a[n])] for n in range(64)]
    assert all(len(f) == 1 for f in found)
    assert len({f[0] for f in found}) > 15
    assert torch.equal(moved((x,), 0.0, DRAW)[0], x)
    with pytest.raises(RecipeError, match="shift"):
        Change(shift=0.6)
    with pytest.raises(RecipeError, match="one is larger than the other"):
        Change(shift=0.1).wiring(Spec("image", (3, 32, 32), source=(3, 8, 8)))
    assert Change().wiring(Spec("image", (3, 32, 32), source=(3, 8, 8))).source == (3, 8, 8)


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


def test_patch_contrast_holds_what_is_made_to_its_source() -> None:
    """Without this gradient nothing but the judge tells the last layers what to make of a picture."""
    spec = Spec("image", (3, 32, 32), source=(3, 32, 32))
    wiring = Wiring(source=(3, 32, 32))
    nets = {"generator": ResNetTranslator(8, 3).build(spec, wiring), "projector": PatchProjector((8, 16, 32, 32, 32), 16).build(spec, wiring)}
    x, source = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)
    turn = Turn("generator", 0, 0, 2, DRAW, {})
    play = Cycle(one_way=True).play(nets, FixedRows(Batch(x, None, None, {"source": source})), turn)
    PatchContrast(layers=(0, 1, 2, 3, 4))(play, turn).sum().backward()
    last = nets["generator"].last.weight.grad
    assert last is not None
    assert last.abs().max() > 0


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
