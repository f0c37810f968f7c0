"""What scans are: kinds, series, slices, spacing, values, the window, and what is broken; nothing that says whose they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from rivalry.data.inspection import Inspection
from rivalry.data.medical import reading, survey
from rivalry.data.medical.survey import Survey
from rivalry.data.options import ReadOptions
from rivalry.data.rows import balance
from rivalry.data.sources import Scans
from rivalry.data.split import share_held
from rivalry.data.words import count, some


def inspect_scans(source: Scans, options: ReadOptions) -> Inspection:
    """Reads every file once.  Raises DataError as reading does."""
    slices = reading.gather(source, replace(options, limit=None))
    found, chosen = slices.found, slices.chosen
    headers = found.whole
    plan, notes = reading.plan_of(found, options)
    held = round(share_held(len(slices.rows), options.holdout) * len(slices.rows))
    unit = "HU" if chosen.modality == "CT" else "in the files' units"
    said = {
        "files": _times([f"{h.kind} {h.modality}".strip() for h in headers]),
        "patients": f"{len({h.patient for h in headers}):,} (or volumes, where files name none)",
        "series": f"{len({h.series for h in headers}):,}, of {_range([int((found.volume == v).sum()) for v in np.unique(found.volume)])} slices",
        "spacing in mm": _spacings(found),
        "values": f"{found.low.min():g} to {found.high.max():g} {unit}" if len(found.low) else "none",
        "window": "; ".join(chosen.notes),
        "empty": f"{count(int(chosen.empty.sum()), 'slice')} of {len(chosen.empty):,} show next to nothing",
    }
    turned = sum(h.inverted for h in headers)
    if turned:
        said["inverted"] = f"{count(turned, 'file')}: small numbers are white (MONOCHROME1), turned round for training"
    sizes = Counter(f"{h.height}x{h.width}" for h in headers for _ in range(h.slices))
    return Inspection(
        source.name, source.where, "image", total=len(chosen.empty), whole=len(slices.index),
        held=None if slices.rows.held is None else int(slices.rows.held.sum()), sizes=dict(sizes.most_common()),
        depths=dict(Counter(str(h.bits) for h in headers)), classes=balance(slices.rows.compact()),
        broken=tuple(survey.named_broken(found, source, slices.files)), left_out=source.left_out,
        proposal={"size": f"{plan.height}x{plan.width}", "channels": plan.channels, "bits": plan.bits, "held back": f"about {held}"},
        notes=(*slices.rows.notes, *(n for n in slices.notes if n not in chosen.notes), *notes), scans=said,
    )  # fmt: skip


def _times(words: Iterable[str]) -> str:
    return some([f"{k} ({n:,})" for k, n in Counter(words).most_common()], 8)


def _range(numbers: list[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _spacings(found: Survey) -> str:
    """'3 x .5 x .5 (24 files)': between slices, rows, columns."""
    words = [" x ".join(f"{round(s, 2):g}" if s else "?" for s in h.spacing) for h in found.whole]
    return f"{_times(words)} (slices x rows x columns)"
