"""The product of a few rows and a large matrix.

A pass over a dense log is ``(u ⊙ Z)ᵀ X``, of d rows. BLAS packs X anew for each such product, which
takes longer than the product. Here eight rounds of X are read once, in order, for all of the rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from sparseact.design import Floats
from sparseact.threads import over

# Columns that a thread works on at a time.
_COLUMNS = 4096


def narrow_product(left: Floats, right: Any, out: Floats) -> None:
    """``out = left @ right`` of left (n, T) and right (T, M), a C-contiguous matrix.

    ``right`` may be of single precision: sums are of double precision all the same.
    """
    left = np.ascontiguousarray(left)
    over(lambda piece: _columns(left, right, out, piece.start, piece.stop), len(out[0]), _COLUMNS)


@njit(cache=True, nogil=True, fastmath={"contract"})
def _columns(left, right, out, start, stop):  # type: ignore[no-untyped-def]
    n, T = left.shape
    out[:, start:stop] = 0.0
    whole = T // 8 * 8
    for t in range(0, whole, 8):
        x0, x1 = right[t, start:stop], right[t + 1, start:stop]
        x2, x3 = right[t + 2, start:stop], right[t + 3, start:stop]
        x4, x5 = right[t + 4, start:stop], right[t + 5, start:stop]
        x6, x7 = right[t + 6, start:stop], right[t + 7, start:stop]
        for i in range(n):
            w = left[i, t : t + 8]
            w0, w1, w2, w3, w4, w5, w6, w7 = w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]
            row = out[i, start:stop]
            for j in range(row.size):
                row[j] += (
                    w0 * x0[j]
                    + w1 * x1[j]
                    + w2 * x2[j]
                    + w3 * x3[j]
                    + w4 * x4[j]
                    + w5 * x5[j]
                    + w6 * x6[j]
                    + w7 * x7[j]
                )
    for t in range(whole, T):
        for i in range(n):
            for j in range(start, stop):
                out[i, j] += left[i, t] * right[t, j]
