"""`rivalry report`."""

from __future__ import annotations

from pathlib import Path

import click

from rivalry.cli.options import PlacePath, as_json, echo_json


@click.command("report")
@click.argument("run")
@click.option("--officer", is_flag=True, help="The report for a data officer: one file, to be read by whoever decides on use.")
@click.option("-o", "out", type=PlacePath(), help="With --officer: a .html or .md file (RUN/officer.html).")
@as_json
def command(run: str, officer: bool, out: Path | None, as_json: bool) -> None:
    """Write RUN's report.md anew, with curves, samples and scores, and print where it is.

    With --officer: one dated file without any row of the data, of what `rivalry evaluate RUN --full` and `rivalry audit RUN`
    found, with lineage, settings, defences and limits.

    \b
    rivalry report patients --officer -o officer.html
    """
    from rivalry.api import load
    from rivalry.errors import RunError

    found = load(run)
    if not officer:
        if out is not None or as_json:
            raise RunError("-o and --json are for the report for a data officer; say --officer too")
        click.echo(str(found.report()))
    elif as_json:
        from rivalry.officer import officer_page
        from rivalry.officer.html import as_plain

        echo_json(as_plain(officer_page(found.folder)))
    else:
        click.echo(str(found.officer_report(out)))
