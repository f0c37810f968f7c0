"""Penalties on heads and scores against torch.distributions and explicit loops in float64."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, distributions

from contests import Table, charge, hold, points, turn
from rivalry.augment import Flip
from rivalry.catalogue import build, dump
from rivalry.errors import RecipeError
from rivalry.parts import Contest, Penalty
from rivalry.penalties import (
    ADC,
    D2DCE,
    Classification,
    Consistency,
    Contrastive2C,
    CrammerSinger,
    Drift,
    FeatureMatching,
    InfoMax,
    LatentConsistency,
    LeCam,
    MutualInformation,
    PullAway,
    Reconstruction,
    Rotation,
    SemiSupervised,
    Twin,
)
from rivalry.types import Heads, Judged, Match, Point

N, K = 5, 3
LABEL_R, LABEL_F = torch.tensor([0, 2, 1, 1, 0]), torch.tensor([1, 1, 0, 2, 2])


def given(real: Heads | None, fake: Heads, play: Table | None = None, **knobs: float) -> Contest:
    """A contest whose heads are given outright."""

    def side(heads: Heads | None, label: Tensor) -> Judged | None:
        if not heads:
            return None
        n = len(next(iter(heads.values())))
        return Judged(Point(torch.zeros(n, 1), (label[:n],)), {"score": torch.zeros(n), **heads})

    r, f = side(real, LABEL_R), side(fake, LABEL_F)
    match = Match("d", None if r is None else r.point, None if f is None else f.point)
    return Contest(match, r, f, (), lambda x: {}, play or Table(), turn(**knobs))


def nll(logits: Tensor, target: Tensor) -> Tensor:
    return -distributions.Categorical(logits=logits).log_prob(target)


def test_classification_twin_and_adc() -> None:
    real, fake = points(N, K, 1), points(N, K, 2)
    contest = given({"class": real}, {"class": fake, "twin": fake})
    torch.testing.assert_close(Classification()(contest), nll(real, LABEL_R) + nll(fake, LABEL_F))
    torch.testing.assert_close(Classification(on=("fake",))(contest), nll(fake, LABEL_F))
    torch.testing.assert_close(Twin()(contest), nll(fake, LABEL_F))
    torch.testing.assert_close(Twin(role="fool")(contest), -nll(fake, LABEL_F))
    real, fake = points(N, 2 * K, 3), points(N, 2 * K, 4)
    contest = given({"class": real}, {"class": fake})
    torch.testing.assert_close(ADC()(contest), nll(real, LABEL_R) + nll(fake, LABEL_F + K))
    torch.testing.assert_close(ADC(role="fool")(contest), nll(fake, LABEL_F) - nll(fake, LABEL_F + K))


def test_unequal_numbers_keep_the_sum_of_the_means() -> None:
    real, fake = points(4, K, 1), points(2, K, 2)
    found = Classification()(given({"class": real}, {"class": fake}))
    wanted = nll(real, LABEL_R[:4]).mean() + nll(fake, LABEL_F[:2]).mean()
    torch.testing.assert_close(found.mean(), wanted)


def test_what_is_missing_is_told() -> None:
    with pytest.raises(RecipeError, match="head 'class'"):
        Classification()(given({"twin": points(N, K)}, {"twin": points(N, K)}))
    with pytest.raises(RecipeError, match="real examples judged"):
        Classification()(given(None, {"class": points(N, K)}))
    bare = hold(lambda x: {"score": x.sum(1), "class": x}, Twin(), Point(points(2, 3)), Point(points(2, 3)))
    with pytest.raises(RecipeError, match="labels"):
        Classification()(bare)


def test_semi_supervised_is_a_mean_over_the_labelled() -> None:
    logits = points(N, K, 5)
    contest = given({"class": logits}, {})
    label = torch.tensor([0, -1, 1, -1, 2])
    assert contest.real is not None
    contest = contest._replace(match=Match("d", Point(torch.zeros(N, 1), (label,)), None))
    found = SemiSupervised()(contest)
    assert found[[1, 3]].tolist() == [0, 0]
    torch.testing.assert_close(found.mean(), nll(logits[[0, 2, 4]], label[[0, 2, 4]]).mean())
    nobody = contest._replace(match=Match("d", Point(torch.zeros(N, 1), (torch.full((N,), -1),)), None))
    assert SemiSupervised()(nobody).tolist() == [0] * N


def test_crammer_singer() -> None:
    real, fake = points(N, K + 1, 6), points(N, K + 1, 7)

    def loop(logits: Tensor, target: Tensor) -> Tensor:
        rows = []
        for row, t in zip(logits, target, strict=True):
            best = max(float(v) for k, v in enumerate(row) if k != t)
            rows.append(max(0.0, 1 + best - float(row[t])))
        return torch.tensor(rows, dtype=torch.float64)

    contest = given({"class": real}, {"class": fake})
    fakes = torch.full((N,), K)
    torch.testing.assert_close(CrammerSinger()(contest), loop(real, LABEL_R) + loop(fake, fakes))
    torch.testing.assert_close(CrammerSinger(role="fool")(contest), loop(fake, LABEL_F))


def test_mutual_information_against_torch() -> None:
    codes, n_real = (4, 2), 3
    categories = torch.tensor([[0, 1], [3, 0], [2, 1], [1, 1], [0, 0]])
    reals = points(N, n_real, 8)
    head = points(N, sum(codes) + 2 * n_real, 9)
    play = Table(pairs={"code": (categories, reals)})
    discrete = nll(head[:, :4], categories[:, 0]) + nll(head[:, 4:6], categories[:, 1])
    mean, logvar = head[:, 6:9], head[:, 9:]
    learned = -distributions.Normal(mean, (0.5 * logvar).exp()).log_prob(reals).sum(1)
    unit = -distributions.Normal(mean, 1.0).log_prob(reals).sum(1)
    exact = MutualInformation(codes=codes, real=1.0)
    torch.testing.assert_close(exact(given(None, {"code": head}, play)), discrete + learned)
    torch.testing.assert_close(exact(given(None, {"code": head[:, :9]}, play)), discrete + unit)
    weighted = MutualInformation(codes=codes)(given(None, {"code": head[:, :9]}, play))
    torch.testing.assert_close(weighted, discrete + 0.1 * unit)
    with pytest.raises(RecipeError, match="wide"):
        exact(given(None, {"code": head[:, :8]}, play))
    only = MutualInformation(codes=(), real=1.0)(
        given(None, {"code": mean}, Table(pairs={"code": (categories[:, :0], reals)}))
    )
    torch.testing.assert_close(only, unit)


def cosine(a: Tensor, b: Tensor) -> float:
    return float(a @ b / (a.norm() * b.norm()))


def test_contrastive_2c_by_hand() -> None:
    h, e, t = points(N, 4, 10), points(N, 4, 11), 0.7
    wanted = []
    for i in range(N):
        own = math.exp(cosine(h[i], e[i]) / t)
        others = {j: math.exp(cosine(h[i], h[j]) / t) for j in range(N) if j != i}
        kin = sum(v for j, v in others.items() if LABEL_R[j] == LABEL_R[i])
        wanted.append(-math.log((own + kin) / (own + sum(others.values()))))
    contest = given({"embedding": h, "proxy": e}, {"embedding": e, "proxy": h})
    found = Contrastive2C(temperature=t)(contest)
    torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float64))
    assert Contrastive2C(on="fake")(contest).shape == (N,)


def test_d2d_ce_by_hand() -> None:
    h, e, t, mp, mn = points(N, 4, 12), points(N, 4, 13), 0.5, 0.3, 0.1
    wanted = []
    for i in range(N):
        own = math.exp(min(cosine(h[i], e[i]) - mp, 0) / t)
        others = [math.exp(max(cosine(h[i], h[j]) - mn, 0) / t) for j in range(N) if LABEL_R[j] != LABEL_R[i]]
        wanted.append(-math.log(own / (own + sum(others))))
    found = D2DCE(temperature=t, positive=mp, negative=mn)(given({"embedding": h, "proxy": e}, {}))
    torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float64))


def test_infomax_by_hand() -> None:
    local, whole = points(N, 12, 14).view(N, 3, 2, 2), points(N, 3, 15)
    wanted = []
    for i in range(N):
        places = local[i].flatten(1).T
        apart = [math.exp(float(whole[i] @ v)) for j in range(N) if j != i for v in local[j].flatten(1).T]
        own = [math.exp(float(whole[i] @ v)) for v in places]
        wanted.append(-sum(math.log(o / (o + sum(apart))) for o in own) / len(own))
    found = InfoMax()(given({"local": local, "global": whole}, {}))
    torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float64))


def test_feature_matching_and_pull_away() -> None:
    real, fake = points(4, 6, 16), points(N, 6, 17)
    contest = given({"features": real}, {"features": fake})
    torch.testing.assert_close(FeatureMatching()(contest), (real.mean(0) - fake.mean(0)).square().sum()[None])
    total = sum(cosine(fake[i], fake[j]) ** 2 for i in range(N) for j in range(N) if i != j) / (N * (N - 1))
    assert PullAway()(contest).mean().item() == pytest.approx(total, rel=1e-12)
    assert PullAway()(given(None, {"features": fake[:1]})).tolist() == [0.0]
    collapsed = PullAway()(given(None, {"features": fake[:1].expand(N, -1)}))
    torch.testing.assert_close(collapsed, torch.ones(N, dtype=torch.float64))


@pytest.mark.parametrize("penalty", [Contrastive2C(), D2DCE(), InfoMax(), PullAway()], ids=lambda p: dump(p)["part"])
def test_batches_of_one_have_finite_gradients(penalty: Penalty) -> None:
    heads = {k: torch.randn(1, 4, requires_grad=True) for k in ("embedding", "proxy", "features", "global")}
    heads["local"] = torch.randn(1, 4, 2, requires_grad=True)
    loss = penalty(given(heads, heads))
    assert loss.shape == (1,)
    if loss.requires_grad:
        grads = torch.autograd.grad(loss.sum(), list(heads.values()), allow_unused=True)
        assert all(torch.isfinite(g).all() for g in grads if g is not None)


def test_rotation_asks_for_four_quarter_turns() -> None:
    x = torch.randn(8, 1, 4, 4, dtype=torch.float64)
    label = torch.arange(8)

    def judge(at: Tensor, *cond: Tensor) -> Heads:
        return {"score": at.flatten(1).sum(1), "rotation": at.flatten(1)[:, :4]}

    penalty = Rotation(share=0.25)
    (asked,) = penalty.ask(Match("d", Point(x, (label,)), None), turn())
    assert asked.x.shape == (8, 1, 4, 4)
    torch.testing.assert_close(asked.x[2:4], x[:2].rot90(1, (2, 3)))
    torch.testing.assert_close(asked.x[6:], x[:2].rot90(3, (2, 3)))
    assert asked.cond[0].tolist() == [0, 1] * 4
    found = charge(judge, penalty, Point(x, (label,)), None)
    each = [nll(x[:2].rot90(k, (2, 3)).flatten(1)[:, :4], torch.tensor([k, k])) for k in range(4)]
    torch.testing.assert_close(found, torch.stack(each).mean(0))
    fake = Point(x.clone().requires_grad_(), (label,))
    assert Rotation(on="fake").ask(Match("d", None, fake), turn())[0].x.requires_grad
    with pytest.raises(RecipeError, match="square"):
        penalty.ask(Match("d", Point(x[..., :3]), None), turn())


def test_reconstruction_compares_with_the_averaged_picture() -> None:
    x = torch.randn(3, 2, 8, 6, dtype=torch.float64)

    def judge(at: Tensor) -> Heads:
        return {"score": at.flatten(1).sum(1), "small": torch.ones(3, 2, 4, 3).double(), "whole": at}

    found = charge(judge, Reconstruction(heads=("small", "whole")), Point(x), None)
    averaged = x.view(3, 2, 4, 2, 3, 2).mean((3, 5))
    torch.testing.assert_close(found, (averaged - 1).abs().mean((1, 2, 3)))


def test_drift_and_lecam() -> None:
    real, fake = points(N, 2, 18), points(N, 2, 19)
    contest = given({"score": real}, {"score": fake}, lecam_real=0.4, lecam_fake=-0.3)
    torch.testing.assert_close(Drift()(contest), real.square().mean(1))
    a, b = (real + 0.3), (0.4 - fake)
    torch.testing.assert_close(LeCam()(contest), (a.square() + b.square()).mean(1))
    torch.testing.assert_close(
        LeCam(one_sided=True)(contest), (a.clamp_min(0).square() + b.clamp_min(0).square()).mean(1)
    )
    with pytest.raises(RecipeError, match="controller 'lecam'"):
        LeCam()(given({"score": real}, {"score": fake}))


def test_consistency_compares_with_the_transformed() -> None:
    real, fake = torch.randn(8, 1, 3, 4, dtype=torch.float64), torch.randn(8, 1, 3, 4, dtype=torch.float64)
    a = torch.randn(12, dtype=torch.float64)

    def judge(at: Tensor, *cond: Tensor) -> Heads:
        return {"score": at.flatten(1) @ a}

    penalty = Consistency(transform=Flip(), on=("real", "fake"), share=0.5)
    contest = hold(judge, penalty, Point(real), Point(fake))
    wanted = torch.zeros(4, dtype=torch.float64)
    for x, asked in zip((real, fake), contest.asked, strict=True):
        same = (asked.point.x == x[:4]).flatten(1).all(1)
        flipped = (asked.point.x == x[:4].flip(-1)).flatten(1).all(1)
        assert (same | flipped).all()
        wanted += ((x[:4] - asked.point.x).flatten(1) @ a).square()
    torch.testing.assert_close(penalty(contest), wanted)
    assert len(Consistency().ask(Match("d", Point(real), Point(fake)), turn())) == 1


def test_latent_consistency_judges_both_neighbours() -> None:
    here, near = points(N, 3, 20), points(N, 3, 21)
    play = Table(pairs={"latent-neighbour": (here, near)})
    judge = lambda x: {"score": x.square().sum(1)}  # noqa: E731
    found = charge(judge, LatentConsistency(share=0.4), Point(here), Point(here), play)
    torch.testing.assert_close(found, (here.square().sum(1) - near.square().sum(1)).square()[:2])


@pytest.mark.parametrize(
    "penalty",
    [
        ADC(role="fool"),
        Classification(on=("fake",)),
        Consistency(on=("real", "fake")),
        Contrastive2C(),
        CrammerSinger(role="fool"),
        D2DCE(),
        Drift(),
        FeatureMatching(),
        InfoMax(),
        LatentConsistency(),
        LeCam(),
        MutualInformation(codes=(3, 4)),
        PullAway(),
        Reconstruction(),
        Rotation(),
        SemiSupervised(),
        Twin(),
    ],
    ids=lambda p: dump(p)["part"],
)
def test_round_trip(penalty: Penalty) -> None:
    assert build(Penalty, dump(penalty)) == penalty
    assert replace(penalty, share=0.5).share == 0.5
