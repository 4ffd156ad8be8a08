"""The command line, what it writes, and the example log that it is tried on."""

import contextlib
import json
import os
import pty
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
import yaml
from click.testing import CliRunner

from sparseact.discovery import Settings, discover_log, read_log
from sparseact.discovery.advice import advice
from sparseact.discovery.cli import main
from sparseact.discovery.example import example_log
from sparseact.discovery.table import json_of, table_of
from sparseact.discovery.writing import write_log, write_table


def run(*arguments):
    return CliRunner().invoke(main, list(map(str, arguments)))


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """A log of 40 tools, and what it was made with."""
    made = example_log(6000, 40, 4)
    path = tmp_path_factory.mktemp("log") / "log.parquet"
    write_log(made.log, path)
    return path, made


@pytest.fixture(scope="module")
def found(log):
    return discover_log(Settings(path=str(log[0]), latents=["z*"], threshold=0.5))


# -- the example log -------------------------------------------------------------------------------


def test_the_example_is_what_it_says():
    made = example_log(5000, 30, 3, per_round=2, latent_dim=2, seed=4)
    assert made.log.columns == ["reward", "actions", "z1", "z2"]
    used = [set(row) for row in made.log["actions"].to_list()]
    one, other = made.together
    assert all((one in row) == (other in row) for row in used)
    assert {len(row) for row in used} == {2, 3}
    counts = made.log["actions"].explode().value_counts()
    assert counts.sort("count")["actions"][0] == made.rare
    assert len({*made.relevant, *made.together, made.rare}) == 6
    assert made.log.equals(example_log(5000, 30, 3, 2, 2, seed=4).log)
    assert not made.log.equals(example_log(5000, 30, 3, 2, 2, seed=5).log)


def test_the_examples_requests_tell_what_they_are_about():
    made = example_log(500, 10, 1, latent_dim=3, text=True)
    assert made.log.columns == ["reward", "actions", "request"]
    assert set(made.log["request"].str.split(" ").list.len()) == {8}


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl", ".ndjson", ".nc"])
@pytest.mark.parametrize("text", [False, True])
def test_what_simulate_writes_discover_reads(tmp_path, suffix, text):
    path = tmp_path / f"a log{suffix}"
    done = run(
        "simulate", path, "--rounds", 3000, "--actions", 20, "--relevant", 2, *["--text"] * text
    )
    assert done.exit_code == 0, done.output
    advised = done.output.splitlines()[-1]
    state = "--text request" if text else "--latents 'z*'"
    assert advised == f"  sparseact discover '{path}' {state} --threshold 0.5"
    state = ["--text", "request"] if text else ["--latents", "z*"]
    told = run("discover", path, *state, "--threshold", 0.5, "--json")
    assert told.exit_code == 0, told.output
    relevant = [row["action"] for row in json.loads(told.stdout)["actions"] if row["order"]]
    matter = (
        done.output.splitlines()[0].removeprefix("These tools matter: ").rstrip(".").split(", ")
    )
    assert set(matter) <= set(relevant)


# -- the table and the advice ----------------------------------------------------------------------


def test_the_table_says_what_the_verdicts_do(log, found):
    table = table_of(found)
    assert table["action"].to_list() == list(found.names)
    assert table.filter(pl.col("verdict") == "relevant").sort("order")["action"].to_list() == (
        found.named("relevant")
    )
    one, other = log[1].together
    row = table.row(by_predicate=pl.col("action") == one, named=True)
    assert (row["verdict"], row["reason"]) == ("undetermined", "confounded")
    assert row["confounded_with"] == row["most_coherent"][0] == other
    assert row["coherence"][0] == pytest.approx(1)
    assert table.filter(pl.col("reason") != "confounded")["confounded_with"].null_count() == (
        len(table) - table.filter(pl.col("reason") == "confounded").height
    )
    counts = log[1].log["actions"].explode().value_counts()
    joined = table.join(counts, left_on="action", right_on="actions")
    assert (joined["rounds"] == joined["count"]).all()
    for name, values in (("effect", "size"), ("mean_effect", "mean")):
        for suffix in ("", "_low", "_high"):
            expected = getattr(found.verdicts, values + suffix)
            np.testing.assert_array_equal(table[name + suffix].to_numpy(), expected)


