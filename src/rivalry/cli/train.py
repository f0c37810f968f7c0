"""`rivalry train`."""

from __future__ import annotations

from typing import Any

import click

from rivalry.cli.options import PlacePath, defending, device, read_options, reading


@click.command("train")
@click.argument("data")
@click.option(
    "--recipe",
    help="A row of the zoo ('dcgan', 'dcgan-small'), a TOML file, 'auto', or, for tables, a baseline that counts rows ('mst', 'independent').",
    default="auto",
    show_default=True,
)
@click.option("--until", default="", help='Target, e.g. "fd<20, coverage>.5" or "fd<3x floor".')
@click.option(
    "--budget", default="", help="10m, 40s, 2h, 500steps or 4096samples; the recipe's own length without it."
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a setting of the recipe, e.g. batch=32 or discriminator.optimiser.lr=1e-4; repeatable.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Same seed, same machine, same result.")
@click.option(
    "--run",
    "--name",
    "name",
    default="",
    help="Name of the run; its folder is runs/NAME. (Under torchrun say --name: torchrun takes --run for its own.)",
)
@click.option(
    "--from", "start", default="", metavar="RUN", help="Start from the networks of another run (fine-tune)."
)
@click.option("--overwrite", is_flag=True, help="Replace a run of that name.")
@click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16", "auto"]),
    default=None,
    help="Of forward and backward passes; parameters stay float32. Without it: what the machine is fast at for pictures, tables and rewriting text, float32 for the rest.",
)
@click.option(
    "--weights",
    type=PlacePath(),
    help="Weights of a feature extractor for the rulers "
    "(Inception, DINOv2 ...); a small local one is trained without it.",
)
@click.option(
    "--dp-epsilon",
    type=float,
    metavar="EPSILON",
    help="Train under differential privacy, spending no more than this, e.g. 3; smaller is more private.",
)
@click.option(
    "--dp-delta",
    type=float,
    metavar="DELTA",
    help="The other half of --dp-epsilon; N^-1.1 of N training rows without it.",
)
@click.option("--cap", type=int, metavar="N", help="Let the run hand out so many samples in all, and no more.")
@click.option("--no-tensorboard", is_flag=True, help="Write no TensorBoard logs.")
@device
@defending
@reading
def command(**given: Any) -> None:
    """Train a GAN on DATA: a name (mnist-5k, fashion-mnist, ring8 ...), a folder of pictures (sub-folders are
    classes), an archive, npz, idx, Parquet, a table
    (CSV, Parquet), or a folder of tables that share a key.

    With nothing else it looks at the data, says what it saw, picks a recipe sized to data and machine, and says why.
    Ctrl-C saves; `rivalry resume RUN` goes on.  Exit codes: 0 done, 2 a mistake in what was asked, 3 training did
    not recover.

    Pictures lie in pairs or two sets (A and B, noisy and clean, trainA and trainB, halves side by side)? Then it learns to make one
    of the other; --task says what to learn instead (generate: new pictures).

    \b
    rivalry train mnist-5k --budget 3m
    rivalry train photos/ --recipe stylegan2-ada-small --size 64 --until "fd<3x floor" --budget 2h
    rivalry train ring8 --recipe gan-small --budget 2000steps
    rivalry train patients.csv --dp-epsilon 3
    rivalry train patients.csv --dedupe --k-anonymous 10 --quasi sex,age,zip --clip
    """
    from rivalry.api import train

    run = train(
        given["data"],
        recipe=given["recipe"],
        until=given["until"],
        budget=given["budget"],
        settings=given["settings"],
        seed=given["seed"],
        run=given["name"],
        start=given["start"],
        overwrite=given["overwrite"],
        device=given["device"],
        precision=given["precision"] or "",
        weights=given["weights"],
        tensorboard=not given["no_tensorboard"],
        options=read_options(given),
        dp_epsilon=given["dp_epsilon"],
        dp_delta=given["dp_delta"],
        cap=given["cap"],
    )
    if run.ended == "diverged":
        raise click.exceptions.Exit(3)
