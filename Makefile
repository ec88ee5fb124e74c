# Every target that needs the environment makes it first; a second call costs a few milliseconds.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTEST_ARGS ?= -n 2 --dist worksteal
# slow tests wait a lot, for daemons and brokers: three at a time keep two cores busy
SLOW_ARGS ?= -n 3 --dist worksteal
BIN := .venv/bin

.PHONY: help setup demo dev serve test test-slow faults bench bench-full bench-peers lint format types check docs lock clean clean-data

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  \1\t\2/p' Makefile | expand -t 14

setup: ## make .venv from the locked set, and dev.env
	@scripts/setup.sh

demo: setup ## generate 100,000 events and take them to training samples
	@. ./dev.env && python -m recsys_pipeline.demo

dev: setup ## open the Dagster UI on http://127.0.0.1:3000 (Ctrl-C ends it)
	@. ./dev.env && scripts/dev.sh

serve: setup ## serve the upload API on http://127.0.0.1:8002/docs (Ctrl-C ends it)
	@. ./dev.env && exec recsys serve

test: setup ## run the default tests
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

test-slow: setup ## run the tests marked slow
	@$(BIN)/python -m pytest -m slow $(SLOW_ARGS)

faults: setup ## seeded crashes of the landing, the API and releases: SUITE, SCHEDULES, SEED
	@$(BIN)/python -m recsys_pipeline_tests.faults $(if $(SUITE),--suite $(SUITE)) \
	  $(if $(SCHEDULES),--schedules $(SCHEDULES)) $(if $(SEED),--seed $(SEED))

bench: setup ## measure against peers in fresh processes: ONLY, ROUNDS
	@$(BIN)/python -m benchmarks.bench $(if $(ONLY),--only $(ONLY)) $(if $(ROUNDS),--rounds $(ROUNDS))

bench-full: setup ## the same with 50 and 100 million events: half an hour, 25 GB of disk
	@$(BIN)/python -m benchmarks.bench --full $(if $(ONLY),--only $(ONLY)) $(if $(ROUNDS),--rounds $(ROUNDS))

bench-peers: setup ## the environment of those peers that pin what we pin otherwise
	@scripts/peers.sh

lint: setup ## ruff and the import layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-logo

format: setup ## write the formatter's and the linter's safe changes
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

types: setup ## mypy, strict
	@$(BIN)/mypy

check: ## everything that CI runs
	@.ci/run

docs: setup ## write the generated pages of docs/ and .env.example
	@$(BIN)/python -m recsys_pipeline.maintenance.settings_docs
	@$(BIN)/python -m recsys_pipeline.schemas.docs
	@$(BIN)/python -m recsys_pipeline.observability.docs

lock: setup ## resolve pyproject.toml into the lock files, newest versions that fit
	@scripts/lock.sh --upgrade

clean: ## remove the environment and all caches; data and run records stay
	rm -rf .venv .tools dev.env .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

clean-data: ## remove ./data and the run records of .dagster
	rm -rf data .dagster
