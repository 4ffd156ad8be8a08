"""The digest of code: what moves it and what does not, on a copy of the package."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sparseact.study import digest
from sparseact.study.variables import KINDS, VARIABLES, Kind, Variable, kind_digest

# It imports estimator, which imports omp and design, and not laws or curves.
SCRIPT = '''"""Fit something."""

from sparseact.estimator import BlockOMP

BlockOMP(1)
'''


class Tree:
    """A copy of the package, and one script beside it."""

    def __init__(self, folder):
        self.package = folder / "src" / "sparseact"
        self.script = folder / "script.py"
        source = Path(digest.__file__).parents[1]
        shutil.copytree(source, self.package, ignore=shutil.ignore_patterns("__pycache__"))
        self.write(SCRIPT)

    def write(self, text):
        self.script.write_text(text)

    def append(self, module, text):
        path = self.package / module
        path.write_text(path.read_text() + text)

    def replace(self, module, old, new):
        path = self.package / module
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    def digest(self, *more):
        digest._parse.cache_clear()
        return digest.code_digest(self.script, *more)

    def follows(self, module, *more):
        """Whether an edit of a module moves the digest; the edit is undone."""
        path = self.package / module
        text, before = path.read_text(), self.digest(*more)
        path.write_text(text + "\nEDITED = 1\n")
        moved = self.digest(*more) != before
        path.write_text(text)
        assert self.digest(*more) == before
        return moved


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.setattr(digest, "_ROOT", tmp_path / "src")
    yield Tree(tmp_path)
    digest._parse.cache_clear()


def test_code_that_is_imported_moves_it(tree):
    assert tree.follows("estimator.py")
    assert tree.follows("__init__.py")  # importing a submodule runs it


def test_code_that_is_imported_by_what_is_imported_moves_it(tree):
    assert tree.follows("omp.py")
    assert tree.follows("design.py")


@pytest.mark.parametrize("module", ["laws.py", "curves.py", "study/store.py", "study/digest.py"])
def test_unrelated_modules_do_not_move_it(tree, module):
    assert not tree.follows(module)


def test_new_files_do_not_move_it(tree):
    before = tree.digest()
    (tree.package / "new.py").write_text("NEW = 1\n")
    assert tree.digest() == before


def test_the_script_itself_moves_it_but_not_where_it_lies(tree, tmp_path):
    before = tree.digest()
    tree.write(SCRIPT.replace("BlockOMP(1)", "BlockOMP(2)"))
    assert tree.digest() != before
    tree.write(SCRIPT)
    elsewhere = tmp_path / "elsewhere" / "script.py"
    elsewhere.parent.mkdir()
    elsewhere.write_text(SCRIPT)
    assert digest.code_digest(elsewhere) == before


def test_docstrings_comments_and_layout_do_not_move_it(tree):
    tree.append(
        "omp.py",
        '\n\ndef added(x):\n    """What it does."""\n    return x\n'
        '\n\nclass Added:\n    """What it is."""\n'
        '\n    async def method(self):\n        """Do."""\n',
    )
    before = tree.digest()
    tree.replace("omp.py", '"""What it does."""', '"""Something else."""')
    tree.replace("omp.py", '"""What it is."""', "")
    tree.replace("omp.py", '"""Do."""', "pass")
    tree.append("omp.py", "# a comment\n\n\n")
    tree.replace("design.py", '"""', '"""New words about the ')
    tree.write(SCRIPT.replace('"""Fit something."""\n', "").replace("(1)", "(\n    1,  # one\n)"))
    assert tree.digest() == before


def test_strings_that_are_no_docstrings_move_it(tree):
    tree.append("omp.py", '\nWORDS = """first"""\n')
    before = tree.digest()
    tree.replace("omp.py", '"""first"""', '"""second"""')
    assert tree.digest() != before


@pytest.mark.parametrize(
    "statement",
    [
        "import sparseact.laws",
        "import numpy, sparseact.laws as fitted",
        "from sparseact import laws",
        "from sparseact.laws import LAWS",
        "def late():\n    from sparseact.laws import LAWS",
        "try:\n    from sparseact import laws\nexcept ImportError:\n    pass",
        "try:\n    pass\nfinally:\n    import sparseact.laws",
        "for one in ():\n    pass\nelse:\n    import sparseact.laws",
        "match 1:\n    case 1:\n        import sparseact.laws",
        "class Late:\n    with open(__file__):\n        import sparseact.laws",
        "if True:\n    import sparseact.laws",
        "if TYPE_CHECKING:\n    pass\nelse:\n    import sparseact.laws",
    ],
)
def test_every_way_to_import_is_followed(tree, statement):
    tree.write(f"from typing import TYPE_CHECKING\n{statement}\n")
    assert tree.follows("laws.py")


@pytest.mark.parametrize("module", ["laws.py", "estimator.py", "omp.py"])
def test_imports_for_types_alone_are_not_followed(tree, module):
    # The package itself imports estimator and omp so.
    tree.write(
        "from typing import TYPE_CHECKING\nimport sparseact.scenario\n"
        "if TYPE_CHECKING:\n    from sparseact.laws import LAWS\n"
    )
    assert tree.follows("scenario.py")
    assert not tree.follows(module)


def test_the_registry_of_variables_is_left_to_the_digest_of_kinds(tree):
    tree.write("from sparseact.study import store\n")
    assert tree.follows("study/store.py")
    assert not tree.follows("study/variables.py")


def test_packages_of_other_names_are_not_followed(tree):
    (tree.package.parent / "other.py").write_text("ONE = 1\n")
    tree.write("import other, numpy\nfrom sparseactive import nothing\n")
    before = tree.digest()
    (tree.package.parent / "other.py").write_text("ONE = 2\n")
    assert tree.digest() == before


def test_modules_that_import_each_other_come_to_an_end(tree):
    tree.append("design.py", "\nfrom sparseact import estimator\n")
    assert tree.follows("estimator.py")


def test_several_sources_count_in_any_order(tree, tmp_path):
    other = tmp_path / "other.py"
    other.write_text("import sparseact.laws\n")
    one, both = tree.digest(), tree.digest(other)
    assert both != one
    assert both == digest.code_digest(other, tree.script)
    assert both == tree.digest(other, other)


@pytest.mark.parametrize(
    ("stage", "module"),
    [
        ("refit", "inference.py"),
        ("bound", "bounds.py"),
        ("diagnose", "coherence.py"),
        ("rival", "group_lasso.py"),
        ("detect", "omp.py"),
    ],
)
def test_a_stage_follows_its_own_mathematics_alone(tree, stage, module):
    # As workflow/rules/common.smk names what the common script runs without importing it.
    tree.write("from sparseact.study.cell import Cell\n")
    own = tree.package / f"study/stages/{stage}.py"
    assert tree.follows(module, own)
    assert not tree.follows(module)
    assert not tree.follows("coherence.py" if stage == "rival" else "group_lasso.py", own)


def test_files_that_are_missing_or_no_python_are_errors(tree, tmp_path):
    with pytest.raises(FileNotFoundError):
        digest.code_digest(tmp_path / "none.py")
    tree.write("def (\n")
    with pytest.raises(SyntaxError, match="invalid syntax"):
        tree.digest()


def test_neither_digest_depends_on_the_hash_seed(root):
    code = (
        "from pathlib import Path\n"
        "from sparseact.study import digest\n"
        "from sparseact.study.variables import KINDS, kind_digest\n"
        "print(digest.code_digest(*sorted(Path(digest.__file__).parent.glob('*.py'))))\n"
        "print(kind_digest(*KINDS))\n"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root / "src")},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "4242")
    }
    assert len(said) == 1
    assert len(said.pop().split()) == 2


# -- the digest of kinds -----------------------------------------------------------------------


def test_a_kind_is_moved_by_its_own_variables_alone(monkeypatch):
    log, recovery, both = (
        kind_digest("log"),
        kind_digest("recovery"),
        kind_digest("log", "recovery"),
    )
    assert len({log, recovery, both}) == 3
    reward = VARIABLES["reward"]
    for changed in (
        Variable("float32", reward.units, reward.long_name, reward.low),
        Variable(reward.dtype, "other", reward.long_name, reward.low),
        Variable(reward.dtype, reward.units, "other", reward.low),
        Variable(reward.dtype, reward.units, reward.long_name, -9.0),
    ):
        monkeypatch.setitem(VARIABLES, "reward", changed)
        assert kind_digest("log") != log
        assert kind_digest("recovery") == recovery


def test_a_kind_is_moved_by_its_dimensions_and_title(monkeypatch):
    before, kind = kind_digest("log"), KINDS["log"]
    turned = kind.variables | {"reward": ("round", "trial")}
    fewer = {name: dims for name, dims in kind.variables.items() if name != "reward"}
    for changed in (
        Kind(kind.title, turned, kind.optional),
        Kind(kind.title, fewer, kind.optional),
        Kind("other", kind.variables, kind.optional),
        Kind(kind.title, kind.variables),
    ):
        monkeypatch.setitem(KINDS, "log", changed)
        assert kind_digest("log") != before


def test_an_unknown_kind_is_an_error():
    with pytest.raises(KeyError, match="logs"):
        kind_digest("logs")
