"""Kinds of hostile peers, one file each; the registry below is what a scenario's `kind` is looked up in."""

from __future__ import annotations

from sim.adversary.base import Adversary
from sim.adversary.overreach import Overreach

__all__ = ["ADVERSARIES", "Adversary", "AnyAdversary"]

ADVERSARIES: tuple[type[Adversary], ...] = (Overreach,)
AnyAdversary = Overreach
