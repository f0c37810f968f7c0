"""`rivalry apply`."""

from __future__ import annotations

from pathlib import Path

import click

from rivalry.cli.chat import TALKING, talk, talking_options
from rivalry.cli.options import PlacePath, device, refuse
from rivalry.cli.options import strength as as_strength
from rivalry.errors import DataError


@click.command("apply")
@click.argument("run")
@click.argument("source", metavar="FILE|FOLDER|TEXT", required=False)
@click.option("-o", "--out", type=PlacePath(),
              help="Where to: a file of the ending wanted or, for pictures, a folder that mirrors FOLDER.")
@click.option("--draws", type=int, default=1, show_default=True, help="So many results, OUT-1 ...: each is drawn anew (tables; networks with noise).")
@click.option("--seed", type=int, default=0, show_default=True, help="Of what is drawn.")
@click.option("--which", type=click.Choice(["best", "last"]), default="best", show_default=True, help="The checkpoint.")
@click.option("--strength", callback=as_strength, metavar="0..2|auto", help="Pictures: 0 keeps the picture (enlarged, where the run enlarges), 1 is the "
              "network's answer (auto, as usual), more, up to 1.5, goes beyond it. Texts: auto (as usual) is as much as each needs to be in the style; 0 changes "
              "nothing, 1 is as trained, 2 all words.")
@click.option("--perception", type=float, default=1.0, metavar="0..1", help="Pictures: 0 invents nothing (pixels alone decided), 1 is as trained; for "
              "runs whose judge joined later.")
@click.option("--label", help="Pictures: the class to make, of runs that go between several (stargan).")
@click.option("--self-ensemble", is_flag=True, help="Pictures: the mean over turned and mirrored views, those that training knew (eight, or two); as many times slower, a bit better.")
@click.option("--tile", type=int, metavar="PIXELS", help="Pictures: side of a tile; by memory without it.")
@click.option("--mask", type=PlacePath(), metavar="FILE|FOLDER", help="Pictures: where holes are to be filled, white on black.")
@click.option("--sheet", type=PlacePath(), metavar="FILE.png", help="Pictures: also show before, after, and the difference.")
@click.option("--quality", type=int, metavar="1..100", help="Pictures: of JPEG, WebP and AVIF (95).")
@click.option("--overwrite", is_flag=True, help="Pictures: replace results that are there.")
@click.option("--window", metavar="CENTRE,WIDTH", help="Scans: what the network is shown, in place of the window it was trained with.")
@click.option("--keep-identity", is_flag=True, help="Scans: keep what tells who the patient is; it is removed otherwise.")
@click.option("--likely", is_flag=True, help="Tables: the most likely value (numbers: the mean) in place of a draw.")
@click.option("--pool", type=int, metavar="ROWS", help="Tables: generated rows among which like ones are looked for (50,000).")
@click.option("--style", metavar="STYLE", help="Texts: the style to rewrite TEXT, or the lines of FILE, in.")
@talking_options
@device
def command(
    run: str, source: str | None, out: Path | None, draws: int, seed: int, which: str, strength: float | None, perception: float, label: str | None, self_ensemble: bool, tile: int | None,
    mask: Path | None, sheet: Path | None, quality: int | None, overwrite: bool, window: str | None, keep_identity: bool, likely: bool, pool: int | None, style: str | None, device: str,
    chat: bool, candidates: int | None, temperature: float, top_p: float,
) -> None:  # fmt: skip
    """Put RUN to work on files of yours; what RUN was trained on decides how.

    Runs that change pictures (restore, enlarge, translate ...) change a picture, or all pictures below a folder: of any size,
    in tiles.  Depth of 8 or 16 bits, alpha, EXIF and colour profile are kept, and pictures are written upright.

    Scans (DICOM series, NIfTI volumes) are changed slice by slice and keep their geometry; what tells who the patient is goes,
    and with --draws a map of how sure the network is comes beside the result.

    Runs that learned to name pictures (pixelda, ccgan) do so where OUT ends in .csv: file, class, probability; and they say how
    many are right, where files lie in folders called after their class.

    Runs on tables fill missing cells by what they make of the cells that are there; all others stay as they are. Runs on patient
    records do so in a FOLDER of the same tables, or in one long table.

    Runs on conversations reply: --chat talks with them, a FILE has a context in each line (turns parted by tabs, or JSON lines), and of
    several candidates the best rated is given.
    Runs on texts in several styles rewrite a text that is typed, or a file line by line, in the one --style names: each as much as it
    needs, or all by the same --strength, which takes a sixth of the time.

    No training data are read.

    \b
    rivalry apply sharper photo.jpg -o sharp.jpg
    rivalry apply sharper holiday/ -o holiday-sharp/ --strength .7 --sheet look.png
    rivalry apply filler photo.png --mask holes.png -o whole.png
    rivalry apply patients gaps.csv -o filled.csv --draws 5
    rivalry apply talks --chat
    rivalry apply mood --style positive "the food was cold"
    rivalry apply mood --style positive reviews.txt -o kinder.txt
    """
    from rivalry.api import load
    from rivalry.cli.bars import bar
    from rivalry.cli.styles import check_styled, show_restyled
    from rivalry.talking import Talking

    if talk(run, chat, None if source is None else Path(source), out, Talking(candidates, temperature, top_p, seed), which, device):
        return
    refuse(f"is for runs that reply, and {run} does not", TALKING)
    if style is not None:
        refuse("has no use where texts are rewritten", but=("out", "which", "strength", "style", "device"))
    if source is None:
        if style is not None:
            raise DataError("say what is to be rewritten: a text, or a FILE with a line for each")
        raise click.UsageError("name a FILE or FOLDER, and with -o where to write to")
    if style is not None:
        show_restyled(run, source, style, out, strength, which, device)
        return
    place = Path(source)
    if out is None:
        check_styled(load(run))
        raise DataError(f"say where the result goes with -o OUT, for example: rivalry apply {run} {place.name} -o {place.stem}-out{place.suffix}")
    with bar() as tick:
        done = load(run).apply(
            place, out, draws=draws, seed=seed, likely=likely, pool=pool, strength=strength, self_ensemble=self_ensemble, tile=tile,
            quality=quality, mask=mask, sheet=sheet, overwrite=overwrite, window=window, keep_identity=keep_identity, which=which,
            perception=perception, label=label, device=device, tick=tick,
        )  # fmt: skip
    click.echo(done.text())
