"""Logs in files: any format and any pieces give the same log; what is wrong has its row."""

import json
from datetime import date

import netCDF4
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparseact.discovery import LogError, Settings, discover_log, read_log
from sparseact.discovery.example import example_log
from sparseact.discovery.table import json_of
from sparseact.discovery.writing import write_log

FORMATS = [".parquet", ".csv", ".jsonl", ".ndjson", ".nc"]


def made(seed=0, n_rounds=400):
    """Rounds with none, one or a few of some tools, one of them named twice at times."""
    rng = np.random.default_rng(seed)
    tools = ["search", "mail", "Zeta", "code é", "10", "9"]
    used = [
        rng.choice(tools, rng.integers(0, 4)).tolist() if rng.random() < 0.9 else None
        for _ in range(n_rounds)
    ]
    return pl.DataFrame(
        {
            "reward": rng.standard_normal(n_rounds),
            "actions": pl.Series(used, dtype=pl.List(pl.String)),
            "z1": rng.standard_normal(n_rounds) * 10.0 ** rng.integers(-20, 20, n_rounds),
            "z2": rng.standard_normal(n_rounds),
        }
    )


def written(log, path):
    if path.suffix in (".csv", ".parquet"):
        write_log(log, path)
    else:  # which have no null in a list of texts
        write_log(log.with_columns(pl.col("actions").fill_null([])), path)
    return str(path)


def same(one, other):
    assert one.names == other.names
    assert one.latent_names == other.latent_names
    for name in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(
            getattr(one.activations, name), getattr(other.activations, name)
        )
    assert one.activations.shape == other.activations.shape
    np.testing.assert_array_equal(one.latents, other.latents)
    np.testing.assert_array_equal(one.rewards, other.rewards)


def read(path, **changed):
    return read_log(Settings(**({"path": str(path), "latents": ["z*"]} | changed)))


# -- every format ----------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_log_is_what_was_written(tmp_path, suffix):
    log = made()
    found = read(written(log, tmp_path / f"log{suffix}"))
    names = sorted({name for row in log["actions"].drop_nulls().to_list() for name in row})
    assert found.names == tuple(names)
    assert found.latent_names == ("z1", "z2")
    dense = [[float(name in (row or [])) for name in names] for row in log["actions"].to_list()]
    np.testing.assert_array_equal(found.activations.toarray(), dense)
    np.testing.assert_array_equal(found.latents, log.select("z1", "z2").to_numpy())
    np.testing.assert_array_equal(found.rewards, log["reward"].to_numpy())


def test_fields_in_quotes_may_hold_anything(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes(
        b'\xef\xbb\xbfreward,actions,z1,note\r\n1,"a, b;c",0.5,"two\r\nlines"\r\n'
        b'2, c , 1.5 ,"say ""x"""\r\n\r\n'
    )
    found = read(path)
    assert found.names == ("a, b", "c")
    assert found.activations.toarray().tolist() == [[1, 1], [0, 1]]
    assert found.latents.tolist() == [[0.5], [1.5]]


def test_every_format_gives_the_same_discovery(tmp_path):
    log = example_log(3000, 30).log
    told = {
        json.dumps(
            json_of(
                discover_log(Settings(path=written(log, tmp_path / f"log{suffix}"), latents=["z*"]))
            )
        )
        for suffix in FORMATS
    }
    assert len(told) == 1


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2), st.integers(1, 120), st.sampled_from(FORMATS))
def test_pieces_of_any_size_give_the_same_log(tmp_path_factory, seed, size, suffix):
    path = tmp_path_factory.getbasetemp() / f"pieces{seed}{suffix}"
    if not path.exists():
        written(made(seed, 100), path)
    asked = Settings(path=str(path), latents=["z2", "z1"])
    told = []
    one = read_log(asked, told.append, rounds_at_a_time=size)
    same(one, read_log(asked))
    assert told[-1] == 100
    assert told == sorted(told)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_name_stands_for_no_other_file(tmp_path, suffix):
    written(made(1), tmp_path / f"log1{suffix}")
    for name in ("log*", "log[1]", "lo?1"):
        path = written(made(2, 50), tmp_path / f"{name}{suffix}")
        assert len(read(path).rewards) == 50


