# Two commands on a machine that has Python >= 3.11 and nothing else of ours:
#   make train   environment, installation, then a character model of Python's own language reference
#   make test    environment, installation, then every test
# Both may be repeated; what is already there is kept. For work on the code, in the environment of `make test`:
#   make quick   in a minute: the contracts in float64, the layout of the house, the documentation
#   make chaos   runs ended at random for MINUTES=10, and continued; prints how many were lost (docs/reliability.md)
#   make mutations   hours: every spoiled run folder and 2,000 random command lines, of which `make test` has a sample
#   make check   format, lint and types; `make format` mends the first two
#   make fuzz    an hour of tests/fuzz: 10 000 examples of each kind, other ones at every run, and 100 000 calls
#   make sanitize   2000 of each with a library under AddressSanitizer and UBSan, with every instruction set
#   make changelog VERSION=X.Y.Z   the fragments of changelog.d as a section of CHANGELOG.md
#   make clean   removes .venv, and what builds and tests leave behind
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
FAILED := echo "The installation failed: pip's own words are above. Offline, point pip at a folder of wheels (PIP_FIND_LINKS)."; exit 1
# The selection of `make quick`: of the contracts every cell and method in float64, without and with lengths and resets,
# and the parity with torch.nn; then the tests of the layout, of README and docs, and of how all this is installed.
QUICK := every_public or unrolled_loop and float64 and (plain or lengths-and-resets) or test_torch_parity and not float32 \
	or test_layout or test_prose or test_names or test_wording or test_docs or test_poison or test_version or test_install_torch
CXX_FILES := $(wildcard src/throughtime/kernels/*.cpp src/throughtime/kernels/*.hpp tests/kernels/*.cpp)

.PHONY: train test quick browser chaos fuzz sanitize mutations check format changelog clean help

help:
	@sed -n '1,12s/^# \{0,1\}//p' Makefile

train: $(VENV)/.train
	@echo "==> throughtime train pydoc (Python's own language reference; no download). The run goes to runs/pydoc."
	@$(BIN)/throughtime train pydoc --output runs/pydoc --overwrite

test: $(VENV)/.dev browser
	@echo "==> pytest"
	@$(BIN)/python -m pytest --numprocesses 2 --dist worksteal

# The tests of the report open it in a Chromium; where Debian's cannot be installed, they are skipped.
browser:
	@found() { command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null; \
	if ! found && command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		echo "==> installing Debian's chromium, in which the tests look at the report"; \
		export DEBIAN_FRONTEND=noninteractive; \
		{ apt-get update -q -y; apt-get install -q -y --no-install-recommends chromium; } >/dev/null 2>&1; \
	fi; \
	found || echo "==> no Chromium is installed: the tests that open the report in a browser will be skipped"

quick: $(VENV)/.dev
	@echo "==> pytest: contracts in float64, layout, documentation"
	@$(BIN)/python -m pytest tests/contracts/test_gradient_methods.py tests/contracts/test_torch_parity.py \
		tests/test_*.py -k '$(QUICK)'

fuzz: EXAMPLES = 10000
fuzz: $(VENV)/.dev
	@echo "==> pytest tests/fuzz: $(EXAMPLES) examples of each kind"
	@THROUGHTIME_FUZZ_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest --timeout 0 tests/fuzz --ignore tests/fuzz/test_sanitized.py

sanitize: EXAMPLES = 2000
sanitize: $(VENV)/.dev
	@echo "==> pytest tests/fuzz/test_sanitized.py: $(EXAMPLES) examples of each kind"
	@THROUGHTIME_FUZZ_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest --timeout 0 tests/fuzz/test_sanitized.py \
		tests/kernels/test_sanitizers.py

MINUTES ?= 10
chaos: $(VENV)/.dev
	@OMP_NUM_THREADS=1 $(BIN)/python tests/chaos/long.py --minutes $(MINUTES)

mutations: $(VENV)/.dev
	@echo "==> pytest: every mutation of a run folder, 2,000 command lines"
	@THROUGHTIME_MUTATIONS=1000000 THROUGHTIME_OPTION_SETS=2000 $(BIN)/python -m pytest tests/mutation --timeout 0 \
		--numprocesses 2 --dist worksteal

check: $(VENV)/.dev
	@echo "==> ruff, clang-format, pyright"
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/clang-format --dry-run -Werror $(CXX_FILES) && $(BIN)/pyright

format: $(VENV)/.dev
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix . && $(BIN)/clang-format -i $(CXX_FILES)

changelog: $(VENV)/.dev
	@test -n "$(VERSION)" || { echo "Name the version: make changelog VERSION=X.Y.Z"; exit 1; }
	@$(BIN)/towncrier build --version $(VERSION)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "throughtime needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 || echo absent). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "==> creating the environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "Python could not create an environment in $(VENV). On Debian: apt-get install python3-venv. Otherwise look at the lines above."; exit 1; }

# src/throughtime/__init__.py has the version, which an installation writes down.
$(VENV)/.train: $(VENV)/bin/python pyproject.toml constraints.txt tools/install_torch.py src/throughtime/__init__.py
	@echo "==> installing throughtime with what training needs (the CPU build of torch is about 200 MB)"
	@$(BIN)/python tools/install_torch.py || { $(FAILED); }
	@$(INSTALL) --editable '.[train,report]' || { $(FAILED); }
	@touch $@

$(VENV)/.dev: $(VENV)/.train
	@echo "==> installing what the tests need"
	@$(INSTALL) --editable '.[train,report,data,dev]' || { $(FAILED); }
	@touch $@

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis
