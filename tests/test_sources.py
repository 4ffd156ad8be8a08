"""Parts of a log from Parquet files and on a dask cluster: `make test` runs this in .venv-parts."""

import numpy as np
import pytest
import scipy.sparse as sp

from sparseact import KhatriRaoDesign, block_omp, block_omp_in_parts
from sparseact.sources import dask_mapper, parquet_parts

pa = pytest.importorskip("pyarrow", reason="run in .venv-parts, by make test")
distributed = pytest.importorskip("dask.distributed")
pq = pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def parquet(tmp_path):
    """A file of sets of unequal size in row groups of 100, and the whole log."""
    rng = np.random.default_rng(8)
    sets = [rng.choice(50, rng.integers(0, 5), replace=False) for _ in range(430)]
    latents, y = rng.standard_normal((430, 2)), rng.standard_normal(430)
    columns = {"reward": y, "actions": sets, "z1": latents[:, 0], "z2": latents[:, 1]}
    pq.write_table(pa.table(columns), tmp_path / "log.parquet", row_group_size=100)
    X = sp.lil_array((430, 50))
    for t, used in enumerate(sets):
        X[t, used] = 1.0
    return tmp_path / "log.parquet", KhatriRaoDesign(latents, X.tocsr()), y


def test_row_groups_of_a_parquet_file(parquet):
    path, design, y = parquet
    parts = parquet_parts(path, 50, latents=["z1", "z2"])
    assert len(parts) == 5
    whole = block_omp(design, y, 6, selection="whitened")
    found = block_omp_in_parts(parts, 6, selection="whitened")
    assert found.support.tolist() == whole.support.tolist()
    np.testing.assert_allclose(found.weights, whole.weights, atol=1e-10)
    with pytest.raises(ValueError, match="has no column 'z3'; it has reward, actions, z1, z2"):
        parquet_parts(path, 50, latents=["z3"])
    few = parquet_parts(path, 20, latents=["z1", "z2"])
    with pytest.raises(ValueError, match=r"row group 0 of .* between 0 and 19, got 4"):
        block_omp_in_parts(few, 2)


def test_a_dask_cluster_gives_the_same_bytes(parquet):
    parts = parquet_parts(parquet[0], 50, latents=["z1", "z2"])
    here = block_omp_in_parts(parts, 6)
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, processes=True
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        there = block_omp_in_parts(parts, 6, mapper=dask_mapper(client, ahead=3))
        few = parquet_parts(parquet[0], 20, latents=["z1", "z2"])
        with pytest.raises(ValueError, match="between 0 and 19"):
            block_omp_in_parts(few, 2, mapper=dask_mapper(client))
    assert there.support.tolist() == here.support.tolist()
    assert there.weights.tobytes() == here.weights.tobytes()
    assert there.residual_norms.tobytes() == here.residual_norms.tobytes()
