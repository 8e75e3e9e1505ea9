"""What theory says, as functions of numbers: distribution functions, and recursions where there is no closed form.

The theory in short. A puller that rests an interval T between pulls comes back every P = T + 2L + S seconds, where L
is the way of a message and S the sync with which the server stores the token before it answers. A fact that is
written at a moment that has nothing to do with the puller's phase waits a uniform part of P until a page is chosen
that holds it, and L + 2S more until it is durable at the asker (the server's sync, the way, the asker's sync).

    one hop      lag = P * U + (L + 2S)
    h hops       lag = P * (U1 + ... + Uh) + h * (L + 2S), and a sync more at every hop but the first for the first
                 fact of an origin, whose manifest is stored before it (spec/replication.md, 4). Phases of different
                 pullers are independent, so over seeds the sum is Irwin and Hall's; within one run only U1 varies,
                 which is why seeds are counted and not facts
    jitter       what is left of a period that varies, by renewal theory: long periods are met more often
    any graph    the first arrival over all paths when every link is a timetable with a phase of its own
    a cut        both sides try in vain, ever more rarely, and the first that gets through wakes the other
    a backlog    pages in a row: the next one is asked for when a page arrives, and stored two ways and a sync after it

Example: T = 2 s, L = 1 ms, S = 0.5 ms. P = 2.0025 s; one hop takes 0.002 to 2.0045 s, 1.003 s on average; eight hops
8.026 s on average, with a spread (over seeds) of P * sqrt(8/12) = 1.63 s.

Sources: P. Hall, "The distribution of means for samples of size N drawn from a population in which the variate takes
values between 0 and 1", and J. O. Irwin, both Biometrika 19 (1927); E. W. Dijkstra (1959) for the timetable; D. V.
Lindley (1952) for the queue of a link.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Pull:
    """The times of a pull in seconds: interval, one way, sync."""

    interval_s: float
    way_s: float
    sync_s: float = 0.0005

    @property
    def period_s(self) -> float:
        """From one empty pull to the next of the same puller."""
        return self.interval_s + 2 * self.way_s + self.sync_s

    @property
    def hop_s(self) -> float:
        """From the choosing of a page to its being durable at the asker."""
        return self.way_s + 2 * self.sync_s

    @property
    def stranger_s(self) -> float:
        """What the first fact of an origin that is no peer costs more at a hop: its manifest is stored before it."""
        return self.sync_s

    @property
    def round_s(self) -> float:
        """From a question to its page being durable at the asker."""
        return 2 * self.way_s + 2 * self.sync_s

    @property
    def page_s(self) -> float:
        """From one page to the next of the same reading, whose question was sent when the one before it arrived: the
        asker's own sync lies within the way of question and answer."""
        return 2 * self.way_s + self.sync_s


# --- distribution functions ---


def residual(x: Floats, least: float, most: float) -> Floats:
    """What is left of a period, uniform between two bounds, at a moment that has nothing to do with it: by renewal
    theory the density at x is the chance of a longer period divided by the mean one."""
    inner = np.clip(x, least, most)
    longer = ((most - least) ** 2 - (most - inner) ** 2) / (2.0 * (most - least))
    return np.clip((np.clip(x, 0.0, least) + longer) * 2.0 / (least + most), 0.0, 1.0)


def uniform(x: Floats) -> Floats:
    """On 0..1."""
    return np.clip(x, 0.0, 1.0)


def irwin_hall(x: Floats, terms: int) -> Floats:
    """Of the sum of so many independent uniform variables on 0..1."""
    inside = np.clip(x, 0.0, float(terms))
    total = sum((-1) ** k * math.comb(terms, k) * np.clip(inside - k, 0.0, None) ** terms for k in range(terms + 1))
    return np.asarray(total / math.factorial(terms))


def exponential(x: Floats, mean: float) -> Floats:
    return np.asarray(1.0 - np.exp(-np.clip(x, 0.0, None) / mean))


def lognormal(x: Floats, median: float, p99: float) -> Floats:
    """With this median and 99th percentile."""
    sigma = math.log(p99 / median) / NormalDist().inv_cdf(0.99)
    return np.array([NormalDist(math.log(median), sigma).cdf(math.log(value)) for value in x])


def geometric(most: int, success: float) -> Floats:
    """Chance of 0, 1, ... `most` - 1 failures before a success, and of `most` or more."""
    failure = 1.0 - success
    return np.array([*(success * failure**k for k in range(most)), failure**most])


def zipf(count: int, exponent: float) -> Floats:
    """Chance of each rank."""
    weights = np.arange(1, count + 1, dtype=float) ** -exponent
    return weights / weights.sum()


# --- timetables: any graph without faults ---


