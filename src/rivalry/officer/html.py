"""A page as one HTML file: no script, nothing loaded from elsewhere, pictures inside, fit to be printed."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Sequence
from typing import Any

from rivalry.officer.blocks import Block, Heading, Items, Listing, Picture, Table, Text

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; color: #1e293b; background: #fff;
  max-width: 60rem; margin: 2rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .5rem; }
h2 { font-size: 1.25rem; margin: 2.4rem 0 .6rem; padding-top: .8rem; border-top: 1px solid #cbd5e1; }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
p, ul { margin: .5rem 0; } li { margin: .25rem 0; }
code { font-size: .9em; background: #f1f5f9; padding: .05em .3em; border-radius: 3px; overflow-wrap: anywhere; }
pre { font-size: .75rem; line-height: 1.4; background: #f8fafc; border: 1px solid #e2e8f0; padding: .8rem;
  white-space: pre-wrap; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .875rem; }
th, td { text-align: left; vertical-align: top; padding: .4rem .6rem; border-bottom: 1px solid #e2e8f0; }
th { border-bottom: 2px solid #94a3b8; font-weight: 600; }
td:first-child { font-weight: 500; }
.note { color: #475569; font-size: .85rem; }
figure { margin: 1rem 0; } img { max-width: 100%; height: auto; } figcaption { color: #475569; font-size: .85rem; }
@media print { body { font-size: 10.5pt; margin: 0; max-width: none; } h2 { break-after: avoid; }
  tr, figure, li { break-inside: avoid; } thead { display: table-header-group; } .wide { overflow: visible; } }
""".strip()

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def to_html(blocks: Sequence[Block]) -> str:
    title = next((b.text for b in blocks if isinstance(b, Heading) and b.level == 1), "Report")
    body = "\n".join(_block(b) for b in blocks)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>\n{STYLE}\n</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _block(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"<h{level}>{words(text)}</h{level}>"
        case Text(text):
            return f"<p>{words(text)}</p>"
        case Items(lines):
            return "<ul>\n" + "\n".join(f"<li>{words(line)}</li>" for line in lines) + "\n</ul>"
        case Listing(text):
            return f"<pre>{html.escape(text)}</pre>"
        case Table():
            return _table(block)
        case Picture(png, alt, caption):
            data = base64.b64encode(png).decode()
            return (
                f'<figure><img alt="{html.escape(alt, quote=True)}" src="data:image/png;base64,{data}">'
                f"<figcaption>{words(caption)}</figcaption></figure>"
            )


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{words(cell)}</th>' for cell in table.head)
    rows = "\n".join("<tr>" + "".join(f"<td>{words(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
    notes = "".join(f'\n<p class="note">{words(note)}</p>' for note in table.notes)
    title = f"<h3>{words(table.title)}</h3>\n" if table.title else ""
    return (
        f'{title}<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div>{notes}'
    )


def words(text: str) -> str:
    """Escaped, with **bold** and `code` as tags; marks within code stay as they are."""
    parts = re.split(r"`([^`]*)`", html.escape(text, quote=False))
    made = [f"<code>{part}</code>" if i % 2 else re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", part) for i, part in enumerate(parts)]
    return "".join(made)


def as_plain(blocks: Sequence[Block]) -> list[dict[str, Any]]:
    """The blocks as values for JSON; of pictures the words only."""
    found: list[dict[str, Any]] = []
    for block in blocks:
        match block:
            case Heading(text, level):
                found.append({"heading": text, "level": level})
            case Text(text):
                found.append({"text": text})
            case Items(lines):
                found.append({"items": list(lines)})
            case Listing(text):
                found.append({"listing": text})
            case Table(title, head, rows, notes):
                lines_ = [dict(zip(head, row, strict=True)) for row in rows]
                found.append({"table": title, "rows": lines_, "notes": list(notes)})
            case Picture(_, alt, caption):
                found.append({"picture": alt, "caption": caption})
    return found
