"""Datasets on disk: what comes back, what is refused, and what must not be in a file."""

import ast
import hashlib
import inspect
import json
import os
import re
import time
from functools import partial

import netCDF4
import numpy as np
import pytest
import xarray as xr

from sparseact.study import variables
from sparseact.study.origin import origin
from sparseact.study.store import (
    DatasetError,
    atomic,
    head,
    open_dataset,
    read,
    seal,
    sha256,
    write,
    write_text,
)
from sparseact.study.variables import KINDS, VARIABLES, Variable

TRIALS, ROUNDS = 3, 7


def small_log(design="multi", **more):
    rng = np.random.default_rng(0)
    used = (
        {"activation_bits": rng.integers(0, 256, (TRIALS, ROUNDS, 2), dtype=np.uint8)}
        if design == "signed"
        else {"action": rng.integers(0, 300, (TRIALS, ROUNDS, 2), dtype=np.uint16)}
    )
    return {
        "latent": rng.standard_normal((TRIALS, ROUNDS, 4), dtype=np.float32),
        **used,
        "reward": rng.standard_normal((TRIALS, ROUNDS)),
        "support": rng.integers(0, 300, (TRIALS, 2), dtype=np.uint16),
        "weights": rng.standard_normal((TRIALS, 2, 4)),
        **more,
    }


def small_recovery():
    rng = np.random.default_rng(1)
    n_rounds = np.array([5, 10, 20], dtype=np.int32)
    return {
        "n_rounds": n_rounds,
        "exact_recovery": rng.integers(0, 2, (TRIALS, 3), dtype=np.uint8),
        "n_correct": rng.integers(0, 3, (TRIALS, 3), dtype=np.int32),
        "least_coverage": rng.integers(0, 9, (TRIALS, 3), dtype=np.int32),
        "selected": rng.integers(-1, 300, (TRIALS, 3, 2), dtype=np.int32),
    }


def small(kind):
    """Any kind of dataset, from the registry: two along every axis, with a NaN among the floats."""
    arrays = {}
    for name, dims in KINDS[kind].variables.items():
        variable, shape = VARIABLES[name], (2,) * len(dims)
        if variable.dtype == "str":
            arrays[name] = np.resize(np.array(["one", "a longer µ"]), shape)
        elif variable.dtype == "ids":
            arrays[name] = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
        else:
            low = 0 if np.isinf(variable.low) else variable.low
            values = low + np.arange(np.prod(shape)).reshape(shape) % 2
            arrays[name] = values.astype(variable.dtype)
            if variable.dtype == "float64" and len(dims) > 1:
                arrays[name].flat[0] = np.nan
    return arrays


DECOYS = np.arange(2 * TRIALS, dtype=np.uint16).reshape(TRIALS, 2)
SMALL = {
    **{kind: partial(small, kind) for kind in KINDS},
    "log": small_log,
    "signed log": partial(small_log, "signed"),
    "decoy log": partial(small_log, "signed", decoy=DECOYS),
    "scarce log": partial(small_log, scarce=DECOYS[:, 0]),
    "late log": partial(small_log, "signed", late=DECOYS, newcomer=DECOYS[:, 0]),
    "recovery": small_recovery,
}
every_kind = pytest.mark.parametrize("example", SMALL)


def kind_of(example):
    return example.split(" ")[-1]


def raw(path, kind, arrays, dims=None):
    """A netCDF file whose contents nothing has checked."""
    with netCDF4.Dataset(path, "w") as file:
        file.sparseact_kind = kind
        for name, values in arrays.items():
            of = (dims or {}).get(name) or KINDS[kind].variables.get(name)
            of = of or tuple(f"{name} {i}" for i in range(values.ndim))
            for dim, size in zip(of, values.shape, strict=True):
                if dim not in file.dimensions:
                    file.createDimension(dim, size)
            file.createVariable(name, values.dtype, of)[...] = values
    seal(path)


# -- what comes back ---------------------------------------------------------------------------


@every_kind
def test_what_is_written_is_read(tmp_path, example):
    arrays, path = SMALL[example](), tmp_path / "deep" / "down" / "data.nc"
    write(path, kind_of(example), arrays)
    found = read(path, kind_of(example))
    assert found.keys() == arrays.keys()
    for name, values in arrays.items():
        np.testing.assert_array_equal(found[name], values)
        if VARIABLES[name].dtype != "str":
            assert found[name].dtype == values.dtype
            assert type(found[name]) is np.ndarray


