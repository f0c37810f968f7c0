"""Baselines: what is no game, and stands beside every game in a table.

cells   encoded rows of tables as whole numbers
forest  distributions that hang together as a forest, from counts with or without noise
trees   independent columns, and a spanning tree of pairs (MST), both also under differential privacy
counted a baseline as a run of its own
using   which baseline a name means, and which rows it is fitted to
"""

from __future__ import annotations

from rivalry.baselines.counted import as_recipe, counted, fitted, refuse, take
from rivalry.baselines.trees import MST, Independent
from rivalry.baselines.using import check, fit, kept, named, private, usual

__all__ = [
    "MST", "Independent", "as_recipe", "check", "counted", "fit", "fitted", "kept", "named", "private", "refuse", "take", "usual",
]  # fmt: skip
