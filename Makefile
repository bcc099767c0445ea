# The verbs that people and CI call. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
# One more than the cores of CI: tests wait for other processes half of their time.
WORKERS ?= 3
UV_VERSION := 0.13.9
# A uv on the PATH is used if it runs at all; a version manager's shim may not.
UV := $(shell uv --version >/dev/null 2>&1 && echo uv || echo .make/uv/bin/uv)
UV_INSTALLED := $(filter .make/%,$(UV))
IN_ENV := $(UV) run --quiet --no-sync
# The machine's own Python or a clear refusal; never one fetched behind the user's back.
export UV_PYTHON_DOWNLOADS := never
# Behind a company's proxy only the system's certificates know its authority; a bare machine has none.
ifneq ($(wildcard /etc/ssl/certs/ca-certificates.crt),)
export UV_SYSTEM_CERTS := true
endif
ifneq ($(origin PYTHON),file)
export UV_PYTHON := $(PYTHON)
endif

# Stamps live in the environment, so that they go when it goes.
READY_TO_RUN := .venv/.ready-to-run
READY_TO_TEST := .venv/.ready-to-test

.PHONY: help run test check bench openapi engine-table screenshots format clean system-packages
.PHONY: check-format check-lint check-types check-contracts check-unit

help: ## List the verbs.
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' Makefile | \
	  while IFS=$$'\t' read -r verb what; do printf 'make %-16s %s\n' "$$verb" "$$what"; done

run: $(READY_TO_RUN) ## Start the server with the sample mail platform beside it.
	@exec $(IN_ENV) quarterdeck demo

test: system-packages $(READY_TO_TEST) ## Check and test everything, on real servers.
	@$(MAKE) -k -j -Otarget check-format check-lint check-types check-contracts
	@$(IN_ENV) pytest -q -n $(WORKERS) --dist worksteal

check: $(READY_TO_TEST) ## Format, lint, types, contracts and quick unit tests, in under a minute.
	@$(MAKE) -k -j -Otarget check-format check-lint check-types check-contracts check-unit

bench: system-packages $(READY_TO_TEST) ## Measure; each benchmark prints a table.
	@for file in benchmarks/*.py; do \
	  echo "== $$file"; PYTHONPATH=tests $(IN_ENV) python "$$file"; done

openapi: $(READY_TO_TEST) ## Write docs/openapi.json anew.
	@$(IN_ENV) python -c "import sys; from quarterdeck.api.application import openapi_document; \
	  sys.stdout.buffer.write(openapi_document())" > docs/openapi.json

engine-table: $(READY_TO_TEST) ## Write the README's table of engines anew.
	@$(IN_ENV) python scripts/engine_table.py

screenshots: system-packages $(READY_TO_TEST) ## Write docs/screenshots/*.png anew; takes a quarter of an hour.
	@PYTHONPATH=tests $(IN_ENV) python scripts/screenshots.py

format: $(READY_TO_TEST) ## Rewrite the code in the house style.
	@$(IN_ENV) ruff check --quiet --fix-only .
	@$(IN_ENV) ruff format .

clean: ## Remove the environment and the caches; data/ stays.
	rm -rf .venv .make .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

system-packages: ## Install what the tests start: Redis, PostgreSQL, MariaDB, Chromium...
	@scripts/system-packages servers
	@scripts/unpack-exim .make/exim

check-format:
	@$(IN_ENV) ruff format --check --quiet . || \
	  { echo "ruff format: run 'make format'"; $(IN_ENV) ruff format --check .; }

check-lint:
	@$(IN_ENV) ruff check --quiet .

check-types:
	@$(IN_ENV) mypy

check-contracts: # twenty lines of banner say nothing unless a contract is broken
	@report=$$($(IN_ENV) lint-imports --no-logo 2>&1) || { echo "$$report"; exit 1; }

check-unit:
	@# Each worker collects everything for itself, and these tests wait for nothing: one for a core.
	@# The plugins that are left out take four of the eighteen seconds in which one collects.
	@$(IN_ENV) pytest -q -n auto -p no:schemathesis -p no:faker \
	  -m 'not slow' --hypothesis-profile=quick tests/unit tests/house

$(READY_TO_RUN): pyproject.toml uv.lock | $(UV_INSTALLED)
	@scripts/need-python $(PYTHON) $(UV)
	@# --inexact: a developer's tools stay where they are.
	@$(UV) sync --frozen --inexact --no-dev --all-extras
	@touch $@

$(READY_TO_TEST): pyproject.toml uv.lock | $(UV_INSTALLED)
	@scripts/need-python $(PYTHON) $(UV)
	@$(UV) sync --frozen --all-extras
	@touch $(READY_TO_RUN) $@

.make/uv/bin/uv:
	@scripts/need-python $(PYTHON)
	@scripts/system-packages venv $(PYTHON)
	@echo "Installing uv $(UV_VERSION) into .make/uv ..."
	@$(PYTHON) -m venv --clear .make/uv
	@.make/uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
