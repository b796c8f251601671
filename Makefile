# What there is to do in this repository: `make` lists it, and CI runs nothing else.
# It needs Python 3.11 or newer and make; the first target that wants .venv makes it.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

# The first of these that is new enough is taken; `make PYTHON=...` names another.
PYTHON ?= python3.11 python3.12 python3.13 python3.14 python3
KAFKA_PORT ?= 9092
# Two tests at a time, those of one file one after the other: most of them wait for a broker.
PARALLEL ?= --numprocesses 2 --dist loadfile
# Of `make chaos`: what decides when who is killed, and how often anything is.
SEED ?= 1
FAULTS ?= 15

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DOCS_VENV := .docs/venv
DOCS_INSTALLED := $(DOCS_VENV)/.installed

# Sets the shell variable `python`, or stops. A pyenv shim or a Debian without python3-venv is
# there by name and cannot do the work, so each is asked.
define FIND_PYTHON
python=; \
for each in $(PYTHON); do \
	if "$$each" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	then python=$$each; break; fi; \
done; \
if [ -z "$$python" ]; then \
	echo "make requires Python 3.11 or newer with its venv module; none of these is one:" \
		"$(PYTHON). Install it (Debian: python3 python3-venv) or name it: make PYTHON=..." >&2; \
	exit 2; \
fi
endef

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(INSTALLED) ## See it work: a live stream with a drift in it, no Kafka needed
	@$(BIN)/millrace demo

.PHONY: test
test: lint kafka-jars ## Lint, types, layers, every test but those of test-platform, coverage
	$(BIN)/pytest $(PARALLEL) -m "not platform" --cov --cov-report=term --durations=10

.PHONY: test-platform
test-platform: $(INSTALLED) kafka-jars platform-tools clients ## Tests that take long, or need more: faults, Prometheus, other clients
	$(BIN)/pytest $(PARALLEL) -m platform --durations=10

.PHONY: chaos
chaos: $(INSTALLED) kafka-jars ## Kill workers and the broker at random (SEED, FAULTS); check what comes out
	@$(BIN)/python -m tests.chaos --seed $(SEED) --faults $(FAULTS)

.PHONY: study
study: $(INSTALLED) ## How often equal models are promoted, and how long it takes otherwise: an hour; or DATA=FILE.csv
	@$(BIN)/python -m tests.study $(if $(DATA),--parts never-worse --data $(DATA)) $(if $(LABEL),--label $(LABEL)) $(STUDY)

.PHONY: lint
lint: $(INSTALLED) ## Check style, formatting, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --config-file bench/pyproject.toml
	$(BIN)/lint-imports

.PHONY: bench
bench: $(INSTALLED) ## Compare Millrace with its peers: half an hour; BENCH="latency --help" chooses
	@$(BIN)/python -m bench $(BENCH)

.PHONY: bench-all
bench-all: $(INSTALLED) ## Run the whole benchmark, with up to a million keys: two to three hours
	@$(BIN)/python -m bench all --keys 1000 --keys 10000 --keys 100000 --keys 1000000

.PHONY: bench-growth
bench-growth: $(INSTALLED) ## Measure what an event costs as state grows to a million: 15 minutes
	@$(BIN)/python -m bench growth --rounds 1 $(BENCH)

.PHONY: bench-guard
bench-guard: $(INSTALLED) ## Run a short benchmark, and fail if Millrace has become slower: 8 minutes
	@$(BIN)/python -m bench throughput --rounds 2 --results .bench/guard \
		--contestant handwritten --contestant full --contestant default --contestant split
	@$(BIN)/python -m bench.guard --results .bench/guard

.PHONY: docs
docs: $(DOCS_INSTALLED) ## Build the documentation into docs/_build/html; a warning is an error
	@$(DOCS_VENV)/bin/sphinx-build --quiet --fail-on-warning --keep-going docs docs/_build/html
	@echo "The documentation is in docs/_build/html/index.html"

.PHONY: kafka
kafka: $(INSTALLED) ## Start a real Kafka on 127.0.0.1 (KAFKA_PORT, 9092); needs Java 17 and Maven
	@$(BIN)/python -m dev.kafka start --port $(KAFKA_PORT)

