"""In which precision a training runs when nobody says, and that what is small stays exact where it must."""

import pytest
import torch
from torch import nn

from rivalry.penalties import R1, ApproximateR1, ApproximateR2
from rivalry.privacy import privatised
from rivalry.training.engine import Engine
from rivalry.training.session import Request, usual_precision
from rivalry.types import Spec, square_norm
from rivalry.zoo import get
from rivalry.zoo.house import private_pictures

PICTURES = Spec("image", (1, 28, 28))


@pytest.mark.parametrize("name", ["dcgan-small", "wgan-gp-small", "r3gan", "vae", "house-small", "srgan-small"])
def test_pictures_use_what_the_machine_is_fast_at(name: str) -> None:
    assert usual_precision(Request(get(name)), PICTURES) == "auto"


@pytest.mark.parametrize("name", ["house-table", "ctgan-small", "tvae"])
def test_tables_use_it_too(name: str) -> None:
    assert usual_precision(Request(get(name)), Spec("table", (9,))) == "auto"


def test_other_data_stay_exact() -> None:
    assert usual_precision(Request(get("house-points")), Spec("points", (2,))) == "float32"
    assert usual_precision(Request(get("mle")), Spec("tokens", (20,))) == "float32"


@pytest.mark.parametrize("name", ["approximate-r1-gan", "approximate-r1-gan-small"])
def test_penalties_of_small_differences_are_exact(name: str) -> None:
    assert ApproximateR1.exact
    assert ApproximateR2.exact
    assert not R1.exact
    assert usual_precision(Request(get(name)), PICTURES) == "float32"


def test_what_is_changed_keeps_to_the_exceptions() -> None:
    assert usual_precision(Request(get("style-editor-small")), Spec("tokens", (20,))) == "auto"
    assert usual_precision(Request(get("srgan-small"), players={"generator": nn.Linear(1, 1)}), PICTURES) == "float32"


def test_privacy_and_the_users_own_modules_are_exact() -> None:
    private, _ = privatised(private_pictures("p", batch=4), 3.0, 0.0)
    assert usual_precision(Request(private), PICTURES) == "float32"
    assert usual_precision(Request(get("dp-gan")), Spec("table", (9,))) == "float32"
    assert usual_precision(Request(get("pate-gan")), Spec("table", (9,))) == "float32"
    assert usual_precision(Request(get("dcgan"), players={"generator": nn.Linear(1, 1)}), PICTURES) == "float32"


def test_norms_of_coarse_slopes_are_summed_in_float32() -> None:
    slopes = torch.full((2, 3000), 0.1).bfloat16()
    exact = slopes.double().square().sum(1)
    torch.testing.assert_close(square_norm(slopes).double(), exact, rtol=1e-6, atol=0)
    assert square_norm(slopes.double()).dtype == torch.float64


def test_a_gpu_that_only_emulates_bfloat16_is_not_fast_at_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    assert Engine._precision("cuda", "auto") == "32-true"
    assert Engine._precision("cuda", "bfloat16") == "bf16-mixed"


@pytest.mark.parametrize(("known", "expected"), [(True, "bf16-mixed"), (False, "32-true")])
def test_processors_with_instructions_for_bfloat16_use_them(known: bool, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: known)
    assert Engine._precision("auto", "auto") == expected
    assert Engine._precision("cpu", "float32") == "32-true"
