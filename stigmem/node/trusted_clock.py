"""The clock of a node, with a wall time that is not believed when it jumps ahead.

Theory
------
A stamp is for ever: a wall clock that was a day ahead for a second gives facts that every peer refuses for a day, and
one that was 400 days ahead gives facts that nobody sees again. Such a jump must be noticed before it becomes a stamp,
and the only thing to compare a wall clock with is another clock of the same machine: `elapsed_ns`, which nobody sets,
and which goes on while the machine is suspended.

So there is a **line**: where the wall clock should be now, the last believed reading plus what has elapsed since. A
reading at most CLOCK_JUMP_MS above the line is believed. A reading beyond it is a **doubt**: until the doubt ends, this
clock shows the line instead of the reading, so that nothing expires, comes due, or is judged too old by a wrong time,
and a transaction gives no stamp (`Transaction.tick`). A doubt ends in one of four ways: the reading comes back to the
line (`gone`), or whoever knows better believes it (`confirm`): a majority of approved peers, some minutes without a
contradiction, or the operator. Who asks the peers is `stigmem.node.membership.clock_check`.

The line is no straight one. Clocks are slewed, and a correction of a few seconds is no jump, so the line follows the
believed readings up and down, by at most a tenth of what has elapsed (time daemons slew by at most a twelfth). Many
small jumps one after the other are therefore one large one.

Example: the line stands at 12:00:00, an hour elapses, the reading is 13:00:20. It leads by 20 s, is believed, and the
line moves to it. A minute later the reading is 13:31:20: it leads by 30 minutes, and is doubted. Another minute later
the clock shows 13:32:20 and this one 13:02:20.

Invariants
----------
1. What is shown never leads the line by more than the bound, unless it was confirmed.
2. A clock that is set back is shown as it is, at once; when it comes forward again to where it was, that is no jump.
3. After a start the line begins at the later of the reading and the newest stamp in the journal: stamps up to there are
   out already, so nothing worse can come of a reading below it.

A reading costs one call while it lies within the bound of the last judged line, which only rises as time elapses: the
second clock is read about once a minute of wall time.

A doubt survives a restart. No clock says how much elapsed in between, so the line goes on from where the journal had it
last, as if nothing had: a clock that was set right meanwhile leads it by the time that the node was down, and is asked
about like any other.

Known warts: a virtual machine that was stopped has a right wall clock and an elapsed time that stood still, which looks
like a jump and is asked about. A clock that is wrong when a node starts, without a doubt from before, is believed: how
far it leads the journal is shown, and said in the log.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from stigmem.core import limits
from stigmem.node.ports import Clock

__all__ = ["Doubt", "HowEnded", "TrustedClock"]

HowEnded = Literal["gone", "peers", "held", "operator"]
"""How a doubt ended: the clock came back, a majority of the approved peers has the same time, nobody contradicted for
some minutes, or the operator said so."""

_BOUND_NS: Final = limits.CLOCK_JUMP_MS * 1_000_000
_BEHIND_NS: Final = limits.DEFERRED_AHEAD_MS_MAX * 1_000_000
"""A clock that is further behind finds every fact of its peers too early to be tried again."""
_FOLLOW: Final = 10
"""The line follows by a tenth of what has elapsed."""


@dataclass(slots=True)
class Doubt:
    """A jump that is not believed. `wall_ns`, `elapsed_ns`: the two clocks when it was seen; `lead_ns`: by how much the
    wall clock was ahead of the line then. The rest is what peers said when they were asked last."""

    wall_ns: int
    elapsed_ns: int
    lead_ns: int
    peers: int = 0
    agreeing: int = 0
    contradicting: int = 0


class TrustedClock:
    """The clock port that every part of a node is given; see the head of this file."""

    def __init__(self, machine: Clock) -> None:
        self.machine_wall_ns = machine.wall_ns
        """What the machine's wall clock shows, believed or not."""
        self.elapsed_ns = machine.elapsed_ns
        self.monotonic_ns = machine.monotonic_ns
        self.signal = machine.signal
        self.sleep = machine.sleep
        self.checkpoint = machine.checkpoint
        self.spawn = machine.spawn
        self.doubt: Doubt | None = None
        self.lead_ns = 0
        """By how much the machine's wall clock was ahead of what this one showed last; 0 when there is no doubt."""
        self.ended: HowEnded | None = None
        """How the last doubt ended."""
        self.on_doubt: Callable[[], None] = lambda: None
        """Called when a doubt begins, in the middle of whatever read the clock."""
        self.on_return: Callable[[], None] = lambda: None
        """Called by `watch` when the clock has come back from so far behind that peers' facts were refused for good."""
        self._was_behind = False
        self.start_lead_ns: int | None = None
        """By how much the clock was ahead of the newest stamp of the journal at the start; None for an empty one."""
        self._line_ns = self.machine_wall_ns()
        self._line_at_ns = self.elapsed_ns()
        self._clear_ns = self._line_ns + _BOUND_NS
        """A reading up to here needs no second clock; below every reading while there is a doubt."""

    def start_from(self, stamped_ms: int, doubted_line_ms: int = 0) -> None:
        """The journal was read: its newest stamp has this wall time, in ms since the epoch, or 0 when there is none.
        `doubted_line_ms`: where the line stood last, when the node stopped in doubt, else 0."""
        if not stamped_ms and not doubted_line_ms:
            return
        stamped_ns = stamped_ms * 1_000_000
        if stamped_ms:
            self.start_lead_ns = self.wall_ns() - stamped_ns
        now_ns = self.elapsed_ns()
        line_ns = doubted_line_ms * 1_000_000 or self._line_ns + now_ns - self._line_at_ns
        self._draw_line(max(line_ns, stamped_ns), now_ns)
        if doubted_line_ms:
            self.wall_ns()  # judged now, so that nothing is written before
        self._was_behind = self._is_behind()

    def watch(self) -> int:
        """As `wall_ns`, for who looks every minute: also notices that the clock has come back from the past."""
        wall_ns = self.wall_ns()
        if self._is_behind():
            self._was_behind = True
        elif self._was_behind:
            self._was_behind = False
            self.on_return()
        return wall_ns

    def wall_ns(self) -> int:
        """The time that this node goes by: the wall clock, or in doubt the line."""
        wall_ns = self.machine_wall_ns()
        return wall_ns if wall_ns <= self._clear_ns else self._judge(wall_ns)

    def confirm(self, how: HowEnded) -> None:
        """Believe the wall clock as it is now; nothing happens when there is no doubt."""
        if self.doubt is not None:
            self._end(how, self.machine_wall_ns(), self.elapsed_ns())

    def held_ns(self) -> int:
        """For how long the present doubt has lasted; 0 when there is none."""
        return 0 if self.doubt is None else self.elapsed_ns() - self.doubt.elapsed_ns

    # --- inside ---

    def _is_behind(self) -> bool:
        line_ns = self._line_ns + self.elapsed_ns() - self._line_at_ns
        return line_ns - self.wall_ns() > _BEHIND_NS

    def _judge(self, wall_ns: int) -> int:
        now_ns = self.elapsed_ns()
        passed_ns = now_ns - self._line_at_ns
        line_ns = self._line_ns + passed_ns
        lead_ns, doubt = wall_ns - line_ns, self.doubt
        if lead_ns <= _BOUND_NS:
            step_ns = passed_ns // _FOLLOW
            line_ns += max(-step_ns, min(lead_ns, step_ns))
            if doubt is not None:
                self._end("gone", line_ns, now_ns)
            else:
                self._draw_line(line_ns, now_ns)
            return wall_ns
        self.lead_ns = lead_ns
        if doubt is None or abs(wall_ns - doubt.wall_ns - (now_ns - doubt.elapsed_ns)) > _BOUND_NS:
            self.doubt = Doubt(wall_ns, now_ns, lead_ns)
            self._clear_ns = 0
            self.on_doubt()
        return line_ns

    def _end(self, how: HowEnded, line_ns: int, now_ns: int) -> None:
        self.doubt, self.lead_ns, self.ended = None, 0, how
        self._draw_line(line_ns, now_ns)

    def _draw_line(self, line_ns: int, now_ns: int) -> None:
        self._line_ns, self._line_at_ns, self._clear_ns = line_ns, now_ns, line_ns + _BOUND_NS