@pytest.mark.parametrize("suffix", FORMATS)
def test_ids_that_are_numbers_ascend_as_numbers(tmp_path, suffix):
    log = made().with_columns(actions=pl.Series([[10, 9], [100], [], [-2]] * 100))
    path = tmp_path / f"log{suffix}"
    if suffix == ".nc":
        with netCDF4.Dataset(path, "w") as file:
            file.createDimension("round", 400)
            file.createDimension("slot", 2)
            slots = file.createVariable("actions", "i4", ("round", "slot"), fill_value=-9)
            slots[:] = [[10, 9], [-1, 100], [-9, -1], [-2, -9]] * 100
            for name in ("reward", "z1", "z2"):
                file.createVariable(name, "f8", ("round",))[:] = log[name].to_numpy()
    else:
        write_log(log, path)
    found = read(path)
    assert found.names == ("-2", "9", "10", "100")
    assert found.activations[:4].toarray().tolist() == [
        [0, 1, 1, 0],
        [0, 0, 0, 1],
        [0, 0, 0, 0],
        [1, 0, 0, 0],
    ]


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_one_id_a_round_or_several_in_a_text(tmp_path, suffix):
    cells = ["b; a", "a", None, "c d;;b"] * 100
    log = made().with_columns(actions=pl.Series(cells))
    path = tmp_path / f"log{suffix}"
    write_log(log, path)
    assert read(path).names == ("a", "b", "c d")
    assert read(path).activations.sum(axis=1)[:4].tolist() == [2, 1, 0, 2]
    assert read(path, separator=" ").names == ("a", "b;", "c", "d;;b")
    assert read(path, separator=None).names == ("a", "b; a", "c d;;b")


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_categories_are_names(tmp_path, suffix):
    log = made().with_columns(actions=pl.Series(["a", "b", None, "a"] * 100))
    write_log(log, tmp_path / f"plain{suffix}")
    write_log(log.cast({"actions": pl.Enum(["b", "a"])}), tmp_path / f"log{suffix}")
    same(read(tmp_path / f"log{suffix}"), read(tmp_path / f"plain{suffix}"))


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_true_and_false_are_rewards(tmp_path, suffix):
    log = made().with_columns(pl.col("reward") > 0)
    path = tmp_path / f"log{suffix}"
    write_log(log, path)
    np.testing.assert_array_equal(read(path).rewards, log["reward"].to_numpy())


def test_rounds_that_lack_a_value_are_left_out_if_asked(tmp_path, caplog):
    log = made()
    row = pl.int_range(pl.len())
    lacking = log.with_columns(
        reward=pl.when(row % 7 > 0).then(pl.col("reward")),
        z2=pl.when(row % 11 > 0).then(pl.col("z2")),
    )
    path = written(lacking, tmp_path / "log.parquet")
    whole = written(log.filter((row % 7 > 0) & (row % 11 > 0)), tmp_path / "whole.parquet")
    same(read(path, missing="drop"), read(whole))
    assert caplog.messages == ["89 of 400 rounds lack a value: left out"]


def test_commas_between_ids_are_doubted(tmp_path, caplog):
    path = tmp_path / "log.csv"
    path.write_text('reward,actions,z1\n1,"a,b",1\n2,b,2\n3,"a,c",3\n')
    assert read(path).names == ("a,b", "a,c", "b")
    assert "set separator: ','" in caplog.text
    caplog.clear()
    assert read(path, separator=",").names == ("a", "b", "c")
    assert not caplog.records


