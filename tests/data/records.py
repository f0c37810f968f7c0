"""Small patient records: a long table, and a folder of three that join."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def patients(n=80, seed=0):
    """Rows of (patient, day, weight, smokes), with sex and age of each patient: heavier patients come more often."""
    rng = np.random.default_rng(seed)
    age, sex = rng.integers(20, 90, n), rng.choice(["F", "M"], n)
    rows = []
    for i in range(n):
        day, weight = np.datetime64("2020-01-01") + int(rng.integers(0, 300)), 50 + 40 * rng.random()
        for _ in range(1 + int(rng.integers(0, 4 if weight > 70 else 2))):
            smokes = "" if rng.random() < 0.1 else rng.choice(["no", "yes"])
            rows.append((f"P{i:03d}", str(day), f"{weight:.1f}", smokes, str(age[i]), sex[i]))
            day, weight = day + int(rng.integers(5, 90)), weight + rng.normal()
    return rows


def long_table(path: Path, n=80) -> Path:
    lines = ["pid,date,weight,smokes,age,sex", *(",".join(r) for r in patients(n))]
    path.write_text("\n".join(lines) + "\n")
    return path


def folder(path: Path, n=80) -> Path:
    """patients.csv, visits.csv (with a visit_id) and codes.csv (a row for each code of a visit)."""
    path.mkdir()
    rows = patients(n)
    people = {r[0]: r[4:] for r in rows}
    (path / "patients.csv").write_text("pid,age,sex\n" + "".join(f"{k},{a},{s}\n" for k, (a, s) in people.items()))
    visits = [f"V{i:04d},{p},{d},{w},{s}" for i, (p, d, w, s, _, _) in enumerate(rows)]
    (path / "visits.csv").write_text("visit_id,pid,date,weight,smokes\n" + "\n".join(visits) + "\n")
    codes = []
    for i, r in enumerate(rows):
        for code, often in (("I10", 2), ("E11", 3), ("J45", 5)):
            codes += [f"V{i:04d},{r[0]},{code}"] * (2 if i % (3 * often) == 0 else int(i % often == 0))
    codes.append("V0000,P000,RARE")
    (path / "codes.csv").write_text("visit_id,pid,code\n" + "\n".join(codes) + "\n")
    return path
