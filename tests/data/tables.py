"""Tables of every type of column, and hard ones, and what tests ask of them."""

import numpy as np
import pyarrow as pa
import torch

CPU = torch.device("cpu")


def every(store):
    return torch.arange(len(store))


def seen(store):
    return store.batch(every(store), CPU).x


def column(data, name):
    return [c.name for c in data.modality.learned].index(name)


def hard(n=6000):
    """Columns that are hard to encode, as floats and words."""
    rng = np.random.default_rng(3)
    heavy = np.exp(3 * rng.normal(size=n)).round(2)
    zeros = np.where(rng.random(n) < 0.4, 0.0, rng.gamma(2, 30, n).round(1))
    days = (np.datetime64("1950-01-01") + rng.integers(0, 20_000, n)).astype(str)
    gone = np.where(rng.random(n) < 0.3, "NA", "7")
    half = np.where(rng.random(n) < 0.2, "", rng.normal(size=n).astype(str))
    return pa.table({
        "heavy": heavy.astype(str).tolist(), "zeros": zeros.astype(str).tolist(), "day": days.tolist(),
        "seven": gone.tolist(), "half": half.tolist(), "whole": rng.integers(-500, 500, n).astype(str).tolist(),
        "word": np.where(rng.random(n) < 0.1, "?", rng.choice(["a", "b"], n)).tolist(),
    })  # fmt: skip


def made(n=60):
    """One column of each type, as words, with what they are."""
    rng = np.random.default_rng(0)
    days = np.datetime64("2019-03-14") + rng.integers(0, 900, n)
    columns = {
        "age": rng.integers(18, 90, n).astype(str).tolist(),
        "price": [f"{v:.2f}" for v in rng.lognormal(3, 1, n)],
        "city": rng.choice(["Bern", "Ulm, Nord", 'Kö"ln'], n).tolist(),
        "smokes": rng.choice(["Yes", "No"], n).tolist(),
        "sex": rng.choice(["M", "F"], n).tolist(),
        "seen": days.astype(str).tolist(),
        "code": [f"AB-{v:04d}" for v in rng.permutation(9000)[:n]],
        "remark": [f"patient {i} was seen again on the ward and was well, {i * 7} days later" for i in range(n)],
        "unit": ["mg"] * n,
        "stage": rng.integers(1, 5, n).astype(str).tolist(),
        "dead": rng.integers(0, 2, n).astype(str).tolist(),
    }
    types = ("number", "number", "category", "boolean", "category", "date", "identifier", "text", "constant",
             "category", "boolean")  # fmt: skip
    return columns, dict(zip(columns, types, strict=True))


def as_csv(columns, comma=",", header=True):
    def cell(text):
        return '"' + text.replace('"', '""') + '"' if any(c in text for c in (comma, '"', "\n")) else text

    rows = [list(columns)] if header else []
    rows += list(zip(*columns.values(), strict=True))
    return "\n".join(comma.join(map(cell, row)) for row in rows) + "\n"
