"""A table of stays on wards, in which constraints of every kind hold, as words."""

import numpy as np
import pyarrow as pa


def stays(n=1500, seed=0):
    """name -> words: admission <= discharge < invoice (dates, some missing), fees + tax = total (steps .5 and .25), low <= high
    (step 1 and .1), exact <= above (no step), city and zip, pregnancies missing for men."""
    g = np.random.default_rng(seed)
    day = np.datetime64("2021-01-04") + g.integers(0, 700, n)
    out = day + g.integers(0, 30, n) * (g.random(n) < 0.8)
    paid = out + g.integers(1, 60, n)
    fees, tax = g.integers(0, 400, n) / 2, g.integers(0, 40, n) / 4
    low = g.integers(40, 100, n)
    high = (low + g.gamma(2, 15, n)).round(1)
    exact = g.normal(size=n)
    above = exact + g.exponential(size=n) * (g.random(n) < 0.9)
    place = g.choice(12, n, p=np.linspace(2, 1, 12) / np.linspace(2, 1, 12).sum())
    sex = g.choice(["F", "M"], n)
    children = np.where(sex == "M", "", g.integers(0, 4, n).astype(str))
    columns = {
        "case": [f"C-{v:06d}" for v in g.permutation(10**6)[:n]],
        "admission": day.astype(str).tolist(),
        "discharge": np.where(g.random(n) < 0.1, "", out.astype(str)).tolist(),
        "invoice": paid.astype(str).tolist(),
        "fees": [f"{v:.1f}" for v in fees],
        "tax": [f"{v:.2f}" for v in tax],
        "total": [f"{v:.2f}" for v in fees + tax],
        "diastolic": low.astype(str).tolist(),
        "systolic": [f"{v:.1f}" for v in high],
        "exact": [repr(v) for v in exact.tolist()],
        "above": [repr(v) for v in above.tolist()],
        "city": [f"city {c}" for c in (place // 3).tolist()],
        "zip": [f"{1000 + 7 * c}" for c in place.tolist()],
        "sex": sex.tolist(),
        "pregnancies": children.tolist(),
    }
    return columns


def table(columns):
    return pa.table({k: pa.array(v, pa.string()) for k, v in columns.items()})
