# `make run` starts the bouncer, `make test` checks everything; both set up what they need in .venv first.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV PYTHONDONTWRITEBYTECODE

PYTHON := .venv/bin/python
# What the tests run beside Python: networks, clients, a browser, and the tools that look at the results.
SYSTEM_PACKAGES := ngircd inspircd atheme-services irssi catgirl weechat-headless weechat-plugins tmux openssl sqlite3 systemd procps strace util-linux

.PHONY: run test setup-dev lint format bench fuzz soak wheel lock clean

run:
	@scripts/setup run
	@exec .venv/bin/bouncer run $(ARGS)

# What other bouncers do wrong is tried first where asyncio looks closely and nothing may be left open.
test: setup-dev lint
	@$(if $(ARGS),,PYTHONASYNCIODEBUG=1 $(PYTHON) -X dev -m pytest -q -n 2 tests/live/test_w_networks.py tests/live/test_w_clients.py)
	@$(PYTHON) -m pytest -q -n 3 --dist loadgroup --no-loadscope-reorder $(ARGS)

setup-dev:
	@scripts/system-packages $(SYSTEM_PACKAGES)
	@scripts/setup dev
	@scripts/browser

lint: setup-dev
	$(PYTHON) -m ruff format --check
	$(PYTHON) -m ruff check
	$(PYTHON) -m mypy

format: setup-dev
	$(PYTHON) -m ruff format
	$(PYTHON) -m ruff check --fix

bench:
	@scripts/system-packages ngircd znc
	@scripts/setup dev
	@$(PYTHON) -m benchmarks $(ARGS)

# Half an hour on two cores by default; ARGS="session --minutes 2 --jobs 1" for less, a crash leaves its input here.
fuzz: setup-dev
	@scripts/setup fuzz
	@$(PYTHON) -m fuzz $(ARGS)

# Long trials: ARGS="hostile --seconds 60", ARGS=--help; without any, all of them in full.
soak: setup-dev
	@$(PYTHON) -m soak $(ARGS)

wheel:
	@scripts/setup run
	@rm -rf dist
	@$(PYTHON) -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
	@ls dist/*.whl

# Ask the index for the newest versions that pyproject.toml allows, and write them down.
lock:
	@scripts/lock

clean:
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
