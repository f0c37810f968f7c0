"""The report for a data officer: one dated file, HTML or Markdown, that reads the run folder only and holds no row.

blocks     what a page is made of: headings, paragraphs, lists, tables, pictures
tables     sections of evaluation.json as tables of words
pictures   the same as PNG: marginals, associations, survival curves
lineage    where the data come from, how each column was treated, how the model was made
summary    what was found, and what that means
page       all of it in order; html, markdown: how it is written
"""

from __future__ import annotations

from rivalry.officer.page import officer_page, write_officer

__all__ = ["officer_page", "write_officer"]
