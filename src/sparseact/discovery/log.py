"""A user's own log: read in pieces from a file, kept as the compact log alone, and judged."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from sparseact.arguments import integer
from sparseact.design import Floats, Ints, KhatriRaoDesign
from sparseact.discovery import cells
from sparseact.discovery.hooks import Hook
from sparseact.discovery.judge import Discovery, discover
from sparseact.discovery.names import Names, catalogue
from sparseact.discovery.pieces import LogError, Piece
from sparseact.discovery.rows import Rows
from sparseact.discovery.settings import Settings
from sparseact.discovery.tables import Table, open_table

# Rounds that are read at a time.
AT_A_TIME = 2**15

# What stands for a state, of which there is none: nothing that differs.
_STATELESS = "no state"

Encode = Callable[[list[str]], Floats]
Progress = Callable[[int], None]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Log:
    """T rounds of M actions with d latents.

    Attributes
    ----------
    names : tuple of M str
        Of the actions, ascending: as numbers if all are integers, as texts otherwise.
    activations : CSR array (T, M)
        1 where a round used an action.
    latents : array (T, d)
    latent_names : tuple of d str
    rewards : array (T,)
    """

    names: tuple[str, ...]
    activations: sp.csr_array
    latents: Floats
    latent_names: tuple[str, ...]
    rewards: Floats


def discover_log(settings: Settings, progress: Progress | None = None) -> Discovery:
    """Which actions of a log in a file matter, which can go, and which the log cannot tell.

    Parameters
    ----------
    settings : Settings
    progress : callable, optional
        Told now and then how many rounds have been read.

    Raises
    ------
    LogError
        If the log cannot be used: one sentence that names the file, and its column and row.
    """
    log = read_log(settings, progress)
    try:
        return discover(
            KhatriRaoDesign(log.latents, log.activations),
            log.rewards,
            names=log.names,
            latent_names=log.latent_names,
            threshold=settings.threshold,
            alpha=settings.alpha,
            power=settings.power,
            held_out=settings.held_out,
            most=settings.most,
            baseline=settings.baseline,
            seed=settings.seed,
        )
    except ValueError as error:
        raise LogError(f"{settings.path}: {error}") from None


def read_log(
    settings: Settings, progress: Progress | None = None, *, rounds_at_a_time: int = AT_A_TIME
) -> Log:
    """Read a log; the file may be larger than memory.

    Parameters
    ----------
    settings : Settings
    progress : callable, optional
        Told now and then how many rounds have been read.
    rounds_at_a_time : int
        How many are in memory as they stand in the file. The log does not depend on it.

    Raises
    ------
    LogError
        If the log cannot be used: one sentence that names the file, and its column and row.
    """
    integer(rounds_at_a_time, "rounds_at_a_time", 1)
    table = open_table(settings.path)
    names = Names(None if settings.catalogue is None else catalogue(settings.catalogue))
    for column in (settings.reward, settings.actions):
        table.require(column)
    states = _States(table, settings, rounds_at_a_time)
    rewards, latents = Rows([settings.reward]), Rows(states.columns or [_STATELESS])
    counts, codes = [], []
    columns = [settings.reward, settings.actions, *states.columns]
    n_rounds = 0
    for piece in table.pieces(columns, settings.actions, rounds_at_a_time):
        rewards.add(piece, cells.numbers(piece, settings.reward))
        latents.add(piece, *states.of(piece))
        in_round, of_names = cells.used(piece, settings.actions, settings.separator, names.dtype)
        counts.append(in_round)
        codes.append(of_names)
        n_rounds += len(piece.frame)
        if progress is not None:
            progress(n_rounds)
    dropping = settings.missing == "drop"
    y = rewards.joined(table.path, missing=dropping)[:, 0]
    z = latents.joined(table.path, missing=dropping)
    whole = ~(np.isnan(y) | np.isnan(z).any(axis=1))
    y, z = y[whole], z[whole]
    if not len(y):
        raise LogError(f"{table.path}: no round has a reward and a whole state")
    if y.min() == y.max():
        raise LogError(
            f"{table.path}, column {settings.reward!r}: rewards must differ, all {len(y)} are "
            f"{y[0]:g}"
        )
    ordered, place = names.ordered()
    used = _activations(np.concatenate(counts), place[np.concatenate(codes)], len(ordered))
    if len(y) < n_rounds:
        _log.warning("%d of %d rounds lack a value: left out", n_rounds - len(y), n_rounds)
        used = used[whole]
    if not used.nnz:
        raise LogError(f"{table.path}, column {settings.actions!r}: no round used an action")
    _log.info("%d rounds, %d actions, %d uses", len(y), len(ordered), used.nnz)
    return Log(
        names=ordered,
        activations=used,
        latents=z,
        latent_names=states.names(latents.widths),
        rewards=y,
    )


def _activations(counts: Ints, which: npt.NDArray[np.int32], n_actions: int) -> sp.csr_array:
    """(T, M) ones where a round used an action, once or more often.

    Parameters
    ----------
    counts : int array (T,)
        Actions that each round names.
    which : int array (n_uses,)
        These, round after round.
    n_actions : int
    """
    starts = np.zeros(len(counts) + 1, dtype=np.int32 if len(which) < 2**31 else np.int64)
    np.cumsum(counts, out=starts[1:])
    found = sp.csr_array((np.ones(len(which)), which, starts), shape=(len(counts), n_actions))
    found.sum_duplicates()
    found.data[:] = 1.0
    return found


class _States:
    """The latent states of pieces: columns of numbers, or what an encoder makes of texts."""

    def __init__(self, table: Table, settings: Settings, rounds_at_a_time: int) -> None:
        self._text = settings.text
        if settings.text is None:
            reserved = (settings.reward, settings.actions)
            self.columns = table.matching(settings.latents or (), reserved)
        else:
            table.require(settings.text)
            self.columns = [settings.text]
            self._encode = _encoder(table, settings, settings.text, rounds_at_a_time)

    def of(self, piece: Piece) -> Iterator[Floats]:
        """(n, w) of each column."""
        if not self.columns:
            return iter([np.zeros((len(piece.frame), 1))])
        if self._text is None:
            return (cells.numbers(piece, column) for column in self.columns)
        return iter([self._encode(cells.texts(piece, self._text))])

    def names(self, widths: Sequence[int]) -> tuple[str, ...]:
        """(d,) the name of a column, or of its places where it holds vectors."""
        return tuple(
            column if width == 1 else f"{column}[{place}]"
            for column, width in zip(self.columns or [_STATELESS], widths, strict=True)
            for place in range(width)
        )


def _encoder(table: Table, settings: Settings, column: str, rounds_at_a_time: int) -> Encode:
    """The user's own, or the built-in one, fitted on some of the texts."""
    if isinstance(settings.encoder, str):
        return Hook(settings.encoder)
    from sparseact.discovery.encoders import TextEncoder, evenly

    words = settings.encoder
    pieces = table.pieces([column], settings.actions, rounds_at_a_time)
    sample = evenly((text for piece in pieces for text in cells.texts(piece, column)), words.rounds)
    _log.info("fitting the encoder on %d texts", len(sample))
    try:
        return TextEncoder(words.dimensions, words.seed).fit(sample).transform
    except ValueError as error:
        raise LogError(f"{table.path}, column {column!r}: {error}") from None
