"""Fitting a scenario together: names, times, files and graphs against each other, before anything runs.

Here is the door, and what concerns names and metrics; shapes and maps are `sim.topology.shapes`'s, times
`sim.scenario.time_checks`'s, delays `sim.topology.latency`'s, warnings `sim.scenario.warnings`'s. Every part of a
scenario has a say through its own `check`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec

from sim.diagnostics.errors import Misfit
from sim.diagnostics.kind_errors import whose
from sim.diagnostics.suggestions import meant, quoted, suggestion
from sim.diagnostics.toml_lines import KeyPath, parse_key
from sim.fault.backup import Backup, RestoreBackup
from sim.kinds import find_kinds
from sim.naming import slug
from sim.scenario.changes import variant_of, with_settings
from sim.scenario.metrics import LAG, METRICS, REJECTIONS, is_timed, known_metrics
from sim.scenario.plan import Plan
from sim.scenario.plugins import named_modules
from sim.scenario.reading import BadScenario, plain_values, read_source, typed
from sim.scenario.required_data import check_needs
from sim.scenario.schema_errors import Mistake
from sim.scenario.seeds import checked_seed
from sim.scenario.tables import Expectation, Scenario
from sim.scenario.time_checks import check_overlaps, check_times
from sim.scenario.warnings import warnings
from sim.topology.latency import standing_rules
from sim.topology.shapes import make_topology
from sim.units import parse_duration
from sim.world.random_streams import RandomStreams
from stigmem.core import limits
from stigmem.core.audit import EVENTS

__all__ = ["load_plan", "make_plan"]


def load_plan(
    path: Path,
    seed: int | None = None,
    *,
    allow_plugins: bool = False,
    variant: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Plan:
    """The plan of a scenario file, or of one of its variants, with these values at dotted keys and with another seed if
    they are given. `allow_plugins`: whether modules that it names may be imported. Raises BadScenario with file and
    line, and DataAbsent, which is one, when only a file that it `needs` is absent."""
    source = read_source(path, allow_plugins=allow_plugins)
    try:
        scenario = source.scenario
        if variant is not None:
            scenario = variant_of(scenario, variant, folder=path.parent, allow_plugins=allow_plugins)
        if settings:
            scenario = with_settings(scenario, settings, folder=path.parent, allow_plugins=allow_plugins)
        plan = replace(_fit(_seeded(scenario, seed), path.parent), set_values=dict(settings or {}))
        for each in scenario.variant:
            _fit_variant(scenario, each.name, path.parent, allow_plugins=allow_plugins)
        return plan
    except BadScenario as error:
        raise error.located(path, source.lines) from None


def _fit_variant(scenario: Scenario, name: str, folder: Path, *, allow_plugins: bool) -> None:
    """A variant that cannot run is a mistake of its file."""
    found = variant_of(scenario, name, folder=folder, allow_plugins=allow_plugins)
    try:
        _fit(found, folder)
    except BadScenario as error:
        number = [each.name for each in scenario.variant].index(name)
        told = [Mistake(("variant", number), f"with {name}: {each.sentence}") for each in error.mistakes]
        raise BadScenario(told) from None


def make_plan(scenario: Scenario, base: Path, seed: int | None = None) -> Plan:
    """The plan of a scenario, which may have been made or changed in Python; its data files are looked for
    relative to `base`. Raises BadScenario with keys, but without file and line."""
    return _fit(_seeded(_retyped(scenario, base), seed), base)


def _retyped(scenario: Scenario, base: Path) -> Scenario:
    """Held to the types of a file, as Python holds nobody to them; parts of kinds that no file can name stay."""
    modules = named_modules(scenario.scenario.plugins)
    registered = {sort: tuple(find_kinds(sort, modules).values()) for sort in _SORTS}
    parts = {name: list(getattr(scenario, name)) for name in registered}
    known = {name: [part for part in parts[name] if isinstance(part, kinds)] for name, kinds in registered.items()}
    # Whoever has a Scenario in Python that names plugins has run their code, or has written the names himself.
    checked = typed(plain_values(msgspec.structs.replace(scenario, **known)), folder=base, allow_plugins=True)
    again = {name: iter(getattr(checked, name)) for name in registered}
    return msgspec.structs.replace(
        checked,
        **{name: [next(again[name]) if isinstance(part, kinds) else part for part in parts[name]]
           for name, kinds in registered.items()},
    )  # fmt: skip


def _seeded(scenario: Scenario, seed: int | None) -> Scenario:
    if seed is None:
        return scenario
    try:
        found = checked_seed(seed)
    except ValueError as error:
        raise BadScenario([Mistake(("scenario", "seed"), str(error))]) from None
    return msgspec.structs.replace(scenario, scenario=msgspec.structs.replace(scenario.scenario, seed=found))


_SELECTORS: Final = ("per", "node", "origin", "scope", "hops", "link", "window")
"""Keys of an expectation that choose what it looks at."""


_SORTS: Final = ("fault", "workload", "adversary")


def _fit(scenario: Scenario, base: Path) -> Plan:
    parts = [(sort, number, part) for sort in _SORTS for number, part in enumerate(getattr(scenario, sort))]
    try:
        return _fitted(scenario, base)
    except BadScenario:
        raise
    except Exception as error:  # of a kind that somebody else wrote; what is ours is a bug
        known = whose(error, (part for *_, part in parts))
        if known is None:
            raise
        places = [(sort, number) for sort, number, part in parts if part is known.part]
        raise BadScenario([Mistake(places[0], str(known))]) from error


def _fitted(scenario: Scenario, base: Path) -> Plan:
    check_needs(scenario, base)
    found = [*check_times(scenario), *_expectations(scenario), *_reached(scenario), *_settings(scenario)]
    try:
        table = scenario.federation
        layout = make_topology(table.topology, table.nodes, seed=scenario.scenario.seed, folder=base)
    except Misfit as misfit:
        raise BadScenario([*found, _mistake((), misfit)]) from None
    plan = Plan(scenario, base, layout.graph, layout.positions)
    found += [
        *_clocks(plan),
        *_links(plan),
        *_expected_nodes(plan),
        *_adversaries(plan),
        *_parts(plan),
        *_backups(plan),
        *check_overlaps(plan),
    ]
    found += _regions(plan) or _delays(plan)
    if found:
        raise BadScenario(found)
    return replace(plan, warnings=(*layout.notes, *warnings(plan)))


def _mistake(prefix: KeyPath, misfit: Misfit) -> Mistake:
    sentence = misfit.sentence
    if misfit.given is not None and misfit.known:
        sentence += suggestion(misfit.given, misfit.known, "there are")
    return Mistake((*prefix, *parse_key(misfit.key)), sentence)


# --- names ---


def _stranger(plan: Plan, path: KeyPath, name: str) -> Mistake:
    if any(adversary.node == name for adversary in plan.scenario.adversary):
        return Mistake(path, f"{quoted(name)} is an adversary; only nodes of the federation can stand here")
    return Mistake(path, f"there is no node {quoted(name)}" + suggestion(name, plan.nodes, "the nodes are"))


def _clocks(plan: Plan) -> Iterator[Mistake]:
    seen: dict[str, int] = {}
    for number, table in enumerate(plan.scenario.clock):
        path = ("clock", number, "node")
        if table.node not in plan.graph:
            yield _stranger(plan, path, table.node)
        elif table.node in seen:
            yield Mistake(path, f"the clock of {quoted(table.node)} is set already, by clock[{seen[table.node]}]")
        seen.setdefault(table.node, number)


def _links(plan: Plan) -> Iterator[Mistake]:
    seen: dict[tuple[str, ...], int] = {}
    for number, table in enumerate(plan.scenario.link):
        path = ("link", number, "between")
        first, second = table.between
        strangers = [(at, name) for at, name in enumerate(table.between) if name not in plan.graph]
        direction = (first, second, "one way") if table.one_way else tuple(sorted(table.between))
        for at, name in strangers:
            yield _stranger(plan, (*path, at), name)
        if strangers:
            continue
        if first == second:
            yield Mistake(path, f"a link is between two nodes, and both are {quoted(first)}")
        elif not plan.graph.has_edge(first, second):
            linked = suggestion(second, tuple(plan.graph.neighbors(first)), f"{quoted(first)} is linked with")
            yield Mistake(path, f"{quoted(first)} and {quoted(second)} are not linked in this topology{linked}")
        elif direction in seen:
            yield Mistake(path, f"this link has a table already, link[{seen[direction]}]; put both into one")
        elif table.one_way and table.scopes is not None:
            yield Mistake(("link", number, "scopes"), "scopes hold for both directions; leave out scopes or one_way")
        seen.setdefault(direction, number)


def _expected_nodes(plan: Plan) -> Iterator[Mistake]:
    """Nodes that expectations name."""
    for number, expectation in enumerate(plan.scenario.expect):
        path = ("expect", number)
        named: list[tuple[KeyPath, str | None]] = [
            ((*path, "node"), expectation.node),
            ((*path, "origin"), expectation.origin),
            *(((*path, "link", at), name) for at, name in enumerate(expectation.link or ())),
        ]
        strangers = [(place, name) for place, name in named if name is not None and name not in plan.graph]
        for place, name in strangers:
            yield _stranger(plan, place, name)
        if expectation.link is not None and not strangers and not plan.graph.has_edge(*expectation.link):
            first, second = expectation.link
            yield Mistake((*path, "link"), f"{quoted(first)} and {quoted(second)} are not linked in this topology")


def _adversaries(plan: Plan) -> Iterator[Mistake]:
    taken = {slug(name): f"the node {quoted(name)}" for name in plan.nodes}
    for number, adversary in enumerate(plan.scenario.adversary):
        owner = taken.setdefault(slug(adversary.node), f"adversary[{number}]")
        if owner != f"adversary[{number}]":
            yield Mistake(("adversary", number, "node"), f"{quoted(adversary.node)} is the name of {owner} already; "
                          'give this adversary a name of its own, such as node = "eve"')  # fmt: skip


def _parts(plan: Plan) -> Iterator[Mistake]:
    """Nodes that faults, workloads and adversaries name, and then what each of them says itself."""
    scenario = plan.scenario
    named: list[tuple[KeyPath, Any, tuple[str, ...]]] = [
        *((("fault", number), fault, fault.nodes()) for number, fault in enumerate(scenario.fault)),
        *((("workload", number), part, tuple(part.nodes or ())) for number, part in enumerate(scenario.workload)),
        *((("adversary", number), part, tuple(part.peers or ())) for number, part in enumerate(scenario.adversary)),
    ]
    for path, part, names in named:
        strangers = [name for name in dict.fromkeys(names) if name not in plan.graph]
        for name in strangers:
            yield _stranger(plan, (*path, *_place(plain_values(part), name)), name)
        if strangers:
            continue
        try:
            part.check(plan.federation)
        except Misfit as misfit:
            yield _mistake(path, misfit)


def _backups(plan: Plan) -> Iterator[Mistake]:
    """Restored backups that nobody took."""
    faults = plan.scenario.fault
    taken = [(fault.node, fault.at) for fault in faults if isinstance(fault, Backup)]
    for number, fault in enumerate(faults):
        if isinstance(fault, RestoreBackup) and not any(
            node in (None, fault.node) and at <= fault.at for node, at in taken
        ):
            yield Mistake(
                ("fault", number, "at"),
                f"nobody has taken a backup of {quoted(fault.node)} by then; write a fault of kind 'backup' with an"
                " earlier at",
            )


def _place(value: Any, name: str) -> KeyPath:
    """Where in a table's values a name stands first; empty if nowhere."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        if inner == name:
            return (key,)
        below = _place(inner, name)
        if below:
            return (key, *below)
    return ()


