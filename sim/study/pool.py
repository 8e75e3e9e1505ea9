"""A pool of workers: jobs in, rows out as they are done, in whatever order that is.

A thread for each worker hands it a job, waits for the row, and takes the next job. A worker that dies in the middle of
a job (killed, or out of memory) is replaced and the job is done again, once; a job that kills two workers gives a row
with an `error`. Workers stand in sessions of their own, so that Ctrl-C at a terminal reaches only who waits for them:
who leaves the pool by an exception ends them, and every row that was given before is kept.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread, Timer
from types import TracebackType
from typing import Any, Final, Self

from sim.study.worker import LENGTH_BYTES, Job

__all__ = ["Pool", "default_jobs"]

_TRIES: Final = 2
_DIED: Final = "the process that ran it died, twice: it was killed, or there was not enough memory"


def default_jobs() -> int:
    """A worker for every processor that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _WorkerDied(Exception):
    """A worker ended before it gave its row."""


class _TookTooLong(Exception):
    """A worker was ended because its run took longer than there was patience for."""


class Pool:
    """Some workers, for as long as this is entered."""

    def __init__(self, jobs: int, *, source: Path | None = None, patience_s: float | None = None) -> None:
        """`jobs`: how many workers, from 1. `source`: a folder with another copy of the packages, which the workers
        are to run. `patience_s`: how long one run may take; one that takes longer is an error and its worker ends."""
        self._source = source
        self._patience_s = patience_s
        self._workers: list[subprocess.Popen[bytes]] = []
        self._idle: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()
        """Workers of an earlier `run` that wait for the next one."""
        self._count = jobs
        self._closing = False
        self._starting = Lock()
        """Held while a worker is started, so that none is when the pool has been left."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._starting:
            self._closing = True
        for worker in self._workers:
            worker.kill()
        for worker in self._workers:
            worker.wait()
            for pipe in (worker.stdin, worker.stdout):
                if pipe is not None:
                    pipe.close()

    @property
    def process_ids(self) -> list[int]:
        """Of the workers that run."""
        return [worker.pid for worker in self._workers if worker.poll() is None]

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[int, dict[str, Any]]]:
        """(number of the job, its row) of every job, as each is done."""
        waiting: SimpleQueue[int] = SimpleQueue()
        done: SimpleQueue[tuple[int, dict[str, Any]]] = SimpleQueue()
        for number in range(len(jobs)):
            waiting.put(number)
        threads = [
            Thread(target=self._drive, args=(jobs, waiting, done), daemon=True)
            for _ in range(min(self._count, len(jobs)))
        ]
        for thread in threads:
            thread.start()
        for _ in jobs:
            yield done.get()
        for thread in threads:
            thread.join()  # so that the next `run` finds every worker waiting, and starts no others

    def _drive(
        self,
        jobs: Sequence[Job],
        waiting: SimpleQueue[int],
        done: SimpleQueue[tuple[int, dict[str, Any]]],
    ) -> None:
        worker: subprocess.Popen[bytes] | None = None
        while not self._closing:
            try:
                number = waiting.get_nowait()
            except Empty:
                if worker is not None:
                    self._idle.put(worker)
                return
            row: dict[str, Any] = {"verdict": "error", "error": _DIED}
            for _ in range(_TRIES):
                try:
                    worker = worker or self._waiting() or self._start()
                    row = self._ask(worker, jobs[number])
                    break
                except _TookTooLong:
                    worker = None
                    row = {"verdict": "error", "error": f"it took longer than {self._patience_s:g} s"}
                    break
                except (_WorkerDied, OSError, ValueError):
                    worker = None
            done.put((number, row))

    def _waiting(self) -> subprocess.Popen[bytes] | None:
        try:
            return self._idle.get_nowait()
        except Empty:
            return None

    def _start(self) -> subprocess.Popen[bytes]:
        with self._starting:
            if self._closing:
                raise _WorkerDied
            here = [] if self._source is None else [str(self._source)]
            worker = subprocess.Popen(
                [sys.executable, "-m", "sim.study.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
                cwd=self._source,
                env={**os.environ, "PYTHONPATH": os.pathsep.join([*here, *(path for path in sys.path if path)])},
            )
            self._workers.append(worker)
        if worker.stdout is None or worker.stdout.readline() != b"ready\n":
            raise _WorkerDied
        return worker

    def _ask(self, worker: subprocess.Popen[bytes], job: Job) -> dict[str, Any]:
        if self._patience_s is None:
            return _ask(worker, job)
        ended: list[bool] = []

        def end() -> None:
            ended.append(True)
            worker.kill()

        timer = Timer(self._patience_s, end)
        timer.start()
        try:
            return _ask(worker, job)
        except _WorkerDied:
            if ended:
                raise _TookTooLong from None
            raise
        finally:
            timer.cancel()


def _ask(worker: subprocess.Popen[bytes], job: Job) -> dict[str, Any]:
    if worker.stdin is None or worker.stdout is None:
        raise _WorkerDied
    data = pickle.dumps(job)
    worker.stdin.write(len(data).to_bytes(LENGTH_BYTES) + data)
    worker.stdin.flush()
    line = worker.stdout.readline()
    if not line.endswith(b"\n"):
        raise _WorkerDied
    row: dict[str, Any] = json.loads(line)
    return row
