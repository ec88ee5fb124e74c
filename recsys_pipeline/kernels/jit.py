"""The one way in which kernels are compiled, and the names of their array types."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable

Ints: TypeAlias = npt.NDArray[np.int64]
Codes: TypeAlias = npt.NDArray[np.uint32]
Days: TypeAlias = npt.NDArray[np.int32]
Shorts: TypeAlias = npt.NDArray[np.int16]
Words: TypeAlias = npt.NDArray[np.uint64]
Bytes: TypeAlias = npt.NDArray[np.uint8]
Flags: TypeAlias = npt.NDArray[np.bool_]
Floats: TypeAlias = npt.NDArray[np.float64]

F = TypeVar("F", bound="Callable[..., Any]")


def inner(function: F) -> F:
    """Compile a function that kernels call."""
    return cast("F", _compiled(function))


def kernel(function: F) -> F:
    """Compile a function at its first call, and keep the machine code on disk for later processes.

    A kernel writes to no argument. Arrays are handed over contiguous and read-only, whatever they
    were: each combination of kinds would be compiled by itself, a second or two each.
    """
    compiled = _compiled(function)

    @wraps(function)
    def call(*arguments: object) -> object:
        return compiled(*(_frozen(a) if isinstance(a, np.ndarray) else a for a in arguments))

    call.compiled = compiled  # type: ignore[attr-defined]
    return cast("F", call)


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    try:
        return cast("Callable[..., Any]", numba.njit(cache=True, nogil=True)(function))
    except RuntimeError:  # neither the package's folder nor the user's own can be written to
        return cast("Callable[..., Any]", numba.njit(nogil=True)(function))


def _frozen(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view