def test_a_log_without_a_state_has_effects_alone(tmp_path):
    rng = np.random.default_rng(0)
    used = rng.integers(0, 6, 1000)
    log = pl.DataFrame({"reward": (used == 2) + 0.1 * rng.standard_normal(1000), "actions": used})
    path = written(log, tmp_path / "log.csv")
    found = discover_log(Settings(path=path, latents=[]))
    assert found.named("relevant") == ["2"]
    assert found.latent_names == ("no state",)
    means = [log.filter(pl.col("actions") == j)["reward"].mean() for j in range(6)]
    rest = np.mean([means[j] for j in range(6) if j != 2])
    assert found.verdicts.mean[2] == pytest.approx(means[2] - rest, abs=0.02)
    np.testing.assert_array_equal(found.weights[:, 1], 0)


def test_vectors_are_latents(tmp_path):
    log = made()
    both = log.select("z1", "z2").to_numpy()
    for path in (tmp_path / "log.parquet", tmp_path / "log.jsonl"):
        write_log(log.drop("z1", "z2").with_columns(state=pl.Series(both.tolist())), path)
    with netCDF4.Dataset(tmp_path / "log.nc", "w") as file:
        file.createDimension("round", 400)
        file.createDimension("latent", 2)
        file.createVariable("reward", "f8", ("round",))[:] = log["reward"].to_numpy()
        file.createVariable("state", "f8", ("round", "latent"))[:] = both
        file.createVariable("actions", str, ("round",))[:] = np.array(
            [";".join(row or []) for row in log["actions"].to_list()], dtype=object
        )
    for suffix in (".parquet", ".jsonl", ".nc"):
        found = read(tmp_path / f"log{suffix}", latents=["st*"])
        assert found.latent_names == ("state[0]", "state[1]")
        np.testing.assert_array_equal(found.latents, both)
        assert found.names == read(written(log, tmp_path / "plain.csv")).names


def test_a_variable_of_characters_is_text(tmp_path):
    with netCDF4.Dataset(tmp_path / "log.nc", "w") as file:
        file.createDimension("round", 3)
        file.createDimension("letter", 4)
        characters = netCDF4.stringtochar(np.array(["mail", "web", ""], dtype="S4"))
        file.createVariable("actions", "S1", ("round", "letter"))[:] = characters
        for name in ("reward", "z"):
            file.createVariable(name, "f8", ("round",))[:] = [1, 2, 3]
    found = read(tmp_path / "log.nc", latents=["z"])
    assert found.names == ("mail", "web")
    assert found.activations.toarray().tolist() == [[1, 0], [0, 1], [0, 0]]


def test_patterns_take_columns_in_order_and_neither_reward_nor_actions(tmp_path):
    log = made().with_columns(pl.lit(0.5).alias("b[1]"))
    path = written(log, tmp_path / "log.csv")
    assert read(path, latents=["*"]).latent_names == ("z1", "z2", "b[1]")
    assert read(path, latents=["z2", "b[1]", "z?"]).latent_names == ("z2", "b[1]", "z1")


def test_a_catalogue_names_what_was_never_used(tmp_path):
    catalogue = tmp_path / "tools.txt"
    catalogue.write_text("zz\nsearch\nmail\n\nZeta\ncode é\n10\n9\nmail\n", encoding="utf-8")
    path = written(made(), tmp_path / "log.csv")
    found = read(path, catalogue=str(catalogue))
    assert found.names == ("10", "9", "Zeta", "code é", "mail", "search", "zz")
    assert found.activations[:, [-1]].nnz == 0
    np.testing.assert_array_equal(
        found.activations[:, :-1].toarray(), read(path).activations.toarray()
    )


# -- what is wrong ---------------------------------------------------------------------------------

GOOD = "reward,actions,z1,z2\n1,a;b,0.5,1\n0,b,1.5,2\n0.5,,2.5,4\n"


def refused(path, **changed):
    with pytest.raises(LogError) as error:
        read(path, **changed)
    message = str(error.value)
    assert "\n" not in message
    return message.replace(str(path), "FILE").replace(str(path.parent), "FOLDER")


