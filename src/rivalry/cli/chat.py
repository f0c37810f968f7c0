"""`rivalry apply RUN --chat`: a conversation in the terminal, or in a pipe; and replies to a file of contexts."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rivalry.cli.options import refuse
from rivalry.errors import DataError

if TYPE_CHECKING:
    from rivalry.talking import Conversation, Talking

HELP = "say something; /reset forgets what was said, /quit ends (so does the end of the input)"
OPTIONS = (
    click.option("--chat", is_flag=True, help="Conversations: talk with the run; reads lines, keeps what was said, /reset, /quit."),
    click.option("--candidates", type=int, help="Conversations: draw so many replies and give the best rated (10; 1 where nobody can rate them)."),
    click.option("--temperature", type=float, default=0.8, show_default=True, help="Conversations: below 1 more typical, 0 the likeliest."),
    click.option("--top-p", type=float, default=0.95, show_default=True, help="Conversations: draw from the likeliest tokens of this share."),
)


TALKING = ("chat", "candidates", "temperature", "top_p")


def talking_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options of runs that reply."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def talk(
    run: str, chat: bool, source: Path | None, out: Path | None, talking: Talking, which: str, device: str
) -> bool:  # fmt: skip
    """Talks, or replies to a file, where the run replies; False where it is a run of another kind and nobody asked to talk."""
    from rivalry.api import load
    from rivalry.talking import Conversation, reply_to_file

    loaded = load(run)
    if not chat and not loaded.recipe.game.answers:
        return False
    if loaded.recipe.game.answers:
        refuse(f"is not for conversations, and {run} replies", but=("out", "seed", "which", "device", *TALKING))
    who = loaded.talker(talking, which=which, device=device)
    if chat and (source is not None or out is not None):
        raise click.UsageError("--chat is a conversation; leave FILE and -o out, or leave --chat out to reply to a file")
    if chat:
        converse(Conversation(who), run)
        return True
    if source is None or out is None:
        raise click.UsageError("name a FILE of contexts and -o OUT, or talk with the run by --chat")
    from rivalry.cli.bars import bar

    with bar() as tick:
        n = reply_to_file(who, source, out, tick)
    click.echo(f"{n:,} {'reply' if n == 1 else 'replies'} in {out}")
    return True


def converse(conversation: Conversation, name: str) -> None:
    """Lines of stdin, each replied to on stdout; with a prompt where somebody is there to see it."""
    from rivalry.data.text_tokens import NO_UNICODE

    shown = sys.stdin.isatty()
    if shown:
        click.echo(HELP, err=True)
    while True:
        try:
            line = input("you> ") if shown else sys.stdin.readline()
        except EOFError:
            return
        except UnicodeDecodeError as error:
            raise DataError(NO_UNICODE) from error
        if not shown and not line:
            return
        said = line.strip()
        if said in ("/quit", "/exit"):
            return
        if said == "/reset":
            conversation.reset()
            click.echo("forgotten", err=True)
        elif said.startswith("/"):
            click.echo(f"no such command: {said}; {HELP}", err=True)
        elif (reply := conversation.say(line)) is not None:
            click.echo(f"{name}> {reply}" if shown else reply)
            sys.stdout.flush()
