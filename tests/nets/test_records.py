"""Networks for patient records: what they make is a record, margins come out right, and equations hold in float64."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from rivalry import zoo
from rivalry.errors import RecipeError
from rivalry.games import TimeGAN
from rivalry.nets import (
    Discriminator,
    RCGANJudge,
    RCGANNet,
    RecordNet,
    RecordTrunk,
    TimeGANEmbedder,
    TimeGANGenerator,
    TimeGANJudge,
    TimeGANRecovery,
    TimeGANSupervisor,
)
from rivalry.nets.series import finished
from rivalry.objectives import GAN
from rivalry.parts import Net, Turn, Wiring
from rivalry.sampling import Sampler, settle
from rivalry.streams import Draw
from rivalry.terms import Root, TwoMoments
from rivalry.types import Batch, Spec
from tiny import CPU, RECORDS, histories, run

F = torch.float64
WIRING = Wiring(latent=6)
MAKERS: dict[str, Net] = {"records": RecordNet(width=16, noise=4), "rcgan": RCGANNet(width=16)}


def taken(x: Tensor) -> tuple[Tensor, Tensor]:
    return x[:, :4], x[:, 4:].reshape(len(x), 3, 9)


@pytest.mark.parametrize("name", MAKERS)
def test_samples_are_records(name: str) -> None:
    torch.manual_seed(0)
    net = MAKERS[name].build(RECORDS, WIRING).eval()
    own, visits = taken(net(torch.randn(400, 6)).detach())
    there = visits[:, :, 0]
    assert set(there.unique().tolist()) == {0.0, 1.0}
    assert bool((there[:, 1:] <= there[:, :-1]).all())
    assert torch.equal(visits[:, :, 1], 1 - there)
    assert float(visits[there == 0][:, 2:].abs().sum()) == 0.0
    assert float(visits[:, 0, 2].abs().sum()) == 0.0  # nothing comes before the first visit
    assert torch.equal(own[:, 1:].sum(1), torch.ones(400))
    lab, gone = visits[:, :, 5], visits[:, :, 4]
    assert float(lab[gone == 1].abs().sum()) == 0.0


@pytest.mark.parametrize("name", MAKERS)
def test_training_passes_gradients_to_everything(name: str) -> None:
    net = MAKERS[name].build(RECORDS, WIRING)
    net(torch.randn(8, 6)).square().sum().backward()
    missing = [n for n, p in net.named_parameters() if p.grad is None or not bool(torch.isfinite(p.grad).all())]
    assert not missing


def test_later_visits_hang_on_earlier_ones_only() -> None:
    """With the same noise, a change of what the second visit drew leaves the first as it was."""
    net = MAKERS["records"].build(RECORDS, WIRING).eval()
    z = torch.randn(50, 6)
    torch.manual_seed(1)
    _, one = taken(net(z).detach())
    with torch.no_grad():
        net.going[1] -= 100.0
    torch.manual_seed(1)
    _, other = taken(net(z).detach())
    assert torch.equal(one[:, 0], other[:, 0])
    assert float(other[:, 1:, 0].sum()) == 0.0


def test_numbers_may_begin_as_those_of_the_visit_before() -> None:
    """kept = k: the last layer adds k times the number before; the choices are left alone."""
    net = RecordNet(width=16, noise=4, kept=0.8).build(RECORDS, WIRING)
    before, other = torch.zeros(1, 16 + 9), torch.zeros(1, 16 + 9)
    other[0, 16 + 5] = 1.0  # the lab of the visit before
    gain = (net.last(other) - net.last(before)).detach()[0]
    assert float(gain[5]) == pytest.approx(0.8)
    others = torch.zeros(1, 16 + 9)
    others[0, 16 + 6] = 1.0  # its ward
    assert float((net.last(others) - net.last(before)).detach()[0, 5]) == 0.0


def test_margins_are_set_right_after_settling() -> None:
    """Whatever the weights: numbers of visits, choices over all visits, and the quantiles of numbers."""
    recipe = zoo.get("house-records-small")
    state = run(recipe, RECORDS, histories(), 2)
    sampler = Sampler(recipe.game, state.wiring, {**state.nets, **state.ema}, CPU)
    settle(sampler, 0)
    own, visits = taken(sampler(20_000, 3))
    there = visits[:, :, 0].mean(0)
    assert there.tolist() == pytest.approx([0.95, 0.7, 0.4], abs=0.03)
    rows = visits[visits[:, :, 0] == 1]
    assert rows[:, 6:].mean(0).tolist() == pytest.approx([0.5, 0.3, 0.2], abs=0.03)
    assert rows[:, 3:5].mean(0).tolist() == pytest.approx([0.8, 0.2], abs=0.03)
    lab = rows[rows[:, 3] == 1][:, 5]
    wanted = torch.special.ndtri(torch.tensor([0.1, 0.5, 0.9])) / 4
    assert torch.quantile(lab, torch.tensor([0.1, 0.5, 0.9])).tolist() == pytest.approx(wanted.tolist(), abs=0.03)
    later = visits[:, 1:][visits[:, 1:, 0] == 1][:, 2]
    assert torch.quantile(later, torch.tensor([0.1, 0.5, 0.9])).tolist() == pytest.approx(wanted.tolist(), abs=0.03)
    assert own[:, 1:].mean(0).tolist() == pytest.approx([0.5, 0.4, 0.1], abs=0.03)


def test_the_house_recipe_learns_how_visits_follow_one_another() -> None:
    """The ward stays from visit to visit, which margins know nothing of."""
    recipe = zoo.get("house-records-small")
    state = run(recipe, RECORDS, histories(2000), 250)
    sampler = Sampler(recipe.game, state.wiring, {**state.nets, **state.ema}, CPU)
    settle(sampler, 0)
    _, visits = taken(sampler(2000, 1))
    both = visits[:, 1, 0] == 1
    stays = (visits[both, 0, 6:].argmax(1) == visits[both, 1, 6:].argmax(1)).float().mean()
    assert float(stays) > 0.55  # .38 by chance


def test_the_trunk_reads_changes_by_their_mean() -> None:
    torch.manual_seed(0)
    net = Discriminator(RecordTrunk(width=8)).build(RECORDS, Wiring()).double()
    x = histories(3).x.double()
    own, visits = taken(x)
    told = net(x)["features"][:, 8:]
    for i in range(3):
        total, many = torch.zeros(8, dtype=F), 1.0
        for t in range(3):
            before = visits[i, t - 1] if t else torch.zeros(9, dtype=F)
            total = total + visits[i, t, 0] * net.trunk.pairs(torch.cat([own[i], before, visits[i, t]])[None])[0]
            many += float(visits[i, t, 0])
        assert torch.allclose(told[i], total / many)


def test_finished_is_what_data_look_like() -> None:
    g = torch.Generator().manual_seed(0)
    drawn = torch.rand(5, 3, 9, generator=g, dtype=F)
    drawn[:, :, 0] = torch.tensor([[1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 1, 1], [0, 0, 0]], dtype=F)
    made = finished(drawn, gap=1)
    assert made[:, :, 0].sum(1).tolist() == [2, 1, 0, 3, 0]
    assert torch.equal(made[3, 1, 2:], drawn[3, 1, 2:])
    assert made[3, 0, 2] == 0
    assert float(made[1, 1:, 2:].abs().sum()) == 0.0


def test_rcgan_judges_every_visit_from_those_before_it() -> None:
    net = RCGANJudge(width=8).build(RECORDS, Wiring()).double()
    x = histories(4).x.double()
    score = net(x)["score"]
    assert score.shape == (4, 3)
    later = x.clone()
    later[:, 4 + 18 :] += 1.0
    assert torch.equal(net(later)["score"][:, :2], score[:, :2])
    assert not torch.equal(net(later)["score"][:, 2], score[:, 2])
    # the loss of the paper: the mean over steps of the cross-entropies
    real, fake = GAN().discriminator(score, score, {})
    assert real is not None
    assert fake is not None
    p = torch.sigmoid(score)
    assert torch.allclose(real + fake, -p.log() - (1 - p).log())


# -- TimeGAN -----------------------------------------------------------------------------------------------------------


class Store:
    def batch(self, stream: str, turn: Turn) -> Batch:
        return Batch(histories(16).x.double())


def players() -> Mapping[str, nn.Module]:
    torch.manual_seed(0)
    wiring = TimeGAN(latent=5).wiring(RECORDS)
    nets = {
        "embedder": TimeGANEmbedder(7, 1), "recovery": TimeGANRecovery(7), "generator": TimeGANGenerator(7, 1),
        "supervisor": TimeGANSupervisor(7, 1), "discriminator": TimeGANJudge(7, 1),
    }  # fmt: skip
    return {k: n.build(RECORDS, wiring).double() for k, n in nets.items()}


def turn() -> Turn:
    return Turn("generator", 0, 0, 0, _Double(0, ("test",)), {}, {}, 16)


class _Double(Draw):
    def uniform(self, name: str, n: int, *shape: int) -> Tensor:
        return super().uniform(name, n, *shape).double()


def test_timegan_codes_come_from_the_past_alone() -> None:
    nets = players()
    x = histories(6).x.double()
    code = nets["embedder"](x).detach()
    assert code.shape == (6, 4, 7)
    assert float(code.min()) > 0
    assert float(code.max()) < 1
    later = x.clone()
    later[:, 4 + 9 :] += 1.0
    assert torch.equal(nets["embedder"](later)[:, :2], code[:, :2])
    moved = x.clone()
    moved[:, 0] += 1.0  # the patient's columns reach every code
    assert bool((nets["embedder"](moved) != code).any(2).all())
    assert torch.equal(nets["supervisor"](code)[:, 0], code[:, 0])


def test_timegan_pairs_and_matches_are_the_paper_s() -> None:
    nets = players()
    game = TimeGAN(latent=5)
    play = game.play(nets, Store(), turn())
    x = histories(16).x.double()
    code = nets["embedder"](x)
    ahead, target = play.pair("supervision")
    assert torch.equal(target, code[:, 2:])
    assert torch.equal(ahead, nets["supervisor"](code)[:, 1:-1])
    made = nets["generator"](turn().draw.uniform("latent", 16, 5 * 4))
    supervised, alone = play.match("supervised"), play.match("made")
    assert supervised.real is not None
    assert supervised.fake is not None
    assert alone.fake is not None
    assert alone.real is None  # D = real + supervised + gamma made, so real ones count once
    assert torch.equal(supervised.real.x, code)
    assert torch.equal(alone.fake.x, made)
    assert torch.equal(supervised.fake.x, nets["supervisor"](made))
    assert torch.equal(play.pair("moments")[0], nets["recovery"](nets["supervisor"](made)))


def test_timegan_s_terms_in_float64() -> None:
    play = TimeGAN(latent=5).play(players(), Store(), turn())
    a, b = (p.detach() for p in play.pair("reconstruction"))
    by_hand = (sum(float(v) ** 2 for v in (a - b).flatten()) / a.numel()) ** 0.5
    assert Root()(play, turn()).detach().tolist() == pytest.approx([by_hand])
    a, b = (p.detach() for p in play.pair("moments"))
    total = 0.0
    for p, q in zip(a.T, b.T, strict=True):
        spread = [(float(((v - v.mean()) ** 2).mean()) + 1e-6) ** 0.5 for v in (p, q)]
        total += abs(float(p.mean() - q.mean())) + abs(spread[0] - spread[1])
    assert TwoMoments()(play, turn()).detach().tolist() == pytest.approx([total / a.shape[1]])


def test_timegan_recovers_records_when_sampling() -> None:
    nets = {k: m.eval() for k, m in players().items()}
    game = TimeGAN(latent=5)
    x = game.from_latent(nets, torch.rand(50, 20, dtype=F), ())
    own, visits = taken(x)
    assert torch.equal(own[:, 1:].sum(1), torch.ones(50, dtype=F))
    assert bool((visits[:, 1:, 0] <= visits[:, :-1, 0]).all())


def test_timegan_s_first_stage_learns_to_recover() -> None:
    recipe = zoo.get("timegan-small")
    rows = histories(1000)
    state = run(replace(recipe, stages=recipe.stages[:1]), RECORDS, rows, 200)
    x = rows.x[:200]
    nets = {k: m.eval() for k, m in state.nets.items()}
    with torch.no_grad():
        back = nets["recovery"](nets["embedder"](x))
    agree = (back[:, 1:4].argmax(1) == x[:, 1:4].argmax(1)).float().mean()
    assert float(agree) > 0.75  # .5 by always naming the commonest


@pytest.mark.parametrize("name", ["house-records", "rcgan", "timegan"])
def test_other_data_are_refused_with_the_remedy(name: str) -> None:
    with pytest.raises(RecipeError, match="pick another row"):
        zoo.get(f"{name}-small").build(Spec("points", (2,)))