def test_advice_is_what_follows_from_the_verdicts(log, found):
    told = advice(found)
    verdicts = found.verdicts
    assert told.verdicts == {
        name: int((verdicts.verdict == name).sum())
        for name in ("relevant", "prunable", "undetermined")
    }
    assert sum(told.reasons.values()) == told.verdicts["undetermined"]
    finite = verdicts.more_rounds[
        (verdicts.verdict == "undetermined") & np.isfinite(verdicts.more_rounds)
    ]
    assert told.settled_by_rounds == len(finite)
    assert told.rounds_for_half == np.median(finite)
    assert told.rounds_for_all == finite.max()
    uses = [one.uses for one in told.explore]
    assert uses == sorted(uses)
    assert {*log[1].together} == {told.apart[0].action, told.apart[0].other}
    assert len(told.apart) == 1  # the pair, once


def test_json_holds_the_table_with_null_for_what_is_not_finite(found):
    whole = json.loads(json.dumps(json_of(found), allow_nan=False))
    rows = table_of(found).to_dicts()
    assert [row["action"] for row in whole["actions"]] == list(found.names)
    for row, told in zip(rows, whole["actions"], strict=True):
        for name, value in row.items():
            finite = not isinstance(value, float) or np.isfinite(value)
            assert told[name] == (value if finite else None)
    assert any(row["p_value"] is None for row in whole["actions"])
    assert whole["terms"] == {"threshold": 0.5, "alpha": 0.05, "power": 0.8}
    assert whole["log"]["rounds"] == 6000
    assert whole["log"]["latents"] == ["z1", "z2", "z3", "z4"]
    assert whole["advice"]["apart"][0].keys() == {"action", "other", "uses", "coherence"}


