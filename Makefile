# Every task has one word here; the same words run locally and in CI.
PYTHON ?= python3
BIN := .venv/bin
UV_VERSION := 0.13.9
LOCK := requirements.lock
STAMP := .venv/.ready
TEST_WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup kernels run test lint fmt protos lock up up-processes bench faults golden

help: ## print every target
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(STAMP) ## fill .venv from the lock

$(STAMP): $(LOCK) pyproject.toml Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Oriel needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/uv pip sync --quiet --compile-bytecode --require-hashes $(LOCK)
	VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	-$(BIN)/python scripts/build_kernels.py
	touch $@

kernels: $(STAMP) ## compile training's optional kernels where there is a C++ compiler
	$(BIN)/python scripts/build_kernels.py

run: setup ## do the main job on the built-in shop simulator, or on ARGS="--events FILE"
	$(BIN)/oriel run $(ARGS)

up: setup ## serve everything on loopback until Ctrl-C
	$(BIN)/oriel up $(ARGS)

up-processes: setup ## serve as four processes until Ctrl-C; a try-out without ORIEL_WAREHOUSE
	$(BIN)/python scripts/up_processes.py

test: setup ## run the tests
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

lint: setup ## check style, types, imports, protos and the lock's freshness
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/gen_protos.py --check
	$(BIN)/python scripts/gen_protos.py --image .cache/protos.binpb
	cd protos && ../$(BIN)/buf lint ../.cache/protos.binpb --config buf.yaml

fmt: setup ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

protos: setup ## regenerate shared/gen from protos
	$(BIN)/python scripts/gen_protos.py

lock: $(STAMP) ## resolve pyproject.toml into the lock again
	$(BIN)/uv pip compile pyproject.toml --extra ray --group training --group report --group kafka --group console --group dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --quiet --output-file $(LOCK)

golden: setup ## rewrite the golden files; review the difference
	ORIEL_GOLDEN=write $(BIN)/python -m pytest -q tests/unit/report tests/unit/feature -k reviewed

bench: setup ## measure: make bench NAME=warehouse
	$(BIN)/python -m benchmarks $(NAME)

faults: setup ## kill the main job at 20 seeded moments: make faults SEED=1
	$(BIN)/python -m tests.support.faults --seed $(or $(SEED),1)

kafka: setup ## start an empty Kafka on 127.0.0.1:9092; needs Java 17 and Maven
	$(BIN)/python -m tests.support.kafka_server start

kafka-stop: setup ## stop it
	$(BIN)/python -m tests.support.kafka_server stop