# --- numbers ---


def _settings(scenario: Scenario) -> Iterator[Mistake]:
    if scenario.federation.pull_wait > limits.PULL_WAIT_S_MAX * 1_000_000_000:
        most = f"{limits.PULL_WAIT_S_MAX:g}s"
        yield Mistake(("federation", "pull_wait"), f"a node holds a pull for at most {most}; wait no longer")


def _expectations(scenario: Scenario) -> Iterator[Mistake]:
    known = known_metrics(dict.fromkeys(fault.name for fault in scenario.fault if fault.name is not None))
    for number, expectation in enumerate(scenario.expect):
        path = ("expect", number)
        if expectation.metric not in known:
            near = meant(expectation.metric, known)
            hint = f"; did you mean {quoted(near)}?" if near else f"; the metrics are {', '.join(METRICS)}"
            yield Mistake((*path, "metric"), f"there is no metric {quoted(expectation.metric)}{hint}")
        else:
            yield from _bounds(path, expectation)
            yield from _selectors(path, expectation)


def _reached(scenario: Scenario) -> Iterator[Mistake]:
    """What a suite must meet at least once: one key each, and a name that can be met."""
    faults = dict.fromkeys(fault.name for fault in scenario.fault if fault.name is not None)
    known: dict[str, tuple[str, ...]] = {
        "code": REJECTIONS, "event": tuple(sorted(EVENTS)), "metric": known_metrics(faults),
    }  # fmt: skip
    for number, reach in enumerate(scenario.reach):
        given = [key for key in known if getattr(reach, key) is not None]
        if len(given) != 1:
            yield Mistake(("reach", number), "what must be met is one of code, event and metric, and only one")
            continue
        name = getattr(reach, given[0])
        if name not in known[given[0]]:
            hint = suggestion(name, known[given[0]], "there are")
            yield Mistake(("reach", number, given[0]), f"there is no {given[0]} {quoted(name)}{hint}")


