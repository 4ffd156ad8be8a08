"""Crates: what a finished study looks like to those who were not there."""

import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import pytest
import rocrate
import rocrate.rocrate

from sparseact.study import crate, manifest, store

RUN = "https://w3id.org/ro/wfrun/workflow/0.5"
CONTEXT = "https://w3id.org/ro/crate/1.1/context"
DATASET, PAGE = "results/small/coverage.nc", "reports/small/index.html"
OVERLAY = "my grid é.yaml"
RESULTS = ("results/small/manifest.json", "results/small/manifest.volatile.json")
# What the workflow needs beside what the tiny study copies, for the crate only.
BESIDE = ("CITATION.cff", "LICENSE", "README.md", "Makefile", "pyproject.toml", "docs")


@pytest.fixture
def finished(root, tmp_path, monkeypatch):
    """A folder that looks like a finished study; the tests run in it."""
    files = {
        "Snakefile": "rule all:\n",
        "README.md": "# A study\n",
        "requirements.lock": "numpy==2.4.6\n",
        "config/config.yaml": "trials: 3\n",
        OVERLAY: "trials: 4\n",
        "src/code.py": "x = 1\n",
        "src/__pycache__/code.pyc": "what Python leaves\n",
        "src/.cache/code": "what tools leave\n",
        DATASET: "numbers\n",
        PAGE: "<p>A page\n",
        "results/small/recover/one.nc": "what one job left\n",
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    shutil.copy(root / "CITATION.cff", tmp_path)
    monkeypatch.chdir(tmp_path)
    rules = {DATASET: "collect", PAGE: "index", "results/small/recover/one.nc": "recover"}
    told = {
        "configuration": {"trials": 4},
        "sources": {"requirements.lock": store.sha256("requirements.lock")},
        "artefacts": {
            path: {"rule": rule, "code_digest": f"{rule}-1", "sha256": store.sha256(path)}
            for path, rule in rules.items()
        },
    }
    ran = {
        "time": "2026-01-08T10:00:00+00:00",
        "python": "3.11.7",
        "packages": {"snakemake": "9.27.1"},
        "commit": None,
        "artefacts": {},
    }
    for path, content in zip(RESULTS, (told, ran), strict=True):
        Path(path).write_text(json.dumps(content))
    return told


def packed(path="crate.zip"):
    """Write the crate of the finished study."""
    crate.write(
        path,
        workflow="Snakefile",
        sources=["CITATION.cff", "README.md", "requirements.lock", "config", "src"],
        inputs=["config/config.yaml", OVERLAY],
        results=[DATASET, PAGE],
        manifest=RESULTS[0],
        volatile=RESULTS[1],
        citation="CITATION.cff",
    )
    return Path(path)


def contents(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def graph_of(path):
    graph = json.loads(contents(path)[crate.METADATA])["@graph"]
    return {entity["@id"]: entity for entity in graph}


def types_of(entity):
    kinds = entity["@type"]
    return set(kinds) if isinstance(kinds, list) else {kinds}


def references(value):
    """Identifiers that a property refers to."""
    many = value if isinstance(value, list) else [value]
    return [one["@id"] for one in many if isinstance(one, dict)]


def test_a_crate_holds_the_files_that_it_describes(finished):
    held = contents(packed())
    described = rocrate.rocrate.ROCrate("crate.zip")
    del held[crate.METADATA]
    for name in ("Snakefile", "src/code.py", OVERLAY, DATASET, PAGE, *RESULTS):
        assert held[name] == Path(name).read_bytes()
    assert not [name for name in held if "cache" in name or "recover" in name]
    files = [one for one in described.data_entities if "File" in types_of(one)]
    assert len(files) == len(held)
    for file in files:
        content = Path(file.source).read_bytes()
        assert content in held.values()
        assert file["sha256"] == hashlib.sha256(content).hexdigest()
        assert file["contentSize"] == str(len(content))
        assert file["encodingFormat"]


def test_a_crate_tells_of_the_run_what_the_profile_asks(finished):
    graph = graph_of(packed())
    root, workflow, run = graph["./"], graph["Snakefile"], graph["#run"]
    assert references(graph[crate.METADATA]["about"]) == ["./"]
    assert "https://w3id.org/ro/crate/1.1" in references(graph[crate.METADATA]["conformsTo"])
    assert RUN in references(root["conformsTo"])
    assert references(root["license"]) == ["https://spdx.org/licenses/BSD-3-Clause"]
    assert graph[references(root["author"])[0]]["name"] == "The sparseact developers"
    assert {"name", "description", "datePublished"} <= root.keys()
    assert references(root["mainEntity"]) == ["Snakefile"]
    assert references(root["mentions"]) == ["#run"]
    assert types_of(workflow) == {"File", "SoftwareSourceCode", "ComputationalWorkflow"}
    (language,) = references(workflow["programmingLanguage"])
    assert (graph[language]["name"], graph[language]["version"]) == ("Snakemake", "9.27.1")
    assert types_of(run) == {"CreateAction"}
    assert references(run["instrument"]) == ["Snakefile"]
    assert references(run["object"]) == ["config/config.yaml", "my%20grid%20%C3%A9.yaml"]
    assert references(run["result"]) == [DATASET, PAGE, *RESULTS]
    assert run["endTime"] == "2026-01-08T10:00:00+00:00"
    assert graph[DATASET]["description"] == "Made by rule collect"


def test_everything_that_a_crate_refers_to_is_in_it(finished):
    graph = graph_of(packed())
    elsewhere = {
        other
        for entity in graph.values()
        for value in entity.values()
        for other in references(value)
        if other not in graph
    }
    assert all(other.startswith("https://") for other in elsewhere)
    parts = set(references(graph["./"]["hasPart"]))
    assert parts == {name for name, one in graph.items() if "File" in types_of(one)}


def test_a_crate_of_the_same_files_has_the_same_bytes(finished):
    first = packed("first.zip").read_bytes()
    for path in Path("src").rglob("*.py"):
        path.write_bytes(path.read_bytes())
        path.chmod(0o600)
    assert packed("second.zip").read_bytes() == first
    Path(DATASET).write_text("other numbers\n")
    assert packed("third.zip").read_bytes() != first


def test_what_made_the_study_and_has_changed_is_named(finished):
    now = {
        "configuration": {"trials": 4},
        "code_digests": {rule: f"{rule}-1" for rule in ("collect", "index", "recover", "later")},
    }
    assert list(manifest.changes(finished, **now)) == []
    now["code_digests"] = {"collect": "collect-1", "recover": "recover-2"}
    (sentence,) = manifest.changes(finished, **now)
    assert sentence.startswith("the code of index, recover has changed")
    now["configuration"] = {"trials": 5}
    Path("requirements.lock").write_text("numpy==2.5.0\n")
    sentences = list(manifest.changes(finished, **now))
    assert len(sentences) == 3
    assert "configuration" in sentences[0]
    assert "requirements.lock has changed" in sentences[1]


@pytest.fixture
def validate(monkeypatch):
    """The validator of the RO-Crate community, kept from the network; what it finds wrong."""
    services = pytest.importorskip("rocrate_validator.services")
    import requests
    from rocrate.vocabs import RO_CRATE

    # ro-crate-py brings the terms of RO-Crate 1.3; these are other ones in 1.1.
    bioschemas = "https://bioschemas.org"
    terms = {
        **RO_CRATE["@context"],
        "ComputationalWorkflow": f"{bioschemas}/ComputationalWorkflow",
        "FormalParameter": f"{bioschemas}/FormalParameter",
        "input": f"{bioschemas}/ComputationalWorkflow#input",
        "output": f"{bioschemas}/ComputationalWorkflow#output",
    }

    def send(adapter, request, **options):
        assert request.url == CONTEXT
        answer = requests.Response()
        answer.url, answer.request, answer.status_code = request.url, request, 200
        answer.headers["Content-Type"] = "application/ld+json"
        answer._content = json.dumps({"@context": terms}).encode()
        return answer

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)

    def issues(path):
        found = services.validate(
            services.ValidationSettings(
                rocrate_uri=str(path), profile_identifier="workflow-run-crate", no_cache=True
            )
        )
        return [issue.message for issue in found.get_issues()]

    return issues


def test_a_crate_is_valid(finished, validate):
    assert validate(packed()) == []


def test_a_crate_without_its_run_is_not(finished, validate):
    held = contents(packed())
    metadata = json.loads(held[crate.METADATA])
    metadata["@graph"] = [one for one in metadata["@graph"] if one["@id"] != "#run"]
    held[crate.METADATA] = json.dumps(metadata).encode()
    with zipfile.ZipFile("broken.zip", "w") as archive:
        for name, content in held.items():
            archive.writestr(name, content)
    assert any("CreateAction" in message for message in validate("broken.zip"))


@pytest.mark.workflow
@pytest.mark.xdist_group("study")
def test_only_a_finished_study_is_packed(copy, root):
    for name in BESIDE:
        put = shutil.copytree if (root / name).is_dir() else shutil.copy
        put(root / name, copy.folder / name)
    done = copy.run("crate")
    assert done.returncode == 0, done.stdout + done.stderr
    path = copy.folder / "results/tiny/crate.zip"
    graph = graph_of(path)
    assert "tiny.yaml" in references(graph["#run"]["object"])
    assert {"results/tiny/coverage.nc", "reports/tiny/claims.json"} <= graph.keys()
    assert not [name for name in graph if name.startswith("results/tiny/recover/")]
    assert str(copy.folder) not in contents(path)[crate.METADATA].decode()

    path.unlink()
    (copy.folder / "results/tiny/coverage.nc").write_bytes(b"other")
    done = copy.run("crate")
    assert done.returncode != 0
    assert "results/tiny/coverage.nc has changed since the study finished" in done.stderr
    (copy.folder / "results/tiny/manifest.json").unlink()
    done = copy.run("crate")
    assert done.returncode != 0
    assert "there is no manifest results/tiny/manifest.json" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not path.exists()
