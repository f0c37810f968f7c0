"""What stands beside the scores of runs that change pictures: doing nothing, the last checkpoint, the twin by pixels alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import rivalry
from rivalry.cli import cli
from rivalry.data import ReadOptions
from rivalry.degrade import task
from rivalry.run import PIXELS
from rivalry.stats.pictures import SMALLEST, ms_ssim, ssim
from rivalry.zoo.changing import house

SETTINGS = ("nets.generator.width=8", "nets.generator.blocks=2", "nets.discriminator.width=8", "batch=4")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> rivalry.Run:
    """Enlarging twice, by pixels for 60 % of the training and then against a judge."""
    folder = tmp_path_factory.mktemp("rivals")
    (folder / "photos").mkdir()
    g = torch.Generator().manual_seed(0)
    for i in range(12):
        y, x = torch.meshgrid(torch.linspace(0, 6, 48), torch.linspace(0, 6, 48), indexing="ij")
        f = torch.rand(3, 1, 1, generator=g) * 3
        wave = (0.6 * torch.sin(f * x + 2 * f.flip(0) * y) + 1) * 127.5
        Image.fromarray(wave.round().to(torch.uint8).permute(1, 2, 0).numpy()).save(folder / "photos" / f"{i}.png")
    recipe = house(task("super-resolution-x2"), False, 3, 48, adversarial=True)
    return rivalry.train(
        folder / "photos", recipe=recipe, budget="20steps", run=str(folder / "run"), options=ReadOptions(task="super-resolution-x2", patch=24),
        settings=SETTINGS, tensorboard=False, say=lambda line: None,
    )  # fmt: skip


def test_evaluate_shows_doing_nothing_the_twin_and_how_it_was_measured(run: rivalry.Run) -> None:
    scores, beside = run.beside(64)
    assert run.folder.step(PIXELS) == 12
    others = {"bicubic", *(("pixels alone",) if run.folder.step() != 12 else ()), *(("last",) if run.folder.step() != 20 else ())}
    assert set(beside) == others
    for one in beside.values():
        assert {m: s.ruler for m, s in one.items()} == {m: s.ruler for m, s in scores.items()}
    assert beside["bicubic"]["gain"].value == 0
    assert beside["bicubic"]["psnr"].value == pytest.approx(scores["psnr"].value - scores["gain"].value)
    text = CliRunner().invoke(cli, ["evaluate", str(run.path), "-n", "64"], catch_exceptions=False).output
    head, *rows = text.splitlines()
    assert "bicubic" in head
    assert any(row.startswith("SSIM-RGB") for row in rows)
    assert "2 pixels at the border are left out, as many as pictures are enlarged by" in text
    assert "MS-SSIM takes 176 pixels a side, and the squares have 20, so it is left out" in text
    found = json.loads(CliRunner().invoke(cli, ["evaluate", str(run.path), "-n", "64", "--json"]).stdout)
    assert found["baselines"]["bicubic"]["scores"]["psnr"]["value"] == beside["bicubic"]["psnr"].value


def test_the_report_shows_one_look_a_column_and_says_its_step(run: rivalry.Run) -> None:
    looks = {r["step"]: r["scores"] for r in run.folder.metrics() if "scores" in r}
    assert 12 in looks, "the end of the stage by pixels alone is looked at"
    report = run.report().read_text()
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in report.splitlines() if line.startswith("|")]
    head, _, *rows = table
    best = run.folder.step("best")
    assert head == ["ruler", "last (step 20)", "95 % interval", f"best checkpoint (step {best})", "pixels alone (step 12)", "doing nothing", "floor (real data)"]
    by_name = {row[0]: row for row in rows}
    for name, step in ((3, best), (4, 12), (1, 20)):
        assert by_name["PSNR"][name] == f"{looks[step]['psnr']['value']:.4g}"
        assert by_name["SSIM-RGB"][name] == f"{looks[step]['ssim-rgb']['value']:.4g}"
    assert float(by_name["PSNR"][5]) == pytest.approx(looks[20]["psnr"]["value"] - looks[20]["gain"]["value"], rel=1e-3)
    assert "2 pixels at the border are left out" in report
    assert "Doing nothing is the input itself" in report


def test_a_row_that_is_judged_from_the_first_step_says_that_it_has_no_twin(tmp_path: Path, run: rivalry.Run) -> None:
    for side in ("A", "B"):
        (tmp_path / "pairs" / side).mkdir(parents=True)
        for i in range(12):
            Image.effect_noise((32, 32), 20 + i).convert("RGB").save(tmp_path / "pairs" / side / f"{i}.png")
    settings = ("nets.generator.width=8", "nets.discriminator.width=8", "batch=4")
    judged = rivalry.train(
        tmp_path / "pairs", recipe="pix2pix-small", budget="2steps", run=str(tmp_path / "run"), settings=settings, tensorboard=False,
        say=lambda line: None,
    )  # fmt: skip
    told = "a discriminator judged from the first step, so there is no twin by pixels alone"
    assert told in CliRunner().invoke(cli, ["evaluate", str(judged.path), "-n", "8"], catch_exceptions=False).output
    assert told in judged.report().read_text()
    assert run.folder.untwinned == ""
    lines = [json.loads(line) for line in (judged.path / "metrics.jsonl").read_text().splitlines()]
    (judged.path / "metrics.jsonl").write_text("".join(json.dumps({k: v for k, v in r.items() if k != "paired"}) + "\n" for r in lines))
    older = rivalry.load(judged.path).report().read_text()
    assert "held-out squares whose truth is known: none, border of 0 left out" in older
    assert all("worst" not in r.get("paired", {}) for r in lines)


def test_structure_in_colour_is_the_mean_over_the_channels() -> None:
    g = torch.Generator().manual_seed(0)
    a = torch.rand(2, 3, 180, 180, generator=g, dtype=torch.float64) * 2 - 1
    b = (a + 0.3 * torch.randn(a.shape, generator=g, dtype=torch.float64)).clamp(-1, 1)
    alone = torch.stack([ssim(a[:, c : c + 1], b[:, c : c + 1]) for c in range(3)]).mean(0)
    assert torch.allclose(ssim(a, b), alone, atol=1e-12)
    assert bool(ms_ssim(a, b).isfinite().all())
    assert bool(ms_ssim(a[..., : SMALLEST - 1], b[..., : SMALLEST - 1]).isnan().all())
