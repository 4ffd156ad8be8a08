"""The origin of a dataset: the configuration and the code that made it.

It travels in the dataset, and whoever reads one names the origin that it must have. It is computed
while the workflow is being planned too, and must stay light.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def provenance(configuration: Mapping[str, Any], code: str) -> dict[str, str]:
    """What a dataset says, as attributes, of the configuration and the code that made it."""
    return {"configuration": json.dumps(configuration, sort_keys=True), "code_digest": code}


def origin(configuration: Mapping[str, Any], code: str) -> str:
    """Digest of a :func:`provenance`, by which the reader of a dataset tells whose it is."""
    return origin_of(provenance(configuration, code))


def origin_of(told: Mapping[str, Any]) -> str:
    """The :func:`origin` of a dataset, from its attributes."""
    made = json.dumps([told.get("configuration"), told.get("code_digest")])
    return hashlib.sha256(made.encode()).hexdigest()[:16]
