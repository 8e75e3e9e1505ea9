"""What a machine does when it loses power, stands still or comes back, at every awkward moment."""

from __future__ import annotations

import pytest

from sim.simulation.simulation import Simulation
from sim.world import machine
from sim.world.disk import Fate
from stigmem.core.wire import Request, Response, encode
from tests.sim.small_runs import PROBES, S, approve, at, bare, events, fault, run
from tests.sim.switches import off, on, pause, resume


def boots(simulation: Simulation, name: str) -> list[int]:
    return [event[3] for event in events(simulation, "booted") if event[2] == name]


def held_texts(simulation: Simulation, name: str) -> list[str]:
    node = simulation.machines[name].node
    assert node is not None
    return [fact.text for fact in node.state.ledger.log]


def write(simulation: Simulation, name: str, text: str, answers: list[int] | None = None) -> None:
    def answered(response: Response) -> None:
        if answers is not None:
            answers.append(response.status)

    simulation.clients.write(name, f"stigmem://sim.example/note/{text}", "sim:note", text, then=answered)


# --- power ---


def test_a_machine_that_loses_power_at_the_instant_it_boots_runs_one_node_and_not_two() -> None:
    simulation = bare(PROBES)
    at(
        simulation,
        20,
        lambda: [
            simulation.machines["a"].crash(),
            simulation.boot("a"),
            simulation.machines["a"].crash(),
            simulation.boot("a"),
        ],
    )
    simulation.run()
    approve(simulation)
    assert boots(simulation, "a") == [1, 3]


def test_a_machine_that_loses_power_while_it_reads_its_disk_boots_again_with_everything() -> None:
    simulation = bare(PROBES)
    disk = simulation.machines["a"].disk

    def slow_boot() -> None:
        off(simulation, "a", "test")
        disk.slow_down("test", 4_000)
        on(simulation, "a", "test")

    at(simulation, 20, slow_boot)
    seen = at(simulation, 21, lambda: (simulation.machines["a"].up, simulation.machines["a"].node, disk.load_ns))
    at(simulation, 21, lambda: write(simulation, "a", "too-early"))
    at(simulation, 21, lambda: off(simulation, "a", "test"))
    at(simulation, 22, lambda: disk.speed_up("test"))
    at(simulation, 22, lambda: on(simulation, "a", "test"))
    simulation.run()
    approve(simulation)
    assert seen == [(True, None, 2 * S)]
    assert simulation.submissions.refused[0] >= 1
    assert boots(simulation, "a") == [1, 3]


@pytest.mark.parametrize(("fate", "kept"), [("lost", False), ("torn", False), ("kept", True)])
def test_a_batch_struck_by_a_crash_is_lost_torn_or_kept_and_nobody_is_told(fate: Fate, kept: bool) -> None:
    simulation = bare(PROBES)
    answers: list[int] = []
    at(simulation, 20, lambda: write(simulation, "a", "struck", answers))
    at(simulation, 20.0002, lambda: off(simulation, "a", "test", fate))
    at(simulation, 25, lambda: on(simulation, "a", "test"))
    simulation.run()
    approve(simulation)
    assert events(simulation, "crash")[0][2:] == ("a", fate)
    assert answers == []
    assert [("struck" in held_texts(simulation, name)) for name in "abc"] == [kept] * 3


def test_power_held_by_two_comes_back_when_both_have_let_go() -> None:
    simulation = bare(PROBES)
    one, other = "one", "other"
    seen: list[bool] = []
    at(simulation, 10, lambda: off(simulation, "a", one))
    at(simulation, 12, lambda: off(simulation, "a", other))
    at(simulation, 14, lambda: on(simulation, "a", one))
    at(simulation, 15, lambda: seen.append(simulation.machines["a"].up))
    at(simulation, 16, lambda: on(simulation, "a", other))
    at(simulation, 17, lambda: seen.append(simulation.machines["a"].up))
    simulation.run()
    approve(simulation)
    assert seen == [False, True]


def test_what_was_on_its_way_when_a_machine_restarted_reaches_the_new_node_and_harms_nobody() -> None:
    simulation = bare(PROBES, '[network]\nlatency = "700ms"')
    restarts = [20 + 0.1 * step for step in range(20)]
    for second in restarts:
        at(simulation, second, lambda: [simulation.machines["a"].crash(), simulation.boot("a")])
    simulation.run()
    approve(simulation)
    assert len(boots(simulation, "a")) == 1 + len(restarts)


# --- pauses ---


def test_a_paused_machine_answers_in_order_when_it_goes_on_and_its_disk_worked_meanwhile() -> None:
    simulation = bare(PROBES)
    answers: list[int] = []
    durable: list[bool] = []
    order: list[str] = []

    def note(text: str) -> None:
        simulation.clients.write(
            "a", "stigmem://sim.example/note/x", f"sim:{text}", text, then=lambda _: order.append(text)
        )

    at(simulation, 20, lambda: write(simulation, "a", "before", answers))
    at(simulation, 20.0002, lambda: pause(simulation, "a", "test"))
    at(simulation, 25, lambda: durable.append(simulation.machines["a"].disk.busy))
    at(
        simulation,
        25,
        lambda: durable.append(any(fact.entity.endswith("before") for fact in simulation.visibility.facts)),
    )
    at(simulation, 26, lambda: [note("first"), note("second")])
    at(simulation, 27, lambda: note("third"))
    at(simulation, 28, lambda: answers.append(0))
    at(simulation, 30, lambda: resume(simulation, "a", "test"))
    at(simulation, 30, lambda: note("fourth"))
    simulation.run()
    approve(simulation)
    assert durable == [False, True], "the disk finished what the process had begun"
    assert answers == [0, 201], "the process learned of it only when it went on"
    assert order == ["first", "second", "third", "fourth"]