@every_kind
def test_a_labelled_dataset_has_coordinates_units_and_attributes(tmp_path, example):
    arrays, path, kind = SMALL[example](), tmp_path / "data.nc", kind_of(example)
    write(path, kind, arrays, {"scenario": "some", "seed": 7})
    ds = open_dataset(path, kind)
    assert set(ds.variables) == set(arrays)
    for name, values in arrays.items():
        dims = KINDS[kind].variables[name]
        assert ds[name].dims == dims
        np.testing.assert_array_equal(ds[name], values)
        assert (name in ds.coords) == (dims == (name,))
        assert ds[name].attrs == {
            "units": VARIABLES[name].units,
            "long_name": VARIABLES[name].long_name,
        }
    assert ds.attrs["sparseact_kind"] == kind
    assert ds.attrs["title"] == KINDS[kind].title
    assert ds.attrs["scenario"] == "some"
    assert ds.attrs["seed"] == 7


@pytest.mark.parametrize("example", KINDS)
def test_other_tools_read_the_same(tmp_path, example):
    arrays, path = SMALL[example](), tmp_path / "data.nc"
    write(path, example, arrays)
    with xr.open_dataset(path) as theirs:
        ours = open_dataset(path, example)
        xr.testing.assert_equal(theirs.load(), ours)
        assert theirs.attrs == ours.attrs


def test_an_xarray_dataset_is_written_as_its_variables(tmp_path):
    first, second = tmp_path / "first.nc", tmp_path / "second.nc"
    write(first, "recovery", small_recovery())
    write(second, "recovery", open_dataset(first, "recovery").variables)
    assert first.read_bytes() == second.read_bytes()


# -- what must not be in a file ----------------------------------------------------------------


@every_kind
def test_the_same_content_is_the_same_bytes(tmp_path, example):
    arrays, kind = SMALL[example](), kind_of(example)
    first, second = tmp_path / "first.nc", tmp_path / "elsewhere" / "second.nc"
    write(first, kind, arrays, {"scenario": "some"})
    backwards = dict(reversed({name: values.copy() for name, values in arrays.items()}.items()))
    write(second, kind, backwards, {"scenario": "some"})
    assert first.read_bytes() == second.read_bytes()
    write(second, kind, arrays, {"scenario": "other"})
    assert first.read_bytes() != second.read_bytes()


def test_neither_clock_nor_host_nor_path_is_in_a_file(tmp_path):
    path = tmp_path / "a-telling-name.nc"
    arrays = {name: np.zeros_like(values) for name, values in small_recovery().items()}
    arrays["n_rounds"] += np.arange(1, 4, dtype=np.int32)
    write(path, "recovery", arrays)
    content = path.read_bytes()
    host = re.escape(os.uname().nodename.encode())
    assert not re.search(rb"(?<![A-Za-z0-9])" + host + rb"(?![A-Za-z0-9])", content)
    for part in (b"telling", str(tmp_path).encode(), tmp_path.name.encode()):
        assert part not in content
    time.sleep(1.1)  # HDF5 keeps times in whole seconds
    write(path, "recovery", arrays)
    assert path.read_bytes() == content


# -- writing is all or nothing -----------------------------------------------------------------


