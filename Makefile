# make test    set-up and every check
# make run     set-up and the main scenario
# make fast    compile the hot path, which makes it up to twice as fast; needs a C compiler
# make renew   baselines, pictures and the outputs in documents, from new runs of the shipped scenarios
# make format  put the code in the project's format
# make lock    write requirements.lock anew (UPGRADE=--upgrade takes the newest versions that pyproject.toml allows)
# make clean   remove the environment and all caches
#
# Needs Python 3.11 or newer, git and make. PYTHON=/path/to/python chooses an interpreter.

.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help test run fast setup lint types contracts tests renew format lock clean

SHELL := /bin/sh
BIN := .venv/bin
LAZY := $(if $(PYTHONDONTWRITEBYTECODE),,--no-compile)
WORKERS ?= 2
SCENARIO ?= scenarios/v2x-corridor.yaml

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

test: lint types contracts tests

lint: setup
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .

types: setup
	$(BIN)/python -m mypy

contracts: setup
	$(BIN)/lint-imports

tests: setup
	$(BIN)/python -m pytest -n $(WORKERS)

run: setup
	$(BIN)/meshsim run $(SCENARIO)

fast: setup
	$(BIN)/python -m meshsim.compiling

renew: setup
	$(BIN)/python docs/renew.py

format: setup
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .

setup: .venv/locked .venv/installed

# The environment holds exactly what the lock names, each file checked against its hash. It is made anew when it is
# missing, unfinished, or was made in another place: its scripts hold absolute paths.
ifneq ($(shell cat .venv/place 2>/dev/null),$(CURDIR))
.venv/locked: environment
endif
# Bytecode is left to the first import, which makes what is needed; pip would make all of it, for half a minute.
.venv/locked: requirements.lock
	@echo "Installing the locked requirements (a few minutes the first time) ..."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(LAZY) --require-hashes -r requirements.lock
	@touch $@

# The package itself, editable; everything its build needs is in the lock.
.venv/installed: .venv/locked pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: environment
environment:
	@new_enough='import sys; sys.exit(sys.version_info < (3, 11))'; \
	for python in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11); do \
	  if "$$python" -c "$$new_enough" 2>/dev/null; then \
	    "$$python" -m venv --clear .venv && echo "$(CURDIR)" > .venv/place && exit 0; \
	    echo "$$python cannot make a virtual environment; on Debian or Ubuntu, install python3-venv." >&2; exit 1; \
	  fi; \
	done; \
	echo "meshsim needs Python 3.11 or newer, and found: $$($(or $(PYTHON),python3) --version 2>&1)." >&2; \
	echo "Install one, or name it: make PYTHON=/path/to/python3.12 ..." >&2; exit 1

lock: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile pyproject.toml --group build --group dev --group fast --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-annotate --no-header --quiet $(UPGRADE) -o requirements.lock

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -path ./.git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
