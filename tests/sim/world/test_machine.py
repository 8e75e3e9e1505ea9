"""What a machine does when it loses power, stands still or comes back, at every awkward moment."""

from __future__ import annotations

import pytest

from sim.simulation.simulation import Lab
from sim.world.disk import Fate
from stigmem.core.wire import Request, Response
from tests.sim.small_runs import PROBES, S, approve, at, events, fault, make_lab, run


def boots(lab: Lab, name: str) -> list[int]:
    return [event[3] for event in events(lab, "booted") if event[2] == name]


def held_texts(lab: Lab, name: str) -> list[str]:
    node = lab.machines[name].node
    assert node is not None
    return [fact.text for fact in node.state.ledger.log]


def write(lab: Lab, name: str, text: str, answers: list[int] | None = None) -> None:
    def answered(response: Response) -> None:
        if answers is not None:
            answers.append(response.status)

    lab.write(name, f"stigmem://sim.example/note/{text}", "sim:note", text, then=answered)


# --- power ---


def test_a_machine_that_loses_power_at_the_instant_it_boots_runs_one_node_and_not_two() -> None:
    lab = make_lab(PROBES)
    at(lab, 20, lambda: [lab.machines["a"].crash(), lab.boot("a"), lab.machines["a"].crash(), lab.boot("a")])
    lab.run()
    approve(lab)
    assert boots(lab, "a") == [1, 3]


def test_a_machine_that_loses_power_while_it_reads_its_disk_boots_again_with_everything() -> None:
    lab = make_lab(PROBES)
    disk = lab.machines["a"].disk

    def slow_boot() -> None:
        lab.power.off("a", "test")
        disk.slow_down("test", 4_000)
        lab.power.on("a", "test")

    at(lab, 20, slow_boot)
    seen = at(lab, 21, lambda: (lab.machines["a"].up, lab.machines["a"].node, disk.load_ns))
    at(lab, 21, lambda: write(lab, "a", "too-early"))
    at(lab, 21, lambda: lab.power.off("a", "test"))
    at(lab, 22, lambda: disk.speed_up("test"))
    at(lab, 22, lambda: lab.power.on("a", "test"))
    lab.run()
    approve(lab)
    assert seen == [(True, None, 2 * S)]
    assert lab.refused_writes[0] >= 1
    assert boots(lab, "a") == [1, 3]


@pytest.mark.parametrize(("fate", "kept"), [("lost", False), ("torn", False), ("kept", True)])
def test_a_batch_struck_by_a_crash_is_lost_torn_or_kept_and_nobody_is_told(fate: Fate, kept: bool) -> None:
    lab = make_lab(PROBES)
    answers: list[int] = []
    at(lab, 20, lambda: write(lab, "a", "struck", answers))
    at(lab, 20.0002, lambda: lab.power.off("a", "test", fate))
    at(lab, 25, lambda: lab.power.on("a", "test"))
    lab.run()
    approve(lab)
    assert events(lab, "crash")[0][2:] == ("a", fate)
    assert answers == []
    assert [("struck" in held_texts(lab, name)) for name in "abc"] == [kept] * 3


def test_power_held_by_two_comes_back_when_both_have_let_go() -> None:
    lab = make_lab(PROBES)
    one, other = object(), object()
    seen: list[bool] = []
    at(lab, 10, lambda: lab.power.off("a", one))
    at(lab, 12, lambda: lab.power.off("a", other))
    at(lab, 14, lambda: lab.power.on("a", one))
    at(lab, 15, lambda: seen.append(lab.machines["a"].up))
    at(lab, 16, lambda: lab.power.on("a", other))
    at(lab, 17, lambda: seen.append(lab.machines["a"].up))
    lab.run()
    approve(lab)
    assert seen == [False, True]


def test_what_was_on_its_way_when_a_machine_restarted_reaches_the_new_node_and_harms_nobody() -> None:
    lab = make_lab(PROBES, '[network]\nlatency = "700ms"')
    restarts = [20 + 0.1 * step for step in range(20)]
    for second in restarts:
        at(lab, second, lambda: [lab.machines["a"].crash(), lab.boot("a")])
    lab.run()
    approve(lab)
    assert len(boots(lab, "a")) == 1 + len(restarts)


# --- pauses ---


