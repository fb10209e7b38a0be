SHELL := /bin/bash

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
LOCKER := .cache/locker
PORT ?= 9092
SEED ?= 1

# The first Python that runs (a shim of pyenv may exist and fail), is new enough and can make a venv.
find_python = for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done
PYTHON ?= $(shell $(find_python))

.DEFAULT_GOAL := help
.PHONY: help install demo walk test lint bench detectors fleet calibrate grafana kafka prometheusrule lock clean

help: ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-14s %s\n", $$1, $$2}'

install: $(INSTALLED) ## build .venv from requirements.lock, with driftd in it

$(INSTALLED): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "driftd needs Python >= 3.11 with venv (on Debian: apt-get install python3-venv); or name one: make PYTHON=..." >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --only-binary :all: -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

demo: install ## watch driftd find a drift, in about a minute
	$(BIN)/driftd demo

walk: install ## do the walk of docs/walk.md: from nothing to the first message
	$(BIN)/python -m tests.docs.walk

test: install ## run the tests
	$(BIN)/python -m pytest -q -n auto --maxprocesses 4 --dist loadfile -m 'not chaos_long'

lint: install ## check style, types and the floors of the design
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench: install ## measure CPU per event beside simpler readers
	$(BIN)/python -m tests.bench

detectors: install ## measure detectors on still values and on streams of errors; STREAMS=FOLDER
	$(BIN)/python -m tests.core.error_streams $(STREAMS)

fleet: install ## watch 1,000 models for 10 minutes through three kills
	$(BIN)/python -m tests.bench.fleet

calibrate: install ## measure false alarms and write docs/calibration.md, in about an hour; CELLS=20 SEED=1 for a sample
	$(BIN)/python -m tests.calibrate --seed $(SEED) $(if $(CELLS),--cells $(CELLS)) $(if $(SHARE),--share $(SHARE))

grafana: install ## write the dashboards of Grafana anew from their code
	$(BIN)/python -m grafana.build

kafka: install ## run a real Kafka broker on loopback until Ctrl-C; PORT=9092
	$(BIN)/python -m tests.broker --port $(PORT)

prometheusrule: install ## write Kubernetes' PrometheusRule anew from config/prometheus/rules.yml
	$(BIN)/python -m tests.deploy.prometheusrule

lock: ## pin the newest versions of all dependencies in requirements.lock
	test -x $(LOCKER)/bin/uv || { $(PYTHON) -m venv $(LOCKER) && $(LOCKER)/bin/python -m pip install --quiet uv; }
	$(LOCKER)/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --fork-strategy fewest \
		--generate-hashes --custom-compile-command 'make lock' --extra dev \
		--output-file requirements.lock pyproject.toml

clean: ## remove what the other targets made
	rm -rf $(VENV) .cache .benchmarks .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find src tests grafana -name __pycache__ -type d -prune -exec rm -rf {} +
