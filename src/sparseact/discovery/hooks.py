"""The user's own encoder of texts, named as ``package.module:function``."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from sparseact.arguments import LARGEST
from sparseact.design import Floats
from sparseact.discovery.pieces import LogError


class Hook:
    """A function of n texts to (n, d) states, called with some texts of a log at a time.

    Parameters
    ----------
    name : str
        ``package.module:function``.

    Raises
    ------
    LogError
        If there is no such function.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._function = self._found()
        self._dimensions: int | None = None

    def _found(self) -> Callable[[list[str]], Any]:
        module, _, attribute = self._name.partition(":")
        try:
            function = getattr(importlib.import_module(module), attribute)
        except Exception as error:
            raise self._refusal(f"cannot be imported: {_told(error)}") from None
        if not callable(function):
            raise self._refusal(f"must be a function, got {type(function).__name__}")
        return function

    def __call__(self, texts: list[str]) -> Floats:
        """States (n, d) of n texts.

        Raises
        ------
        LogError
            If the function fails, or does not return finite numbers of that shape, with the same
            d each time.
        """
        try:
            states = np.asarray(self._function(texts))
            if states.dtype.kind not in "biuf":
                raise TypeError(f"an array of numbers is wanted, got dtype {states.dtype}")
        except Exception as error:
            raise self._refusal(f"failed: {_told(error)}") from None
        if states.ndim != 2 or len(states) != len(texts) or not states.shape[1]:
            raise self._refusal(
                f"must return an array of shape ({len(texts)}, d) for {len(texts)} texts, "
                f"got {states.shape}"
            )
        if self._dimensions not in (None, states.shape[1]):
            raise self._refusal(
                f"must return as many columns each time, got {self._dimensions} and "
                f"{states.shape[1]}"
            )
        self._dimensions = states.shape[1]
        if not (np.abs(states) <= LARGEST).all():
            raise self._refusal(f"must return finite numbers of at most {LARGEST:g}")
        return states.astype(np.float64)

    def _refusal(self, problem: str) -> LogError:
        return LogError(f"encoder {self._name!r} {problem}")


def _told(error: Exception) -> str:
    reason = str(error).partition("\n")[0]
    return f"{type(error).__name__}: {reason}" if reason else type(error).__name__
