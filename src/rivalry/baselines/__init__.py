"""Baselines: what is no game, and stands beside every game in a table.

cells   encoded rows of tables as whole numbers
forest  distributions that hang together as a forest, from counts with or without noise
trees   independent columns, and a spanning tree of pairs (MST), both also under differential privacy
using   which baseline a name means, and which rows it is fitted to
"""

from __future__ import annotations

from rivalry.baselines.trees import MST, Independent
from rivalry.baselines.using import check, fit, kept, named, usual

__all__ = ["MST", "Independent", "check", "fit", "kept", "named", "usual"]
