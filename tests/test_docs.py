"""The documentation keeps to the code: links resolve, commands parse with their settings, both READMEs are in step."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from rivalry import auto, zoo
from rivalry.baselines import named as named_baseline
from rivalry.cli import cli
from rivalry.data import names as data_names
from rivalry.evaluate import Budget, Target
from rivalry.recipe import set_value

ROOT = Path(__file__).parent.parent
SKIPPED = {".venv", "runs", "work", "node_modules", ".pytest_cache"}
PAGES = sorted(p for p in ROOT.rglob("*.md") if not SKIPPED & set(p.relative_to(ROOT).parts))
ENGLISH, CHINESE = ROOT / "README.md", ROOT / "README.zh-CN.md"
FENCE = re.compile(r"^```(?P<kind>\w*)[^\n]*\n(?P<body>.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\((?P<to>[^)\s]+)(?:\s+\"[^\"]*\")?\)")
INLINE = re.compile(r"`(rivalry [a-z][^`]*)`")
STAND_INS = {"auto": "house-small"}
"""Settings of 'auto' depend on the data; a row of the same shape is asked instead."""
PLACEHOLDERS = {"auto", "NAME", "FILE", "A", "B"}
"""What stands for the name of a recipe."""


def short(page: Path) -> str:
    return str(page.relative_to(ROOT))


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def prose(page: Path) -> str:
    """The page without its code blocks."""
    return FENCE.sub("", text_of(page))


# -- links ------------------------------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """Headings as GitHub names them in links."""
    heads = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.strip().lower()).replace(" ", "-") for h in heads}


@pytest.mark.parametrize("page", PAGES, ids=short)
def test_relative_links_and_pictures_resolve(page: Path) -> None:
    for link in LINK.finditer(prose(page)):
        to = link["to"]
        if re.match(r"[a-z]+:", to):
            continue
        path, _, anchor = to.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{short(page)} links to {to}, which is not there"
        if anchor:
            assert anchor in anchors(target), f"{short(page)} links to {to}: no such heading"


def test_pictures_of_the_docs_are_small() -> None:
    large = [p.name for p in (ROOT / "docs" / "figures").glob("*.png") if p.stat().st_size >= 150_000]
    assert not large


# -- commands ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Command:
    """A line of documentation that calls rivalry; arguments: what follows the name of the program.  whole: it stands
    in a code block, to be typed as it is; in a sentence a command may be named without its arguments."""

    page: Path
    line: str
    arguments: tuple[str, ...]
    whole: bool

    def __str__(self) -> str:
        return f"{short(self.page)}: {self.line}"


def arguments_of(line: str) -> tuple[str, ...] | None:
    """What rivalry is called with in a line of shell, None if it is not called; a comment and a redirection end it."""
    words = shlex.split(line, comments=True)
    if "-m" in words and words[words.index("-m") + 1 :][:1] == ["rivalry"]:
        words = words[words.index("-m") + 1 :]
    if not words or Path(words[0]).name != "rivalry":
        return None
    ends = [i for i, word in enumerate(words) if word in (">", "|", "&&", ";")]
    return tuple(words[1 : ends[0] if ends else len(words)])


def commands(page: Path) -> Iterator[Command]:
    blocks = [m["body"] for m in FENCE.finditer(text_of(page)) if m["kind"] in ("bash", "sh", "shell", "console", "")]
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    mentioned = INLINE.findall(prose(page))
    for line, whole in [*((x, True) for x in lines), *((x, False) for x in mentioned)]:
        if "rivalry" not in line or "..." in line:
            continue
        try:
            found = arguments_of(line.removeprefix("$ "))
        except ValueError:
            pytest.fail(f"{short(page)}: {line!r} is no line of shell")
        if found is not None:
            yield Command(page, line.strip(), found, whole)


COMMANDS = [c for page in PAGES for c in commands(page)]


def parsed(arguments: tuple[str, ...]) -> click.Context:
    """The context of the innermost command, parsed and not run."""
    command: click.Command = cli
    context, rest = click.Context(cli, info_name="rivalry"), list(arguments)
    while isinstance(command, click.Group) and rest:
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None, f"no such command: {name}"
        command = found
        if not isinstance(command, click.Group):
            return command.make_context(name, rest, parent=context)
        context = click.Context(command, info_name=name, parent=context)
    return context


def test_there_are_commands_in_the_docs() -> None:
    called = {c.arguments[0] for c in COMMANDS if c.arguments}
    assert {"train", "resume", "sample", "evaluate", "compare", "report", "zoo", "data"} <= called


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_commands_parse_and_name_what_exists(command: Command) -> None:
    try:
        given = parsed(command.arguments).params
    except click.ClickException as error:
        if isinstance(error, click.MissingParameter) and not command.whole:
            return
        pytest.fail(f"{command}: {error.format_message()}")
    recipes = [given.get("recipe") or "auto", *str(given.get("recipes") or "auto").split(",")]
    if command.arguments[:2] == ("zoo", "show"):
        recipes.append(given["name"])
    for name in recipes:
        if name not in PLACEHOLDERS and not name.endswith(".toml") and named_baseline(name) is None:
            zoo.get(name)  # raises UnknownName
    if given.get("until"):
        Target.parse(given["until"])
    if given.get("budget"):
        Budget.parse(given["budget"])


@pytest.mark.parametrize("command", [c for c in COMMANDS if "--set" in c.arguments], ids=str)
def test_settings_fit_their_recipe(command: Command) -> None:
    given = parsed(command.arguments).params
    recipe = zoo.get(STAND_INS.get(given["recipe"], given["recipe"]))
    for line in given["settings"]:
        recipe = set_value(recipe, *line.split("=", 1))


def test_data_that_go_by_name_are_known() -> None:
    known = {c.arguments[1] for c in COMMANDS if len(c.arguments) > 1 and c.arguments[0] == "train"}
    plain = {name for name in known if re.fullmatch(r"[a-z0-9-]+", name)}
    assert plain <= set(data_names())


# -- both READMEs -------------------------------------------------------------------------------------------------------


def test_readmes_have_the_same_headings() -> None:
    levels = [[len(h) for h in re.findall(r"^(#+) ", prose(page), re.MULTILINE)] for page in (ENGLISH, CHINESE)]
    assert levels[0] == levels[1]


def test_readmes_have_the_same_code() -> None:
    english, chinese = ([m.group(0) for m in FENCE.finditer(text_of(page))] for page in (ENGLISH, CHINESE))
    assert english == chinese


def test_readmes_have_the_same_links_in_the_same_places() -> None:
    def links(page: Path) -> list[list[str]]:
        sections = re.split(r"^#+ .*$", prose(page), flags=re.MULTILINE)
        found = [[m["to"] for m in LINK.finditer(s)] for s in sections]
        return [sorted(to for to in section if not to.startswith("README")) for section in found]

    assert links(ENGLISH) == links(CHINESE)
    assert "(README.zh-CN.md)" in text_of(ENGLISH)
    assert "(README.md)" in text_of(CHINESE)


def test_readmes_show_the_same_figures() -> None:
    def figures(page: Path) -> set[str]:
        section = text_of(page).split("<!-- figures -->")[1].split("<!-- /figures -->")[0]
        return set(re.findall(r"\d[\d,]*\.?\d*|\.\d+", section))

    assert figures(ENGLISH) == figures(CHINESE)


# -- numbers that the code decides ------------------------------------------------------------------------------------


def test_thresholds_of_the_automatic_recipe_are_those_of_the_code() -> None:
    page = text_of(ROOT / "docs" / "why-did-it-collapse.md")
    assert f"below {auto.FEW:,} pictures" in page
    assert f"without labels, below {auto.FEWER:,}" in page
    assert f"at least {auto.PER_CLASS} pictures" in page


@pytest.mark.parametrize("page", PAGES, ids=short)
def test_python_in_the_docs_is_python(page: Path) -> None:
    for block in FENCE.finditer(text_of(page)):
        if block["kind"] == "python":
            compile(block["body"], short(page), "exec")
