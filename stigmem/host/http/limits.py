"""Every bound of the server: a name, a unit and the reason for the number.

How many connections there may be is a setting of the operator (`connections_max`); how long a body may be is the
application's word for each head. What is here nobody should need to move.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "ANSWER_S", "BODIES_BYTES_MAX", "BODY_BYTES_PER_S_MIN", "BODY_GRACE_S", "CHUNKS_MAX", "CHUNK_DIGITS_MAX",
    "CONTROL_CONNECTIONS_MAX", "HALF_CLOSED_S", "HANDSHAKE_S", "HEADER_LINES_MAX", "HEAD_BYTES_MAX", "HEAD_S",
    "HEALTH_PLACES", "HEALTH_S", "IDLE_S", "LINGER_BYTES_MAX", "LINGER_S", "LOOK_S", "READ_BYTES",
    "SEND_BYTES_PER_S_MIN", "SEND_GRACE_S", "SLOW_AFTER_S", "STOP_S",
]  # fmt: skip

# --- heads ---
HEAD_BYTES_MAX: Final = 32_768
"""Request line and header lines together: room for a token of 10,000 characters and a list of held facts of 8,192."""
HEADER_LINES_MAX: Final = 100
"""Far above what any client or proxy sends; each line costs an entry of a dict."""
HEAD_S: Final = 20.0
"""From the first byte of a head to its last. A head fits into a few packets."""

# --- bodies ---
BODY_GRACE_S: Final = 10.0
"""Before a body's rate is looked at: a round trip over a bad line, and the client's own pause after `100 Continue`."""
BODY_BYTES_PER_S_MIN: Final = 16_384
"""A sender slower than this, after the grace, is refused: a quarter of the slowest DSL line."""
BODIES_BYTES_MAX: Final = 128 * 1_048_576
"""Bytes of unfinished bodies, over all connections: sixteen of the largest. Above it the slowest body goes."""
CHUNK_DIGITS_MAX: Final = 8
"""Hexadecimal digits of a chunk's size: four GiB, beyond every bound of a body."""
CHUNKS_MAX: Final = 16_384
"""Chunks of one body. A chunk of one byte costs as much work as one of thousands; this is 512 bytes on average for the
largest body."""

# --- answers ---
ANSWER_S: Final = 60.0
"""Twice what a pull may wait for news."""
SEND_GRACE_S: Final = 20.0
SEND_BYTES_PER_S_MIN: Final = 16_384
"""A reader slower than this, after the grace, is cut off."""

# --- connections ---
IDLE_S: Final = 75.0
"""Between two requests: longer than our own clients keep a connection (60 s), so that they close it and not we."""
HANDSHAKE_S: Final = 10.0
"""TLS from accept to its last message: two round trips and a signature."""
HALF_CLOSED_S: Final = 5.0
"""How long an answer may still take when the client has closed its half. Who waits for an answer that way asked a
short question; who went away during a long one looks just the same."""
SLOW_AFTER_S: Final = 1.0
"""Younger work is not called slow, whatever came of it so far."""
HEALTH_PLACES: Final = 16
"""Connections beyond the operator's bound on which only health checks are answered."""
HEALTH_S: Final = 5.0
"""From accept to the head of a health check on such a place."""
CONTROL_CONNECTIONS_MAX: Final = 64
"""Connections on the control socket, which are not among the operator's bound: whoever may open it is the operator."""
LINGER_S: Final = 2.0
LINGER_BYTES_MAX: Final = 4 * 1_048_576
"""How long, and how much, a client is heard out after its last answer: closing on unread bytes would take it back."""

# --- the process ---
READ_BYTES: Final = 65_536
"""One read: what a loopback packet holds. Requests beyond the first wait in it as bytes, and no further read is made
until they are answered: this, and the longest head, bounds what a client may send ahead."""
LOOK_S: Final = 1.0
"""Between two looks at all deadlines: a timer for each would cost as much as a request."""
STOP_S: Final = 5.0
"""What a stop gives requests under way."""
