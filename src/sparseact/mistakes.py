"""How a configuration that does not fit its model is told, key by key and in plain sentences."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

# Mistakes listed in one message.
_SHOWN = 20

_Model = TypeVar("_Model", bound=BaseModel)


class ConfigError(ValueError):
    """The configuration cannot be used; the message names every key at fault."""


def checked(
    model: type[_Model],
    config: Mapping[str, Any],
    unknown: str,
    allowed: Callable[[str], str],
    section: str = "",
    tags: Collection[str] = (),
) -> _Model:
    """A configuration as its model.

    Parameters
    ----------
    model : type of pydantic model
    config : mapping
        As read from YAML.
    unknown : str
        What is said of a key that the model does not have.
    allowed : callable
        Says, for the path of a key with a pattern, what the pattern means.
    section : str
        The key under which the configuration stands, if it is part of another.
    tags : collection of str
        What the model tells the members of a union by, which are no keys.

    Raises
    ------
    ConfigError
        One message that names every key at fault and says what is allowed.
    """
    try:
        wrong = [*_strange_keys(config, section, unknown)]
        if not wrong:
            return model.model_validate(config)
    except ValidationError as error:
        wrong = [
            _explain(
                one, _path([*([section] if section else []), *one["loc"]], tags), unknown, allowed
            )
            for one in error.errors(include_url=False)
        ]
    more = [f"… and {len(wrong) - _SHOWN} more"] if len(wrong) > _SHOWN else []
    raise ConfigError("\n".join(wrong[:_SHOWN] + more))


def _strange_keys(value: Any, path: str, unknown: str) -> Iterator[str]:
    """A message for each key of a section that is no text that can be shown."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            where = f"{path}." if path else ""
            if isinstance(key, str) and key.isprintable():
                plain = key if key.isidentifier() else shown(key)
                yield from _strange_keys(inner, f"{where}{plain}", unknown)
            else:
                yield f"{where}{shown(key)}: {unknown}"
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _strange_keys(inner, f"{path}[{place}]", unknown)


def _explain(error: Any, path: str, unknown: str, allowed: Callable[[str], str]) -> str:
    if error["type"] == "extra_forbidden":
        return f"{path}: {unknown}"
    if error["type"] == "missing":
        return f"{path}: this key is required"
    if error["type"] in ("model_type", "dict_type"):
        return f"{path}: must be a section with keys of its own"
    given = error["input"]
    if error["type"] == "string_pattern_mismatch":
        return f"{path}: {allowed(path)} (got {shown(given)})"
    message = error["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    got = "" if isinstance(given, dict | list) and given else f" (got {shown(given)})"
    return f"{path}: {message}{got}"


def _path(steps: Sequence[str | int], tags: Collection[str]) -> str:
    """The dotted path of a key, on one line whatever the key."""
    path = ""
    for step in steps:
        if isinstance(step, int):
            path += f"[{step}]"
        elif step not in tags:
            plain = step if step.isidentifier() else shown(step)
            path += f".{plain}" if path else plain
    return path


def shown(value: Any) -> str:
    """A value in few characters and on one line."""
    try:
        return reprlib.repr(value)
    except ValueError:  # an integer of thousands of digits
        return f"a huge {type(value).__name__}"
