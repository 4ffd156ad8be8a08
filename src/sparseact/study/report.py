"""The report: notebooks executed and turned into pages, the page of claims, and the index."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
import papermill
from jinja2 import Environment, PackageLoader, StrictUndefined
from jupyter_client.kernelspec import NoSuchKernel
from nbconvert.exporters import HTMLExporter
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

from sparseact.study.ledger import CONDITIONAL, OPEN, REFUTED, SUPPORTED, evidence
from sparseact.study.store import atomic, write_text
from sparseact.study.variables import KINDS
from sparseact.study.volatile import VOLATILE

_TEMPLATES = Environment(
    loader=PackageLoader("sparseact.study"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


_EXPORTER = HTMLExporter(
    template_name="basic",
    exclude_input=True,
    exclude_output_prompt=True,
)


class ReportError(RuntimeError):
    """A page cannot be made; the message says why, and where to look."""


def render(
    notebook: str | Path,
    executed: str | Path,
    page: str | Path,
    *,
    title: str,
    parameters: Mapping[str, Any],
    origin: Mapping[str, str],
    failed: str | Path,
    index: str | None = "index.html",
) -> None:
    """Execute a notebook in this environment's own kernel and make a page of it.

    Run twice on the same data it writes the same bytes: clocks, durations and random cell ids are
    taken out.

    Parameters
    ----------
    notebook : path
        The notebook, without outputs.
    executed, page : path
        Where the executed notebook and its HTML page go.
    title : str
        Title of the page.
    parameters : mapping
        Values for the notebook's parameters.
    origin : mapping
        SHA-256 of each file that it is made from, and the digest of the code behind it; they go
        into the executed notebook's metadata and to the foot of the page.
    failed : path
        Where a notebook that raised is left for inspection.
    index : str, optional
        The page that links everything, as seen from the page.

    Raises
    ------
    ReportError
        If a cell raised, or there is no kernel to run it. Neither ``executed`` nor ``page`` is
        touched.
    """
    with tempfile.TemporaryDirectory(prefix="kernel-") as sockets, atomic(executed) as partial:
        # The kernel talks over files of its own, not over ports that others may take meanwhile.
        kernel = {"KernelManager": {"transport": "ipc", "ip": str(Path(sockets) / "kernel")}}
        try:
            papermill.execute_notebook(
                str(notebook),
                str(partial),
                parameters=dict(parameters),
                kernel_name="python3",
                progress_bar=False,
                log_output=False,
                config=Config(kernel),
            )
        except PapermillExecutionError as error:
            shutil.copyfile(partial, failed)
            raise ReportError(
                f"{notebook}: cell {error.exec_count} raised {error.ename}: {error.evalue}; "
                f"the notebook as far as it ran is {failed}"
            ) from None
        except nbformat.reader.NotJSONError:
            raise ReportError(f"{notebook} is no notebook: it is not JSON") from None
        except (NoSuchKernel, RuntimeError) as error:
            raise ReportError(
                f"{notebook}: its kernel is missing or died ({error}); if it does again, install "
                "the packages of requirements.lock anew, ipykernel among them"
            ) from None
        document = nbformat.read(partial, as_version=4)
        _forget_the_clock(document)
        document.metadata["sparseact"] = {"origin": dict(origin)}
        nbformat.write(document, partial)
    body, _ = _EXPORTER.from_notebook_node(document)
    # Claims link to their figure: each picture is known by its alternative text.
    body = re.sub(r'<img(?=[^>]*alt="([^"]+)")', _anchored, body)
    template = _TEMPLATES.get_template("notebook.html.j2")
    write_text(page, template.render(title=title, body=body, origin=origin, index=index))


def _anchored(tag: re.Match[str]) -> str:
    return f'<img id="{tag[1].replace(" ", "_")}"'


def _forget_the_clock(document: Any) -> None:
    """Take out what differs between two runs on the same data."""
    document.metadata.pop("papermill", None)
    for number, cell in enumerate(document.cells):
        cell.id = f"cell-{number}"
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)


# What each verdict means, in the order of the page.
_MEANINGS = {
    SUPPORTED: "What was measured is what the claim says.",
    CONDITIONAL: "The statement holds under the conditions named, and not, or not certainly, "
    "under the others that were tried.",
    REFUTED: "The statement fails by the criterion set for it.",
    OPEN: "The intervals reach across the criterion; a larger study could tell.",
}


def claims_page(
    verdicts: Sequence[Mapping[str, Any]],
    *,
    notebooks: Mapping[str, Sequence[str]],
    results: str,
) -> str:
    """HTML page of the claims: each under its verdict, with the numbers behind it.

    Parameters
    ----------
    verdicts, notebooks, results
        As in :func:`index_page`.

    Raises
    ------
    ReportError
        If a claim names a figure that no notebook draws.
    """
    pages = {figure: name for name, figures in notebooks.items() for figure in figures}
    for one in verdicts:
        if one["figure"] not in pages:
            raise ReportError(f"claim {one['id']}: no notebook draws figure {one['figure']!r}")
    return _TEMPLATES.get_template("claims.html.j2").render(
        title="The claims",
        verdicts=[{**one, "lines": evidence(one)} for one in verdicts],
        meanings=_MEANINGS,
        pages=pages,
        results=results,
    )


def index_page(
    verdicts: Sequence[Mapping[str, Any]],
    *,
    notebooks: Mapping[str, Sequence[str]],
    formats: Sequence[str],
    experiments: Sequence[str],
    results: str,
    volatile: Mapping[str, Sequence[str]],
) -> str:
    """HTML page that links notebooks, claims, figures and datasets.

    Parameters
    ----------
    verdicts : sequence
        From :func:`sparseact.study.ledger.judge_all`.
    notebooks : mapping
        Name of each notebook, and the figures it draws.
    formats : sequence of str
        Suffixes that each figure comes in.
    experiments : sequence of str
        Names of the datasets.
    results : str
        Folder of the datasets, as seen from the page.
    volatile : mapping
        Name of each volatile dataset with a page of the same name, and the figures on that.
    """
    return _TEMPLATES.get_template("index.html.j2").render(
        title="Sparse action discovery: the study",
        verdicts=verdicts,
        notebooks=notebooks,
        formats=formats,
        experiments={name: KINDS[name].title for name in experiments},
        volatile=volatile,
        folder=VOLATILE,
        titles={name: KINDS[name].title for name in volatile},
        results=results,
    )