def first_arrivals(
    origin: int,
    written: float,
    phases: dict[tuple[int, int], float],
    pull: Pull,
    asked_by: Sequence[Sequence[int]],
    hops_max: int | None = None,
) -> dict[int, float]:
    """When a fact is durable on each node, by Dijkstra. `phases`: (who asks, whom) -> a moment at which it asks;
    `asked_by`: for each node who asks it; `hops_max`: how often a fact is served on, None for without end."""
    arrived: dict[int, float] = {}
    heap = [(written, origin, 0)]
    while heap:
        time, node, hops = heapq.heappop(heap)
        if node in arrived:
            continue
        arrived[node] = time
        if hops == hops_max:
            continue
        for reader in asked_by[node]:
            if reader not in arrived:
                wait = (phases[reader, node] - time) % pull.period_s
                heapq.heappush(heap, (time + wait + pull.hop_s, reader, hops + 1))
    return arrived


def timetable_lags(
    links: Sequence[tuple[int, int]], facts: int, pull: Pull, random: Random, hops_max: int | None = None
) -> Floats:
    """Lags of facts that are written at random on random nodes of one federation with random phases. `links`: both
    directions of every link."""
    nodes = 1 + max(max(link) for link in links)
    asked_by: list[list[int]] = [[] for _ in range(nodes)]
    for reader, peer in links:
        asked_by[peer].append(reader)
    phases = {link: random.random() * pull.period_s for link in links}
    found: list[float] = []
    for _ in range(facts):
        origin, written = random.randrange(nodes), random.random() * pull.period_s
        arrived = first_arrivals(origin, written, phases, pull, asked_by, hops_max)
        found += [time - written for node, time in arrived.items() if node != origin]
    return np.array(found)


# --- a cut between two nodes ---


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How a puller bears silence. `growth`: of the back-off from one failure to the next; `woken`: whether being heard
    from ends it."""

    timeout_s: float
    growth: float = 2.0
    most_s: float = 60.0
    woken: bool = True


def _attempts(pull: Pull, cut_s: float, patience: Patience, random: Random) -> Iterator[tuple[float, int]]:
    """When a puller that is left alone asks, from the first question that is lost (the cut begins at 0), and how many
    failures it knows of then; the last one is the first after the heal."""
    lost_s = pull.way_s + pull.sync_s  # a question just before the cut loses its answer
    time, failures = random.random() * pull.period_s - lost_s, 0
    while True:
        yield time, failures
        if time >= cut_s:
            return
        failures += 1
        base_s = min(pull.interval_s * patience.growth ** (failures - 1), max(patience.most_s, pull.interval_s))
        time += patience.timeout_s + base_s * (0.8 + 0.4 * random.random())


def catch_up_s(pull: Pull, cut_s: float, patience: Patience, random: Random) -> float:
    """From the heal of a cut between two nodes to the moment at which both hold what the other wrote meanwhile.

    The first to get through, at m, holds the other's facts at m + round; its question reaches the other at m + L. The
    other asks at once when it rests after a failure; after its own timeout when a retry is under way; and when it has
    not failed yet, or its first failure is still to come, in its own time or at the first's next question.
    """
    sides = [list(_attempts(pull, cut_s, patience, random)) for _ in range(2)]
    early, late = sorted(sides, key=lambda attempts: attempts[-1][0])
    first = early[-1][0]
    knock, turn = first + pull.way_s, late[-1][0]
    timeout_s = patience.timeout_s
    while knock < turn and patience.woken:
        under_way = [(time, failures) for time, failures in late if time <= knock < time + timeout_s and time < cut_s]
        failed = [time for time, _ in late if time < cut_s and time + timeout_s <= knock]
        if under_way and under_way[-1][1] > 0:
            turn = min(turn, under_way[-1][0] + timeout_s)
            break
        if not under_way and failed:
            turn = knock
            break
        knock += pull.period_s
    return max(first, turn) + pull.round_s - cut_s


# --- pages and queues ---


def page_sizes(facts: int, limit: int, limit_max: int = 500) -> list[int]:
    """How a backlog falls into pages: five full ones double the limit, up to `limit_max`, from the page after the next
    on, since the next one has been asked for by then. That one is not full for the new limit."""
    sizes: list[int] = []
    full, asked = 0, limit
    while facts:
        sizes.append(min(facts, asked))
        facts -= sizes[-1]
        full = full + 1 if asked == limit else 0
        asked = limit
        if full == 5:
            full, limit = 0, min(limit * 2, limit_max)
    return sizes


def link_delays_ns(sent: Sequence[tuple[int, int]], bits_per_s: int, way_ns: int) -> list[int]:
    """The delay of each of one direction's messages (when sent, how many bytes) that queue for a link."""
    free, found = 0, []
    for time, size in sent:
        free = max(time, free) + size * 8 * 1_000_000_000 // bits_per_s
        found.append(free - time + way_ns)
    return found


def run_lengths(outcomes: Sequence[bool]) -> list[int]:
    """How many failures stand before each success."""
    places = [-1, *(place for place, good in enumerate(outcomes) if good)]
    return [here - before - 1 for before, here in pairwise(places)]
