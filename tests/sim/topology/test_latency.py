"""Delays: every kind of distribution, tables of regions, distances on the globe, links of their own."""

from __future__ import annotations

from pathlib import Path
from random import Random
from statistics import fmean, quantiles

import networkx as nx
import pytest

from sim.diagnostics.errors import Misfit
from sim.scenario.plan import Plan
from sim.scenario.reading import parse_scenario
from sim.topology.latency import Draw, great_circle_km, link_draws, make_draw, standing_rules
from sim.topology.regions import read_regions
from sim.topology.tables import Latency
from sim.units import parse_duration
from sim.world.network import Packet, Rule
from sim.world.random_streams import RandomStreams

MS = 1_000_000
OUR_REGIONS = Path(__file__).parents[3] / "scenarios" / "data" / "regions-ibm-2024.csv"


def drawn(draw: Draw, count: int = 40_000) -> list[int]:
    rng = Random("latency")
    return [draw.draw(rng) for _ in range(count)]


class Share(Random):
    """Chance that always falls on the same share of a distribution."""

    def getrandbits(self, bits: int, /) -> int:
        return int(self.share * (1 << bits))

    share = 0.5


def at(draw: Draw, share: float) -> int:
    rng = Share()
    rng.share = share
    return draw.draw(rng)


def percentile(values: list[int], percent: int) -> float:
    return quantiles(values, n=100, method="inclusive")[percent - 1]


def plan_of(
    network: str, *, base: Path = Path(), links: str = "", positions: dict[str, tuple[float, float]] | None = None
) -> Plan:
    names = ["ams", "nyc", "tyo"]
    text = f'[scenario]\nname = "x"\n[federation]\nnodes = {names}\n[network]\nlatency = {network}\n{links}'
    return Plan(parse_scenario(text), base, nx.complete_graph(names), positions or {})


def draws_of(plan: Plan) -> tuple[Draw, dict[tuple[str, str], Draw]]:
    return link_draws(plan.federation, plan.scenario.network, plan.scenario.link)


def rules_of(plan: Plan) -> list[Rule]:
    return standing_rules(plan.federation, plan.scenario.network, plan.scenario.link, RandomStreams(1).stream)


# --- distributions ---


def test_a_text_and_a_constant_are_always_the_same() -> None:
    for latency in ("40ms", Latency(kind="constant", value=parse_duration("40ms"))):
        assert set(drawn(make_draw(latency, "network.latency"), 100)) == {40 * MS}


def test_uniform_covers_its_range_evenly_and_nothing_else() -> None:
    values = drawn(make_draw(Latency(kind="uniform", low=parse_duration("10ms"), high=parse_duration("50ms")), "x"))
    assert min(values) >= 10 * MS
    assert max(values) <= 50 * MS
    assert fmean(values) == pytest.approx(30 * MS, rel=0.01)
    assert percentile(values, 25) == pytest.approx(20 * MS, rel=0.02)


@pytest.mark.parametrize(("median", "p99"), [("40ms", "180ms"), ("1ms", "1.5ms"), ("200us", "90ms"), ("80ms", "80ms")])
def test_lognormal_has_the_median_and_the_99th_percentile_that_were_asked_for(median: str, p99: str) -> None:
    draw = make_draw(Latency(kind="lognormal", median=parse_duration(median), p99=parse_duration(p99)), "x")
    assert at(draw, 0.5) == pytest.approx(parse_duration(median), rel=0.02)
    assert at(draw, 0.99) == pytest.approx(parse_duration(p99), rel=0.02)


def test_what_is_drawn_follows_the_table() -> None:
    draw = make_draw(Latency(kind="lognormal", median=parse_duration("40ms"), p99=parse_duration("180ms")), "x")
    values = drawn(draw, 200_000)
    assert percentile(values, 50) == pytest.approx(40 * MS, rel=0.02)
    assert percentile(values, 99) == pytest.approx(180 * MS, rel=0.02)


def test_exponential_has_its_floor_its_mean_and_its_tail() -> None:
    draw = make_draw(Latency(kind="exponential", floor=parse_duration("5ms"), mean=parse_duration("20ms")), "x")
    values = drawn(draw, 200_000)
    assert min(values) >= 5 * MS
    assert fmean(values) == pytest.approx(25 * MS, rel=0.01)
    assert at(draw, 0.5) == pytest.approx((5 + 20 * 0.693147) * MS, rel=0.02)
    assert at(draw, 0.99) == pytest.approx((5 + 20 * 4.60517) * MS, rel=0.02)


def test_delays_are_whole_numbers_of_nanoseconds_and_the_same_for_the_same_chance() -> None:
    for kind in ("uniform", "lognormal", "exponential"):
        draw = make_draw(Latency(kind=kind), "x")
        assert drawn(draw, 50) == drawn(draw, 50)
        assert all(type(value) is int for value in drawn(draw, 50))


# --- the globe ---