def test_a_paused_machine_answers_in_order_when_it_goes_on_and_its_disk_worked_meanwhile() -> None:
    lab = make_lab(PROBES)
    answers: list[int] = []
    durable: list[bool] = []
    order: list[str] = []

    def note(text: str) -> None:
        lab.write("a", "stigmem://sim.example/note/x", f"sim:{text}", text, then=lambda _: order.append(text))

    at(lab, 20, lambda: write(lab, "a", "before", answers))
    at(lab, 20.0002, lambda: lab.power.pause("a", "test"))
    at(lab, 25, lambda: durable.append(lab.machines["a"].disk.busy))
    at(lab, 25, lambda: durable.append(any(fact.entity.endswith("before") for fact in lab.measure.facts)))
    at(lab, 26, lambda: [note("first"), note("second")])
    at(lab, 27, lambda: note("third"))
    at(lab, 28, lambda: answers.append(0))
    at(lab, 30, lambda: lab.power.resume("a", "test"))
    at(lab, 30, lambda: note("fourth"))
    lab.run()
    approve(lab)
    assert durable == [False, True], "the disk finished what the process had begun"
    assert answers == [0, 201], "the process learned of it only when it went on"
    assert order == ["first", "second", "third", "fourth"]


def test_a_crash_ends_a_pause_and_what_had_queued_up_is_gone() -> None:
    lab = make_lab(PROBES)
    answers: list[int] = []
    at(lab, 20, lambda: lab.power.pause("a", "test"))
    at(lab, 21, lambda: write(lab, "a", "queued", answers))
    at(lab, 22, lambda: lab.power.off("a", "crash"))
    at(lab, 23, lambda: lab.power.on("a", "crash"))
    at(lab, 24, lambda: write(lab, "a", "later", answers))
    at(lab, 30, lambda: lab.power.resume("a", "test"))
    lab.run()
    approve(lab)
    assert answers == [201]
    assert "queued" not in held_texts(lab, "b")
    assert "later" in held_texts(lab, "b")


def test_two_pauses_are_over_when_both_are() -> None:
    lab = make_lab(PROBES)
    seen: list[bool] = []
    one, other = object(), object()
    at(lab, 20, lambda: lab.power.pause("a", one))
    at(lab, 21, lambda: lab.power.pause("a", other))
    at(lab, 22, lambda: lab.power.resume("a", one))
    at(lab, 23, lambda: seen.append(lab.machines["a"].paused))
    at(lab, 24, lambda: lab.power.resume("a", other))
    at(lab, 25, lambda: seen.append(lab.machines["a"].paused))
    lab.run()
    approve(lab)
    assert seen == [True, False]


def test_pausing_again_at_the_same_instant_leaves_the_rest_waiting_and_loses_nothing() -> None:
    lab = make_lab(PROBES)
    answers: list[int] = []
    at(lab, 20, lambda: lab.power.pause("a", "test"))
    at(lab, 21, lambda: [write(lab, "a", f"n{number}", answers) for number in range(5)])
    at(lab, 22, lambda: [lab.power.resume("a", "test"), lab.power.pause("a", "test")])
    at(lab, 25, lambda: answers.append(0))
    at(lab, 26, lambda: lab.power.resume("a", "test"))
    lab.run()
    approve(lab)
    assert answers == [0, 201, 201, 201, 201, 201]


def test_a_paused_machine_takes_only_so_many_connections() -> None:
    lab = make_lab(PROBES)
    taken: list[bool] = []
    health = Request("GET", "/healthz")
    at(lab, 20, lambda: lab.power.pause("a", "test"))
    at(lab, 21, lambda: taken.extend(lab.ask("a", health, lambda _: None) for _ in range(2_000)))
    at(lab, 22, lambda: lab.power.resume("a", "test"))
    lab.run()
    approve(lab)
    assert 900 < sum(taken) <= 1_024
    assert taken == sorted(taken, reverse=True)


# --- what the laboratory waits for ---


def test_a_run_is_not_over_while_a_write_is_on_its_way_to_a_slow_disk() -> None:
    lab = make_lab(duration="30s")
    disk = lab.machines["a"].disk
    at(lab, 29, lambda: disk.slow_down("test", 10_000))
    at(lab, 29.9, lambda: write(lab, "a", "late"))
    lab.run()
    approve(lab)
    assert lab.converged_at is not None
    assert lab.converged_at >= 34 * S
    assert held_texts(lab, "c") == ["late"]


def test_machines_that_are_off_or_paused_when_the_faults_end_come_back() -> None:
    lab = make_lab(PROBES)
    at(lab, 30, lambda: lab.power.off("a", "test"))
    at(lab, 30, lambda: lab.power.pause("b", "test"))
    lab.run()
    approve(lab)
    assert all(machine.up and not machine.paused for machine in lab.machines.values())


def test_the_same_seed_gives_the_same_trace_whatever_happens_to_the_machines() -> None:
    trouble = (
        fault("random-crashes", at="5s", rate="30/m", down="2s"),
        fault("pause", at="20s", for_="10s", node="b"),
        fault("wipe", at="40s", node="c", down="1s"),
    )
    assert run(PROBES, *trouble).trace.close() == run(PROBES, *trouble).trace.close()