def test_tables_are_whole_or_not_there(tmp_path, found, monkeypatch):
    table = table_of(found)
    write_table(table, tmp_path / "a.parquet")
    assert pl.read_parquet(tmp_path / "a.parquet").equals(table)
    write_table(table, tmp_path / "a.csv")
    back = pl.read_csv(tmp_path / "a.csv")
    assert back["most_coherent"].to_list() == [";".join(row) for row in table["most_coherent"]]
    np.testing.assert_array_equal(back["effect_high"].to_numpy(), table["effect_high"].to_numpy())

    def fails(self, path):
        path.write_text("half")
        raise OSError("disk full")

    monkeypatch.setattr(pl.DataFrame, "write_csv", fails)
    before = (tmp_path / "a.csv").read_bytes()
    with pytest.raises(OSError, match="disk full"):
        write_table(table, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.parquet"]
    with pytest.raises(ValueError, match=r"must have one of the suffixes \.csv, \.parquet"):
        write_table(table, tmp_path / "a.txt")


# -- discover --------------------------------------------------------------------------------------


def test_help_has_examples():
    for command in ("discover", "simulate"):
        done = run(command, "--help")
        assert done.exit_code == 0
        assert "sparseact simulate log.parquet" in done.output
        assert max(map(len, done.output.splitlines())) <= 80
    (shown,) = (
        run("discover", "--help").output.partition("and more:\n")[2].rpartition("seed: 0\n")[:1]
    )
    keys = yaml.safe_load(shown + "seed: 0\n")["discover"]
    assert {*keys, "latents"} == set(Settings.model_fields)
    assert Settings(**keys)


def test_options_are_those_of_a_configuration(tmp_path):
    path = tmp_path / "log.csv"
    write_log(example_log(3000, 20, 2, text=True).log, path)
    (tmp_path / "tools.txt").write_text("\n".join(f"tool_{j:03d}" for j in range(25)))
    config = {
        "path": str(path),
        "text": "request",
        "encoder": {"dimensions": 3, "seed": 5},
        "separator": ";",
        "catalogue": str(tmp_path / "tools.txt"),
        "power": 0.9,
        "missing": "drop",
        "baseline": "squares",
    }
    (tmp_path / "my.yaml").write_text(yaml.safe_dump({"discover": config}))
    by_file = run("discover", "--config", tmp_path / "my.yaml", "--json")
    config["encoder"]["dimensions"] = 7
    (tmp_path / "my.yaml").write_text(yaml.safe_dump({"discover": config}))
    both = run("discover", "--config", tmp_path / "my.yaml", "--dimensions", 3, "--json")
    assert both.output == by_file.output
    assert json.loads(by_file.output)["log"]["latents"] == [
        "request[0]",
        "request[1]",
        "request[2]",
    ]
    by_options = run(
        *("discover", path, "--text", "request", "--dimensions", 3, "--separator", ";"),
        *("--catalogue", tmp_path / "tools.txt", "--power", 0.9, "--missing", "drop"),
        *("--baseline", "squares", "--json"),
    )
    told, same = json.loads(by_options.output), json.loads(by_file.output)
    assert told["terms"] == same["terms"]
    assert len(told["actions"]) == len(same["actions"]) == 25
    stateless = run("discover", path, "--no-state", "--json")
    assert json.loads(stateless.output)["log"]["latents"] == ["no state"]
    contradicted = run("discover", path, "--no-state", "--text", "request")
    assert "--no-state says that there is neither" in contradicted.output
    assert contradicted.exit_code == 2


def test_what_is_shown_fits_80_columns(log, found):
    done = run("discover", log[0], "--latents", "z*", "--threshold", 0.5, "--all")
    assert done.exit_code == 0, done.output
    assert max(map(len, done.output.splitlines())) <= 80
    for name in found.names:
        assert name in done.output
    shown = done.output.partition("Undetermined:")[0].splitlines()
    assert [line.split()[0] for line in shown if line.startswith("tool_")] == (
        found.named("relevant")
    )
    assert f"without {log[1].together[1]}" in done.output
    assert "With probability 95 % no action without effect" in done.output
    assert "by how much" in done.output  # nearly all rounds use as many
    few = run("discover", log[0], "--latents", "z*", "--most", 2)
    assert "Selection ended with the 2 actions that --most allows" in few.output
    assert "Selection ended" not in done.output
    assert done.stderr == ""


def test_names_are_shown_as_they_are(tmp_path):
    """Brackets are no markup, and long names are folded rather than cut."""
    made = example_log(2000, 10, 1)
    (name,) = made.relevant
    strange = "[bold]" + "x" * 100
    renamed = made.log.with_columns(
        pl.col("actions").list.eval(pl.element().replace({name: strange}))
    )
    write_log(renamed, tmp_path / "log.csv")
    done = run("discover", tmp_path / "log.csv", "--latents", "z*")
    assert done.exit_code == 0, done.output
    assert "[bold]x" in done.output
    assert done.output.count("x") >= 100


def test_options_override_the_configuration(log, tmp_path):
    config, output = tmp_path / "my.yaml", tmp_path / "actions.csv"
    section = {"path": str(log[0]), "text": "nothing", "threshold": 3.0, "alpha": 0.2}
    config.write_text(yaml.safe_dump({"discover": section | {"encoder": {"seed": 1}}}))
    done = run(
        "discover", "--config", config, "--latents", "z*", "--threshold", 0.5,
        "--json", "--output", output,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["terms"] == {"threshold": 0.5, "alpha": 0.2, "power": 0.8}
    assert pl.read_csv(output)["action"].to_list() == [row["action"] for row in told["actions"]]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["LOG"], 2, "give --latents, the columns of the state, --text, the column of the"),
        (["--latents", "z*"], 2, "give the file of the log: sparseact discover LOG"),
        (["LOG", "--latents", "z*", "--alpha", "3"], 2, "--alpha: must be less than 1"),
        (["LOG", "--latents", "z*", "--held-out", "0"], 2, "--held-out: must be greater"),
        (["LOG", "--latents", "z*", "--most", "x"], 2, "Invalid value for '--most'"),
        (["LOG", "--latents", "z*", "--text", "t"], 2, "give either latents (columns; none,"),
        (["LOG", "--latents", "q*"], 1, "log.parquet has no column like 'q*'; it has: reward,"),
        (["nothing.csv", "--latents", "q*"], 1, "there is no file nothing.csv"),
        (["LOG", "--latents", "z*", "--output", "a.txt"], 2, "a.txt must have one of the suffixes"),
        (["LOG", "--latents", "z*", "--output", "no/a.csv"], 2, "there is no folder no"),
        (["LOG", "--config", "no.yaml"], 2, "no.yaml cannot be read: No such file or directory"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(log, arguments, code, message):
    done = run("discover", *[str(log[0]) if one == "LOG" else one for one in arguments])
    assert done.exit_code == code
    assert message in done.stderr
    assert done.stderr.count("Error: ") == 1
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label: a\ndiscover: [", "my.yaml, line 2: not YAML: "),
        ("label: mine\n", "my.yaml must have a section 'discover'"),
        ("discover: 3\n", "my.yaml must have a section 'discover'"),
        ("discover:\n  text: a\n  treshold: 1\n", "discover.treshold: unknown key"),
        ("discover:\n  text: a\n  power: 2\n", "discover.power: must be less than 1"),
    ],
)
def test_what_is_wrong_with_a_configuration_is_said(log, tmp_path, text, message):
    (tmp_path / "my.yaml").write_text(text)
    done = run("discover", log[0], "--config", tmp_path / "my.yaml")
    assert done.exit_code == 2
    assert message in done.stderr


def test_a_failed_run_leaves_what_was_there(tmp_path):
    output, bad = tmp_path / "actions.csv", tmp_path / "log.csv"
    output.write_text("mine")
    bad.write_text("reward,actions,z1\n1,a,1\n2,b,x\n")
    done = run("discover", bad, "--latents", "z*", "--output", output)
    assert done.exit_code == 1
    assert done.stderr == f"Error: {bad}, row 2, column 'z1': 'x' is not a number\n"
    assert output.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["actions.csv", "log.csv"]


def test_what_cannot_be_simulated_is_said(tmp_path):
    for arguments, message in (
        (["a.csv", "--actions", "5"], "actions must be at least 8, got 5"),
        (["a.csv", "--text", "--latent-dim", "9"], "latent_dim must lie between 1 and 8, got 9"),
        (["a.txt"], "a.txt must have one of the suffixes .parquet, .csv, .jsonl, .ndjson, .nc"),
    ):
        done = run("simulate", tmp_path / arguments[0], *arguments[1:])
        assert done.exit_code == 2
        assert message in done.stderr
    assert not list(tmp_path.iterdir())


def test_reading_a_log_loads_neither_pandas_nor_pyarrow(log, root):
    """Where they are installed they cost half a second and 70 MB."""
    code = (
        "import sys; from sparseact.discovery import Settings, read_log; "
        f"read_log(Settings(path={str(log[0])!r}, latents=['z*'])); "
        "print(sorted({'pandas', 'pyarrow', 'xarray'} & set(sys.modules)))"
    )
    environment = os.environ | {"PYTHONPATH": str(root / "src")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_the_package_can_be_run(log, root, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(root / "src")}
    (tmp_path / "own.py").write_text("def f(texts): return [[len(text)] for text in texts]\n")
    write_log(example_log(500, 10, 1, text=True).log, tmp_path / "log.csv")
    config = {"text": "request", "encoder": "own:f"}
    (tmp_path / "my.yaml").write_text(yaml.safe_dump({"discover": config}))
    done = subprocess.run(
        [sys.executable, "-m", "sparseact", "discover", "log.csv", "--config", "my.yaml"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "500 rounds of 10 actions" in done.stdout


def test_a_terminal_is_told_what_is_being_done(root, tmp_path):
    write_log(example_log(500, 10, 1, text=True).log, tmp_path / "log.csv")
    command = [sys.executable, "-m", "sparseact", "discover", "log.csv", "--text", "request"]
    config = tmp_path / "my.yaml"
    config.write_text("discover: {encoder: {dimensions: 500}}")
    terminal, end = pty.openpty()
    done = subprocess.run(
        [*command, "--config", config, "--json"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(root / "src"), "TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=end,
    )
    os.close(end)
    told = b""
    with contextlib.suppress(OSError):  # which is how a terminal ends
        while more := os.read(terminal, 4096):
            told += more
    os.close(terminal)
    assert done.returncode == 0, told
    assert json.loads(done.stdout)["log"]["rounds"] == 500
    assert b"reading" in told
    assert b"dimensions, not the 500 asked for" in told


def test_names_are_imported_when_they_are_used():
    from sparseact.discovery import discover, judge

    assert discover is judge.discover
    assert read_log.__module__ == "sparseact.discovery.log"
