"""evaluation.json in a run's folder: what was measured, section by section, each with its date and checkpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rivalry.errors import RunError
from rivalry.files import write_json

FILE = "evaluation.json"
FORMAT = 2


def read_record(folder: Path) -> dict[str, Any]:
    """Sections by name, {} where nothing was measured yet; RunError for a damaged file."""
    path = folder / FILE
    if not path.exists():
        return {}
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        sections = stored["sections"] if stored["format"] == FORMAT else None
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise RunError(f"{path} is damaged ({error!r}); delete it and measure again: rivalry evaluate RUN --full") from error
    if not isinstance(sections, dict):
        raise RunError(f"{path} was written by another version; delete it and measure again: rivalry evaluate RUN --full")
    return sections


def add_sections(folder: Path, sections: Mapping[str, Any]) -> None:
    """Puts sections beside those that are there; of equal names the new one stays."""
    write_json(folder / FILE, {"format": FORMAT, "sections": read_record(folder) | dict(sections)})