@pytest.mark.parametrize(
    ("first", "second", "km"),
    [
        ((51.5074, -0.1278), (48.8566, 2.3522), 344),  # London - Paris
        ((52.3740, 4.8897), (40.7128, -74.0060), 5_863),  # Amsterdam - New York
        ((35.6762, 139.6503), (37.7749, -122.4194), 8_270),  # Tokyo - San Francisco, across the date line
        ((-33.8688, 151.2093), (-34.6037, -58.3816), 11_800),  # Sydney - Buenos Aires, near the pole
        ((0.0, 0.0), (0.0, 180.0), 20_015),  # antipodes
    ],
)
def test_great_circles_agree_with_known_distances(
    first: tuple[float, float], second: tuple[float, float], km: float
) -> None:
    assert great_circle_km(first, second) == pytest.approx(km, rel=0.005)
    assert great_circle_km(second, first) == pytest.approx(great_circle_km(first, second))


def test_a_place_is_no_distance_from_itself() -> None:
    assert great_circle_km((47.37, 8.54), (47.37, 8.54)) == 0.0


def test_latency_by_distance_is_floor_and_light_in_fibre_over_a_detour() -> None:
    positions = {"ams": (52.374, 4.8897), "nyc": (40.7128, -74.006), "tyo": (35.6762, 139.6503)}
    plan = plan_of(
        '{ kind = "distance", floor = "2ms", speed_km_s = 200000, detour = 1.5, jitter = 0.2 }', positions=positions
    )
    _, draws = draws_of(plan)
    km = great_circle_km(positions["ams"], positions["nyc"])
    expected = 2 * MS + km * 1.5 / 200_000 * 1e9
    values = drawn(draws["ams", "nyc"])
    assert min(values) == pytest.approx(expected, rel=0.001)
    assert max(values) == pytest.approx(expected * 1.2, rel=0.001)
    assert draws["ams", "nyc"] is draws["nyc", "ams"]


def test_latency_by_distance_without_a_map_says_what_it_needs() -> None:
    with pytest.raises(Misfit, match="latency by distance needs a map with coordinates") as caught:
        draws_of(plan_of('{ kind = "distance" }'))
    assert caught.value.key == "network.latency.kind"


def test_latency_by_distance_names_the_nodes_that_have_no_place() -> None:
    with pytest.raises(Misfit, match="needs coordinates, and 'nyc', 'tyo' have none on this map"):
        draws_of(plan_of('{ kind = "distance" }', positions={"ams": (52.0, 4.9)}))


# --- regions ---

TABLE = "# made up\nfrom,ams,nyc,tyo\nams,,80,230\nnyc,90,,170\ntyo,240,180,\n"


def table(folder: Path, text: str) -> Path:
    (folder / "rtt.csv").write_text(text)
    return folder / "rtt.csv"


def test_a_table_of_regions_is_read_as_half_of_its_round_trips_in_each_direction(tmp_path: Path) -> None:
    found = read_regions(table(tmp_path, TABLE))
    assert found["ams", "nyc"] == 40 * MS
    assert found["nyc", "ams"] == 45 * MS
    assert found["tyo", "tyo"] == MS // 4
    assert len(found) == 9


def test_an_asymmetric_table_gives_each_direction_its_own_delay(tmp_path: Path) -> None:
    table(tmp_path, TABLE)
    _, draws = draws_of(plan_of('{ kind = "regions", file = "rtt.csv", jitter = 0.0 }', base=tmp_path))
    assert set(drawn(draws["ams", "nyc"], 20)) == {40 * MS}
    assert set(drawn(draws["nyc", "ams"], 20)) == {45 * MS}


def test_nodes_are_put_in_regions_by_name_and_two_of_one_region_are_near(tmp_path: Path) -> None:
    table(tmp_path, TABLE)
    _, draws = draws_of(
        plan_of('{ kind = "regions", file = "rtt.csv", regions = { nyc = "ams" }, jitter = 0.0 }', base=tmp_path)
    )
    assert set(drawn(draws["ams", "nyc"], 20)) == {MS // 4}
    assert set(drawn(draws["nyc", "tyo"], 20)) == {115 * MS}


def test_our_own_table_of_regions_names_its_source_and_is_complete() -> None:
    assert OUR_REGIONS.read_text().startswith("# Average round-trip latency in ms between IBM Cloud VPC regions")
    found = read_regions(OUR_REGIONS)
    assert len(found) == 100
    assert found["frankfurt", "london"] == 13 * MS // 2


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "rtt.csv holds no table of regions"),
        ("# only a remark\n", "rtt.csv holds no table of regions"),
        ("from,a,b\na,,x\nb,1,\n", "rtt.csv: line 2, column 'b': 'x' is not a round-trip time in milliseconds"),
        ("from,a,b\na,,-5\nb,1,\n", "rtt.csv: line 2, column 'b': '-5' is not a round-trip time"),
        ("from,a,b\na,,nan\nb,1,\n", "rtt.csv: line 2, column 'b': 'nan' is not a round-trip time"),
        ("# r\nfrom,a,b\na,,5\nb,1\n", "rtt.csv: line 4: 1 times for 2 regions"),
        ("from,a,a\na,,5\n", "rtt.csv: line 1: two columns are called 'a'"),
        ("from,a,b\na,,5\na,,6\n", "rtt.csv: line 3: a second row for 'a'"),
    ],
)
def test_a_broken_table_is_refused_by_line_and_column(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(Misfit, match=sentence) as caught:
        read_regions(table(tmp_path, text))
    assert caught.value.key == "network.latency.file"


def test_a_table_that_is_missing_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misfit, match=r"none\.csv cannot be read: no such file"):
        read_regions(tmp_path / "none.csv")
    (tmp_path / "rtt.csv").write_bytes(b"from,\xff\xfe\n")
    with pytest.raises(Misfit, match=r"rtt\.csv is not a CSV table in UTF-8"):
        read_regions(tmp_path / "rtt.csv")


