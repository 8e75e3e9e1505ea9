"""Properties that must hold, one file each; CHECKERS are those by which every run is judged.

To add one: a file here with a subclass of Checker (`base.py` says what it may look at; `tokens.py` is a short model),
its name in CHECKERS below, and in `tests/sim/check/test_checkers.py` a run in which the property is broken on purpose.
"""

from __future__ import annotations

from sim.check.answers import Answers
from sim.check.audit import Audit
from sim.check.base import (
    Asked,
    Boot,
    Checker,
    CheckerFactory,
    CheckResult,
    Commit,
    Commits,
    PropertyViolated,
    Served,
    build_checkers,
)
from sim.check.clock import Causality, Drag, Skew
from sim.check.conflicts import ConflictAgreement
from sim.check.convergence import Convergence
from sim.check.cursors import Cursors
from sim.check.duplicates import Duplicates
from sim.check.durability import Durability
from sim.check.economy import Economy
from sim.check.erasure import Erasure
from sim.check.fact_isolation import FactIsolation
from sim.check.forgotten import Forgotten
from sim.check.lag_labels import LagLabels
from sim.check.leaks import Leaks
from sim.check.mutation import Mutation
from sim.check.past import Past
from sim.check.peer_isolation import PeerIsolation
from sim.check.queues import Queues
from sim.check.reads import Reads
from sim.check.recovery import Recovery
from sim.check.refusals import Refusals
from sim.check.tokens import Tokens
from sim.check.unapproved import Unapproved

__all__ = [
    "CHECKERS", "FOR_READERS", "Asked", "Boot", "CheckResult", "Checker", "CheckerFactory", "Commit", "Commits",
    "PropertyViolated", "Served", "build_checkers",
]  # fmt: skip

CHECKERS: tuple[type[Checker], ...] = (
    Durability, Duplicates, Mutation, Leaks, Cursors, Causality, Drag, Skew, Audit, Answers, Tokens, Refusals, Queues,
    Unapproved, Economy, LagLabels, PeerIsolation, FactIsolation, Erasure, Forgotten, ConflictAgreement, Past,
    Recovery, Convergence,
)  # fmt: skip
"""Safety first, then what is judged at the end."""
FOR_READERS: tuple[type[Checker], ...] = (Reads,)
"""Those that judge a run as well in which somebody reads, and have nothing to look at in any other."""