@pytest.mark.parametrize(
    ("text", "changed", "message"),
    [
        ("", {}, "FILE is empty"),
        ("reward,actions,z1\n", {}, "FILE has no rounds"),
        (
            GOOD,
            {"reward": "rewards"},
            "FILE has no column 'rewards' (did you mean 'reward'?); it has: reward, actions, "
            "z1, z2",
        ),
        (
            GOOD,
            {"actions": "xyz"},
            "FILE has no column 'xyz'; it has: reward, actions, z1, z2",
        ),
        (
            GOOD,
            {"latents": ["q*"]},
            "FILE has no column like 'q*'; it has: reward, actions, z1, z2",
        ),
        (
            GOOD,
            {"latents": ["z1", "z3"]},
            "FILE has no column 'z3'; it has: reward, actions, z1, z2",
        ),
        (
            GOOD.replace("0.5,,", "good,,"),
            {},
            "FILE, row 3, column 'reward': 'good' is not a number",
        ),
        (
            GOOD.replace("1.5", "1.5 m"),
            {},
            "FILE, row 2, column 'z1': '1.5 m' is not a number",
        ),
        (
            GOOD.replace("1.5", ""),
            {},
            "FILE, row 2, column 'z1': no value, as in 1 of 3 rounds; fill them in, or leave these "
            "rounds out: missing: drop",
        ),
        (
            GOOD.replace("0.5,,", "nan,,").replace("\n1,", "\nNaN,"),
            {},
            "FILE, row 1, column 'reward': no value, as in 2 of 3 rounds; fill them in, or leave "
            "these rounds out: missing: drop",
        ),
        (
            GOOD.replace("1.5", "-inf"),
            {},
            "FILE, row 2, column 'z1': numbers must be finite and at most 1e+30, got -inf",
        ),
        (
            GOOD.replace("4", "4e31"),
            {},
            "FILE, row 3, column 'z2': numbers must be finite and at most 1e+30, got 4e+31",
        ),
        (
            "reward,actions,z1,z2\n1,a,,1\n2,a,,2\n",
            {},
            "FILE, column 'z1': no round has a value",
        ),
        (
            "reward,actions,z1\n2,a,1\n2,b,2\n",
            {},
            "FILE, column 'reward': rewards must differ, all 2 are 2",
        ),
        (
            "reward,actions,z1\n1,,1\n,a,2\n3,b,\n4,,2\n",
            {"missing": "drop"},
            "FILE, column 'actions': no round used an action",
        ),
        (
            "reward,actions,z1\n,a,1\n2,b,\n",
            {"missing": "drop"},
            "FILE: no round has a reward and a whole state",
        ),
        (
            "reward,actions,z1\n1,b,1\n2,\"['a', 'b']\",2\n",
            {},
            "FILE, row 2, column 'actions': \"['a', 'b']\" looks like a list: write the ids with "
            "';' between them, or, if that is one id, set separator: null",
        ),
        (
            "reward;actions;z1\n1;b;1\n",
            {},
            "FILE: its header has semicolons, no commas: write its fields with commas between them",
        ),
        (
            "reward,actions,z1\n1,,1\n2,;,2\n",
            {},
            "FILE, column 'actions': no round used an action",
        ),
        (
            "reward,actions,z1\n\n1,a,1\n\n2,b,x\n",  # empty lines are no rounds
            {},
            "FILE, row 2, column 'z1': 'x' is not a number",
        ),
        (
            "reward,actions,z1\n1,a,1\n\n2,a,b,2\n",
            {},
            "FILE, row 2: 4 fields, but the header names 3; a field with a comma in it must stand "
            'in "quotes"',
        ),
    ],
)
def test_what_is_wrong_with_text_is_said(tmp_path, text, changed, message):
    path = tmp_path / "log.csv"
    path.write_text(text)
    assert refused(path, **changed) == message


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["[1]"], "FILE, row 1: a JSON object is wanted, one a line"),
        (
            [{"reward": 1, "actions": [], "z": 1}, '{"reward": 2, x'],
            "FILE, row 2: not JSON: Expecting property name enclosed in double quotes, at "
            "character 15",
        ),
        (
            [{"reward": 1, "actions": [], "z": 1}, '{"reward": NaN, "actions": [], "z": 1}'],
            "FILE, row 2: not JSON: NaN is no JSON number; null stands for a missing one",
        ),
        (
            [{"reward": 1, "actions": ["a"], "z": 1}, {"reward": 2, "actions": [], "z": "x"}],
            "FILE, row 2, column 'z': a number is wanted, as in the first rounds, got \"x\"",
        ),
        (
            [{"reward": 1, "actions": ["a"], "z": 1}, {"reward": 2, "actions": "a", "z": 2}],
            "FILE, row 2, column 'actions': a list is wanted, as in the first rounds, got \"a\"",
        ),
        (
            [{"reward": 1, "actions": "a", "z": 1}, {"reward": 2, "actions": ["a"], "z": 2}],
            "FILE, row 2, column 'actions': text is wanted, as in the first rounds, got [\"a\"]",
        ),
        (
            [{"reward": 1, "actions": [{"tool": "a"}], "z": 1}],
            "FILE, row 1, column 'actions': a list of plain values is wanted, got "
            '[{"tool": "a"}]',
        ),
        (
            [{"reward": True, "actions": ["a"], "z": 1}, {"reward": 2, "actions": [], "z": 1}],
            "FILE, row 2, column 'reward': true or false is wanted, as in the first rounds, got 2",
        ),
        (
            [{"reward": 1, "actions": ["a"], "z": ["x"]}],
            "FILE, row 1, column 'z': 'x' is not a number",
        ),
        (
            [{"reward": 1, "actions": {"a": 1}, "z": 1}],
            "FILE, column 'actions': objects cannot be used; log their parts",
        ),
        (
            [{"reward": 1, "actions": ["a"], "z": 1}, {"reward": 2, "actions": ["a"]}],
            "FILE, row 2, column 'z': no value, as in 1 of 2 rounds; fill them in, or leave these "
            "rounds out: missing: drop",
        ),
    ],
)
def test_what_is_wrong_with_json_lines_is_said(tmp_path, lines, message):
    path = tmp_path / "log.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n\n".join(texts) + "\n")  # empty lines are no rounds
    if "row 2: not JSON" in message:  # whoever looks at it first
        texts[0:0] = [texts[0]] * 1500
        path.write_text("\n".join(texts))
        assert refused(path) == message.replace("row 2", "row 1502")
    path.write_text("\n\n".join(texts[-len(lines) :]) + "\n")
    assert refused(path) == message


