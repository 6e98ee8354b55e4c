# `make demo` and `make test` do all the set-up that they need.
PYTHON ?= python3.11
VENV := .venv
CLIENTS := .venv-clients
BIN := $(VENV)/bin
DATA ?= quintet-demo/data
PORT ?= 8008

.PHONY: help setup clients demo check test test-fast bench schema format clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

setup: $(VENV)/.done  ## the server's environment

$(VENV)/.done: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check 'torch==2.13.0'
	$(BIN)/pip install -q --disable-pip-version-check -e '.[local,demo,dev]'
	touch $@

clients: $(CLIENTS)/.done  ## the clients' environment, unmodified from the package index

$(CLIENTS)/.done: tests/clients/requirements.txt
	test -x $(CLIENTS)/bin/python || $(PYTHON) -m venv $(CLIENTS)
	$(CLIENTS)/bin/pip install -q --disable-pip-version-check -r tests/clients/requirements.txt
	# It asks for Python 3.12 and runs on 3.11; its requirements are in the file above.
	$(CLIENTS)/bin/pip install -q --disable-pip-version-check --no-deps --ignore-requires-python llama-stack-client==0.3.5
	touch $@

demo: setup clients  ## the whole life of a model, through all five APIs
	$(BIN)/quintet demo --data $(DATA) --port $(PORT) --clients $(CLIENTS)/bin/python

check: setup  ## lints, types, import rules (under a minute)
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/mypy src
	$(BIN)/lint-imports --no-cache
	$(BIN)/python tests/support/lints.py

test: setup clients postgres  ## everything
	$(BIN)/python -m pytest tests -n 2 --dist worksteal --durations 20

test-fast: setup  ## without real clients and real models
	$(BIN)/python -m pytest tests -n 2 --dist worksteal -m 'not clients and not models and not slow'

.PHONY: postgres
postgres:
	@test -x /usr/lib/postgresql/15/bin/initdb || command -v initdb >/dev/null || \
		{ echo 'installing PostgreSQL 15'; apt-get update -qq && apt-get install -y -qq postgresql-15; }

bench: setup .venv-peers/.done .venv-gateway/.done  ## speed and memory beside peers, written to benchmarks/RESULTS.md
	$(BIN)/python benchmarks/run.py

schema: setup  ## the first migration and the dumps of the schema, from the tables in the code
	$(BIN)/python tests/support/make_migration.py

# The peers, each in an environment of its own; MLflow dropped its stand-alone gateway after 3.4.
.venv-peers/.done:
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/pip install -q --disable-pip-version-check 'mlflow==3.17.2' 'litellm[proxy]'
	touch $@

.venv-gateway/.done:
	$(PYTHON) -m venv .venv-gateway
	.venv-gateway/bin/pip install -q --disable-pip-version-check 'mlflow[gateway]==3.4.0'
	touch $@

format: setup
	$(BIN)/ruff check --fix src tests benchmarks
	$(BIN)/ruff format src tests benchmarks

clean:
	rm -rf $(VENV) $(CLIENTS) .venv-peers .venv-gateway quintet-demo
