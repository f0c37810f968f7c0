"""A page as one Markdown file, pictures inside as data URIs."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from rivalry.officer.blocks import Block, Heading, Items, Listing, Picture, Table, Text


def to_markdown(blocks: Sequence[Block]) -> str:
    return "\n\n".join(_block(b) for b in blocks) + "\n"


def _block(block: Block) -> str:
    match block:
        case Heading(text, level):
            return "#" * level + f" {_safe(text)}"
        case Text(text):
            return _safe(text)
        case Items(lines):
            return "\n".join(f"- {_safe(line)}" for line in lines)
        case Listing(text):
            return f"```\n{text}\n```"
        case Table():
            return _table(block)
        case Picture(png, alt, caption):
            data = base64.b64encode(png).decode()
            return f"![{_safe(alt)}](data:image/png;base64,{data})\n\n{_safe(caption)}"


def _table(table: Table) -> str:
    lines = [f"### {_safe(table.title)}", ""] if table.title else []
    lines += [_row(table.head), "|" + "---|" * len(table.head)]
    lines += [_row(row) for row in table.rows]
    lines += [part for note in table.notes for part in ("", _safe(note))]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_safe(cell).replace("|", "\\|") for cell in cells) + " |"


def _safe(text: str) -> str:
    """Names of columns and values cannot become tags or links."""
    for mark in "<[]":
        text = text.replace(mark, f"&#{ord(mark)};")
    return text.replace("\n", " ")
