# make run: sets up and starts the daemon on examples/.  make test: sets up, starts what the tests need, runs all.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready

.PHONY: setup run test lint build smoke bench pages lock clean

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed (apt-get install python3)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || sh build/apt.sh python3-venv
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

run: setup
	$(BIN)/reactor run --flows examples --data .work/data

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: setup lint
	$(BIN)/python -m pytest tests

build: setup
	@command -v objdump >/dev/null || sh build/apt.sh binutils
	$(BIN)/python build/build.py

smoke: build
	$(BIN)/python build/smoke.py dist/reactor

bench: setup
	@command -v wrk >/dev/null || sh build/apt.sh wrk
	$(BIN)/python tests/bench/order_flow.py

pages: setup
	$(BIN)/python build/pages.py

lock:
	$(BIN)/uv pip compile --generate-hashes --extra dev --python-version 3.11 --universal --no-emit-index-url --no-header -q pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) dist .work
