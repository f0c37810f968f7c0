"""Does a trained model tell who was in its training data?  Attacks on its samples, and on its discriminator.

sides           members, non-members and the rows an attacker knows
tables, pictures  where rows are compared; nothing in it was trained on them
material        real rows and samples in these spaces
attacking       scores of candidates (stats.attacks has the maths)
discriminator   the run's own discriminators as an attack
memory          copies, near copies, the closest pairs
risks           of tables: singling out, linking, inferring, against a control
retraining      the recipe trained anew, for
shadows         the likelihood ratio attack by shadow models
canaries        planted rows, and the bound on epsilon they give
verdict         what was found, in words, with its assumptions
writing         audit.json, audit.md, the curves
auditing        one audit from samples to verdict
running         of a run's folder
"""

from __future__ import annotations

from rivalry.audit.attacking import Attack, Scorer, Scores
from rivalry.audit.auditing import Setting, audit
from rivalry.audit.canaries import Canaries
from rivalry.audit.memory import Memory
from rivalry.audit.retraining import Retraining
from rivalry.audit.running import asked_about, audit_run
from rivalry.audit.verdict import ALPHA, Audit, Promise
from rivalry.audit.writing import canary_line, memory_lines, risk_lines, table

__all__ = [
    "ALPHA",
    "Attack",
    "Audit",
    "Canaries",
    "Memory",
    "Promise",
    "Retraining",
    "Scorer",
    "Scores",
    "Setting",
    "asked_about",
    "audit",
    "audit_run",
    "canary_line",
    "memory_lines",
    "risk_lines",
    "table",
]
