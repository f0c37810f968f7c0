"""Imports point downwards only."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "src" / "rivalry"
FLOORS = (
    ("errors", "types", "streams", "catalogue", "parts", "players", "files", "pictures", "modes"),
    ("objectives", "penalties", "terms", "augment", "degrade", "schedules", "controllers", "optimisers", "afters", "nets", "stats",
     "extractors"),
    ("data",),
    ("games", "recipe", "room", "sampling", "zoo"),
    ("run", "evaluate", "health", "card", "report", "privacy", "baselines", "officer"),
    ("training",),
    ("auto", "experiments", "checks", "audit", "apply", "apply_records", "changing", "drawing", "exporting", "rivals", "styling", "sweeping", "talking", "using"),
    ("api", "cli"),
)  # fmt: skip
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


FILES = sorted(p for p in ROOT.rglob("*.py") if room(p) not in ("__init__", "__main__"))


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rivalry"):
            parts = (node.module or "").split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("rivalry.")}
    return found


def test_every_module_has_a_floor() -> None:
    assert {room(p) for p in FILES} <= FLOOR.keys()


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_downwards(path: Path) -> None:
    above = {name for name in imported(path) & FLOOR.keys() if FLOOR[name] > FLOOR[room(path)]}
    assert not above, f"{path.relative_to(ROOT)} imports from a higher floor: {', '.join(sorted(above))}"


def test_files_stay_small() -> None:
    long = [f"{p.relative_to(ROOT)}: {n}" for p in FILES if (n := len(p.read_text().splitlines())) > 420]
    assert not long