def test_a_pair_of_regions_without_a_time_is_refused(tmp_path: Path) -> None:
    table(tmp_path, TABLE.replace("nyc,90,,170", "nyc,90,,"))
    with pytest.raises(Misfit, match=r"rtt\.csv has no time from 'nyc' to 'tyo'"):
        draws_of(plan_of('{ kind = "regions", file = "rtt.csv" }', base=tmp_path))


def test_a_region_that_the_table_does_not_list_is_named_with_its_node(tmp_path: Path) -> None:
    table(tmp_path, TABLE)
    with pytest.raises(Misfit, match=r"node 'nyc' has region 'nycc', which rtt\.csv does not list") as caught:
        draws_of(plan_of('{ kind = "regions", file = "rtt.csv", regions = { nyc = "nycc" } }', base=tmp_path))
    assert (caught.value.key, caught.value.given, caught.value.known) == (
        "network.latency.regions.nyc",
        "nycc",
        ("ams", "nyc", "tyo"),
    )


def test_latency_by_regions_needs_a_file() -> None:
    with pytest.raises(Misfit, match="missing; latency by regions needs a CSV file") as caught:
        draws_of(plan_of('{ kind = "regions" }'))
    assert caught.value.key == "network.latency.file"


# --- links of their own ---


def test_a_link_may_differ_in_both_directions_or_in_one() -> None:
    both = '[[link]]\nbetween = ["ams", "nyc"]\nlatency = "300ms"\n'
    one = '[[link]]\nbetween = ["nyc", "ams"]\nlatency = "700ms"\none_way = true\n'
    for links in (both + one, one + both):
        default, draws = draws_of(plan_of('"20ms"', links=links))
        assert set(drawn(default, 5)) == {20 * MS}
        assert set(drawn(draws["ams", "nyc"], 5)) == {300 * MS}
        assert set(drawn(draws["nyc", "ams"], 5)) == {700 * MS}
        assert ("ams", "tyo") not in draws


def test_a_link_goes_before_the_table_of_regions(tmp_path: Path) -> None:
    table(tmp_path, TABLE)
    links = '[[link]]\nbetween = ["ams", "nyc"]\nlatency = { kind = "uniform", low = "1ms", high = "1ms" }\n'
    _, draws = draws_of(plan_of('{ kind = "regions", file = "rtt.csv" }', base=tmp_path, links=links))
    assert set(drawn(draws["ams", "nyc"], 5)) == {MS}


def test_bandwidth_of_one_direction_holds_there_only() -> None:
    links = '[[link]]\nbetween = ["ams", "nyc"]\nbandwidth = "8kbit/s"\none_way = true\n'
    rules = rules_of(plan_of('"20ms"', links=links))

    def delay(source: str, target: str) -> int:
        packet = Packet(source, target, "x", b"." * 1_000, lambda _: None)
        return sum(rule.decide(packet, 0).after for rule in rules)

    assert delay("ams", "nyc") == 1_020 * MS
    assert delay("nyc", "ams") == 20 * MS


@pytest.mark.parametrize(
    ("latency", "key", "sentence"),
    [
        ('{ kind = "uniform", low = "50ms", high = "10ms" }', "network.latency.low", "50ms is more than high, 10ms"),
        (
            '{ kind = "lognormal", median = "50ms", p99 = "10ms" }',
            "network.latency.p99",
            "10ms is less than the median, 50ms",
        ),
        (
            '{ kind = "lognormal", median = "0s" }',
            "network.latency.median",
            "a lognormal latency has a median of at least 1us",
        ),
    ],
)
def test_a_distribution_that_cannot_be_is_refused(latency: str, key: str, sentence: str) -> None:
    with pytest.raises(Misfit, match=sentence) as caught:
        draws_of(plan_of(latency))
    assert caught.value.key == key


@pytest.mark.parametrize("kind", ["regions", "distance"])
def test_regions_and_distance_are_not_for_one_link(kind: str) -> None:
    links = f'[[link]]\nbetween = ["ams", "tyo"]\n[[link]]\nbetween = ["ams", "nyc"]\nlatency = {{ kind = "{kind}" }}\n'
    with pytest.raises(Misfit, match=f"latency by {kind} is for the whole network, not for one link") as caught:
        draws_of(plan_of('"20ms"', links=links))
    assert caught.value.key == "link[1].latency.kind"
