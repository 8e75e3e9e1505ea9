"""HTTP/1.1 for a node, on trio streams and llhttp: a carrier of Requests and Responses, and nothing of what they say.

One idea a file, from the bytes up:

`limits`      every bound, with its unit and reason
`refusals`    what a request that is none is told
`heads`       bytes to heads, no I/O
`plain`       a stream over a socket in as few steps as trio allows
`ports`       what a connection needs of others: an application, and its server
`bodies`      bytes to bodies, no I/O
`writing`     responses to bytes, no I/O
`connection`  one connection from its first byte to its last
`places`      which connections may stay, and how much their bodies may take together
`secure`      the handshake of TLS, and who is on the other end
`accepting`   new connections, also where this process may open no more files
`server`      listeners, the look round once a second, and a stop that finishes what is under way
`asgi`        an ASGI application as one of ours

An application is two functions (`Application`): how long a body a head may bring, and the answer to a request.
"""

from __future__ import annotations

from stigmem.core.wire import BodyBound
from stigmem.host.http.ports import Application, Caller
from stigmem.host.http.server import CannotListen, Server

__all__ = ["Application", "BodyBound", "Caller", "CannotListen", "Server"]
