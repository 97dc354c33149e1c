# Python 3.11 or newer and make are all that is needed; everything else goes into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
LEGACY := $(VENV)/legacy/newest/.installed $(VENV)/legacy/v2_1_2/.installed
CODE := opscenter workflows extensions tests
# tools that load the settings get a data folder of their own
CHECK := OPSCENTER_DATA=$(CURDIR)/$(VENV)/check-data

# each of the many processes of a test run would compile the same modules anew
export PYTHONDONTWRITEBYTECODE =

.PHONY: run test unit bench lint fmt lock test-tools

run: $(VENV)/.installed
	@exec $(BIN)/python manage.py up

# tests mostly wait, so more of them run at once than there are cores
test: test-tools
	@$(BIN)/python -m pytest -n 3 $(ARGS)

# no process of the product, no browser
unit: $(VENV)/.installed-dev
	@$(BIN)/python -m pytest -n 3 -m "not processes and not browser" $(ARGS)

bench: test-tools
	@$(BIN)/python -m bench $(ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(CHECK) $(BIN)/mypy $(CODE)
	$(BIN)/lint-imports --no-cache
	$(CHECK) $(BIN)/python -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run
	$(CHECK) $(BIN)/python manage.py check

fmt: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# the only target that needs uv; it names packages, never the index they came from
UV_COMPILE = UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-annotate --no-emit-index-url --no-emit-find-links
lock: $(VENV)/.installed-dev
	test -x $(BIN)/uv || $(PIP) install uv
	$(UV_COMPILE) $(UPGRADE) --extra demo pyproject.toml -o requirements.txt
	$(UV_COMPILE) $(UPGRADE) --extra demo --extra dev --constraint requirements.txt pyproject.toml -o requirements-dev.txt
	$(UV_COMPILE) $(UPGRADE) tests/legacy_sdk/newest.in -o tests/legacy_sdk/newest.txt
	$(UV_COMPILE) $(UPGRADE) tests/legacy_sdk/v2_1_2.in -o tests/legacy_sdk/v2_1_2.txt

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Opscenter needs Python 3.11 or newer; $(PYTHON) is older. Try: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); \
		echo "Cannot make $(VENV). On Debian and Ubuntu, install the package python3-venv."; exit 1; }

$(VENV)/.installed: requirements.txt | $(VENV)/bin/python
	@echo "Installing what Opscenter needs into $(VENV) ..."
	@$(PIP) install --require-hashes -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt | $(VENV)/bin/python
	@echo "Installing what the tests need into $(VENV) ..."
	@$(PIP) install --require-hashes -r requirements-dev.txt
	@touch $@ $(VENV)/.installed

# two versions of one package, used by tests as separate processes
$(VENV)/legacy/%/.installed: tests/legacy_sdk/%.txt | $(VENV)/.installed-dev
	@rm -rf $(@D)
	@$(PIP) install --require-hashes --target $(@D) -r $<
	@touch $@

test-tools: $(VENV)/.installed-dev $(LEGACY)
	@command -v chromium google-chrome chrome >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
		&& apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium >/dev/null; } || { \
		echo "The browser tests need chromium. On Debian: apt-get install chromium"; exit 1; }
