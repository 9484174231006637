# Everything is done in a virtual environment of the repository's own, .venv, made on first use.
# It is filled again only when pyproject.toml changes.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
PYTHON := $(BIN)/python
PIP := $(PYTHON) -m pip
RUNTIME := $(VENV)/.runtime-installed
DEV := $(VENV)/.dev-installed
BENCH := $(VENV)/.bench-installed

# Options for `openrelay-simulator serve`, pytest and the benchmarks:
#   make serve ARGS="--port 9000"     make test PYTEST_ARGS="-k vms"
ARGS ?=
PYTEST_ARGS ?=
# Requests that schemathesis makes up per operation: make conformance EXAMPLES=1000
EXAMPLES ?= 100
TIMES ?= 60
MINUTES ?= 10

.PHONY: help serve test lint types fmt docs tables conformance explore soak bench bench-quick clean programs install-programs

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

serve: $(RUNTIME) ## install the simulator and start it; options in ARGS="…"
	$(BIN)/openrelay-simulator serve $(ARGS)

test: lint types programs ## everything: lint, format, layers, types, tests, wheel
	$(PYTHON) -m pytest -n auto $(PYTEST_ARGS)

lint: $(DEV) ## ruff's rules, the format and the import layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-logo

types: $(DEV) ## mypy
	$(PYTHON) -m mypy

fmt: $(DEV) ## repair format, order of imports and what else ruff can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(DEV) ## the manual as a site, in build/manual
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --clean

tables: $(DEV) ## print the tables in the documentation and the schema of scenarios again
	$(PYTHON) -m tests.support.tables --write

conformance: $(DEV) ## schemathesis against the contract, longer than in the tests: EXAMPLES=100
	CONFORMANCE_EXAMPLES=$(EXAMPLES) $(PYTHON) -m pytest -n auto tests/conformance $(PYTEST_ARGS)

explore: $(DEV) ## the random walks, so many times as far as in the tests: TIMES=60
	PROPERTY_TIMES=$(TIMES) $(PYTHON) -m pytest -n auto tests/properties $(PYTEST_ARGS)

soak: $(DEV) ## mixed load with faults on a live clock: MINUTES=10
	$(PYTHON) -m tests.support.soak --minutes $(MINUTES)

bench: $(BENCH) ## all benchmarks beside other projects' simulators; writes the figures of docs/speed.md
	$(PYTHON) -m benchmarks --record $(ARGS)

bench-quick: $(DEV) ## the same with fewer rounds and without the fuzz, in a minute
	$(PYTHON) -m benchmarks --quick $(ARGS)

clean: ## remove all that make, the tests and the builds leave behind, .venv too
	rm -rf $(VENV) build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find simulator tests benchmarks -type d -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

# What benchmarks stand beside is left out, with a word, where it cannot be installed.
$(BENCH): pyproject.toml benchmarks/peers.json | $(DEV) programs
	-$(PIP) install --quiet --editable ".[dev,bench]"
	mkdir -p build/peers
	cp benchmarks/peers.json build/peers/package.json
	-npm install --silent --no-audit --no-fund --prefix build/peers
	@touch $@ $(DEV) $(RUNTIME)

# Programs of the system that the tests run: node the TypeScript samples, curl the README, jq the sample in bash;
# buildah and mmdebstrap build the container's image, without an engine; wrk puts load on a server.
PROGRAMS := node curl jq buildah mmdebstrap ip wrk
PACKAGES := nodejs curl jq buildah mmdebstrap iproute2 wrk

programs:
	@$(foreach program,$(PROGRAMS),command -v $(program) >/dev/null &&) true \
	  || $(MAKE) --no-print-directory install-programs

install-programs:
	@[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null || { \
	  echo "The tests need $(PROGRAMS). Install them (on Debian: apt-get install $(PACKAGES)), then run make again." >&2; \
	  exit 1; \
	}
	apt-get update
	DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $(PACKAGES)

# The first Python of 3.11 or later that starts. Where the venv module lacks a pip of its own, the system's pip installs one.
$(PYTHON):
	@for python in python3.11 python3; do \
	  $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	  echo "$$python -m venv $(VENV)"; \
	  $$python -m venv $(VENV) >/dev/null 2>&1 && exit 0; \
	  $$python -m venv --clear --without-pip $(VENV); \
	  $$python -m pip --python $(PYTHON) install --quiet pip; \
	  exit 0; \
	done; \
	echo "The simulator needs Python 3.11 or later; neither python3.11 nor python3 is that." >&2; \
	exit 1

$(RUNTIME): pyproject.toml | $(PYTHON)
	$(PIP) install --quiet --editable .
	@touch $@

$(DEV): pyproject.toml | $(PYTHON)
	$(PIP) install --quiet --editable ".[dev]"
	@touch $@ $(RUNTIME)
