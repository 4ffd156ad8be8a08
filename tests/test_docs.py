"""What the documents show is what happens."""

import contextlib
import io
import re

import yaml

from sparseact.study.config import load_study


def blocks(text, language):
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_readmes_example_prints_what_it_says(root):
    text = (root / "README.md").read_text()
    (example,) = [code for code in blocks(text, "python") if "block_omp(" in code]
    shown = text.split(example)[1].split("```\n")[2].split("```")[0]
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(example, {})
    assert said.getvalue() == shown


def test_the_configurations_shown_are_valid(root):
    full = yaml.safe_load((root / "config/config.yaml").read_text())
    for name in ("README.md", "config/README.md"):
        (shown,) = (yaml.safe_load(one) for one in blocks((root / name).read_text(), "yaml"))
        experiment = full["experiments"]["phase_transition"]
        experiment["grids"] = shown["experiments"]["phase_transition"]["grids"]
        study = load_study({**full, "label": shown["label"]})
        assert len(study.cells("phase_transition")) == 3


def test_every_key_of_the_configuration_is_explained(root):
    schema = yaml.safe_load((root / "workflow/schemas/config.schema.json").read_text())
    explained = (root / "config/README.md").read_text()
    keys = set(schema["properties"])
    for part in schema["$defs"].values():
        keys |= set(part.get("properties", {}))
    keys -= {"experiments"}
    missing = [key for key in sorted(keys) if not re.search(rf"`[^`]*\b{key}\b[^`]*`", explained)]
    assert missing == []


def test_links_between_documents_lead_somewhere(root):
    documents = [root / name for name in ("README.md", "CONTRIBUTING.md", "config/README.md")]
    for document in [*documents, *root.glob("docs/*.md")]:
        for link in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
            assert (document.parent / link).exists(), f"{document.name}: {link}"


def test_guarantees_name_tests_that_exist(root):
    text = (root / "docs/reproducibility.md").read_text()
    names = set(re.findall(r"`(test_\w+)`", text))
    files = set(re.findall(r"`tests/(test_\w+)\.py`", text))
    assert len(names) > 10
    assert [name for name in files if not (root / f"tests/{name}.py").exists()] == []
    tests = "".join(path.read_text() for path in (root / "tests").glob("test_*.py"))
    assert [name for name in sorted(names) if f"def {name}(" not in tests] == []