def test_lists_that_come_late_are_said(tmp_path):
    path = tmp_path / "log.jsonl"
    lines = [{"reward": 1, "actions": None, "z": 1}] * 1000
    lines += [{"reward": 2, "actions": ["a"], "z": 1}]
    path.write_text("\n".join(map(json.dumps, lines)))
    assert refused(path) == (
        "FILE, row 1001, column 'actions': a list must occur in the first 1,000 rounds already, "
        'got ["a"]'
    )


def test_what_is_wrong_with_columns_is_said(tmp_path):
    path = tmp_path / "log.parquet"
    log = made()
    for name, values, kind in (
        ("z1", [date(2026, 1, 1)] * 400, "numbers are wanted, it holds date"),
        ("reward", [[{"a": 1}]] * 400, "numbers are wanted, it holds struct"),
        ("actions", [1.5] * 400, "integers, text, or lists of them are wanted, it holds fractions"),
        (
            "actions",
            [[1.5]] * 400,
            "integers, text, or lists of them are wanted, it holds lists of fractions",
        ),
    ):
        log.with_columns(pl.Series(name, values)).write_parquet(path)
        assert refused(path) == f"FILE, column {name!r}: {kind}"
    log.with_columns(pl.Series("z1", [[1.0, 2.0]] * 300 + [[1.0]] * 100)).write_parquet(path)
    message = "FILE, row 301, column 'z1': a vector of 2 numbers is wanted, got 1"
    assert refused(path) == message
    with pytest.raises(LogError, match=r"row 301, .* a vector of 2 numbers is wanted, got 1"):
        read_log(Settings(path=str(path), latents=["z1"]), rounds_at_a_time=100)
    empty = pl.Series("z1", [[]] * 400, dtype=pl.List(pl.Float64))
    log.with_columns(empty).write_parquet(path)
    assert refused(path) == "FILE, row 1, column 'z1': a vector of numbers is wanted, got none"
    log.drop("z1", "z2").with_columns(text=pl.lit(3)).write_parquet(path)
    message = "FILE, column 'text': text is wanted, it holds integers"
    assert refused(path, latents=None, text="text") == message
    log.drop("z1", "z2").with_columns(text=pl.lit("")).write_parquet(path)
    message = "FILE, column 'text': no word occurs in two of 400 texts, so none can tell them apart"
    assert refused(path, latents=None, text="text") == message


