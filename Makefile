# Two commands on a machine that has Python >= 3.11 and nothing else of ours:
#   make train   environment, installation, then a character model of Python's own language reference
#   make test    environment, installation, then every test
# Both may be repeated; what is already there is kept.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: train test browser check clean help

help:
	@sed -n '1,5s/^# \{0,1\}//p' Makefile

train: $(VENV)/.train
	@echo "==> throughtime train pydoc (Python's own language reference; no download). The run goes to runs/pydoc."
	@$(BIN)/throughtime train pydoc --output runs/pydoc --overwrite

test: $(VENV)/.dev browser
	@echo "==> pytest"
	@$(BIN)/python -m pytest

# The tests of the report open it in a Chromium; where Debian's cannot be installed, they are skipped.
browser:
	@found() { command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null; \
	if ! found && command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		echo "==> installing Debian's chromium, in which the tests look at the report"; \
		export DEBIAN_FRONTEND=noninteractive; \
		{ apt-get update -q -y; apt-get install -q -y --no-install-recommends chromium; } >/dev/null 2>&1; \
	fi; \
	found || echo "==> no Chromium is installed: the tests that open the report in a browser will be skipped"

check: $(VENV)/.dev
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/pyright

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "throughtime needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 || echo absent). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "==> creating the environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "Python could not create an environment in $(VENV). On Debian: apt-get install python3-venv. Otherwise look at the lines above."; exit 1; }

$(VENV)/.train: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "==> installing throughtime with what training needs (torch is about 200 MB)"
	@$(INSTALL) --editable '.[train,report]' || { \
		echo "The installation failed: pip's own words are above. Without a network, point pip at a folder of wheels (PIP_FIND_LINKS)."; exit 1; }
	@touch $@

$(VENV)/.dev: $(VENV)/.train
	@echo "==> installing what the tests need"
	@$(INSTALL) --editable '.[train,report,dev]' || { \
		echo "The installation failed: pip's own words are above. Without a network, point pip at a folder of wheels (PIP_FIND_LINKS)."; exit 1; }
	@touch $@

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis
