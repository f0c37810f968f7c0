"""Clinical measures of a table's columns, as plain values: codes, zeros, missing cells; each beside what training rows get."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from rivalry import stats
from rivalry.errors import DataError
from rivalry.evaluate.study.sides import LEAST, Sides, rounded, share
from rivalry.stats.clinical import code_errors, code_prediction, codes, missing_pair_error, zero_shares

ABSENT = ("0", "no", "n", "false", "f", "absent", "none", "neg", "negative")
"""How the level of a two-level category is spelled that says a row does not have the code."""
ZEROS = 0.2
"""A whole number that is 0 in so large a share of rows is taken for a count of a code."""
INFLATED = 0.01


def code_columns(sides: Sides) -> list[int]:
    """Booleans, categories of two levels one of which says 'no', and counts that are often 0 (numbers, or levels that are
    whole numbers)."""
    found = []
    for place in range(len(sides.columns)):
        levels = sides.levels(place)
        if len(levels) == 2:
            coded = any(_is_absent(word) for word in levels)
        else:
            known = counted(sides, sides.train, place)
            known = known[~known.isnan()]
            whole = len(known) > 0 and bool(((known == known.round()) & (known >= 0)).all())
            coded = whole and float((known == 0).double().mean()) >= ZEROS
        if coded:
            found.append(place)
    return found


def _is_absent(word: str) -> bool:
    return word.strip().lower() in ABSENT


def counted(sides: Sides, rows: Tensor, place: int) -> Tensor:
    """[N]: how often each row has the code: the number itself, or that of its level; two-level categories are 0 and 1; NaN
    for levels that are no numbers."""
    column, levels = rows[:, place], sides.levels(place)
    if not levels:
        return column
    if len(levels) == 2:
        counts = [0.0 if _is_absent(word) else 1.0 for word in levels]
    else:
        counts = [float(word) if word.isdecimal() else torch.nan for word in levels]
        if any(count != count for count in counts):  # words, not counts
            return torch.full_like(column, torch.nan)
    table = torch.tensor([*counts, torch.nan], dtype=torch.float64)
    return table[torch.where(column.isnan(), len(levels), column).long()]


def presence(sides: Sides, rows: Tensor, places: list[int]) -> Tensor:
    """[N, K] counts of the codes."""
    return torch.stack([counted(sides, rows, place) for place in places], 1)


def clinic(sides: Sides) -> dict[str, Any]:
    """codes (where there are two or more), zeros, missing: errors of synthetic rows, and of as many training rows."""
    train = sides.train[: len(sides.fake)]
    made: dict[str, Any] = {"missing": _missing(sides, train)}
    zeros = _zeros(sides, train)
    if zeros["columns"]:
        made["zeros"] = zeros
    places = code_columns(sides)
    if len(places) >= 2:
        made["codes"] = _codes(sides, train, places)
    return made


def _missing(sides: Sides, train: Tensor) -> dict[str, Any]:
    held = sides.held
    measures = {"pairs": missing_pair_error, "pattern": stats.missing_pattern_distance}
    found: dict[str, Any] = {
        name: {"value": rounded(measure(held, sides.fake)), "floor": rounded(measure(held, train))}
        for name, measure in measures.items()
    }
    found["any"] = bool(held.isnan().any() or sides.fake.isnan().any())
    return found


def _zeros(sides: Sides, train: Tensor) -> dict[str, Any]:
    """Of numbers that are 0 in at least INFLATED of training rows, and in LEAST of them: the share of zeros."""
    shares = [zero_shares(side) for side in (sides.train, sides.fake, sides.held, train)]
    zeros, known = (sides.train == 0).sum(0).tolist(), (~sides.train.isnan()).sum(0).tolist()
    places = [
        i
        for i, kind in enumerate(sides.kinds)
        if kind == "number" and float(shares[0][i]) >= INFLATED and zeros[i] >= LEAST
    ]
    columns = [
        {"column": sides.names[i], "real": share(zeros[i], known[i]), "synthetic": rounded(float(shares[1][i]), 3)}
        for i in places
    ]
    if not places:
        return {"columns": []}
    error, floor = (float((shares[2] - side)[places].abs().mean()) for side in (shares[1], shares[3]))
    return {"columns": columns, "value": rounded(error), "floor": rounded(floor)}


def _codes(sides: Sides, train: Tensor, places: list[int]) -> dict[str, Any]:
    everyone, some, held, fake = (presence(sides, side, places) for side in (sides.train, train, sides.held, sides.fake))
    value, floor = code_errors(held, fake), code_errors(held, some)
    theirs = codes(fake).shares
    having, known = (everyone > 0).sum(0).tolist(), (~everyone.isnan()).sum(0).tolist()
    shares = [
        {"column": sides.names[p], "real": share(having[k], known[k]), "synthetic": rounded(float(theirs[k]), 3)}
        for k, p in enumerate(places)
    ]
    rare = code_errors(everyone, fake)  # rare codes are too few among held-out rows
    made: dict[str, Any] = {
        "columns": [sides.names[p] for p in places],
        "shares": shares,
        "probability": {"value": rounded(value.probability), "floor": rounded(floor.probability)},
        "co-occurrence": {"value": rounded(value.cooccurrence), "floor": rounded(floor.cooccurrence)},
        "rare": {"codes": rare.rare, "lost": rounded(rare.lost), "ratio": rounded(rare.rare_ratio)},
    }
    if find_spec("sklearn"):
        made["prediction"] = _prediction(sides, (everyone, fake, held), places)
    return made


def _prediction(sides: Sides, rows: tuple[Tensor, Tensor, Tensor], places: list[int]) -> dict[str, Any] | None:
    try:
        found = code_prediction(*rows)
    except DataError:  # no code that some held-out rows have and some lack
        return None
    return {
        "columns": [sides.names[places[k]] for k in found.places],
        "real": [rounded(v) for v in found.real.tolist()],
        "synthetic": [rounded(v) for v in found.fake.tolist()],
        "gap": rounded(float((found.real - found.fake).mean())),
    }
