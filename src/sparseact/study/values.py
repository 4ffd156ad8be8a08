"""Values of arrays, told so that two runs can be compared by what is told alone.

Whole numbers and text are told by a digest, few floats outright, many floats by their norm and a
sketch, eight sums of all of them under random signs. The sums of two arrays differ by sums of the
differences, whose mean square is the square of the distance between the arrays (Alon, Matias and
Szegedy 1999), so that eight of them tell the root-mean-square difference to within a factor of two
or so.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

# Floats of a variable up to which they are told outright.
_FEW = 64
_SIGNS = 8
# Floats that are summed up at a time.
_AT_ONCE = 2**16


def tell(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, Any]:
    """Every variable by value: a digest, the floats, or a sketch with what is needed to read it."""
    return {name: _tell(array) for name, array in sorted(arrays.items())}


def _tell(array: npt.NDArray[Any]) -> Any:
    if array.dtype.kind != "f":
        return fingerprint(array)
    flat = array.ravel()
    if flat.size <= _FEW:
        return {"floats": " ".join(map(repr, flat.tolist()))}
    total = np.zeros(1 + _SIGNS)
    for start, signs in enumerate(_signs(flat.size)):
        some = flat[start * _AT_ONCE :][:_AT_ONCE].astype(np.float64)
        some[~np.isfinite(some)] = 0.0
        # Row by row, in the order in which NumPy adds up on every machine.
        total += [np.add.reduce(some**2), *(np.add.reduce(some * row) for row in signs)]
    return {
        # Where values are missing or infinite is compared exactly.
        "pattern": fingerprint(pattern(array)),
        "norm": math.sqrt(total[0]),
        "sketch": total[1:].tolist(),
    }


def pattern(array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """0 where a value is finite, 1 where it is missing, 2 and 3 where it is infinite."""
    kinds = [np.isnan(array), array == np.inf, array == -np.inf]
    return np.select(kinds, [1, 2, 3], 0).astype(np.uint8)


def _signs(n: int) -> Iterator[npt.NDArray[np.int8]]:
    """Eight times n random signs in pieces, the same on every machine."""
    bits = np.random.PCG64(20260108)
    places = np.arange(_SIGNS, dtype=np.uint64)[:, None]
    for start in range(0, n, _AT_ONCE):
        drawn = bits.random_raw(min(_AT_ONCE, n - start))
        yield 1 - 2 * ((drawn >> places) & 1).astype(np.int8)


def fingerprint(values: npt.NDArray[Any]) -> str:
    """Hexadecimal SHA-256 of an array: its type, its shape and every value."""
    text = values.dtype.kind in "OUT"
    head = ["text" if text else values.dtype.str, values.shape]
    total = hashlib.sha256(json.dumps(head).encode())
    if text:
        total.update(json.dumps(values.tolist()).encode())
    else:
        total.update(np.ascontiguousarray(values).data)
    return total.hexdigest()
