"""A Dask cluster in the place of a pool: jobs in, rows out as they are done, by workers on any number of machines.

    dask scheduler                                      # says at which address it listens
    dask worker ADDRESS --nthreads 1                    # as many as there are processors, on each machine
    stigmem-sim run FILE --seeds 1000 --scheduler ADDRESS

Dask does what the pool does by itself: the run of a worker that dies is given to another one, and a run that four
workers died of gives a row with an `error`. Rows are kept by who asked, as they come, so that a scheduler that dies or
a Ctrl-C loses only what was under way. Dask is the `cluster` extra and is imported when a cluster is asked for.

Invariants: (1) rows come from one source: a worker that has another version of the packages, or of Python, ends the
study with a sentence and never gives a row; (2) a worker process does one run at a time, however many threads it has;
(3) a client that was handed in is left open.

Known warts: data files of a scenario are looked for on the worker's machine, in the folder where they are here; runs
that are under way on workers when a study ends go on to their end there, and nobody takes their rows; whoever reaches
a scheduler can run code on its workers, so it belongs into a private network, or behind the TLS of Dask.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.util import find_spec
from logging import CRITICAL, getLogger
from threading import Lock
from types import TracebackType
from typing import Any, Final, Self

from sim.study.store import source_identity
from sim.study.worker import Job, run_job

__all__ = ["BadCluster", "Cluster", "run_there"]

_ADDRESS: Final = re.compile(r"((tcp|tls|wss?)://)?[^\s/]+:\d{1,5}")
_CONNECT_S: Final = 10
"""How long a scheduler may take to answer."""
_DIED: Final = "every worker that ran it died: they were killed, or there was not enough memory"
_HERE: Final = source_identity()
"""Of what is loaded: taken now, since the files of a worker that runs for days may change."""
_LOGGERS: Final = ("distributed.client", "distributed.batched")
"""What they say of a connection that ends, in many lines, is said in one by BadCluster."""
_one_run = Lock()
"""Held during a run; a worker with several threads would only have its runs wait for each other in turns."""


class BadCluster(Exception):
    """A cluster that cannot be used, or can no longer be: one sentence for the user."""


class _OtherSource(Exception):
    """A worker has other packages than who asks. Dask carries it from the worker."""


def run_there(job: Job, identity: str) -> dict[str, Any]:
    """The row of a job, on a worker that has the source of who asks. Raises when it has another one."""
    if identity != _HERE:
        raise _OtherSource
    with _one_run:
        return run_job(job)


class Cluster:
    """The workers of a Dask scheduler, for as long as this is entered."""

    def __init__(self, where: Any) -> None:
        """`where`: the address of a scheduler, a cluster of Dask, or a `distributed.Client`. Raises BadCluster."""
        if find_spec("distributed") is None:
            raise BadCluster("a cluster needs Dask: install the cluster extra (distributed)")
        from distributed import Client

        self._is_ours = not isinstance(where, Client)
        self._client = where if not self._is_ours else _connected(where)
        self._futures: list[Any] = []
        self._levels = {name: getLogger(name).level for name in _LOGGERS if self._is_ours}
        for name in self._levels:
            getLogger(name).setLevel(CRITICAL)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client.status == "running":
            with suppress(OSError):  # a scheduler that is gone has nothing left to cancel
                self._client.cancel(self._futures)
        if self._is_ours:
            self._client.close()
        for name, level in self._levels.items():
            getLogger(name).setLevel(level)

    @property
    def workers(self) -> int:
        """How many workers there are now; runs wait until there is one."""
        return len(self._client.ncores())

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[int, dict[str, Any]]]:
        """(number of the job, its row) of every job, as each is done. Raises BadCluster."""
        from distributed import as_completed

        self._futures = [self._client.submit(run_there, job, _HERE, pure=False) for job in jobs]
        places = {future.key: number for number, future in enumerate(self._futures)}
        for future in as_completed(self._futures, loop=self._client.loop):
            row = _row_of(future)
            future.release()
            yield places[future.key], row


def _row_of(future: Any) -> dict[str, Any]:
    """The row of a job that has ended in some way. Raises BadCluster."""
    from concurrent.futures import CancelledError

    from distributed.scheduler import KilledWorker

    try:
        row: dict[str, Any] = future.result()
    except KilledWorker:
        return {"verdict": "error", "error": _DIED}
    except _OtherSource:
        raise BadCluster("a worker has another version of stigmem-trio or of Python; all need the one here") from None
    except (OSError, CancelledError) as error:
        raise BadCluster("the scheduler is gone; what is done is kept") from error
    except Exception as error:
        raise BadCluster(f"a worker could not take up a run: {error!r}") from error
    return row


def _connected(where: Any) -> Any:
    from distributed import Client

    if isinstance(where, str) and not _ADDRESS.fullmatch(where):
        raise BadCluster(f"{where} is not the address of a scheduler, such as tcp://10.0.0.1:8786")
    try:
        return Client(where, timeout=_CONNECT_S, set_as_default=False)
    except OSError as error:
        raise BadCluster(f"no scheduler of Dask answers at {where}") from error
