# Everything that people and CI run; `make` alone lists it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=
BROKER ?=
JOBS ?= logical

# What is compiled once is imported by every process of the tests.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install demo test check style types format lock sbom bench chaos fuzz clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/.run: infra/requirements/run.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r infra/requirements/run.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: infra/requirements/dev.txt $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r infra/requirements/dev.txt
	@touch $@

install: $(VENV)/.run ## make the virtual environment and install what running needs

demo: $(VENV)/.run ## start everything, show it, kill a worker; ARGS=--once BROKER=rabbitmq
	$(BIN)/rehearsal demo $(if $(BROKER),--broker $(BROKER)) $(ARGS)

test: $(VENV)/.dev ## run every test, also against a full PostgreSQL and RabbitMQ; JOBS=1
	$(BIN)/python -m pytest --numprocesses $(JOBS) --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

check: style types ## check format, style, imports and types

style: $(VENV)/.dev ## check format, style and imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

types: $(VENV)/.dev ## check types
	$(BIN)/mypy --num-workers auto

format: $(VENV)/.dev ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix-only .

lock: $(VENV)/.dev ## pin and hash what is installed
	$(BIN)/uv pip compile --universal --quiet --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links pyproject.toml infra/requirements/build.in -o infra/requirements/run.txt
	$(BIN)/uv pip compile --universal --quiet --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --extra dev pyproject.toml infra/requirements/build.in -o infra/requirements/dev.txt

sbom: $(VENV)/.dev ## list what is built in, as CycloneDX, in build/sbom.json
	@mkdir -p build
	$(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible -o build/sbom.json infra/requirements/run.txt

bench: $(VENV)/.dev ## measure speed and memory against peers; ARGS=--json, ARGS=trials
	$(BIN)/python -m tests.bench $(ARGS)

chaos: $(VENV)/.dev ## kill things under load and count what was lost; ARGS=log, work, slots or populations
	$(BIN)/python -m tests.chaos $(ARGS)

fuzz: $(VENV)/.dev ## send bad input and count server errors
	$(BIN)/python -m tests.fuzz $(ARGS)

clean: ## remove what was installed and built
	rm -rf $(VENV) build dist *.egg-info
