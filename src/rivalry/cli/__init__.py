"""The command line: a file per command, imported when it is called, so that `--help` answers at once."""

from __future__ import annotations

import errno
import signal
import sys
from importlib import import_module
from typing import NoReturn

import click

from rivalry.errors import RivalryError

COMMANDS = {
    "train": "Train a GAN on your data, until a target or a budget.",
    "resume": "Go on with a run as if it had never stopped.",
    "sample": "Draw samples from a run: pictures, a sheet, or rows.",
    "apply": "Change pictures, or fill the missing cells of a table, by a run trained on such.",
    "evaluate": "Measure a run: how close, how varied, how much is copied.",
    "audit": "Attack a run: does it tell who was in its training data?",
    "compare": "Compare runs, or recipes over seeds, on the same data.",
    "zoo": "List, show and search the recipes: every named GAN is a row.",
    "data": "Look at data before training: what is there, what is broken.",
    "report": "Write a run's report anew, with curves and pictures.",
    "export": "Write a run's network as an ONNX file, for other programs.",
}


class Lazy(click.Group):
    """Knows its commands' names and summaries; imports a command's module when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"rivalry.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from rivalry.errors import UnknownName

        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise UnknownName("command", args[0], COMMANDS)
        return super().resolve_command(ctx, args)


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="rivalry")
def cli() -> None:
    """Train generative adversarial networks on your own data, until they are good enough.

    \b
    rivalry train mnist-5k                          # a name: looks, picks a recipe, trains, reports
    rivalry train my-pictures/ --until "fd<3x floor" --budget 30m
    rivalry sample my-pictures-1 -n 64 -o sheet.png
    """


MENDED = {
    errno.ENAMETOOLONG: "give a shorter name", errno.EROFS: "name a place that can be written to",
    **dict.fromkeys((errno.EACCES, errno.EPERM), "name a place that you may use, or check its rights"),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "make room, or name another place"),
}  # fmt: skip
"""What is wrong with a place, and what to do; all else is a mistake of ours and keeps its traceback."""


def _short(path: str, most: int = 120) -> str:
    return path if len(path) <= most else f"{path[: most // 2]}...{path[-most // 3 :]}"


def _ended(number: int, frame: object) -> NoReturn:
    """What is half written is taken away on the way out, as at Ctrl-C; 128 and the signal's number is what shells expect."""
    sys.exit(128 + number)


def main() -> NoReturn:
    """Runs the command; errors that a user can mend are one sentence on stderr and exit code 2."""
    signal.signal(signal.SIGTERM, _ended)
    try:
        code = cli.main(standalone_mode=False)
    except RivalryError as error:
        click.echo(f"error: {error}", err=True)
        code = 2
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        code = 130
    except BrokenPipeError:
        sys.stderr.close()
        code = 0
    except OSError as error:
        if error.errno not in MENDED:
            raise
        where = "" if error.filename is None else f"{_short(str(error.filename))}: "
        click.echo(f"error: {where}{error.strerror or error}; {MENDED[error.errno]}", err=True)
        code = 2
    sys.exit(code if isinstance(code, int) else 0)
