"""Is training well?  Collapse, divergence, saturation and oscillation, from a few hundred fakes and reals at a pulse.

vitals    reads a pulse: spread, coverage, distance, what the discriminator is sure of
rules     what counts as ill, and in which words
monitor   remembers, waits for confirmation, and says so: `Monitor.pulse(...) -> Diagnosis`
"""

from __future__ import annotations

from rivalry.health.monitor import Diagnosis, Monitor
from rivalry.health.rules import Kind, Limits
from rivalry.health.vitals import Vitals, vitals

__all__ = ["Diagnosis", "Kind", "Limits", "Monitor", "Vitals", "vitals"]
