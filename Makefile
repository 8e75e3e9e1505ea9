# One verb each. Every target makes and reuses .venv by itself: with uv when it is there, else with venv and pip.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed

.PHONY: help demo quickstart test check suite ablate validate bench bench-node bench-recall interop notebooks lock clean

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(STAMP): requirements.lock pyproject.toml
	@set -e; if command -v uv >/dev/null 2>&1; then \
	  [ -x $(BIN)/python ] || uv venv --quiet --python $(PYTHON) $(VENV); \
	  uv pip sync --quiet --require-hashes --python $(BIN)/python requirements.lock; \
	  uv pip install --quiet --no-deps --no-build-isolation --python $(BIN)/python -e .; \
	else \
	  $(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV); \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .; \
	fi
	@touch $(STAMP)

demo: $(STAMP) ## run the demo federation: 40 nodes on a real map, a cut through the middle, a verdict and figures
	$(BIN)/stigmem-sim run scenarios/geant.toml

quickstart: $(STAMP) ## run the quickstart of README and docs/operating.md and check its output
	$(BIN)/python -m tests.quickstart

test: check ## everything that must hold: lint, types, layers, tests
	$(BIN)/python -m pytest -n auto --dist loadfile

check: $(STAMP) ## lint, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache >/dev/null || $(BIN)/lint-imports --no-cache

suite: $(STAMP) ## every known failure mode with many seeds, and tests on real nodes: one table, also in runs/suite/
	$(BIN)/stigmem-sim suite --real

ablate: $(STAMP) ## remove one control after the other, and see that the suite fails without each
	$(BIN)/stigmem-sim ablate

validate: $(STAMP) ## hold the laboratory against theory and an independent model, and write docs/validation.md
	$(BIN)/python -m tests.validation --jobs 2

bench: $(STAMP) ## speed of the laboratory and the ledger, as ratios
	$(BIN)/python -m bench

bench-node: $(STAMP) ## speed of a deployed node beside the published reference
	$(BIN)/python -m bench.node

bench-recall: $(STAMP) ## how well and how fast a node recalls, beside plain BM25
	$(BIN)/python -m bench.recall

interop: $(STAMP) ## our node against the published clients and reference nodes
	$(BIN)/python -m pytest -o faulthandler_timeout=1800 tests/interop

notebooks: $(STAMP) ## render notebooks/*.py to executed .ipynb
	$(BIN)/python -m sim.report.notebooks

lock: ## pin every dependency with hashes (needs uv)
	uv pip compile pyproject.toml --all-extras --group dev --universal --generate-hashes --no-header --quiet -o requirements.lock

clean: ## remove what was made
	rm -rf $(VENV) runs .pytest_cache .mypy_cache .ruff_cache .hypothesis
