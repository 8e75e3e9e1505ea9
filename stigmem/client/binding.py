"""Making a function a method of a client that looks like what it is: name, help and signature of the operation."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["bound"]

M = TypeVar("M", bound=Callable[..., Any])


def bound(build: Callable[..., Any], method: M) -> M:
    """The method with the name and documentation of the function that it runs. Its return type is the method's own."""
    method.__name__ = build.__name__
    method.__doc__ = build.__doc__
    self = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    given = inspect.signature(build)
    method.__signature__ = given.replace(parameters=[self, *given.parameters.values()])  # type: ignore[attr-defined]
    return method
