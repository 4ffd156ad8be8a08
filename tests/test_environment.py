"""The two faces of the environment, and what must not be in them."""

import re
import tomllib

import pytest
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.version import Version

PYTHON = "3.11"  # the one that environment.yml asks for
CONDA_NAMES = {"matplotlib": "matplotlib-base"}


def locked(root, lock="requirements.lock"):
    """Versions in a lock that apply to PYTHON on Linux."""
    environment = {
        "python_version": PYTHON,
        "python_full_version": f"{PYTHON}.0",
        "sys_platform": "linux",
        "platform_machine": "x86_64",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    versions = {}
    pattern = r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)(?: ; ([^\\]+?))? \\$"
    for name, version, marker in re.findall(pattern, (root / lock).read_text(), re.MULTILINE):
        if not marker or Marker(marker).evaluate(environment):
            versions[name] = Version(version)
    return versions


def direct(root):
    """What pyproject.toml asks for by name, the package itself aside."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    listed = [*project["dependencies"]]
    for name, extra in project["optional-dependencies"].items():
        if name not in ("parts", "dev-parts"):  # an environment of their own
            listed += extra
    requirements = {one.name.lower(): one for one in map(Requirement, listed)}
    del requirements["sparseact"]
    return requirements


def canonical(name):
    return name.lower().replace("_", "-")


def test_the_lock_satisfies_every_direct_dependency(root):
    versions = locked(root)
    for name, requirement in direct(root).items():
        assert versions[canonical(name)] in requirement.specifier, name


def test_environment_yml_pins_what_the_lock_pins(root):
    environment = yaml.safe_load((root / "environment.yml").read_text())
    pinned = dict(one.split("=") for one in environment["dependencies"] if "=" in one)
    assert pinned.pop("python") == PYTHON
    versions = locked(root)
    expected = {}
    for name in direct(root):
        release = versions[canonical(name)].base_version  # conda has no post-releases of wheels
        expected[CONDA_NAMES.get(name, canonical(name))] = release
    assert pinned == expected, "edit environment.yml to say what requirements.lock says"


def test_logs_in_parts_are_tested_with_the_same_versions(root):
    versions, of_parts = locked(root), locked(root, "requirements-parts.lock")
    shared = versions.keys() & of_parts.keys()
    assert {"numpy", "scipy"} <= shared
    assert {name: versions[name] for name in shared} == {name: of_parts[name] for name in shared}
    assert {"pyarrow", "dask", "distributed"} <= of_parts.keys() - versions.keys()


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-parts.lock"])
def test_the_lock_has_hashes_and_names_no_index(root, name):
    text = (root / name).read_text()
    assert text.count("--hash=sha256:") > len(locked(root, name))
    for line in text.splitlines():
        assert not re.match(r"\s*--(extra-)?(index-url|find-links|trusted-host)", line), line
        assert "://" not in line, line
