"""How alike tools are by what is said of them, and which of them a request calls for."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from scipy.sparse.csgraph import connected_components
from sklearn.feature_extraction.text import TfidfVectorizer

from sparseact.catalogue.read import Catalogue
from sparseact.design import Floats, Ints

# Where a name ends a word: at what is no letter or digit, and before a capital letter.
_WORDS = re.compile(r"[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])")


class Texts:
    """Tools by the words of their names and descriptions: TF-IDF, compared by its cosine.

    Parameters
    ----------
    catalogue : Catalogue
        Only names and descriptions are looked at.

    Raises
    ------
    ValueError
        If no tool has a word that is not one that most English texts hold.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        texts = [
            f"{' '.join(_WORDS.split(name))} {told}"
            for name, told in zip(catalogue.tools, catalogue.descriptions, strict=True)
        ]
        self._words = TfidfVectorizer(sublinear_tf=True, stop_words="english")
        try:
            self._tools = self._words.fit_transform(texts)
        except ValueError:
            raise ValueError("names and descriptions of the tools hold no words") from None

    def likeness(self) -> Floats:
        """(M, M) cosine of each two tools, from 0 to 1; 0 on the diagonal."""
        cosines = np.minimum((self._tools @ self._tools.T).toarray(), 1.0)
        np.fill_diagonal(cosines, 0.0)
        return np.asarray(cosines)

    def retrieved(self, requests: Sequence[str]) -> Ints:
        """(n, M) the tools for each of n requests, the most alike first; ties by index."""
        cosines = (self._words.transform(requests) @ self._tools.T).toarray()
        return np.argsort(-cosines, axis=1, kind="stable")


def near_copies(likeness: Floats, level: float) -> Ints:
    """(M,) a group for each tool: near-copies, and near-copies of those, share one.

    Parameters
    ----------
    likeness : array (M, M)
    level : float
        The cosine from which two tools are near-copies.
    """
    return np.asarray(connected_components(likeness >= level, directed=False)[1], dtype=np.intp)
