# `make help` lists the targets.
SHELL := /bin/sh
.DEFAULT_GOAL := help

# The first supported Python on the PATH; PYTHON=… selects another one.
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
ifndef PYTHON
PYTHON := $(shell for p in python3.13 python3.12 python3.11 python3; do \
	"$$p" -c '$(SUPPORTED)' 2>/dev/null && echo "$$p" && break; done)
endif
BIN := .venv/bin
# One worker more than processors: while a test waits for the sandbox, PostgreSQL or Airflow, another one can run.
WORKERS := $(shell expr $$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN) + 1)
PYTEST := $(BIN)/pytest --numprocesses=$(WORKERS) --dist=loadfile --no-loadscope-reorder

# The files with tests of a marker, so that pytest does not have to read the others.
files = $(or $(TESTS),$(shell grep -rlE 'mark\.($(1))\b' --include='test_*.py' tests | sort))

# What constraints.txt pins together: the packages that are installed here, and the optional groups of pyproject.toml.
PINNED := requirements-cluster.txt pyproject.toml --all-extras

.PHONY: help run run-cluster test test-airflow test-all test-cluster test-rest bench lint hooks format docs screenshots constraints audit secrets clean python

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1	/' | expand -t 22

run: python ## set everything up, pull and push on the embedded demo and serve until Ctrl-C (ONCE=1 STORY=0 PATIENTS=200 SEED=7 SCHEDULE='0 */2 * * *' AIRFLOW_DB=… AIRFLOW_PORT=8080 SANDBOX_PORT=8765)
	@"$(PYTHON)" scripts/bootstrap.py run
	@exec $(BIN)/python -m include.demo

test: python ## set everything up, check style, types and packages, run the tests that every change runs (TESTS=tests/push)
	@"$(PYTHON)" scripts/bootstrap.py dev
	@$(BIN)/python scripts/browser.py
	@$(BIN)/ruff format --check --quiet . && $(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/uv pip check --quiet --python $(BIN)/python
	@exec $(PYTEST) -m "not airflow and not cluster and not journey and not slow" $(TESTS)

test-airflow: python ## run the other tests that start a real Airflow
	@"$(PYTHON)" scripts/bootstrap.py dev
	@$(BIN)/python scripts/browser.py
	@exec $(PYTEST) --numprocesses=3 -m airflow $(call files,airflow) # they mostly wait

test-all: test ## `make test`, then the real-Airflow tests, journeys and slow tests, and property tests with more examples
	@exec $(PYTEST) -m "airflow or journey or slow or hypothesis" --hypothesis-profile=thorough $(TESTS)

run-cluster: python ## two practices on Celery, Redis, PostgreSQL and S3 on this machine: pull, kill a worker, backfill, push, compare (PATIENTS=40 SHORT=1 SERVE=1 CLUSTER_PORT=8180)
	@"$(PYTHON)" scripts/bootstrap.py cluster
	@exec $(BIN)/python -m include.cluster

test-cluster: python ## run the tests of the cluster and of object stores (SHORT=1: one journey, as CI does)
	@"$(PYTHON)" scripts/bootstrap.py cluster
	@exec $(BIN)/pytest -m "cluster$(if $(SHORT), and not slow)" $(call files,cluster)

test-rest: python ## run what CI runs after `make test`: `make test-airflow`, `make test-cluster SHORT=1` and long journeys, in one run
	@"$(PYTHON)" scripts/bootstrap.py cluster
	@$(BIN)/python scripts/browser.py
	@exec $(PYTEST) --numprocesses=4 -m "airflow or ((cluster or journey) and not slow)" $(call files,airflow|cluster|journey)

bench: python ## measure speed and memory, print a table, write bench/results.json
	@"$(PYTHON)" scripts/bootstrap.py dev
	@exec $(BIN)/python -m bench

lint: python ## check style and types, without a test
	@"$(PYTHON)" scripts/bootstrap.py dev
	@$(BIN)/ruff format --check . && $(BIN)/ruff check .
	@$(BIN)/mypy

hooks: python ## let git run ruff and mypy before every commit
	@"$(PYTHON)" scripts/bootstrap.py dev
	@$(BIN)/pre-commit install

format: python ## format and fix style
	@"$(PYTHON)" scripts/bootstrap.py dev
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

docs: python ## write docs/reference from the code
	@"$(PYTHON)" scripts/bootstrap.py dev
	@$(BIN)/python -m scripts.generate_reference

screenshots: python ## take the screenshots of the console for docs/images, with the demo
	@"$(PYTHON)" scripts/bootstrap.py dev
	@$(BIN)/python scripts/browser.py
	@$(BIN)/python -m scripts.screenshots

constraints: python ## resolve constraints.txt (versions) and requirements.lock (versions and hashes) again
	@"$(PYTHON)" scripts/bootstrap.py dev
	@$(BIN)/uv pip compile $(PINNED) --universal --python-version 3.11 --no-annotate --no-header --quiet --output-file constraints.txt
	@$(BIN)/uv pip compile $(PINNED) --universal --python-version 3.11 --no-annotate --no-header --quiet --output-file requirements.lock --constraint constraints.txt --generate-hashes

audit: python ## ask PyPI for known vulnerabilities of every pinned package, and record the result in audit.json (needs the network)
	@"$(PYTHON)" scripts/bootstrap.py dev
	@$(BIN)/python -m scripts.audit

secrets: python ## add the findings of the secret scan to .secrets.baseline: check the difference before you commit it
	@"$(PYTHON)" scripts/bootstrap.py dev
	@$(BIN)/detect-secrets scan --slim --no-verify --exclude-files '^(requirements\.lock|\.secrets\.baseline)$$' >.run/secrets && mv .run/secrets .secrets.baseline

clean: ## remove the environment and everything that the demo wrote
	rm -rf .venv .run .mypy_cache .ruff_cache .pytest_cache .hypothesis plugins/*.egg-info

python:
	@test -n "$(PYTHON)" && "$(PYTHON)" -c '$(SUPPORTED)' 2>/dev/null || \
	{ echo "make: Python 3.11, 3.12 or 3.13 is needed; install one, or name it: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
