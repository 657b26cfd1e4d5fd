# Everything a developer or a user of this repository runs. `make help` lists it.
#
# The commands run in .venv, which `scripts/setup` makes with the first Python >= 3.11 it finds, or with
# PYTHON=/path/to/python. It installs only what is missing, and needs no network once that is there.

PY = .venv/bin/python
SETUP = PYTHON="$(PYTHON)" scripts/setup

.POSIX:
.PHONY: help demo test test-faults soak lint types format docs bench changelog setup clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

demo: ## run the main example: a census of the standard library, with a worker killed half-way
	@$(SETUP)
	@$(PY) -m examples.census

test: ## run the tests (PYTEST="-k name -x" for some of them)
	@$(SETUP) dev
	@scripts/services start
	$(PY) -m pytest -n 3 --dist worksteal $(PYTEST)

test-faults: ## kill, stop and cut off workers, runners, networks and servers 310 times per store and level (FAULTS=n: so often)
	@$(SETUP) dev
	@scripts/services start
	PYNENC_TEST_FAULTS=$${FAULTS:-310} PYNENC_TEST_RESULTS=$$([ -n "$$FAULTS" ] || echo docs/guarantees.jsonl) \
		$(PY) -m pytest tests/faults -s $(PYTEST)
	@[ -n "$$FAULTS" ] || echo "docs/guarantees.jsonl is new: now run scripts/guarantees"

soak: ## mix all kinds of work with kills, stops, memory hogs and deploys for 15 minutes (SOAK="--store redis --minutes 5")
	@$(SETUP) dev
	$(PY) -m tests.soak $(SOAK)

lint: ## check style and formatting
	@$(SETUP) dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

types: ## check types with mypy, and what users see with pyright
	@$(SETUP) dev
	$(PY) -m mypy
	$(PY) -m pyright --pythonpath $(PY) --level error examples

format: ## format the code and apply safe fixes
	@$(SETUP) dev
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

docs: ## build the documentation into site/
	@$(SETUP) docs
	@scripts/guarantees check
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict

bench: ## measure against peers and against the bare store (BENCH="--help" for options)
	@$(SETUP)
	$(PY) -m benchmarks $(BENCH)

changelog: ## show what the next release says
	@$(SETUP)
	@$(PY) scripts/changelog

setup: ## only prepare .venv
	@$(SETUP) dev

clean: ## remove everything that was made here, and stop the servers that tests started
	@scripts/services stop
	@for state in .bench/services-*; do [ ! -d "$$state" ] || PYNENC_SERVICES="$$PWD/$$state" scripts/services stop; done
	rm -rf .venv .services .bench site build dist .pynenc .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
