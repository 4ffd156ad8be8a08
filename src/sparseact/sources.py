"""Where the parts of a log come from, and who may work on them: files, datasets, a dask cluster.

Each function imports what it needs when it is called: pyarrow and dask come with
``sparseact[parts]``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from sparseact.arguments import MOST_ACTIONS, integer
from sparseact.parts import Mapper, Part

if TYPE_CHECKING:
    import xarray as xr


def parquet_parts(
    path: str | PathLike[str],
    n_actions: int,
    *,
    reward: str = "reward",
    actions: str = "actions",
    latents: Sequence[str],
) -> list[Callable[[], Part]]:
    """The row groups of a Parquet file, each read when it is asked for.

    Parameters
    ----------
    path : path
        One row a round.
    n_actions : int
        M.
    reward, actions : str
        Columns. An action is an id from 0 to M - 1; a round may have one, or a list of distinct
        ones.
    latents : sequence of str
        The d columns of the latent state.

    Raises
    ------
    ValueError
        If the file has no such column, or, once a part is read, if an id is out of range or
        repeated within a round, or a value is missing.
    """
    import pyarrow.parquet as pq

    integer(n_actions, "n_actions", 1, MOST_ACTIONS)
    with pq.ParquetFile(path) as file:
        known = file.schema_arrow.names
        groups = file.num_row_groups
    for column in (reward, actions, *latents):
        if column not in known:
            raise ValueError(f"{path} has no column {column!r}; it has {', '.join(known)}")
    read = partial(_row_group, path, n_actions, reward, actions, list(latents))
    return [partial(read, group) for group in range(groups)]


def _row_group(
    path: str | PathLike[str],
    n_actions: int,
    reward: str,
    actions: str,
    latents: list[str],
    group: int,
) -> Part:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        table = file.read_row_group(group, columns=[reward, actions, *latents])
    for name in table.column_names:
        if table[name].null_count:
            raise ValueError(f"row group {group} of {path}: column {name!r} has missing values")
    used = table[actions].combine_chunks()
    if pa.types.is_integer(used.type):
        offsets, ids = np.arange(len(used) + 1), used.to_numpy()
    else:
        used = used.cast(pa.list_(pa.int64()))
        offsets, ids = used.offsets.to_numpy(), used.flatten().to_numpy()
        offsets = offsets - offsets[0]
    if ids.size and (ids.min() < 0 or ids.max() >= n_actions):
        worst = ids.min() if ids.min() < 0 else ids.max()
        raise ValueError(
            f"row group {group} of {path}: action ids must lie between 0 and {n_actions - 1}, "
            f"got {worst}"
        )
    csr = sp.csr_array((np.ones(ids.size), ids.copy(), offsets), shape=(len(used), n_actions))
    csr.sum_duplicates()
    if csr.nnz < ids.size:
        raise ValueError(f"row group {group} of {path}: a round names an action twice")
    states = np.column_stack([table[name].to_numpy() for name in latents])
    return states, csr, table[reward].to_numpy()


def dataset_parts(
    dataset: xr.Dataset,
    rounds_at_a_time: int,
    *,
    reward: str = "reward",
    activations: str = "activation",
    latents: str = "latent",
    dim: str = "round",
) -> list[Callable[[], Part]]:
    """Slices of a dataset that xarray has opened (netCDF, zarr), each read when it is asked for.

    Parameters
    ----------
    dataset : xarray.Dataset
        Variables reward (round), latents (round, d), and activations (round, M) or action ids
        (round, B).
    rounds_at_a_time : int
    reward, activations, latents, dim : str
        Their names.

    Raises
    ------
    ValueError
        If a variable is missing, or its first dimension is not the rounds.
    TypeError
        If ``rounds_at_a_time`` is not an integer.
    """
    step = integer(rounds_at_a_time, "rounds_at_a_time", 1)
    for name in (reward, activations, latents):
        if name not in dataset:
            raise ValueError(
                f"the dataset has no {name!r}; it has {', '.join(map(str, dataset.data_vars))}"
            )
        if dataset[name].dims[:1] != (dim,):
            raise ValueError(
                f"{name!r} must have {dim!r} as its first dimension, got {dataset[name].dims}"
            )
    names = (latents, activations, reward)
    starts = range(0, dataset.sizes[dim], step)
    return [partial(_slice, dataset, names, {dim: slice(a, a + step)}) for a in starts]


def _slice(dataset: xr.Dataset, names: tuple[str, str, str], which: dict[str, slice]) -> Part:
    latents, activations, reward = (dataset[name].isel(which).values for name in names)
    return latents, activations, reward


def dask_mapper(client: Any, ahead: int | None = None) -> Mapper:
    """Work on parts by a dask cluster, for ``block_omp_in_parts(…, mapper=dask_mapper(client))``.

    Parameters
    ----------
    client : dask.distributed.Client
    ahead : int, optional
        Parts in work or waiting for their sum at a time; twice the cluster's threads if not given.
        Results come home in the order of the parts, so sums are the same with any cluster.
    """

    def over(function: Callable[[Any], Any], parts: Iterable[Any]) -> Iterator[Any]:
        room = ahead or 2 * max(1, sum(client.nthreads().values()))
        pending: deque[Any] = deque()
        try:
            for part in parts:
                pending.append(client.submit(function, part, pure=False))
                if len(pending) >= room:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            client.cancel(list(pending))

    return over
