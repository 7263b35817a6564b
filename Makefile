# Two commands matter: `make run` and `make test`. `make` alone lists them all.
.DEFAULT_GOAL := help
.PHONY: help run test test-long bench lint format lock clean setup setup-test

PYTHON ?= python3
PORT ?= 8000
BENCH ?=
TESTS ?=
WORKERS ?= 3

VENV := .venv/bin
PYTEST = PARLEY_CHROMIUM="$$(cat .venv/chromium-path)" $(VENV)/pytest -n $(WORKERS) --dist worksteal
COMPILE = $(VENV)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command "make lock"

help: ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | while IFS='|' read -r name text; do printf '%-18s %s\n' "$$name" "$$text"; done

run: setup ## start Parley with the demo workspace on http://127.0.0.1:8000 (PORT=9000 chooses another port)
	@exec $(VENV)/parley run --demo --port $(PORT)

test: lint ## check everything: style, types, architecture, tests on both databases and in a browser
	@$(PYTEST) $(TESTS)

test-long: lint ## the same, with the tests that take minutes
	@$(PYTEST) -m "long or not long" $(TESTS)

bench: setup-test ## measure against the peers and write var/bench.json (BENCH=name runs one)
	@$(VENV)/python tests/bench.py $(BENCH)

lint: setup-test ## check style, types and architecture alone
	@$(VENV)/ruff check --quiet .
	@$(VENV)/ruff format --quiet --check . || { $(VENV)/ruff format --check . ; echo "Run: make format"; exit 1; }
	@$(VENV)/mypy
	@$(VENV)/lint-imports --no-logo

format: setup-test ## rewrite the code in the house style
	@$(VENV)/ruff check --quiet --fix-only .
	@$(VENV)/ruff format .

lock: setup ## make the lock files anew, with the newest versions that pyproject.toml allows
	@$(VENV)/python -m pip install --quiet --disable-pip-version-check uv
	@$(COMPILE) pyproject.toml -o requirements.lock
	@$(COMPILE) --group test -c requirements.lock -o requirements-test.lock

clean: ## remove the environment and every cache; var/ with its data stays
	@rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

setup:
	@$(PYTHON) .ci/bootstrap.py

setup-test:
	@$(PYTHON) .ci/bootstrap.py --test
