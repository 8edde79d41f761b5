# make run    set up + run the quickstart study + write its report
# make test   set up + every check and test
# make help   the rest

PYTHON ?= python3
UV_VERSION := 0.13.9
VENV := .venv
BIN := $(VENV)/bin
OUT ?= results/quickstart
WORKERS ?= 2
SLOW = $(shell grep -rl "mark\.slow" lrbench analysis --include="test_*.py")  # collecting the others takes ten seconds

.DEFAULT_GOAL := help
.PHONY: help setup run check test bench nightly nightly-verdict notebooks lock clean

help:           ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.installed  ## a virtual environment with everything in requirements.lock; done once

# Two stamps: the environment follows the lock, the editable install follows pyproject.toml. Nothing is done twice.
$(VENV)/.locked: requirements.lock
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 15) else f"lrbench needs Python 3.11 to 3.14; {sys.executable} is {v[0]}.{v[1]}. Name another: make setup PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@echo "installing requirements.lock (about 6 GB with torch's CUDA libraries; a minute on a fast line)"
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --require-hashes --compile-bytecode -r requirements.lock
	@touch $@

$(VENV)/.installed: $(VENV)/.locked pyproject.toml
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --offline --editable .
	@$(BIN)/python -m compileall -q lrbench analysis
	@touch $@

run: setup      ## the quickstart study and its report; the same command again goes on where it stopped
	$(BIN)/lrbench run quickstart --out $(OUT)
	$(BIN)/lrbench report $(OUT)

check: setup    ## style and workflow checks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# Hypothesis' profile "ci" draws the same examples each time; `pytest` by hand draws new ones.
test: check     ## every check and test, the fast ones first
	$(BIN)/python -m pytest --hypothesis-profile=ci -n $(WORKERS) --dist worksteal -m "not slow"
	$(BIN)/python -m pytest --hypothesis-profile=ci -n $(WORKERS) --dist worksteal -m slow $(SLOW)

bench: setup    ## the benchmarks: trials, scheduler steps, digests, commits, the runner against its peers
	$(BIN)/python -m pytest benchmarks --benchmark-only

nightly: setup  ## the nightly study, the benchmarks, a report, a summary and a verdict in results/nightly
	$(BIN)/python -m benchmarks.nightly run $(NIGHTLY)

nightly-verdict: setup  ## print the last night's verdict, and fail if the night did
	$(BIN)/python -m benchmarks.nightly verdict

notebooks: setup  ## the gallery of notebooks, executed on the committed results
	$(BIN)/python -m analysis.page.notebook_gallery results/reference

lock:           ## resolve requirements.lock anew from pyproject.toml (hashes, no registry host)
	@test -x $(BIN)/uv || { $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install --quiet uv==$(UV_VERSION); }
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-emit-index-url --no-emit-find-links --upgrade --quiet --output-file requirements.lock

clean:          ## remove the virtual environment
	rm -rf $(VENV)
