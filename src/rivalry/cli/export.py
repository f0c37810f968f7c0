"""`rivalry export`."""

from __future__ import annotations

from pathlib import Path

import click

from rivalry.cli.options import PlacePath


@click.command("export")
@click.argument("run")
@click.option("-o", "--out", type=PlacePath(), help="The file, ending in .onnx; RUN/model.onnx without it.")
@click.option("--onnx", is_flag=True, help="As ONNX, which is what there is.")
@click.option("--which", type=click.Choice(["best", "last"]), default="best", show_default=True, help="The checkpoint.")
@click.option("--perception", type=float, default=1.0, metavar="0..1", help="0 invents nothing (pixels alone decided), 1 is as trained; for "
              "runs whose judge joined later.")
@click.option("--label", help="The class to make, of runs that go between classes.")
def command(run: str, out: Path | None, onnx: bool, which: str, perception: float, label: str | None) -> None:
    """Write the network of RUN as an ONNX file, for programs that need neither PyTorch nor rivalry.

    The network may change pictures (of any size and number) or make them of noise.  The file is held against the network in
    onnxruntime before it is kept, says in its metadata what it takes, and holds no training data.  examples/onnx_apply.py
    shows how one is used.

    \b
    rivalry export sharper -o sharper.onnx
    python examples/onnx_apply.py sharper.onnx photo.jpg sharp.png
    """
    from rivalry.api import load

    loaded = load(run)
    click.echo(loaded.export(out or loaded.path / "model.onnx", which=which, perception=perception, label=label).text())
