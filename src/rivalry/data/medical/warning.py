"""What has to be said of scans that a generative model made or changed, wherever they go."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from rivalry.files import write_text

WARNING: Final = (
    "Changed by a generative model (rivalry): what it shows may be invented, and what is there may be missing. Not for diagnosis."
)
MADE: Final = "Made by a generative model (rivalry): nobody was scanned, and all that it shows is invented. Not for diagnosis."
SHORT: Final = "changed by a generative model: may invent structure; not for diagnosis"


def of_run(state: Mapping[str, object], changes: bool) -> str:
    """What there is to say of a run by the state of its modality; '' where it did not learn from scans."""
    return (WARNING if changes else MADE) if state.get("window") else ""


def write_beside(out: Path) -> Path:
    """The warning as a text: WARNING.txt in a folder of samples, NAME-warning.txt beside a file of them."""
    path = out / "WARNING.txt" if out.is_dir() else out.with_name(f"{out.stem}-warning.txt")
    write_text(path, MADE + "\n")
    return path
