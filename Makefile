# make study   the environment, then the full study
# make test    the environment, then the tests
# make help    all of it

PYTHON ?= python3
CORES ?= all
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BENCH := .venv-bench
# Where logs in parts are tested: not beside the study, whose jobs would load
# what is there.
PARTS := .venv-parts
PARTS_READY := $(PARTS)/.ready
INSTALL := -m pip install --quiet --disable-pip-version-check
# Its cache stands beside the study, so that a home that cannot be written does
# not matter.
SNAKEMAKE := XDG_CACHE_HOME="$(CURDIR)/.snakemake/cache" \
  $(BIN)/snakemake --workflow-profile workflow/profiles/local --cores $(CORES)

CONFIGURED = $(if $(CONFIG),--configfile $(or $(wildcard $(CONFIG)),$(error there is no $(CONFIG))))

.DEFAULT_GOAL := help
.PHONY: help env study quick verify estimate crate test record test-faults test-slurm bench check lock lock-bench schema rulegraph snakemake-report clean

help:  ## Show this
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

env: $(READY)  ## Create the environment in .venv, from requirements.lock

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	  f"{sys.executable} is Python {sys.version.split()[0]}; the study needs 3.11 or newer. Name one with: make env PYTHON=python3.12")'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python $(INSTALL) --require-hashes -r requirements.lock
	$(BIN)/python $(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(PARTS_READY): requirements-parts.lock
	$(PYTHON) -m venv --clear $(PARTS)
	$(PARTS)/bin/python $(INSTALL) --require-hashes -r requirements-parts.lock
	@touch $@

study: $(READY)  ## Run the full study on all cores (CORES=N for N)
	$(SNAKEMAKE)

quick: $(READY)  ## Run a cut of the study that takes about three minutes
	$(SNAKEMAKE) --configfile config/quick.yaml

verify: $(READY)  ## Hold what is there against its manifest (CONFIG=another, AGAINST=another run's)
	@AGAINST="$(AGAINST)" $(SNAKEMAKE) verify $(CONFIGURED)

estimate: $(READY)  ## Tell what a study will cost (CONFIG=another; MEASURE=1 learns from its benchmarks)
	@MEASURE="$(MEASURE)" $(SNAKEMAKE) estimate $(CONFIGURED)

crate: $(READY)  ## Pack a finished study as a Workflow Run RO-Crate (CONFIG=another)
	@$(SNAKEMAKE) crate $(CONFIGURED)

test: $(READY) $(PARTS_READY)  ## Run the tests
	$(BIN)/python -m pytest -n auto --dist loadgroup
	PYTHONPATH=src $(PARTS)/bin/python -m pytest --noconftest tests/test_sources.py

record: $(READY)  ## Put the numbers of the quick study on record, for the tests
	PYTHONPATH=src:tests $(BIN)/python -c "import studies; studies.record('tests/quick_manifest.json')"

test-faults: $(READY)  ## Run the tests that take minutes: whole studies, killed, starved and damaged
	$(BIN)/python -m pytest -m faults

test-slurm: $(READY)  ## Run the tests on a real Slurm, brought up here (installs Debian packages, as root)
	$(BIN)/python -m pytest -m slurm -rs

bench: $(BENCH)/.ready  ## Measure recovery against every peer: about 35 minutes (ARGS="--sizes S M")
	$(BENCH)/bin/python -m benchmarks.recovery $(ARGS)

# Without their dependencies, as the lock has them all: adelie's own word on NumPy is overridden.
$(BENCH)/.ready: benchmarks/requirements.lock pyproject.toml
	$(PYTHON) -m venv --clear $(BENCH)
	$(BENCH)/bin/python $(INSTALL) --no-deps --require-hashes -r benchmarks/requirements.lock
	$(BENCH)/bin/python $(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

check: $(READY)  ## Lint, formats and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/mypy
	$(BIN)/snakemake --lint

lock: $(READY)  ## Refresh requirements.lock to the newest versions that pyproject.toml allows
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
	  --generate-hashes --upgrade --quiet --output-file requirements.lock \
	  --custom-compile-command "make lock"
	$(BIN)/uv pip compile pyproject.toml --extra dev-parts --universal --python-version 3.11 \
	  --constraints requirements.lock --generate-hashes --upgrade --quiet \
	  --output-file requirements-parts.lock --custom-compile-command "make lock"

lock-bench: $(READY)  ## Refresh benchmarks/requirements.lock, at the versions of requirements.lock where both have them
	$(BIN)/uv pip compile pyproject.toml --group bench --universal --python-version 3.11 \
	  --constraint requirements.lock --override benchmarks/overrides.txt \
	  --generate-hashes --upgrade --quiet --output-file benchmarks/requirements.lock \
	  --custom-compile-command "make lock-bench"

schema: $(READY)  ## Rewrite the schema of the configuration from its typed model
	$(BIN)/python -m sparseact.study.config > workflow/schemas/config.schema.json

rulegraph: $(READY)  ## Redraw docs/rulegraph.svg (needs graphviz's dot)
	$(BIN)/snakemake reports --rulegraph --configfile config/quick.yaml --quiet all > $(VENV)/rulegraph.dot
	dot -Tsvg $(VENV)/rulegraph.dot > docs/rulegraph.svg

snakemake-report: $(READY)  ## Write reports/snakemake.html, self-contained, from a finished full study
	$(BIN)/snakemake --report reports/snakemake.html

clean:  ## Remove everything that the study made (not the environment)
	rm -rf results reports logs