.PHONY: kafka-stop
kafka-stop: $(INSTALLED) ## Stop it
	@$(BIN)/python -m dev.kafka stop

# Fetches the broker's jars before the tests do, so that no test's timeout counts the download.
.PHONY: kafka-jars
kafka-jars: $(INSTALLED)
	@set -e; \
	why=$$($(BIN)/python -c 'from dev.java import missing_requirements as m; print(m() or "")'); \
	if [ -n "$$why" ]; then \
		printf '\n%s\n' '*** THE TESTS AGAINST A REAL KAFKA WILL NOT RUN ***' "$$why" >&2; \
		echo >&2; \
	fi

# Into folders of this repository: nothing is installed on the machine.
.PHONY: platform-tools
platform-tools: $(VENV)/.platform
	@$(BIN)/python -m dev.debian

$(VENV)/.platform: requirements-platform.lock $(INSTALLED)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
		-r requirements-platform.lock
	@touch $@

# Installs other people's clients and a schema registry, which only test-platform needs.
.PHONY: clients
clients: $(INSTALLED)
	@set -e; \
	why=$$($(BIN)/python -m dev.clients); \
	if [ -n "$$why" ]; then \
		printf '\n%s\n' '*** THE TESTS WITH OTHER CLIENTS WILL NOT RUN ***' "$$why" >&2; \
		echo >&2; \
	fi

PIP_COMPILE = env -u PIP_FIND_LINKS CUSTOM_COMPILE_COMMAND='make lock' "$$tools/bin/pip-compile" \
	--quiet --strip-extras --generate-hashes --allow-unsafe --annotation-style=line \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options $(UPGRADE)

.PHONY: lock
lock: ## Pin what pyproject.toml requires, with hashes; UPGRADE=--upgrade for the newest
	@set -e; $(FIND_PYTHON); \
	tools=$$(mktemp -d); trap 'rm -rf "$$tools"' EXIT; \
	"$$python" -m venv "$$tools"; \
	"$$tools/bin/pip" install --quiet --disable-pip-version-check pip-tools==7.6.2; \
	$(PIP_COMPILE) --extra dev --build-deps-for editable \
		--output-file requirements.lock pyproject.toml; \
	$(PIP_COMPILE) --extra serve --build-deps-for wheel --constraint requirements.lock \
		--output-file requirements-runtime.lock pyproject.toml; \
	$(PIP_COMPILE) --constraint requirements.lock \
		--output-file requirements-platform.lock requirements-platform.in; \
	$(PIP_COMPILE) --constraint requirements.lock \
		--output-file docs/requirements.lock pyproject.toml docs/requirements.in; \
	$(PIP_COMPILE) --output-file tests/clients/requirements.lock tests/clients/requirements.in

.PHONY: clean
clean: ## Remove what was made here: .venv, caches, the development Kafka and its data
	@if [ -e .kafka/kafka.pid ]; then \
		echo "make clean requires that no development Kafka runs: make kafka-stop" >&2; exit 2; \
	fi
	rm -rf $(VENV) .docs docs/_build .kafka .debian .node .clients .bench .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	rm -rf build dist *.egg-info .coverage .coverage.* coverage.xml millrace-*-data
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Two stamps: what is locked is installed anew, from nothing, when the lock changes; the project
# itself, which is quick, when its metadata does. The lock is complete, so nothing is resolved: pip
# would look for an extra (coverage[toml]) that the lock pins without it, and refuse a newer one.
$(VENV)/.locked: requirements.lock
	@set -e; $(FIND_PYTHON); \
	echo "Making $(VENV) with $$python: once, about a minute"; \
	"$$python" -m venv --clear $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
		-r requirements.lock
	@touch $@

$(INSTALLED): $(VENV)/.locked pyproject.toml
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# The documentation has an environment of its own: neither the demo nor the tests wait for it.
$(DOCS_INSTALLED): docs/requirements.lock
	@set -e; $(FIND_PYTHON); \
	echo "Making $(DOCS_VENV) with $$python: once, about a minute"; \
	"$$python" -m venv --clear $(DOCS_VENV)
	@$(DOCS_VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
		-r docs/requirements.lock
	@touch $@
