"""The errors of the client under the name that the published client gives their module; see `stigmem.client`."""

from stigmem.client.exceptions import (
    StigmemAuthError,
    StigmemConflictError,
    StigmemError,
    StigmemHTTPError,
    StigmemNotFoundError,
)

__all__ = [
    "StigmemAuthError", "StigmemConflictError", "StigmemError", "StigmemHTTPError", "StigmemNotFoundError",
]  # fmt: skip
