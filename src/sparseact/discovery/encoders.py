"""Texts as latent states: the words that requests share, in a few dimensions."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from sparseact.arguments import integer
from sparseact.design import Floats
from sparseact.threads import serial_blas

# Of the largest singular value: what is below is rounding, which nothing may make a state of.
_NONE = 1e-9

_log = logging.getLogger(__name__)


class TextEncoder:
    """TF-IDF and a truncated singular value decomposition (latent semantic analysis).

    Deterministic, light, and in need of nothing but scikit-learn. Words that occur in one text
    alone, and those that most English texts hold, are left out.

    Parameters
    ----------
    dimensions : int
        d, at least 1. Texts of fewer different words have fewer.
    seed : int
        Of the decomposition, which is found by random projections.

    Raises
    ------
    ValueError
        If a number is out of range.
    TypeError
        If a number is not an integer.

    Notes
    -----
    Deerwester et al. (1990), "Indexing by latent semantic analysis".
    """

    def __init__(self, dimensions: int = 16, seed: int = 0) -> None:
        self.dimensions = integer(dimensions, "dimensions", 1)
        self.seed = integer(seed, "seed", 0)

    @serial_blas()
    def fit(self, texts: Sequence[str]) -> TextEncoder:
        """Learn the words and what they share.

        Raises
        ------
        ValueError
            If no word occurs in two of the texts.
        """
        self._words = TfidfVectorizer(sublinear_tf=True, stop_words="english", min_df=2)
        try:
            counts = self._words.fit_transform(texts)
        except ValueError:
            raise ValueError(
                f"no word occurs in two of {len(texts)} texts, so none can tell them apart"
            ) from None
        kept = min(self.dimensions, min(counts.shape) - 1)
        if kept < 1:
            raise ValueError(
                f"a single word occurs in two of {len(texts)} texts: that is no state to tell"
            )
        self._svd = TruncatedSVD(kept, n_iter=7, random_state=self.seed).fit(counts)
        told = self._svd.singular_values_
        self._kept = int((told > _NONE * told[0]).sum())
        if self._kept < self.dimensions:
            _log.warning(
                "texts have %d dimensions, not the %d asked for", self._kept, self.dimensions
            )
        return self

    def transform(self, texts: Sequence[str]) -> Floats:
        """(n, d) states of n texts; 0 for one without a known word."""
        states = self._svd.transform(self._words.transform(texts))[:, : self._kept]
        return np.ascontiguousarray(states, dtype=np.float64)


def evenly(texts: Iterable[str], most: int) -> list[str]:
    """At most so many texts, and half as many at least, at equal distances.

    Of twice as many every other one is dropped, so that texts need not be counted beforehand.
    """
    kept: list[str] = []
    step = 1
    for place, text in enumerate(texts):
        if place % step:
            continue
        kept.append(text)
        if len(kept) > most:
            kept, step = kept[::2], 2 * step
    return kept
