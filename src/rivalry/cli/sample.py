"""`rivalry sample`."""

from __future__ import annotations

from pathlib import Path

import click

from rivalry.cli.options import PlacePath, device, refuse

USUAL = {"table": "samples.csv", "records": "records", "text": "samples.txt"}
"""Where samples go without -o, in RUN/samples, by kind of data."""


@click.command("sample")
@click.argument("run")
@click.option("-n", "count", type=int, default=64, show_default=True, help="How many.")
@click.option(
    "-o",
    "--out",
    type=PlacePath(),
    help="A folder, .png (a sheet), .npz, .csv, .parquet, of text also .txt, .jsonl, .tsv, or "
    "with --walk a .png or .gif; RUN/samples/samples.png (.csv for tables, .txt for text) without it.",
)
@click.option("--label", help="A class, by name or number, for runs with labels.")
@click.option("--where", default="", help="Conditions on a table's columns, such as 'age>60, sex=F, ward=A|B, lab!=missing'.")
@click.option("--balance", default="", help="Equal numbers of a column's levels ('income'), or shares: 'income=0.3,0.7', "
              "'ward=A:0.5,B:0.5'.")
@click.option("--truncation", type=float, default=1.0, show_default=True, help="Below 1: more typical, less varied.")
@click.option("--temperature", type=float, default=1.0, show_default=True, help="Of text: below 1 more typical, 0 the likeliest.")
@click.option("--top-p", type=float, default=1.0, show_default=True, help="Of text: draw from the likeliest tokens of this share.")
@click.option("--prompt", default="", help="Of text: what every line begins with.")
@click.option("--walk", is_flag=True, help="Interpolate between random latents.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--which",
    type=click.Choice(["best", "last"]),
    default="best",
    show_default=True,
    help="The checkpoint with the best score, or the last one.",
)
@click.option(
    "--reject-copies",
    metavar="DATA",
    help="The training data: samples nearer to a training row than 5 % of held-out rows are drawn anew.",
)
@device
def command(
    run: str, count: int, out: Path | None, label: str | None, truncation: float, walk: bool, seed: int, which: str,
    device: str, where: str, balance: str, reject_copies: str | None, temperature: float, top_p: float, prompt: str,
) -> None:  # fmt: skip
    """Draw samples from RUN.

    \b
    rivalry sample demo -n 100 -o samples/          # numbered PNGs, in class folders if there are labels
    rivalry sample demo -n 64 -o sheet.png --label 3
    rivalry sample demo --walk -o walk.gif
    rivalry sample patients -n 10000 -o synthetic.csv --where "age>60, sex=F"
    rivalry sample patients -n 10000 -o even.csv --balance diagnosis
    rivalry sample patients -n 10000 -o synthetic.csv --reject-copies patients.csv
    rivalry sample captions -n 20 -o lines.txt --temperature .8 --top-p .95 --prompt "a man"
    """
    from rivalry.api import load
    from rivalry.cli.bars import bar
    from rivalry.drawing import Decoding

    loaded = load(run)
    usual = "walk.gif" if walk else USUAL.get(loaded.modality.kind, "samples.png")
    out = out or loaded.path / "samples" / usual
    if walk:
        refuse("has no use in a walk", ("count", "where", "balance", "reject_copies", "temperature", "top_p", "prompt"))
        written = loaded.walk(out, seed=seed, label=label, truncation=truncation, which=which, device=device)
    else:
        with bar() as tick:
            written = loaded.write_samples(
                out, count, seed=seed, label=label, truncation=truncation, which=which, device=device, where=where,
                balance=balance, reject_copies=reject_copies, tick=tick, decoding=Decoding(temperature, top_p, prompt),
            )  # fmt: skip
    click.echo(str(written[0]) if len(written) == 1 else f"{len(written)} files in {out}")
