"""What a data officer asks of synthetic rows of a table, as plain values that hold no row: evaluation.json in the run.

sides      training, held-out and synthetic rows in their own units; small counts are not told
useful     learning from synthetic rows, against real ones and both
groups     the same and the columns' errors within groups of people
clinic     codes, zeros, missing cells
surviving  Kaplan-Meier curves, censoring, and a Cox model learnt from synthetic rows
views      what pictures show: histograms, shares and associations, suppressed and rounded
making     all of it for one run; record: the file
"""

from __future__ import annotations

from rivalry.evaluate.study.making import Ask, study
from rivalry.evaluate.study.record import FILE, add_sections, read_record
from rivalry.evaluate.study.sides import LEAST, Sides, columns_of

__all__ = ["FILE", "LEAST", "Ask", "Sides", "add_sections", "columns_of", "read_record", "study"]
