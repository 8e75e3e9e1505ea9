"""Swizzle: links are cut one after the other in one order, and healed one after the other in another.

What it finds are orders: who hears of something first, who asks whom meanwhile, and what comes when everything that
was held back is let go at different times. A partition cuts and heals everything at once and shows none of that.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial

from sim.diagnostics.errors import Misfit
from sim.fault.links import LinkFault
from sim.kinds import kind
from sim.ports import FaultEnv
from sim.topology.federation import Federation
from sim.world.rules import Cut

__all__ = ["Swizzle"]


@kind("swizzle")
class Swizzle(LinkFault, kw_only=True):
    """In the first half of `for` the links are cut one by one in a drawn order, in the second they heal in another.

    `hold`: packets wait for the heal of their link instead of being lost.
    """

    hold: bool = False
    """Let packets wait until their link is healed instead of losing them."""

    def check(self, federation: Federation) -> None:
        super().check(federation)
        if self.lasts is None:
            raise Misfit("for", "say how long it takes to cut and to heal all links, for example for = '1m'")
        if not self._struck(federation):
            raise Misfit("node" if self.node else "kind", "no link is struck, so nothing would happen")

    def _struck(self, federation: Federation) -> list[tuple[str, str]]:
        return [(a, b) for a, b in federation.links if self.strikes(a, b)]

    @contextmanager
    def inject(self, env: FaultEnv) -> Iterator[None]:
        rng, touches = env.rng(), self.touches()
        links = self._struck(env.federation)
        step_ns = int(self.lasts or 0) // (2 * len(links))
        cut: dict[tuple[str, str], AbstractContextManager[None]] = {}
        is_over = False

        def begin(link: tuple[str, str]) -> None:
            if not is_over:
                ways = frozenset(way for way in (link, link[::-1]) if touches(*way))
                guard = env.network.rule(Cut(f"swizzle of {' and '.join(link)}", ways, hold=self.hold))
                guard.__enter__()
                cut[link] = guard

        def end(link: tuple[str, str]) -> None:
            if link in cut:
                cut.pop(link).__exit__(None, None, None)

        for turn, link in enumerate(rng.sample(links, len(links))):
            env.after(turn * step_ns, partial(begin, link))
        for turn, link in enumerate(rng.sample(links, len(links))):
            env.after((len(links) + turn) * step_ns, partial(end, link))
        yield
        is_over = True
        for link in list(cut):
            end(link)
