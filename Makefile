# make run: sets up and starts the daemon on examples/.  make check: lint, types and the quick tests.  make test: sets up, starts what the tests need, runs all.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready

# What is shown with the executable too: connections, the HTTP trigger, watching, queues, operation, plugins.
FROZEN := tests/acceptance/test_connections.py tests/acceptance/test_hooks.py tests/acceptance/test_watching.py \
	tests/acceptance/test_queues.py tests/acceptance/test_programs.py tests/cli tests/host

# Tests wait for servers more than they work: two files at once on two cores. Each worker starts servers of its own.
SIDE_BY_SIDE := -n 2 --dist loadfile

.PHONY: setup services run check test lint build smoke bench bench-brokers bench-capture bench-plugins bench-expressions pages proto lock clean

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed (apt-get install python3)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || sh build/apt.sh python3-venv
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

run: setup
	@mkdir -p .work/secrets && chmod 700 .work/secrets
	@for name in github_webhook github_token; do \
		test -e .work/secrets/$$name || (umask 077; head -c 24 /dev/urandom | base64 > .work/secrets/$$name); \
	done
	@echo "The examples run on http://127.0.0.1:8420 until you press Ctrl-C. In a second terminal, in this folder:"
	@echo "  .venv/bin/reactor flows                  # what is loaded, and which paths, schedules and topics it listens to"
	@echo "  curl -d '{\"id\": \"7\", \"customer\": \"ada\", \"total\": 120}' -H 'Content-Type: application/json' 'http://127.0.0.1:8420/hooks/orders?wait'"
	@echo "  .venv/bin/reactor runs                   # what ran; then: .venv/bin/reactor runs show RUN"
	$(BIN)/reactor run --flows examples --data .work/data --secrets .work/secrets

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# What the tests of the brokers need. A variable such as REACTOR_TEST_REDIS=host:port takes a server that runs already.
SERVERS := redis-server:redis-server nats-server:nats-server mosquitto:mosquitto rabbitmqctl:rabbitmq-server \
	java:default-jre-headless javac:default-jdk-headless mvn:maven mariadbd:mariadb-server \
	php:php-cli ruby:ruby node:nodejs npm:npm go:golang-go

services:
	@missing=""; for pair in $(SERVERS); do \
		PATH="$$PATH:/usr/sbin" command -v $${pair%%:*} >/dev/null || missing="$$missing $${pair##*:}"; \
	done; ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$$missing postgresql"; \
	test -z "$$missing" || sh build/apt.sh $$missing
	@ls .work/kafka/lib/kafka_*.jar >/dev/null 2>&1 || { mkdir -p .work/kafka && \
		mvn -q -f tests/kafka.xml dependency:copy-dependencies -DoutputDirectory="$$PWD/.work/kafka/lib"; }

# What needs neither the daemon as a process nor a server: in a minute or so, for each change.
check: lint
	REACTOR_TEST_SEEDS=60 $(BIN)/python -m pytest tests -m 'not daemon' -n 2 --dist worksteal

test: setup services lint
	$(BIN)/python -m pytest tests $(SIDE_BY_SIDE) --durations=40

build: setup
	@command -v objdump >/dev/null || sh build/apt.sh binutils
	$(BIN)/python build/build.py $(BUILD)

smoke: build services
	$(BIN)/python build/smoke.py dist/reactor
	REACTOR_TEST_EXECUTABLE=dist/reactor $(BIN)/python -m pytest $(FROZEN) $(SIDE_BY_SIDE)

bench: setup
	@command -v wrk >/dev/null || sh build/apt.sh wrk
	$(BIN)/python tests/bench/order_flow.py

bench-brokers: setup services
	$(BIN)/python tests/bench/brokers.py $(ARGS)

bench-capture: setup services
	$(BIN)/python tests/bench/capture.py

bench-plugins: setup
	$(BIN)/python tests/bench/plugins.py

bench-expressions: setup
	$(BIN)/python -m tests.bench.expressions

pages: setup
	$(BIN)/python build/pages.py

# The messages of plugins: for the host and the kits. Needs protoc-gen-go v1.33.0 and protoc-gen-go-grpc v1.3.0.
proto: setup
	cp proto/reactor/plugin/v1/plugin.proto plugins/pb/plugin.proto
	$(BIN)/python -m grpc_tools.protoc -I proto/reactor/plugin/v1 --python_out=plugins/pb \
		--go_out=plugins/kits/go/grpc --go-grpc_out=plugins/kits/go/grpc plugin.proto

lock:
	$(BIN)/uv pip compile --generate-hashes --extra dev --python-version 3.11 --universal --no-emit-index-url --no-header -q pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) dist .work
