# EM Agent. POSIX sh, GNU make and Python 3.11 to 3.14 are all it needs; `make help` lists the targets.
SHELL := /bin/sh
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
EM := $(BIN)/em
MEMBERS := shared ingest normalizer metrics-svc approvals-svc notifier deploy
CORPUS := $(wildcard ../shared/corpus)
PYTEST := $(BIN)/python -m pytest $(if $(CORPUS),--corpus $(CORPUS))
# Most tests wait for servers: three of them wait side by side, each with servers of its own.
BESIDE := -n 3 --dist loadfile
COMPILE := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header -q \
	--no-emit-index-url --no-emit-find-links $(foreach m,$(MEMBERS),--no-emit-package em-agent-$(m))

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# ---- run -------------------------------------------------------------------------------------------------------

.PHONY: demo
demo: $(VENV)/.embedded ## Start the stack, send 60 days of signed traffic, show what comes out
	@$(EM) demo $(if $(PORT_BASE),--port-base $(PORT_BASE))

.PHONY: up
up: $(VENV)/.embedded ## Start NATS, PostgreSQL and the five services under .em/
	@$(EM) up $(if $(PORT_BASE),--port-base $(PORT_BASE))

.PHONY: down
down: $(VENV)/.embedded ## Stop what `make up` or `make demo` started
	@$(EM) down

# ---- check -----------------------------------------------------------------------------------------------------

.PHONY: test
test: $(VENV)/.dev ## Every test at scale 1 (under ten minutes on two cores, no Docker)
	@$(PYTEST) $(BESIDE) tests

.PHONY: test-full
test-full: $(VENV)/.dev ## The numbers of the issues (SCALE=full)
	@SCALE=$${SCALE:-full} $(PYTEST) $(BESIDE) tests

.PHONY: test-source
test-source: $(VENV)/.dev ## One source's tests, without servers: make test-source NAME=github
	@$(PYTEST) tests/contracts/test_sources.py tests/contracts/test_corpus.py tests/contracts/test_vectors.py \
		tests/unit -k "$(NAME) or vectors or corpus" -q

.PHONY: test-corpus
test-corpus: $(VENV)/.dev ## The recorded payloads: make test-corpus CORPUS=../shared/corpus
	@$(PYTEST) tests/contracts tests/integration/test_corpus_line.py

.PHONY: lint
lint: $(VENV)/.dev ## ruff, mypy --strict, import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

.PHONY: format
format: $(VENV)/.dev ## Apply ruff's fixes and formatting
	@$(BIN)/ruff check --fix -q .
	@$(BIN)/ruff format -q .

.PHONY: docs
docs: $(VENV)/.dev ## Generate settings, schemas and AsyncAPI from the code; refuses breaking changes
	@$(BIN)/python -m em.reference

.PHONY: bench
bench: $(VENV)/.dev ## Benchmarks: ratios within one run, written to build/*.json
	@$(BIN)/python -m tests.bench

.PHONY: bench-approvals
bench-approvals: $(VENV)/.dev ## What approvals-svc promises: build/bench-approvals.json (SEEDS=5 is quick)
	@$(BIN)/python -m tests.bench.approvals $(if $(SEEDS),--seeds $(SEEDS))

.PHONY: bench-metrics
bench-metrics: $(VENV)/.dev ## What metrics-svc promises of its speed: build/bench-metrics.json (EVENTS=20000 is quick; ONLY=figure)
	@$(BIN)/python -m tests.bench.metrics $(if $(EVENTS),--events $(EVENTS)) $(if $(ONLY),--only $(ONLY))

.PHONY: bench-notifier
bench-notifier: $(VENV)/.dev ## What notifier promises: build/bench-notifier.json (BACKLOG=600 is quick)
	@$(BIN)/python -m tests.bench.notifier $(if $(BACKLOG),--backlog $(BACKLOG))

.PHONY: compose-test
compose-test: $(VENV)/.embedded ## The demo against compose.yaml, where a Docker daemon answers
	@sh deploy/docker/compose-test.sh

# ---- install ---------------------------------------------------------------------------------------------------

.PHONY: lock
lock: $(VENV)/.dev ## Resolve the hash-pinned locks again (UPGRADE=--upgrade renews versions)
	@$(COMPILE) $(UPGRADE) pyproject.toml --extra embedded --group dev -o requirements.lock
	@$(COMPILE) pyproject.toml --extra embedded --group build -c requirements.lock -o embedded.lock
	@$(COMPILE) pyproject.toml --group build -c requirements.lock -o runtime.lock

# The newest of 3.14 to 3.11 that really runs and has venv; PYTHON=... overrides.
$(VENV)/bin/python:
	@python=$$(sh deploy/find-python.sh "$(PYTHON)") || exit 1; \
	echo "creating $(VENV) with $$($$python --version)"; \
	$$python -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.embedded: embedded.lock $(VENV)/bin/python $(MEMBERS:%=%/pyproject.toml)
	@sh deploy/install.sh $(BIN)/python embedded.lock $(MEMBERS)
	@touch $@

$(VENV)/.dev: requirements.lock $(VENV)/bin/python $(MEMBERS:%=%/pyproject.toml)
	@sh deploy/install.sh $(BIN)/python requirements.lock $(MEMBERS)
	@touch $@ $(VENV)/.embedded

.PHONY: clean
clean: ## Remove the virtual environment and build output (state under .em/ stays)
	@rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
