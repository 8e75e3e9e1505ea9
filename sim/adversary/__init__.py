"""Kinds of hostile peers, one file each; the registry below is what a scenario's `kind` is looked up in."""

from __future__ import annotations

from sim.adversary.base import Adversary
from sim.adversary.clock_pusher import ClockPusher
from sim.adversary.extender import Extender
from sim.adversary.false_voucher import FalseVoucher
from sim.adversary.flipper import Flipper
from sim.adversary.flooder import Flooder
from sim.adversary.forger import Forger
from sim.adversary.hasher import Hasher
from sim.adversary.holder import Holder
from sim.adversary.id_thief import IdThief
from sim.adversary.instruction import Instruction
from sim.adversary.malformed import Malformed
from sim.adversary.overreach import Overreach
from sim.adversary.page_liar import PageLiar
from sim.adversary.pusher import Pusher
from sim.adversary.relay_forger import RelayForger
from sim.adversary.replayer import Replayer
from sim.adversary.retractor import Retractor
from sim.adversary.staller import Staller
from sim.adversary.twin import Twin

__all__ = ["ADVERSARIES", "Adversary", "AnyAdversary"]

ADVERSARIES: tuple[type[Adversary], ...] = (
    ClockPusher, Extender, FalseVoucher, Flipper, Flooder, Forger, Hasher, Holder, IdThief, Instruction, Malformed,
    Overreach, PageLiar, Pusher, RelayForger, Replayer, Retractor, Staller, Twin,
)  # fmt: skip
AnyAdversary = (
    ClockPusher | Extender | FalseVoucher | Flipper | Flooder | Forger | Hasher | Holder | IdThief | Instruction
    | Malformed | Overreach | PageLiar | Pusher | RelayForger | Replayer | Retractor | Staller | Twin
)  # fmt: skip