def test_a_crash_ends_a_pause_and_what_had_queued_up_is_gone() -> None:
    simulation = bare(PROBES)
    answers: list[int] = []
    at(simulation, 20, lambda: pause(simulation, "a", "test"))
    at(simulation, 21, lambda: write(simulation, "a", "queued", answers))
    at(simulation, 22, lambda: off(simulation, "a", "crash"))
    at(simulation, 23, lambda: on(simulation, "a", "crash"))
    at(simulation, 24, lambda: write(simulation, "a", "later", answers))
    at(simulation, 30, lambda: resume(simulation, "a", "test"))
    simulation.run()
    approve(simulation)
    assert answers == [201]
    assert "queued" not in held_texts(simulation, "b")
    assert "later" in held_texts(simulation, "b")


def test_two_pauses_are_over_when_both_are() -> None:
    simulation = bare(PROBES)
    seen: list[bool] = []
    one, other = "one", "other"
    at(simulation, 20, lambda: pause(simulation, "a", one))
    at(simulation, 21, lambda: pause(simulation, "a", other))
    at(simulation, 22, lambda: resume(simulation, "a", one))
    at(simulation, 23, lambda: seen.append(simulation.machines["a"].paused))
    at(simulation, 24, lambda: resume(simulation, "a", other))
    at(simulation, 25, lambda: seen.append(simulation.machines["a"].paused))
    simulation.run()
    approve(simulation)
    assert seen == [True, False]


def test_pausing_again_at_the_same_instant_leaves_the_rest_waiting_and_loses_nothing() -> None:
    simulation = bare(PROBES)
    answers: list[int] = []
    at(simulation, 20, lambda: pause(simulation, "a", "test"))
    at(simulation, 21, lambda: [write(simulation, "a", f"n{number}", answers) for number in range(5)])
    at(simulation, 22, lambda: [resume(simulation, "a", "test"), pause(simulation, "a", "test")])
    at(simulation, 25, lambda: answers.append(0))
    at(simulation, 26, lambda: resume(simulation, "a", "test"))
    simulation.run()
    approve(simulation)
    assert answers == [0, 201, 201, 201, 201, 201]


def test_a_paused_machine_takes_only_so_many_connections() -> None:
    simulation = bare(PROBES)
    taken: list[bool] = []
    health = Request("GET", "/healthz")
    at(simulation, 20, lambda: pause(simulation, "a", "test"))
    at(
        simulation,
        21,
        lambda: taken.extend(simulation.clients.request("a", health, lambda _: None) for _ in range(2_000)),
    )
    at(simulation, 22, lambda: resume(simulation, "a", "test"))
    simulation.run()
    approve(simulation)
    assert 900 < sum(taken) <= 1_024
    assert taken == sorted(taken, reverse=True)


# --- what the simulation waits for ---


def test_a_run_is_not_over_while_a_write_is_on_its_way_to_a_slow_disk() -> None:
    simulation = bare(duration="30s")
    disk = simulation.machines["a"].disk
    at(simulation, 29, lambda: disk.slow_down("test", 10_000))
    at(simulation, 29.9, lambda: write(simulation, "a", "late"))
    simulation.run()
    approve(simulation)
    assert simulation.converged_at is not None
    assert simulation.converged_at >= 34 * S
    assert held_texts(simulation, "c") == ["late"]


def test_machines_that_are_off_or_paused_when_the_faults_end_come_back() -> None:
    simulation = bare(PROBES)
    at(simulation, 30, lambda: off(simulation, "a", "test"))
    at(simulation, 30, lambda: pause(simulation, "b", "test"))
    simulation.run()
    approve(simulation)
    assert all(machine.up and not machine.paused for machine in simulation.machines.values())


def test_the_same_seed_gives_the_same_trace_whatever_happens_to_the_machines() -> None:
    trouble = (
        fault("random-crashes", at="5s", rate="30/m", down="2s"),
        fault("pause", at="20s", for_="10s", node="b"),
        fault("wipe", at="40s", node="c", down="1s"),
    )
    assert run(PROBES, *trouble).trace.close() == run(PROBES, *trouble).trace.close()


def test_the_kernel_of_a_paused_machine_takes_so_many_connections_and_refuses_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, "_BACKLOG_MAX", 3)
    simulation, taken, refused = bare(PROBES), [], []

    def knock() -> None:
        pause(simulation, "a")  # and in the same instant, so that no peer's question is among them
        one = simulation.machines["a"]
        request = Request("GET", "/healthz")
        for number in range(5):
            if number % 2:
                one.receive("b", encode(request), lambda *_: None, lambda: refused.append("wire"))
            elif not one.local(request, lambda answer: taken.append(answer.status)):
                refused.append("local")

    at(simulation, 10, knock)
    at(simulation, 12, lambda: resume(simulation, "a"))
    simulation.run()
    assert refused == ["wire", "local"]
    assert taken == [200, 200]
