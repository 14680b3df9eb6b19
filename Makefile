# All there is to do with a checkout. Nothing is needed but python3 (3.11 or newer) with its venv module, and make.
# What is installed goes into $(VENV); it is made when it is first needed, and brought up to date when setup.cfg changes.

VENV ?= .venv
# The first of these that is new enough.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
# Where the demo writes demo.env and .demo/
DEMO_DIR ?= .
# Options of the demo: `make demo DEMO_OPTIONS=--epics` runs the plant on a real EPICS IOC
DEMO_OPTIONS ?=
# How many tests run at once
JOBS ?= 2
TESTS ?=
# Which measurements, and how: `make bench BENCH=--quick` only shows that they work
BENCH ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install
READY := $(VENV)/.ready

.PHONY: help demo demo-shell demo-kick shell test lint docs soak bench clean distclean

help:
	@echo 'make demo        three mirrors and a cavity, simulated, with the nodes that run them; Ctrl-C ends it'
	@echo 'make demo-shell  a shell that finds the demo, with caget, caput, camonitor'
	@echo 'make demo-kick   kick the cavity of the demo'
	@echo 'make shell       a shell with the commands of this project, and caget, caput, camonitor'
	@echo 'make test        the tests; make test TESTS=tests/core: some of them'
	@echo 'make lint        ruff, mypy, and the floors of the house'
	@echo 'make docs        the documentation, as web pages in docs/_build/html'
	@echo 'make soak        the tests that take long'
	@echo 'make bench       the measurements; make bench BENCH="reaction tree": two of them'
	@echo 'make clean       remove what was built; make distclean: the virtual environment too'

# -- what is installed --------------------------------------------------------------------------------------------------

$(READY): setup.cfg pyproject.toml
	@test -n '$(PYTHON)' || { echo 'make: needs Python 3.11 or newer; name one: make PYTHON=/path/to/python3' >&2; exit 1; }
	@echo '== 1/2 virtual environment $(VENV), with '"$$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { echo 'make: the venv module does not work; Debian and Ubuntu have it in the package python3-venv' >&2; exit 1; }
	@echo '== 2/2 install what the project needs (about a minute, once)'
	@$(PIP) --editable .
	@$(BIN)/python -m guardian.cli.wrappers $(VENV)/ca
	@touch $@

$(READY)-ioc $(READY)-web $(READY)-test $(READY)-lint $(READY)-docs: $(READY)-%: $(READY)
	@echo '== install what `$*` needs'
	@$(PIP) --editable '.[$*]'
	@touch $@

# -- the demo -------------------------------------------------------------------------------------------------------------

demo: $(READY)-web $(if $(findstring --epics,$(DEMO_OPTIONS)),$(READY)-ioc)
	@$(BIN)/python -m guardian.cli.demo --dir '$(DEMO_DIR)' $(DEMO_OPTIONS)

# How the last command in a shell ended is no business of make's.
SUBSHELL = env -u MAKELEVEL -u MAKEFLAGS -u MFLAGS "$${SHELL:-/bin/bash}" || true

IN_DEMO = test -f '$(DEMO_DIR)/demo.env' || { echo 'make: no demo runs here; start one in another terminal: make demo' >&2; exit 1; }; \
	. '$(DEMO_DIR)/demo.env'

demo-shell:
	@$(IN_DEMO); echo "a shell in which caget, caput and camonitor find the demo; exit ends it"; $(SUBSHELL)

demo-kick:
	@$(IN_DEMO); echo 'caput X1:IMC-KICK 50'; exec caput X1:IMC-KICK 50

shell: $(READY)
	@PATH="$(abspath $(BIN)):$$PATH:$(abspath $(VENV))/ca"; export PATH; $(SUBSHELL)

# -- checks ---------------------------------------------------------------------------------------------------------------

test: $(READY)-test
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(TESTS)

soak: $(READY)-test
	$(BIN)/python -m pytest -m soak $(TESTS)

# mypy looks into what the tests need, too
lint: $(READY)-test $(READY)-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY)-docs
	$(BIN)/sphinx-build -W -b html docs docs/_build/html

bench: $(READY)-test
	$(BIN)/python -m bench $(BENCH)

clean:
	rm -rf build dist docs/_build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find guardian ioc nodes tests bench docs -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV) .demo
