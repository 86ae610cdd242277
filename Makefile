# Everything a person types here. `make help` lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CODE := client crds gateway operator playground scripts tests benchmarks examples
PYTEST := $(BIN)/python -m pytest
HISTORIES ?= 100000
DURATIONS := --durations 20 --durations-min 10
# Two files at a time; the end-to-end tests on a site for each.
TWO := --numprocesses 2 --dist loadfile

.PHONY: help demo test unit simulate check format up down bench screenshots clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.installed ## A whole site on this machine, and a notebook's worth of work on HTCondor workers (root, Linux)
	$(BIN)/python -m playground demo

test: $(VENV)/.installed check ## Everything: checks, unit, contract and end-to-end tests on real parts (root, Linux)
	$(BIN)/python -m playground build
	@failed=0; \
	$(PYTEST) $(DURATIONS) $(TWO) --ignore tests/simulation --ignore tests/e2e || failed=1; \
	$(PYTEST) $(DURATIONS) tests/simulation || failed=1; \
	$(PYTEST) $(DURATIONS) $(TWO) --no-loadscope-reorder tests/e2e || failed=1; \
	exit $$failed

unit: $(VENV)/.installed ## The tests that need neither root nor a site: seconds
	$(PYTEST) --numprocesses 2 tests/unit

simulate: $(VENV)/.installed ## The operator in 100,000 simulated histories (HISTORIES=n), and the story of one that breaks a promise
	$(BIN)/python -m tests.simulation --histories $(HISTORIES)

check: $(VENV)/.installed ## Format, lint, types, import contracts, generated files: under a minute
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy
	$(BIN)/mypy --python-version 3.10 client crds
	$(BIN)/lint-imports
	$(BIN)/python scripts/check_layout.py
	$(BIN)/python scripts/sync_chart_crd.py --check
	$(BIN)/python scripts/render_gateway_values.py --check

format: $(VENV)/.installed ## Format the code and write the generated files anew
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/python scripts/sync_chart_crd.py
	$(BIN)/python scripts/render_gateway_values.py

up: $(VENV)/.installed ## Bring the playground up and leave it there
	$(BIN)/python -m playground up

down: ## Take every playground of this project away
	$(BIN)/python -m playground down --all

bench: $(VENV)/.installed ## Measure against a floor in the same run (benchmarks/)
	$(BIN)/python -m benchmarks

screenshots: $(VENV)/.installed ## Take the pictures of the widget in docs/ anew, in a real JupyterLab (root, Linux)
	$(BIN)/python -m tests.e2e.screenshots

clean: ## Remove the virtual environment and what the tools left in the tree
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/.installed: pyproject.toml operator/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "HTCDask needs Python 3.11 or newer, this is " + sys.version.split()[0] + ": set PYTHON=")'
	@$(PYTHON) -c 'import ensurepip' || { echo "Python has no ensurepip: install it (Debian: apt-get install python3-venv)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@
