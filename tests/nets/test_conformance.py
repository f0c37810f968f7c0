"""What every network must keep to, whatever its architecture."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap

import rivalry.nets
from rivalry import catalogue
from rivalry.nets import Discriminator, Encoder, Trunk
from rivalry.parts import Net, couples_batch

from .cases import GENERATORS, LABELLED, SHAPES, TRUNKS, WIRING, all_finite, image, labels, shake

RECURRENT = {
    "RecordNet", "RecordTrunk", "RCGANNet", "RCGANJudge", "TimeGANEmbedder", "TimeGANGenerator", "TimeGANJudge",
    "TimeGANRecovery", "TimeGANSupervisor",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_generator_makes_examples_of_the_data_s_shape(name: str, shape: tuple[int, int, int]) -> None:
    module = GENERATORS[name].build(image(shape), WIRING)
    x = module(torch.randn(2, 12))
    assert x.shape == (2, *shape)
    assert x.dtype == torch.float32
    x.square().mean().backward()
    assert all_finite(module)
    assert module(torch.randn(1, 12)).isfinite().all()
    assert module.eval()(torch.randn(1, 12)).isfinite().all()


@pytest.mark.parametrize("name", GENERATORS)
def test_a_conditional_generator_listens_to_its_label(name: str) -> None:
    module = shake(GENERATORS[name].build(image((1, 28, 28), 3), LABELLED).double()).eval()
    z = torch.randn(2, 12, dtype=torch.float64)
    here, there = (module(z, torch.full((2,), k)) for k in (0, 1))
    assert here.dtype == torch.float64
    assert (here - there).abs().max() > 1e-6


@pytest.mark.parametrize("name", TRUNKS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_discriminator_scores_each_example(name: str, shape: tuple[int, int, int]) -> None:
    module = Discriminator(TRUNKS[name]).build(image(shape), WIRING)
    said = module(torch.randn(3, *shape))
    assert said["score"].shape[0] == 3
    assert said["features"].shape == (3, module.trunk.features)
    sum(v.sum() for v in said.values()).backward()
    assert all_finite(module)
    sum(v.sum() for v in module(torch.randn(1, *shape)).values()).backward()
    assert all_finite(module)


@pytest.mark.parametrize("name", TRUNKS)
def test_a_discriminator_is_twice_differentiable_at_a_constant_picture_too(name: str) -> None:
    shape = (1, 28, 28)
    module = Discriminator(TRUNKS[name]).build(image(shape), WIRING)
    shake(module)
    parameters = dict(module.named_parameters())

    def penalty(p: dict[str, Tensor], x: Tensor) -> Tensor:
        slope = grad(lambda y: functional_call(module, p, (y,))["score"].sum())(x)
        return slope.square().sum()

    for x in (torch.randn(2, *shape), torch.zeros(2, *shape)):
        slopes = grad(penalty)(parameters, x)
        assert all(g.isfinite().all() for g in slopes.values())
    x = torch.randn(2, *shape, requires_grad=True)
    (slope,) = torch.autograd.grad(module(x)["score"].sum(), x, create_graph=True)
    slope.square().sum().backward()
    slopes = grad(penalty)(parameters, x.detach())
    for key, p in module.named_parameters():
        if p.grad is not None:
            torch.testing.assert_close(p.grad, slopes[key], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", TRUNKS)
def test_a_forward_pass_leaves_a_discriminator_as_it_was(name: str) -> None:
    module = Discriminator(TRUNKS[name]).build(image((3, 32, 32)), WIRING)
    before = {k: v.clone() for k, v in module.state_dict().items()}
    module(torch.randn(2, 3, 32, 32))
    after = module.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before)


@pytest.mark.parametrize("name", TRUNKS)
def test_one_pass_equals_two_unless_the_batch_is_coupled(name: str) -> None:
    module = shake(Discriminator(TRUNKS[name]).build(image((1, 28, 28)), WIRING).double())
    real, fake = torch.randn(2, 4, 1, 28, 28, dtype=torch.float64)
    together = module(torch.cat([real, fake]))["score"]
    apart = torch.cat([module(real)["score"], module(fake)["score"]])
    agree = torch.allclose(together, apart, atol=1e-10)
    assert agree != couples_batch(module)


@pytest.mark.parametrize("name", TRUNKS)
def test_gradients_per_example_by_vmap_equal_a_loop(name: str) -> None:
    module = shake(Discriminator(TRUNKS[name]).build(image((1, 28, 28)), WIRING).double())
    if couples_batch(module):
        pytest.skip("couples the batch")
    parameters = {k: p.detach() for k, p in module.named_parameters()}
    x = torch.randn(3, 1, 28, 28, dtype=torch.float64)

    def loss(p: dict[str, Tensor], one: Tensor) -> Tensor:
        return functional_call(module, p, (one[None],))["score"].sum()

    together = vmap(grad(loss), in_dims=(None, 0))(parameters, x)
    for i in range(3):
        one = grad(loss)(parameters, x[i])
        for key, g in one.items():
            torch.testing.assert_close(together[key][i], g)


@pytest.mark.parametrize("name", TRUNKS)
def test_packing_joins_channels(name: str) -> None:
    wiring = type(WIRING)(latent=12, pack=2)
    module = Discriminator(TRUNKS[name]).build(image((1, 28, 28)), wiring)
    assert module(torch.randn(2, 2, 28, 28))["score"].shape[0] == 2


@pytest.mark.parametrize("name", TRUNKS)
def test_a_trunk_carries_an_encoder(name: str) -> None:
    if TRUNKS[name].build(image((1, 28, 28)), WIRING).says:
        pytest.skip("speaks for itself")
    mean, logvar = Encoder(TRUNKS[name]).build(image((1, 28, 28)), WIRING)(torch.randn(2, 1, 28, 28))
    assert mean.shape == logvar.shape == (2, 12)
    (z,) = Encoder(TRUNKS[name], gaussian=False, condition="concat").build(image((1, 28, 28), 3), LABELLED)(
        torch.randn(2, 1, 28, 28), labels(2)
    )
    assert z.shape == (2, 12)


def test_every_network_of_the_package_is_tested() -> None:
    mine = {cls for cls in catalogue._NAMES if cls.__module__.startswith(rivalry.nets.__name__)}
    tested = {type(v) for v in (*GENERATORS.values(), *TRUNKS.values())}
    elsewhere = {cls for cls in mine if not issubclass(cls, Net | Trunk)}
    names = {cls.__name__ for cls in mine - tested - elsewhere}
    of_rows = {"Averaged", "CodeNet", "ColumnClassifier", "SquareTable", "SquareTrunk", "Teachers"}  # test_rows.py, test_pate.py
    of_tables = {"TableNet"} | of_rows | RECURRENT  # test_table.py, test_records.py
    of_pictures = {"Restorer", "UNet", "ResNetTranslator", "PatchGAN", "UNetJudge", "PatchProjector"}  # test_changing.py
    of_text = {"LSTMLM", "TransformerLM", "TextCNN", "TokenJudge", "RelationalLM", "TextViews"}  # test_language.py, test_relational.py
    of_sets = {"UNIT", "MUNIT", "FlatTranslator", "PictureClassifier"}  # test_shared_codes.py, test_naming.py
    of_dialogue = {"ReplyJudge", "ReplyLM"}  # test_replying.py
    of_styles = {"CrossAligned", "Editor", "StatesJudge", "StyleJudge", "StyleTransformer"}  # test_rewriters.py
    of_codes = {"CodeCritic", "CodeLM", "CodeMaker", "TextReader", "LeakLM", "TextCounts", "TextThoughts"}  # test_text_codes.py, test_leaking.py, test_thoughts.py, test_text_counts.py
    assert names - of_tables - of_pictures - of_text - of_codes - of_sets - of_dialogue - of_styles == {
        "Discriminator", "Encoder", "JointDiscriminator", "Coupled", "CoupledDiscriminator", "LatentJudge"
    }  # fmt: skip
