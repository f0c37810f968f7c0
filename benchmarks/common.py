"""What the benchmarks share: naming the machine, tables, and where results are kept."""

from __future__ import annotations

import platform
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from rivalry.run import machine, versions

HERE = Path(__file__).parent
WORK = HERE / "work"
"""Runs and downloads of benchmarks; not part of the repository."""
SHARED = HERE.parent.parent / "shared" / "data"
"""Development data; benchmarks that need them say so where they are missing."""


def about() -> str:
    """The machine in a line."""
    m, v = machine(), versions()
    gpu = f", {m['gpu']}" if m["gpu"] else ""
    return f"{m['cpu']}, {m['threads']} threads{gpu}, {platform.system()}, torch {v['torch']}, rivalry {v['rivalry']}"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(_cell(c) for c in row) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def keep(name: str, title: str, text: str) -> None:
    """Prints a result and writes it to results/NAME.md with the command as it was typed."""
    command = shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    page = f"# {title}\n\nMachine: {about()}.\n\n    {command}\n\n{text}\n"
    print(page)
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / f"{name}.md").write_text(page, encoding="utf-8")


def shared(folder: str) -> Path:
    """A development data set; exits with a word where it is missing."""
    path = SHARED / folder
    if not path.exists():
        sys.exit(f"this benchmark needs the development data {folder}, which are not at {path}")
    return path


def threads(count: int) -> None:
    torch.set_num_threads(count)