def _selectors(path: KeyPath, expectation: Expectation) -> Iterator[Mistake]:
    if expectation.metric not in (*LAG, "missing"):
        for key in _SELECTORS:
            if getattr(expectation, key) not in (None, "copy"):
                yield Mistake((*path, key), f"{expectation.metric} is not told of a part of the copies; only lag and "
                              "missing are")  # fmt: skip
    if expectation.window is not None and expectation.window[0] >= expectation.window[1]:
        yield Mistake((*path, "window"), "the window ends before anything can be written in it; the first time is its "
                      "beginning, the second its end")  # fmt: skip


def _bounds(path: KeyPath, expectation: Expectation) -> Iterator[Mistake]:
    values: dict[str, float] = {}
    for key in ("at_most", "at_least", "equals"):
        bound = getattr(expectation, key)
        if isinstance(bound, str):
            if not is_timed(expectation.metric):
                yield Mistake(
                    (*path, key), f"{expectation.metric} is a count, not a time; write a number without quotes"
                )
                return
            bound = parse_duration(bound) / 1e9
        if bound is not None:
            values[key] = bound
            if bound < 0:
                yield Mistake(
                    (*path, key), f"{expectation.metric} is never below zero; write a bound that can be met and missed"
                )
    if not values:
        yield Mistake(path, "an expectation needs at_most, at_least or equals")
    elif "equals" in values and len(values) > 1:
        yield Mistake((*path, "equals"), "with equals no other bound is needed; leave out one of them")
    elif values.get("at_least", 0.0) > values.get("at_most", float("inf")) >= 0:
        yield Mistake((*path, "at_least"), "this is more than at_most, so no run could meet both")


# --- delays ---


def _regions(plan: Plan) -> list[Mistake]:
    latency = plan.scenario.network.latency
    names = () if isinstance(latency, str) else tuple(latency.regions)
    return [_stranger(plan, ("network", "latency", "regions", name), name) for name in names if name not in plan.graph]


def _delays(plan: Plan) -> list[Mistake]:
    try:
        standing_rules(plan.federation, plan.scenario.network, plan.scenario.link, RandomStreams(0).stream)
    except Misfit as misfit:
        return [_mistake((), misfit)]
    return []
