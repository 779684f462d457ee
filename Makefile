# Everything happens inside the checkout; all it takes is a Python (>= 3.11) and make.
#   make test PYTHON=python3.12     another interpreter (.venv is made anew for it)
#   make test ARGS="-k breaker"     arguments for pytest; any turn off the processes
#                                   beside each other: ARGS="-n auto"
#   make setup SETUP_WITH=pip       pip although uv is there

VENV ?= .venv
PYTHON ?=
ARGS ?=
RUN_TESTS ?= -m pytest
TESTS = -m "not packaging and not soak"
BIN = $(VENV)/bin
export SETUP_WITH

# With an interpreter asked for by name, an environment of another version won't do.
EXACT = $(if $(PYTHON),--exact)
FIND_PYTHON = python="$(PYTHON)"; [ -n "$$python" ] || python=$$(sh scripts/find-python) \
	|| { echo "make: no Python >= 3.11 found; name one: make $@ PYTHON=/path/to/python" >&2; exit 1; }; \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	|| { echo "make: svcready needs Python >= 3.11, which $$python is not" >&2; exit 1; }
SETUP = $(FIND_PYTHON); "$$python" scripts/setup_venv.py --venv $(VENV) $(EXACT)

.DEFAULT_GOAL := help
.PHONY: help setup check format test coverage bench demo docs clean

help: ## show this
	@grep -hE '^[a-z]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed 's/:.*## /\t/' \
		| while IFS="$$(printf '\t')" read -r name text; do printf '  make %-8s %s\n' "$$name" "$$text"; done

setup: ## make .venv with all that the other targets need
	@$(SETUP) --level dev

check: setup ## ruff, formatting, mypy, import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: setup ## let ruff put right what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

test: setup ## every test
	$(BIN)/python $(RUN_TESTS) $(TESTS) $(or $(ARGS),-n auto)

coverage: setup ## the same, half as long again, with the gate on coverage
	$(BIN)/python $(RUN_TESTS) $(TESTS) -n auto --cov --cov-report=term-missing:skip-covered

bench: ## the benchmarks, in an environment of their own
	@$(FIND_PYTHON); "$$python" benchmarks/run.py $(ARGS)

demo: ## 20 s of a service with everything on, and a report
	@$(SETUP) --level run
	@$(BIN)/svcready demo $(ARGS)

docs: setup ## docs/_build/html, and the tables of docs/configuration.md
	$(BIN)/python scripts/write_settings.py
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet -d docs/_build/doctrees docs docs/_build/html
	@echo "docs/_build/html/index.html"

clean: ## remove what the other targets made
	rm -rf $(VENV) docs/_build dist build .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis
