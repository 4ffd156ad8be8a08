"""A finished study as a Workflow Run RO-Crate: one zip with its sources, results and provenance.

The crate follows Workflow Run Crate 0.5 (https://w3id.org/ro/wfrun/workflow/0.5): the workflow is a
black box that ran once, from configuration files to datasets, figures and pages. What happened
inside the box stands in the manifest, which travels along; logs of interactions and what single
jobs made of them stay behind.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from rocrate.rocrate import ROCrate

from sparseact.study.store import atomic, sha256

METADATA = "ro-crate-metadata.json"

# The profile of the crate, and those that it builds on.
_PROFILES = {
    "Process Run Crate": "https://w3id.org/ro/wfrun/process/0.5",
    "Workflow Run Crate": "https://w3id.org/ro/wfrun/workflow/0.5",
    "Workflow RO-Crate": "https://w3id.org/workflowhub/workflow-ro-crate/1.0",
}
_BIOSCHEMAS = "https://bioschemas.org/profiles"
_FORMATS = {
    ".cff": "application/yaml",
    ".html": "text/html",
    ".ipynb": "application/x-ipynb+json",
    ".json": "application/json",
    ".md": "text/markdown",
    ".nc": "application/x-netcdf",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".py": "text/x-python",
    ".rst": "text/x-rst",
    ".svg": "image/svg+xml",
    ".toml": "application/toml",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}


def write(
    path: str | Path,
    *,
    workflow: str,
    sources: Sequence[str],
    inputs: Sequence[str],
    results: Sequence[str],
    manifest: str,
    volatile: str,
    citation: str,
) -> None:
    """Write the crate; the same files make the same bytes.

    All paths but the first are relative to the checkout, from which this must run.

    Parameters
    ----------
    path : path
        Where the zip goes.
    workflow : str
        The file that the workflow engine is given.
    sources : sequence of str
        Files and folders that it takes to run the study again.
    inputs : sequence of str
        The files that configured the run.
    results : sequence of str
        The artefacts that travel along.
    manifest, volatile : str
        What the study left, and when and where it ran.
    citation : str
        Whose it is and under which licence, in the Citation File Format.

    Raises
    ------
    OSError
        If a file cannot be read.
    DatasetError
        If the crate cannot be written.
    """
    ran = json.loads(Path(volatile).read_text(encoding="utf-8"))
    cited = yaml.safe_load(Path(citation).read_text(encoding="utf-8"))
    told = json.loads(Path(manifest).read_text(encoding="utf-8"))
    made = {**told["artefacts"], **ran["artefacts"]}
    left = {
        **{name: f"Made by rule {made[name]['rule']}" for name in results},
        manifest: "Every artefact of the study: its digest, its values and what made it",
        volatile: "When, where and with which packages the study ran, how long its jobs took, and "
        "what was measured by a clock",
    }
    files = _files([workflow, *sources, *inputs, *left])

    crate = ROCrate(version="1.1")
    # RO-Crate 1.1 has no term for digests; that of run crates is used.
    crate.metadata.extra_terms["sha256"] = "https://w3id.org/ro/terms/workflow-run#sha256"
    # By path: the identifier of a file is its path with spaces and the like escaped.
    entities = {name: crate.add_file(name, name, properties=_of_file(name)) for name in files}
    for name, description in left.items():
        entities[name]["description"] = description
    _describe(crate, cited, ran["time"])
    crate.root_dataset["mentions"] = crate.add_action(
        _add_workflow(crate, workflow, cited, ran),
        "#run",
        object=[entities[name] for name in inputs],
        result=[entities[name] for name in left],
        properties={
            "name": f"A run of {workflow}",
            "description": "Every rule, from the configuration to the report",
            "endTime": ran["time"],
            "actionStatus": "http://schema.org/CompletedActionStatus",
        },
    )
    metadata = json.dumps(crate.metadata.generate(), indent=1, ensure_ascii=False) + "\n"

    with atomic(path) as partial, zipfile.ZipFile(partial, "w") as archive:
        _put(archive, METADATA, metadata.encode())
        for name in files:
            _put(archive, name, Path(name).read_bytes())


def _files(paths: Iterable[str]) -> list[str]:
    """What paths name, folders walked; what tools leave among sources is passed over."""
    walked = {
        file.as_posix()
        for path in map(Path, paths)
        for file in (path.rglob("*") if path.is_dir() else [path])
        if not file.is_dir() and not any(part.startswith((".", "__pyc")) for part in file.parts)
    }
    return sorted(walked)


def _of_file(name: str) -> dict[str, Any]:
    """What the crate says of any file in it."""
    told = {
        "encodingFormat": _FORMATS.get(Path(name).suffix, "text/plain"),
        "contentSize": str(Path(name).stat().st_size),
        "sha256": sha256(name),
    }
    return told | ({"about": {"@id": "./"}} if name == "README.md" else {})


def _describe(crate: ROCrate, cited: Mapping[str, Any], time: str) -> None:
    """What the crate as a whole is, whose, and what it conforms to."""
    authors = [
        {
            "@id": f"#author-{number}",
            "@type": "Organization" if "name" in author else "Person",
            "name": author.get("name") or f"{author['given-names']} {author['family-names']}",
        }
        for number, author in enumerate(cited["authors"], 1)
    ]
    licence = {
        "@id": f"https://spdx.org/licenses/{cited['license']}",
        "@type": "CreativeWork",
        "name": cited["license"],
    }
    profiles = [
        {"@id": uri, "@type": "CreativeWork", "name": name, "version": uri.rpartition("/")[2]}
        for name, uri in _PROFILES.items()
    ]
    root = crate.root_dataset
    root["name"] = cited["title"]
    root["description"] = cited["abstract"].strip()
    root["keywords"] = cited["keywords"]
    root["datePublished"] = time
    root.append_to("author", [crate.add_jsonld(author) for author in authors], compact=True)
    root["license"] = crate.add_jsonld(licence)
    root["conformsTo"] = [crate.add_jsonld(profile) for profile in profiles]


def _add_workflow(
    crate: ROCrate, workflow: str, cited: Mapping[str, Any], ran: Mapping[str, Any]
) -> Any:
    """The workflow, its engine and what it ran in; in place of the plain file."""
    python = {
        "@id": "https://www.python.org/",
        "@type": "SoftwareApplication",
        "name": "Python",
        "url": "https://www.python.org/",
        "softwareVersion": ran["python"],
    }
    return crate.add_workflow(
        workflow,
        workflow,
        main=True,
        lang="snakemake",
        lang_version=ran["packages"]["snakemake"],
        properties={
            **_of_file(workflow),
            "name": cited["title"],
            "version": ran["commit"] or cited["version"],
            "conformsTo": {"@id": f"{_BIOSCHEMAS}/ComputationalWorkflow/1.0-RELEASE"},
            "softwareRequirements": [crate.add_jsonld(python), {"@id": "requirements.lock"}],
        },
    )


def _put(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Add a file without the times and the rights that it has on this machine."""
    entry = zipfile.ZipInfo(name)
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
