# `make help` lists what there is to do. Needs Python 3.11 or newer, make and git; everything else is installed below here.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
SHELL := /bin/sh

ARCH ?= arm64
AWS_REGION_FOR_CHECKS := ap-northeast-1
VENV := .venv
SAM_VENV := .venv-sam
BIN := $(VENV)/bin
SAM := $(SAM_VENV)/bin/sam
UV := $(BIN)/uv
ARTEFACT := .aws-sam/test

export SAM_CLI_TELEMETRY := 0
export UV_PYTHON_DOWNLOADS := never
export UV_NO_PROGRESS := 1
# On machines whose traffic is inspected the platform's own certificates are the ones that count.
export UV_SYSTEM_CERTS := true
# Hundreds of processes start in the tests; without compiled modules each would compile botocore again.
SYNC := pip sync --quiet --require-hashes --compile-bytecode
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup test nightly faults removed-rules callbacks run build artefact lint format lock clean distclean

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1	/' | expand -t 12

setup: $(VENV)/.ready $(SAM_VENV)/.ready ## Install everything, by hash, into .venv and .venv-sam

test: setup lint artefact ## Everything that must hold before a change lands
	$(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

nightly: $(VENV)/.ready faults ## What takes too long for every change: each property ten thousand times, a thousand simulations
	HYPOTHESIS_PROFILE=nightly $(BIN)/pytest -m hypothesis --numprocesses auto --maxprocesses 4
	SIMULATION_SEEDS=1000 $(BIN)/pytest tests/faults/test_simulation.py

faults: $(VENV)/.ready ## Every fault of the list, injected and counted
	FAULT_SEEDS=5 $(BIN)/python -m tests.faults.table

removed-rules: $(VENV)/.ready ## What notices when a safety rule is gone: writes docs/removed-rules.md
	$(BIN)/python -m tests.world.removed_rules

CALLBACKS ?= --rate 50 --seconds 30
callbacks: $(VENV)/.ready ## A load of callbacks over sockets, without and with an outage: CALLBACKS="--rate 500 --seconds 120 --outage 30"
	$(BIN)/python -m bench.callbacks $(CALLBACKS)

run: $(VENV)/.ready ## The whole gateway on this machine, web console at http://127.0.0.1:8025/
	$(BIN)/python -m local

build: setup ## What is deployed: ARCH=arm64 (default) or x86_64
	ARCH=$(ARCH) $(SAM) build --parallel --template template.yaml --parameter-overrides Architecture=$(ARCH)
	@$(BIN)/python tools/artefact.py sizes .aws-sam/build

artefact: setup ## What the tests run: built for this machine's own Python
	@$(BIN)/python tools/artefact.py test $(SAM) $(ARTEFACT)

lint: setup ## Format, rules, types and the template
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(SAM) validate --template template.yaml --region $(AWS_REGION_FOR_CHECKS)
	$(SAM) validate --lint --template template.yaml --region $(AWS_REGION_FOR_CHECKS)
	@mkdir -p .aws-sam
	$(BIN)/python -m tools.translation template.yaml > .aws-sam/translated.json
	$(BIN)/cfn-lint --regions $(AWS_REGION_FOR_CHECKS) --template .aws-sam/translated.json

format: $(VENV)/.ready ## Put the code into its one format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(VENV)/.ready ## Choose new versions of everything that requirements*.in name
	for name in layers/gateway/requirements layers/transports/requirements requirements/bootstrap requirements/dev requirements/sam; do \
		$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header \
			--no-emit-index-url --custom-compile-command "make lock" $$name.in --output-file $$name.txt || exit 1; \
	done

clean: ## Remove what was built
	rm -rf .aws-sam .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +

distclean: clean ## Remove what was installed, too
	rm -rf $(VENV) $(SAM_VENV)

$(VENV)/.ready: requirements/bootstrap.txt requirements/dev.txt
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { python=$$(tools/python.sh) && "$$python" -m venv --clear $(VENV); }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	@$(UV) $(SYNC) --python $(BIN)/python requirements/bootstrap.txt requirements/dev.txt
	@touch $@

$(SAM_VENV)/.ready: requirements/sam.txt | $(VENV)/.ready
	@test -x $(SAM_VENV)/bin/python || $(BIN)/python -m venv --clear --without-pip $(SAM_VENV)
	@$(UV) $(SYNC) --python $(SAM_VENV)/bin/python requirements/sam.txt
	@touch $@