@pytest.mark.parametrize(
    ("suffix", "message"),
    [
        (".parquet", "FILE is not Parquet that can be read: "),
        (".csv", "FILE is not CSV that can be read: "),
        (".jsonl", "FILE, row 1: not JSON: "),
        (".nc", "FILE is not netCDF that can be read: "),
    ],
)
def test_a_file_of_another_format_is_refused(tmp_path, suffix, message):
    path = tmp_path / f"log{suffix}"
    path.write_bytes(b"reward,actions,z1\n" * (suffix == ".csv") + bytes(range(1, 256)) * 40)
    assert refused(path).startswith(message)
    path.write_bytes(b"")
    assert refused(path) == "FILE is empty"


def test_a_file_that_is_not_there_is_said(tmp_path):
    assert refused(tmp_path / "log.csv") == "there is no file FILE"
    (tmp_path / "log.nc").mkdir()
    assert refused(tmp_path / "log.nc") == "FILE is not a file"
    assert refused(tmp_path / "log.xlsx") == (
        "FILE must have one of the suffixes .parquet, .csv, .jsonl, .ndjson, .nc, which tell its "
        "format"
    )


def test_netcdf_without_rounds_is_said(tmp_path):
    path = tmp_path / "log.nc"
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("time", 3)
    assert refused(path) == "FILE has no dimension 'round'; its dimensions are: time"
    with netCDF4.Dataset(path, "w") as file:
        for name in ("round", "a", "b"):
            file.createDimension(name, 3)
        file.createVariable("actions", "i4", ("round",))[:] = [1, 2, 3]
        file.createVariable("reward", "f8", ("round",))[:] = [1, 2, 3]
        file.createVariable("z", "f8", ("round", "a", "b"))
    assert refused(path) == (
        "FILE, column 'z': one or two dimensions are wanted, got ('round', 'a', 'b')"
    )


def test_what_is_wrong_with_a_catalogue_is_said(tmp_path):
    path, catalogue = tmp_path / "log.csv", tmp_path / "tools.txt"
    path.write_text(GOOD)
    missing = refused(path, catalogue=str(catalogue))
    assert missing == "catalogue FOLDER/tools.txt cannot be read: No such file or directory"
    catalogue.write_text("\n \n")
    assert refused(path, catalogue=str(catalogue)) == "catalogue FOLDER/tools.txt names no action"
    catalogue.write_bytes(b"\xff\xfe")
    missing = refused(path, catalogue=str(catalogue))
    assert missing == "catalogue FOLDER/tools.txt cannot be read: it is not UTF-8 text"
    catalogue.write_text("b\n")
    message = "FILE, row 1, column 'actions': 'a' is not an action of the catalogue"
    assert refused(path, catalogue=str(catalogue)) == message


def test_a_log_that_is_too_short_names_its_file(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(GOOD)
    with pytest.raises(LogError, match=r"log\.csv: 3 rounds are too few"):
        discover_log(Settings(path=str(path), latents=["z1"]))
