"""What public functions ask of their arguments, and how they say that it is not so."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

# Latents, activations and rewards: squares of their products stay far from where doubles end.
LARGEST = 1e30
MOST_ACTIONS = 10**7
MOST_ROUNDS = 2**31 - 1
# Numbers from which BLAS may put several threads to a sum.
_THREADED = 10_000


def instance(value: Any, kind: type, name: str) -> None:
    """Raise a TypeError unless it is an instance of a class."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be a {kind.__name__}, got {type(value).__name__}")


def integer(value: Any, name: str, low: int | None = None, high: int | None = None) -> int:
    """An integer within ``low`` … ``high``.

    Raises
    ------
    TypeError
        If it is not an integer; True and False are not.
    ValueError
        If it is out of range.
    """
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    number = int(value)
    if high is not None and low is not None and not low <= number <= high:
        raise ValueError(f"{name} must lie between {low} and {high}, got {number}")
    if low is not None and number < low:
        raise ValueError(f"{name} must be at least {low}, got {number}")
    return number


def one_of(value: Any, choices: tuple[str, ...], name: str) -> None:
    """Raise a ValueError unless it is one of some words."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {choices}, got {value!r}")


def require_number(value: Any, name: str) -> None:
    """Raise a ValueError unless it is a real number that a double can hold, NaN among them."""
    if not isinstance(value, Real) or isinstance(value, bool):
        raise ValueError(f"{name} must be a number, got {value!r}")
    try:
        float(value)
    except OverflowError:
        raise ValueError(f"{name} must be a number that a double can hold") from None


def real(value: Any, name: str, low: float = -math.inf) -> float:
    """A finite number, at least ``low``.

    Raises
    ------
    ValueError
        If it is not a real number, not finite, or out of range.
    """
    require_number(value, name)
    if not -math.inf < value < math.inf:
        raise ValueError(f"{name} must be finite, got {value!r}")
    if value < low:
        raise ValueError(f"{name} must be at least {low:g}, got {value!r}")
    return float(value)


def real_array(
    values: Any,
    name: str,
    shape: tuple[int | None, ...] | None = None,
    what: str = "an array",
    *,
    single: bool = False,
) -> npt.NDArray[np.float64]:
    """A float array of real numbers, of a shape in which None stands for any size.

    Of double precision, or of single where that is asked for.

    Raises
    ------
    ValueError
        If it has another shape, or holds what is not a real number.
    """
    import numpy as np

    try:
        array = np.asarray(values)
        if array.dtype.kind not in "biufO":
            raise TypeError(f"dtype {array.dtype}")
        array = array.astype(np.float32 if single else np.float64, copy=False)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name} must be {what} of real numbers: {error}") from None
    if shape is not None and not (
        array.ndim == len(shape)
        and all(size in (None, found) for size, found in zip(shape, array.shape, strict=True))
    ):
        wanted = ", ".join("…" if size is None else str(size) for size in shape)
        wanted += "," * (len(shape) == 1)
        raise ValueError(f"{name} must have shape ({wanted}), got {array.shape}")
    return array


def numbers(
    values: Any,
    name: str,
    shape: tuple[int | None, ...] | None = None,
    *,
    largest: float = math.inf,
    what: str = "an array",
    single: bool = False,
) -> npt.NDArray[np.float64]:
    """As :func:`real_array`, of finite numbers.

    Raises
    ------
    ValueError
        As :func:`real_array`, or if a number is NaN, infinite, or in absolute value above
        ``largest``.
    """
    import numpy as np

    array = real_array(values, name, shape, what, single=single)
    # An energy reads them once.
    if array.flags.c_contiguous and _energy(array.ravel()) < min(largest, 1e150) ** 2:
        return array
    size = max(array.max(initial=0.0), -array.min(initial=0.0))  # no copy of what may be large
    if not size < np.inf:
        raise ValueError(f"{name} must be finite, got NaN or infinity")
    if size > largest:
        raise ValueError(f"{name} must not exceed {largest:g} in absolute value, got {size:g}")
    return array


def _energy(values: npt.NDArray[np.float64]) -> float:
    """``‖x‖²``, or NaN or infinity."""
    import numpy as np

    with np.errstate(over="ignore", invalid="ignore"):
        if values.size < _THREADED:
            return float(np.dot(values, values))
        from sparseact.threads import serial_blas

        with serial_blas():  # threads of BLAS would go on waiting, busily, beside what comes next
            return float(np.dot(values, values))


def broadcast(*arrays: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], ...]:
    """Arrays brought to one shape, or a ValueError."""
    import numpy as np

    try:
        return np.broadcast_arrays(*arrays)
    except ValueError as error:
        raise ValueError(f"shapes do not fit each other: {error}") from None


def ids(values: Any, name: str, n: int) -> npt.NDArray[np.intp]:
    """Distinct integers from 0 to n - 1 (m,), in any order; none if the array is empty.

    Raises
    ------
    TypeError
        If they are not integers.
    ValueError
        If the array has another shape, or an integer is out of range or named twice.
    """
    import numpy as np

    wanted = f"{name} must be distinct actions between 0 and {n - 1}"
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{wanted}: {error}") from None
    if array.ndim != 1:
        raise ValueError(f"{wanted}, got an array of shape {array.shape}")
    if array.size and array.dtype.kind not in "iu":
        raise TypeError(f"{name} must be integers, got dtype {array.dtype}")
    found = array.tolist()
    if found and (min(found) < 0 or max(found) >= n or len(set(found)) < len(found)):
        raise ValueError(f"{wanted}, got {found}")
    return array.astype(np.intp)