def listing(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_write_leaves_one_file(tmp_path):
    write(tmp_path / "data.nc", "recovery", small_recovery())
    write(tmp_path / "data.nc", "recovery", small_recovery())
    assert listing(tmp_path) == ["data.nc"]
    assert (tmp_path / "data.nc").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.parametrize("failure", ["refused data", "broken attribute"])
def test_a_failed_write_leaves_nothing_and_touches_nothing(tmp_path, existing, failure):
    path, arrays, attributes = tmp_path / "data.nc", small_recovery(), {}
    if existing:
        write(path, "recovery", arrays)
        before, touched = path.read_bytes(), path.stat().st_mtime_ns
    if failure == "refused data":
        arrays["n_correct"] = arrays["n_correct"][:-1]
    else:
        attributes["scenario"] = object()  # netCDF4 fails on it once the file is open
    with pytest.raises((DatasetError, TypeError)):
        write(path, "recovery", arrays, attributes)
    assert listing(tmp_path) == (["data.nc"] if existing else [])
    if existing:
        assert path.read_bytes() == before
        assert path.stat().st_mtime_ns == touched


@pytest.mark.parametrize("interruption", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_interrupted_write_leaves_nothing(tmp_path, interruption):
    path = tmp_path / "page.html"
    write_text(path, "whole ü")

    def interrupted():
        with atomic(path) as partial:
            partial.write_text("half")
            assert path.read_text(encoding="utf-8") == "whole ü"
            raise interruption

    with pytest.raises(interruption):
        interrupted()
    assert listing(tmp_path) == ["page.html"]
    assert path.read_text(encoding="utf-8") == "whole ü"


# -- what is refused ---------------------------------------------------------------------------


@every_kind
def test_a_flipped_bit_anywhere_is_found(tmp_path, example):
    path, kind = tmp_path / "data.nc", kind_of(example)
    write(path, kind, SMALL[example](), {"scenario": "some", "seed": 3})
    content = path.read_bytes()
    ends = (0, len(content) - 1, len(content) - 40)
    for place in (*ends, *np.random.default_rng(5).choice(len(content), 60, replace=False)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << (place % 8)
        path.write_bytes(damaged)
        with pytest.raises(DatasetError, match=f"^{re.escape(str(path))} is damaged"):
            open_dataset(path, kind)


def test_what_other_tools_changed_is_refused(tmp_path):
    path = tmp_path / "data.nc"
    write(path, "recovery", small_recovery(), {"scenario": "some"})
    with netCDF4.Dataset(path, "a") as file:
        file.scenario = "sums"
    with pytest.raises(DatasetError, match=f"^{re.escape(str(path))} is damaged"):
        read(path, "recovery")


def test_the_seal_is_the_digest_of_all_before_it(tmp_path):
    path = tmp_path / "data.nc"
    write(path, "recovery", small_recovery())
    held, _, told = path.read_bytes().rpartition(b"\nsha256:")
    assert told.decode() == f"{hashlib.sha256(held).hexdigest()}\n"
    path.write_bytes(held)
    with pytest.raises(DatasetError, match="is damaged"):
        read(path, "recovery")
    seal(path)
    assert read(path, "recovery").keys() == small_recovery().keys()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.99])
@every_kind
def test_a_truncated_file_is_refused(tmp_path, example, share):
    path, kind = tmp_path / "data.nc", kind_of(example)
    write(path, kind, SMALL[example]())
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    for reader in (read, open_dataset):
        with pytest.raises(DatasetError, match=re.escape(str(path))):
            reader(path, kind)


def test_files_that_are_not_netcdf_are_refused(tmp_path):
    path = tmp_path / "data.nc"
    for make, says in (
        (lambda: path.write_text("trial,round\n1,2\n" * 100), "is damaged, or no dataset"),
        (lambda: path.write_bytes(bytes(5000)), "is damaged, or no dataset"),
        (lambda: path.write_bytes(b""), "is damaged, or no dataset"),
        (lambda: path.unlink(), "cannot be read: No such file"),
        (lambda: path.mkdir(), "cannot be read: Is a directory"),
    ):
        make()
        with pytest.raises(DatasetError, match=re.escape(f"{path} {says}")):
            read(path, "log")


def test_another_kind_is_refused(tmp_path):
    path = tmp_path / "data.nc"
    write(path, "recovery", small_recovery())
    with pytest.raises(
        DatasetError,
        match=re.escape(f"{path} is not what belongs there: a log dataset should be"),
    ):
        read(path, "log")
    with netCDF4.Dataset(path, "w"):
        pass
    seal(path)
    with pytest.raises(
        DatasetError,
        match=re.escape(f"{path} is not what belongs there: a log dataset should be"),
    ):
        read(path, "log")


def without(name):
    return lambda arrays: {key: values for key, values in arrays.items() if key != name}


def with_values(name, values):
    return lambda arrays: {**arrays, name: values(arrays[name])}


def set_last(value):
    def change(values):
        values = values.copy()
        values.flat[-1] = value
        return values

    return change


WRONG = {
    "missing variable": (without("n_correct"), "n_correct"),
    "missing coordinate": (without("n_rounds"), "n_rounds"),
    "extra variable": (lambda arrays: {**arrays, "extra": np.zeros(3)}, "extra"),
    "variable of another kind": (lambda a: {**a, "reward": np.zeros((3, 7))}, "reward"),
    "wider type": (with_values("n_correct", lambda v: v.astype(np.int64)), "n_correct"),
    "other type": (with_values("exact_recovery", lambda v: v.astype(float)), "exact_recovery"),
    "wrong length": (with_values("n_rounds", lambda v: v[:2]), "n_rounds"),
    "too low": (with_values("n_correct", set_last(-1)), "n_correct must lie within 0"),
    "too high": (
        with_values("exact_recovery", set_last(2)),
        "exact_recovery must lie within 0 … 1",
    ),
    "no action": (with_values("selected", set_last(-2)), "selected must lie within -1"),
    "no rounds": (with_values("n_rounds", set_last(0)), "n_rounds must lie within 1"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_data_against_the_registry_are_not_written(tmp_path, wrong):
    change, message = WRONG[wrong]
    path = tmp_path / "data.nc"
    with pytest.raises(DatasetError, match=f"^{re.escape(str(path))}: .*{message}"):
        write(path, "recovery", change(small_recovery()))
    assert listing(tmp_path) == []


@pytest.mark.parametrize("wrong", [name for name in WRONG if name != "wrong length"])
def test_data_against_the_registry_are_not_read(tmp_path, wrong):
    change, message = WRONG[wrong]
    path = tmp_path / "data.nc"
    raw(path, "recovery", small_recovery())
    read(path, "recovery")
    raw(path, "recovery", change(small_recovery()))
    for reader in (read, open_dataset):
        with pytest.raises(DatasetError, match=f"^{re.escape(str(path))}: .*{message}"):
            reader(path, "recovery")


@pytest.mark.parametrize(
    "dims", [("n_rounds", "trial"), ("trial", "step"), ("trial",), ("trial", "n_rounds", "step")]
)
def test_other_dimensions_are_not_read(tmp_path, dims):
    path, arrays = tmp_path / "data.nc", small_recovery()
    arrays["n_correct"] = np.zeros((3, 3, 2)[: len(dims)], dtype=np.int32)
    if dims == ("trial", "step"):
        arrays["n_correct"] = arrays["n_correct"][:, :2]
    raw(path, "recovery", arrays, {"n_correct": dims})
    with pytest.raises(DatasetError, match=rf"{re.escape(str(path))}: n_correct has dimensions"):
        read(path, "recovery")


@pytest.mark.parametrize("shape", [(3,), (3, 3, 1)])
def test_another_number_of_dimensions_is_not_written(tmp_path, shape):
    arrays = small_recovery() | {"n_correct": np.zeros(shape, dtype=np.int32)}
    with pytest.raises(DatasetError, match=r"n_correct has \d dimensions, not \('trial', 'n_rou"):
        write(tmp_path / "data.nc", "recovery", arrays)


@pytest.mark.parametrize("ids", [np.int32, np.float64])
def test_ids_are_unsigned(tmp_path, ids):
    arrays = small_log()
    arrays["support"] = arrays["support"].astype(ids)
    with pytest.raises(DatasetError, match="support has dtype"):
        write(tmp_path / "data.nc", "log", arrays)


def test_missing_probabilities_are_no_probabilities_out_of_range(tmp_path):
    arrays = small("phase_transition")
    path = tmp_path / "data.nc"
    arrays["recovery_probability"][...] = np.nan
    write(path, "phase_transition", arrays)
    assert np.isnan(read(path, "phase_transition")["recovery_probability"]).all()
    arrays["recovery_probability"].flat[-1] = 1.001
    with pytest.raises(DatasetError, match="recovery_probability must lie within 0 … 1"):
        write(path, "phase_transition", arrays)


# -- the registry ------------------------------------------------------------------------------


def test_every_variable_of_every_kind_is_registered_with_units_and_name():
    for kind in KINDS.values():
        assert kind.title
        assert kind.optional <= kind.variables.keys()
        for name in kind.variables:
            assert VARIABLES[name].units
            assert VARIABLES[name].long_name


def test_every_registered_variable_is_of_a_kind():
    assert {name for kind in KINDS.values() for name in kind.variables} == VARIABLES.keys()


def test_a_value_and_the_ends_of_its_interval_have_the_same_dimensions():
    for kind in KINDS.values():
        for name, dims in kind.variables.items():
            if name.endswith("_low"):
                value = name.removesuffix("_low")
                assert kind.variables[value] == kind.variables[f"{value}_high"] == dims
                assert VARIABLES[value].units == VARIABLES[name].units


@pytest.mark.parametrize(
    ("declared", "fitting", "other"),
    [
        ("int32", ["int32"], ["int64", "uint32", "float64"]),
        ("float64", ["float64"], ["float32", "int64"]),
        ("ids", ["uint8", "uint16", "uint32"], ["int32", "bool", "float64"]),
        ("str", ["U5", "O"], ["int32", "float64", "S5"]),
    ],
)
def test_types_fit_as_declared(declared, fitting, other):
    variable = Variable(declared, "1", "some")
    assert all(variable.fits(dtype) for dtype in fitting)
    assert not any(variable.fits(dtype) for dtype in other)


def test_attributes_may_be_as_long_as_large_grids_make_them(tmp_path):
    told = {"configuration": json.dumps(list(range(100_000))), "code_digest": "abc"}
    write(tmp_path / "data.nc", "recovery", small_recovery(), told)
    digest, found = head(tmp_path / "data.nc", origin([*range(100_000)], "abc"))
    assert digest == sha256(tmp_path / "data.nc")
    assert found["configuration"] == told["configuration"]


def test_the_registry_names_every_variable_once():
    tree = ast.parse(inspect.getsource(variables))
    tables = [
        one.value
        for one in tree.body
        if isinstance(one, ast.AnnAssign | ast.AugAssign) and one.target.id == "VARIABLES"
    ]
    named = []
    for table in tables:
        for key, value in zip(table.keys, table.values, strict=True):
            named.append(key.value if key else value.args[0].value)
    assert len(named) > 150
    assert [name for name in named if named.count(name) > 1] == []
