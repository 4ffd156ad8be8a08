"""Requests, tools and right answers, in the format of the Berkeley Function Calling Leaderboard.

A *set* is two files of JSON lines: requests with the functions that were offered, and the right
calls under the same ids. Patil et al. (2025), "The Berkeley Function Calling Leaderboard".
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparseact.catalogue.sets import names_of
from sparseact.design import Floats, Ints


class CatalogueError(ValueError):
    """A file is not in the format; the message names the file and the line."""


@dataclass(frozen=True)
class Catalogue:
    """Requests and the tools that there are for them.

    Attributes
    ----------
    requests : tuple of n str
        What users asked.
    tools : tuple of M str
        Names, ascending. A name is one tool, wherever and however it is described; names that
        differ in any character are different tools.
    descriptions : tuple of M str
        Of each tool the description that comes most often, and of those the first.
    right : array (n, M)
        Each request's reward, 1, in equal parts on the tools that are right for it.
    """

    requests: tuple[str, ...]
    tools: tuple[str, ...]
    descriptions: tuple[str, ...]
    right: Floats

    def merged(self, groups: Ints) -> Catalogue:
        """The tools of a group (M,) made one, which is right where any of them is.

        It has the name and description of the tool that most requests need, and of those the first.
        """
        n_groups = int(groups.max()) + 1
        right = np.zeros((len(self.requests), n_groups))
        np.add.at(right.T, groups, self.right.T)
        need = self.right.sum(axis=0)
        order = np.lexsort((np.arange(len(groups)), -need, groups))
        first = order[np.searchsorted(groups[order], np.arange(n_groups))]
        return Catalogue(
            self.requests,
            tuple(self.tools[j] for j in first),
            tuple(self.descriptions[j] for j in first),
            right,
        )


def read(files: Mapping[str, str], sets: Sequence[str]) -> Catalogue:
    """The catalogue of some sets together.

    Parameters
    ----------
    files : mapping of str to str
        The text of each file, by its name.
    sets : sequence of str
        Their names: see :data:`~sparseact.catalogue.sets.SETS`.

    Raises
    ------
    CatalogueError
        If a file is missing, a line is not in the format, a request has no right tool, or the right
        tool was not offered.
    """
    requests: list[str] = []
    needed: list[list[str]] = []
    told: dict[str, Counter[str]] = {}
    for one in sets:
        asked, answered = names_of(one)
        answers = {key: _called(line, at) for key, line, at in _lines(files, answered)}
        for key, line, at in _lines(files, asked):
            requests.append(_text(line, at))
            offered = _offered(line, at)
            for name, description in offered:
                told.setdefault(name, Counter())[description] += 1
            if key not in answers:
                raise CatalogueError(f"{at}: request {key!r} has no answer in {answered}")
            missing = sorted({*answers[key]} - {name for name, _ in offered})
            if missing:
                raise CatalogueError(f"{at}: the right tool {missing[0]!r} is not offered")
            needed.append(answers[key])
    tools = sorted(told)
    place = {name: j for j, name in enumerate(tools)}
    right = np.zeros((len(requests), len(tools)))
    for row, names in zip(right, needed, strict=True):
        row[[place[name] for name in names]] = 1 / len(names)
    descriptions = tuple(told[name].most_common(1)[0][0] for name in tools)
    return Catalogue(tuple(requests), tuple(tools), descriptions, right)


def _lines(files: Mapping[str, str], name: str) -> Iterator[tuple[str, dict[str, Any], str]]:
    """The id of each line of a file, what it holds, and where it is in words."""
    if name not in files:
        raise CatalogueError(f"{name} is missing")
    seen: set[str] = set()
    for number, text in enumerate(files[name].splitlines(), 1):
        at = f"{name}, line {number}"
        try:
            line = json.loads(text)
        except ValueError as error:
            raise CatalogueError(f"{at}: no JSON ({error})") from None
        key = line.get("id") if isinstance(line, dict) else None
        if not isinstance(key, str):
            raise CatalogueError(f"{at}: has no id")
        if key in seen:
            raise CatalogueError(f"{at}: the id {key!r} comes twice")
        seen.add(key)
        yield key, line, at


def _text(line: Mapping[str, Any], at: str) -> str:
    """What the user says, without what the system tells the model."""
    try:
        said = [
            message["content"]
            for turn in line["question"]
            for message in turn
            if message["role"] == "user"
        ]
        return " ".join(said)
    except (KeyError, TypeError):
        raise CatalogueError(f"{at}: question must be lists of messages of role, content") from None


def _offered(line: Mapping[str, Any], at: str) -> list[tuple[str, str]]:
    try:
        pairs = [(one["name"], one["description"]) for one in line["function"]]
    except (KeyError, TypeError):
        raise CatalogueError(f"{at}: function must be a list of name, description") from None
    if not all(isinstance(one, str) for pair in pairs for one in pair):
        raise CatalogueError(f"{at}: name and description of a function must be text")
    return pairs


def _called(line: Mapping[str, Any], at: str) -> list[str]:
    """The tools of the right calls, each once."""
    try:
        names = sorted({name for call in line["ground_truth"] for name in call.keys()})  # noqa: SIM118
    except (KeyError, TypeError, AttributeError):
        raise CatalogueError(f"{at}: ground_truth must be a list of calls by name") from None
    if not names:
        raise CatalogueError(f"{at}: ground_truth names no tool")
    return names
