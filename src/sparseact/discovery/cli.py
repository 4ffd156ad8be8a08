"""The command line: ``sparseact discover`` and ``sparseact simulate``."""

from __future__ import annotations

import json
import logging
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from sparseact import __version__
from sparseact.discovery.settings import Settings, settings_of
from sparseact.mistakes import ConfigError


class _Misuse(click.ClickException):
    """What was asked cannot be done; one sentence, without the usage."""

    exit_code = 2


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
@click.version_option(__version__)
def main() -> None:
    """Which of many tools matter to an agent, from logged interactions."""


@main.command(
    epilog="""\b
Examples:
  sparseact simulate log.parquet
  sparseact discover log.parquet --latents 'z*'
  sparseact discover log.csv --reward score --actions tools --text request
  sparseact discover --config my.yaml --output actions.csv

\b
A configuration file holds the same, and more:
  discover:
    path: log.jsonl
    reward: score         # column; numbers, or true and false
    actions: tools        # column; an id, several, or a list of them
    separator: ";"        # between the ids of a text; null: one id a text
    text: request         # or latents: [z1, z2, "emb*"]
    encoder:              # of text; or my_package.module:function
      dimensions: 16
      seed: 0
      rounds: 20000       # that it is fitted on
    catalogue: tools.txt  # all actions there are, one a line
    missing: refuse       # or drop: rounds without a reward or state
    threshold: 0.1
    alpha: 0.05
    power: 0.8
    held_out: 0.5
    most: 50
    baseline: linear      # or squares: of the state, beside
    seed: 0"""
)
@click.argument("log", required=False)
@click.option("--reward", help="Column of the reward.  [default: reward]")
@click.option("--actions", help="Column of the actions that were used.  [default: actions]")
@click.option("--latents", multiple=True, help="Columns of the state, or a pattern; repeatable.")
@click.option("--text", help="Instead of latents: the column of the request.")
@click.option("--no-state", is_flag=True, help="The log has no state.")
@click.option("--separator", help="Of several ids in one text.  [default: ;]")
@click.option("--dimensions", type=int, help="Of the state that a text becomes.  [default: 16]")
@click.option("--catalogue", type=click.Path(), help="Text file of all actions, one a line.")
@click.option(
    "--missing",
    type=click.Choice(["refuse", "drop"]),
    help="Rounds without a reward or state.  [default: refuse]",
)
@click.option(
    "--baseline",
    type=click.Choice(["linear", "squares"]),
    help="What a state is worth by itself.  [default: linear]",
)
@click.option("--config", type=click.Path(), help="YAML file; options override it.")
@click.option(
    "--threshold",
    type=float,
    help="Effects below it do not matter, in units of the reward.  [default: a tenth of the "
    "reward's standard deviation]",
)
@click.option("--alpha", type=float, help="Error allowed, over all actions.  [default: 0.05]")
@click.option("--power", type=float, help="With which advice settles an action.  [default: 0.8]")
@click.option("--held-out", type=float, help="Share of rounds to judge on.  [default: 0.5]")
@click.option("--most", type=int, help="Actions to select at most.  [default: 50]")
@click.option("--seed", type=int, help="Of the rounds that are held out.  [default: 0]")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option("--output", type=click.Path(), help="Write a row an action: .csv or .parquet.")
@click.option("--all", "everything", is_flag=True, help="Show every action.")
def discover(
    log: str | None,
    config: str | None,
    as_json: bool,
    output: str | None,
    everything: bool,
    no_state: bool,
    dimensions: int | None,
    **options: Any,
) -> None:
    """Judge every action of LOG: relevant, prunable or undetermined.

    LOG is a Parquet, CSV, JSON-lines (.jsonl, .ndjson) or netCDF (.nc) file with a row a round:
    its reward, the actions that were used, and the state before, as numbers or as a text.
    """
    options["latents"] = [*options["latents"]] or None
    given = {key: value for key, value in {"path": log, **options}.items() if value is not None}
    if no_state:
        if given.keys() & {"latents", "text"}:
            raise _Misuse("--no-state says that there is neither --latents nor --text")
        given["latents"] = []
    settings = _settings(config, given, dimensions)
    if output is not None:
        _check_output(output, (".csv", ".parquet"))

    from rich.console import Console

    from sparseact.discovery.log import discover_log
    from sparseact.discovery.pieces import LogError
    from sparseact.discovery.shown import show
    from sparseact.discovery.table import json_of, table_of
    from sparseact.discovery.writing import write_table

    if isinstance(settings.encoder, str):  # a hook may stand beside the log
        sys.path.insert(0, str(Path.cwd()))
    try:
        with _progress() as progress:
            found = discover_log(settings, progress)
    except LogError as error:
        raise click.ClickException(str(error)) from None
    if output is not None:
        _written(write_table, table_of(found), output)
    if as_json:
        click.echo(json.dumps(json_of(found), allow_nan=False, ensure_ascii=False))
    else:
        show(found, Console(markup=False, highlight=False, emoji=False), everything=everything)


