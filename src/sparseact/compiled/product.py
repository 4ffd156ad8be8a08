"""The product of a few rows and a large matrix.

A pass over a dense log is ``(u ⊙ Z)ᵀ X``, of d rows. BLAS packs X anew for each such product, which
takes longer than the product. Here eight rounds of X are read once, in order, for all of the rows,
and once loaded are multiplied for two of them: to load is what takes the time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from sparseact.design import Floats
from sparseact.threads import over


def narrow_product(left: Floats, right: Any, out: Floats) -> None:
    """``out = left @ right`` of left (n, T) and right (T, M), a C-contiguous matrix.

    ``right`` may be of single precision: sums are of double precision all the same.
    """
    if len(left) % 2:
        even = np.empty((len(left) + 1, right.shape[1]))
        narrow_product(np.concatenate([left, np.zeros((1, left.shape[1]))]), right, even)
        out[:] = even[:-1]
        return
    left = np.ascontiguousarray(left)
    over(lambda piece: _columns(left, right, out, piece.start, piece.stop), len(out[0]))


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
        for i in range(0, n, 2):
            w, v = left[i, t : t + 8], left[i + 1, t : t + 8]
            w0, w1, w2, w3, w4, w5, w6, w7 = w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]
            v0, v1, v2, v3, v4, v5, v6, v7 = v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]
            one, two = out[i, start:stop], out[i + 1, start:stop]
            for j in range(one.size):
                a, b, c, d = x0[j], x1[j], x2[j], x3[j]
                e, f, g, h = x4[j], x5[j], x6[j], x7[j]
                # Both are ready before either is stored, after which all would be loaded again.
                first = one[j] + w0 * a + w1 * b + w2 * c + w3 * d
                second = two[j] + v0 * a + v1 * b + v2 * c + v3 * d
                one[j] = first + w4 * e + w5 * f + w6 * g + w7 * h
                two[j] = second + v4 * e + v5 * f + v6 * g + v7 * h
    for t in range(whole, T):
        for i in range(n):
            for j in range(start, stop):
                out[i, j] += left[i, t] * right[t, j]
