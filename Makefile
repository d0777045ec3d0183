# Forge. Every target sets up .venv by itself, once; it needs make and a Python of 3.11 or newer.

VENV := .venv
BIN := $(VENV)/bin
MODULE := forge_pipelines.definitions
CHECK := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
# A name may be there and not run (a pyenv shim of a version that is not active), so each is tried.
PYTHON ?= $(shell for name in python3.13 python3.12 python3.11 python3 python; do \
	if $$name -c '$(CHECK)' >/dev/null 2>&1; then echo $$name; break; fi; done)

# `make evolve STUDY=sweet_spot` evolves studies/sweet_spot.yaml.
STUDY ?= $(or $(FORGE_STUDY),quickstart)
PORT ?= 3000
PYTEST := $(BIN)/python -m pytest
# files in the order of tests/conftest.py, slow ones first; xdist would sort them by their number of tests
PARALLEL := -n 2 --dist loadfile --no-loadscope-reorder

export DAGSTER_CLI_JOB_EXECUTE_MODULE_NAME := $(MODULE)
export DAGSTER_HOME ?= $(CURDIR)

.PHONY: help setup evolve prove ui test test-extras test-long test-checked test-faults lint audit docs bench bench-check constraints clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.compiled ## Make .venv, install, compile the kernels (the other targets do it when needed)

evolve: $(VENV)/.compiled ## Evolve a study: make evolve STUDY=quickstart
	@# Dagster says of its own command that another one is newer; that is no news for this user
	FORGE_STUDY='$(STUDY)' PYTHONWARNINGS='ignore:Function' $(BIN)/dagster job execute -j evolve
	@$(BIN)/forge study front '$(STUDY)'

prove: $(VENV)/.compiled ## Tell a study's champion from luck: make prove STUDY=quickstart
	FORGE_STUDY='$(STUDY)' PYTHONWARNINGS='ignore:Function' $(BIN)/dagster job execute -j prove

ui: $(VENV)/.compiled ## Open the Dagster UI: make ui PORT=3000
	$(BIN)/dagster dev --port '$(PORT)'

test: $(VENV)/.compiled ## Run the tests, except those that take minutes
	$(PYTEST) $(PARALLEL) -m 'not long'

test-extras: $(VENV)/.extras ## Install the extras bench, ccxt and yahoo, and run the tests that need them
	FORGE_TEST_EXTRAS=1 $(PYTEST) $(PARALLEL) -m 'extras and not long'

# `make test-long LONG=tests/engine` runs those of one folder.
test-long: $(VENV)/.compiled ## Run the tests that take minutes
	$(PYTEST) $(PARALLEL) -m long $(LONG)

# NUMBA_BOUNDSCHECK=1 is the checked build: its machine code has a cache folder of its own.
test-checked: $(VENV)/.installed ## Run the engine's tests with every array index checked
	NUMBA_BOUNDSCHECK=1 $(PYTEST) $(PARALLEL) -m 'not long' tests/engine tests/sweeps/test_months.py

test-faults: $(VENV)/.compiled ## Damage files, kill processes and flip bits from seeds; prints counts, takes half an hour
	$(PYTEST) -m long -s tests/faults tests/test_sql_read_only.py

lint: $(VENV)/.installed ## Check style, format and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

audit: $(VENV)/.audit ## Look up known vulnerabilities of the exact versions in constraints.txt
	PATH='$(BIN):$(PATH)' .ci/audit

docs: $(VENV)/.docs ## Build the documentation site into build/site; warnings are errors
	$(BIN)/mkdocs build --strict

bench-check: $(VENV)/.compiled ## Fail if the engine is 25 % slower than its baseline (ratio to the floor)
	$(BIN)/python -m benchmarks.check

# `make bench BENCH='engine --quick'` runs one suite for about a minute.
bench: $(VENV)/.extras ## Measure against other engines
	$(BIN)/python -m benchmarks $(BENCH)

constraints: $(VENV)/.extras $(VENV)/.docs ## Write constraints.txt from the packages in .venv
	{ sed -n '/^#/p' constraints.txt; $(BIN)/pip freeze --exclude-editable; } > constraints.txt.new
	mv constraints.txt.new constraints.txt

clean: ## Remove .venv and what tools cache; data/ and .dagster/ stay
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache .hypothesis dist build benchmarks/out
	find forge_core forge_pipelines tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.installed: pyproject.toml constraints.txt
	@test -n '$(PYTHON)' || { echo 'Forge needs Python 3.11 or newer with venv (Debian: python3-venv), and none of' \
		'python3.13, python3.12, python3.11, python3 runs here; name one: make PYTHON=/path/to/python3'; exit 1; }
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@grep -q $(MODULE) $(BIN)/activate || printf '\n%s\nexport %s\n' "$$ACTIVATE_NOTE" '$(ACTIVATE)=$(MODULE)' >> $(BIN)/activate
	@grep -q $(MODULE) $(BIN)/activate.fish || printf '\n%s\nset -gx %s\n' "$$ACTIVATE_NOTE" '$(ACTIVATE) $(MODULE)' >> $(BIN)/activate.fish
	@grep -q $(MODULE) $(BIN)/activate.csh || printf '\n%s\nsetenv %s\n' "$$ACTIVATE_NOTE" '$(ACTIVATE) $(MODULE)' >> $(BIN)/activate.csh
	@grep -q DAGSTER_HOME $(BIN)/activate || echo 'export DAGSTER_HOME="$${DAGSTER_HOME:-$(CURDIR)}"' >> $(BIN)/activate
	@grep -q DAGSTER_HOME $(BIN)/activate.fish || echo 'set -q DAGSTER_HOME; or set -gx DAGSTER_HOME "$(CURDIR)"' >> $(BIN)/activate.fish
	@grep -q DAGSTER_HOME $(BIN)/activate.csh || echo 'if (! $$?DAGSTER_HOME) setenv DAGSTER_HOME "$(CURDIR)"' >> $(BIN)/activate.csh
	@touch $@

$(VENV)/.compiled: $(VENV)/.installed
	$(BIN)/python -m forge_pipelines.lib.preload
	@touch $@

ACTIVATE := DAGSTER_CLI_JOB_EXECUTE_MODULE_NAME
export ACTIVATE_NOTE := \# Forge: makes `dagster job execute -j evolve` work as written

$(VENV)/.extras: $(VENV)/.compiled
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,bench,ccxt,yahoo]'
	@touch $@

$(VENV)/.audit: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,audit]'
	@touch $@

$(VENV)/.docs: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,docs,dev]'
	@touch $@