def _settings(config: str | None, given: Mapping[str, Any], dimensions: int | None) -> Settings:
    """The section of a configuration file, with the options that were given over it."""
    section = {} if config is None else _section(config)
    other = {"latents": ("text", "encoder"), "text": ("latents",)}
    dropped = {key for name in other if name in given for key in other[name]}
    asked = {key: value for key, value in section.items() if key not in dropped} | dict(given)
    if "path" not in asked:
        raise _Misuse("give the file of the log: sparseact discover LOG")
    if not asked.keys() & {"latents", "text"}:
        raise _Misuse(
            "give --latents, the columns of the state, --text, the column of the request, or "
            "--no-state"
        )
    if dimensions is not None:
        if isinstance(asked.get("encoder", {}), str):
            raise _Misuse("--dimensions are of the built-in encoder, the configuration has another")
        asked["encoder"] = {**asked.get("encoder", {}), "dimensions": dimensions}
    try:
        return settings_of(asked)
    except ConfigError as error:
        message = str(error)
    message = message.replace("discover.encoder.dimensions", "--dimensions")
    for key in given:
        message = message.replace(f"discover.{key}", f"--{key.replace('_', '-')}")
    raise _Misuse(message)


def _section(config: str) -> Mapping[str, Any]:
    import yaml

    try:
        whole = yaml.safe_load(Path(config).read_text(encoding="utf-8"))
    except OSError as error:
        raise _Misuse(f"{config} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or error
        raise _Misuse(f"{config}{where}: not YAML: {problem}") from None
    if not isinstance(whole, dict) or not isinstance(whole.get("discover"), dict):
        raise _Misuse(f"{config} must have a section 'discover'")
    return dict(whole["discover"])


def _check_output(path: str, suffixes: tuple[str, ...]) -> None:
    if Path(path).suffix.lower() not in suffixes:
        raise _Misuse(f"{path} must have one of the suffixes {', '.join(suffixes)}")
    if not Path(path).parent.is_dir():
        raise _Misuse(f"{path} cannot be written: there is no folder {Path(path).parent}")


def _written(write: Callable[[Any, str], None], what: Any, path: str) -> None:
    try:
        write(what, path)
    except OSError as error:
        reason = error.strerror or error
        raise click.ClickException(f"{path} cannot be written: {reason}") from None


@contextmanager
def _progress() -> Iterator[Callable[[int], None] | None]:
    """What is being done, on standard error if it is a terminal."""
    from rich.console import Console

    console = Console(stderr=True, markup=False, highlight=False)
    if not console.is_terminal:
        yield None
        return
    log = logging.getLogger("sparseact.discovery")
    with console.status("reading") as status:
        handler = _Told(console.print, status.update)
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        try:
            yield lambda n: status.update(f"{n:,} rounds read")
        finally:
            log.removeHandler(handler)
            log.setLevel(logging.NOTSET)


class _Told(logging.Handler):
    """Warnings stay; what is being done replaces what was done before."""

    def __init__(self, warn: Callable[[str], None], tell: Callable[[str], None]) -> None:
        super().__init__()
        self._warn, self._tell = warn, tell

    def emit(self, record: logging.LogRecord) -> None:
        """Show a message."""
        show = self._warn if record.levelno >= logging.WARNING else self._tell
        show(record.getMessage())


@main.command(
    epilog="""\b
Examples:
  sparseact simulate log.parquet
  sparseact simulate log.jsonl --text --rounds 50000"""
)
@click.argument("file")
@click.option("--rounds", default=20_000, show_default=True, help="Rows.")
@click.option("--actions", default=200, show_default=True, help="Tools there are.")
@click.option("--relevant", default=5, show_default=True, help="Tools that matter.")
@click.option("--per-round", default=3, show_default=True, help="Tools used in a round.")
@click.option("--latent-dim", default=4, show_default=True, help="Dimensions of the state.")
@click.option("--noise", default=0.5, show_default=True, help="Its standard deviation.")
@click.option("--seed", default=0, show_default=True)
@click.option("--text", is_flag=True, help="Show the state as a request in words.")
def simulate(
    file: str, rounds: int, actions: int, relevant: int, noise: float, **rest: Any
) -> None:
    """Write an example log to FILE: .parquet, .csv, .jsonl, .ndjson or .nc.

    Tools are used unequally. A few matter, in a way that depends on the state; two are always used
    together, and one hardly ever.
    """
    _check_output(file, (".parquet", ".csv", ".jsonl", ".ndjson", ".nc"))

    from sparseact.discovery.example import example_log
    from sparseact.discovery.writing import write_log

    try:
        made = example_log(rounds, actions, relevant, noise_std=noise, **rest)
    except ValueError as error:
        raise _Misuse(str(error)) from None
    _written(write_log, made.log, file)
    one, other = made.together
    click.echo(f"These tools matter: {', '.join(made.relevant)}.")
    click.echo(f"{one} matters too, but it and {other} are always used together.")
    click.echo(f"{made.rare} is hardly used.")
    state = "--text request" if rest["text"] else "--latents 'z*'"
    click.echo("Their effects are half a unit of the reward and more. To find them:")
    click.echo(f"  sparseact discover {shlex.quote(file)} {state} --threshold 0.5")
