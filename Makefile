# The two commands of the README are `make demo` and `make test`; the rest is for those who work on it.
SHELL := /bin/bash
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
DEMO := .demo
WORKERS ?= 2
FORCE ?=

.PHONY: demo demo-preprocess test check bench bench-deps clean

# Debian's packages, where no Python 3.11 with venv is there and we are allowed to install them.
define make_venv
	@if [ -z "$(PYTHON)" ]; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "Installing Debian's python3 and python3-venv ..."; \
			apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3 python3-venv >/dev/null; \
		else \
			echo "jit-render needs Python 3.11 or later with venv; ask an administrator for: apt-get install python3 python3-venv" >&2; \
			exit 2; \
		fi; \
	fi
	@test -x $(BIN)/python || $(or $(PYTHON),/usr/bin/python3) -m venv $(VENV)
endef

$(VENV)/.render: pyproject.toml constraints.txt
	$(make_venv)
	@echo "Installing jit-render and its image libraries into $(VENV) ..."
	@$(BIN)/python -m pip install -q -c constraints.txt -e '.[image]'
	@touch $@

$(VENV)/.preprocess: pyproject.toml constraints.txt
	$(make_venv)
	@echo "Installing jit-render and its preprocessing libraries into $(VENV) ..."
	@$(BIN)/python -m pip install -q -c constraints.txt -e '.[image,preprocess]'
	@touch $@ $(VENV)/.render

$(VENV)/.test: pyproject.toml constraints.txt
	$(make_venv)
	@echo "Installing jit-render with all its extras into $(VENV) ..."
	@$(BIN)/python -m pip install -q -c constraints.txt -e '.[all]'
	@touch $@ $(VENV)/.render $(VENV)/.preprocess

demo: $(VENV)/.render
	@$(BIN)/python -m examples.shot --folder $(DEMO) --workers $(WORKERS) $(if $(FORCE),--force)

demo-preprocess: $(VENV)/.preprocess
	@$(BIN)/python -m examples.preprocess --folder $(DEMO)/preprocess --workers $(WORKERS) $(if $(FORCE),--force)

check: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy --config-file tests/meta/nuke_callbacks.mypy.ini nuke_callbacks
	$(BIN)/vermin --no-tips --violations -t=3.9- nuke_callbacks
	$(BIN)/lint-imports

test: $(VENV)/.test
	$(BIN)/python -m pytest -n $(or $(JOBS),3) --dist worksteal $(ARGS)

bench: $(VENV)/.test
	$(BIN)/python -m benchmarks all --quick --compare

# What the comparisons run beside us, from Debian. Their services are not ours to start: none is left running.
BENCH_PACKAGES := glusterfs-server glusterfs-client rclone nginx-light curl fuse3 iproute2
bench-deps: $(VENV)/.test
	@if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
		echo "bench-deps needs root on Debian; ask an administrator for: apt-get install $(BENCH_PACKAGES)" >&2; exit 2; \
	fi
	@echo "Installing $(BENCH_PACKAGES) ..."
	@apt-get update -qq
	@printf '#!/bin/sh\nexit 101\n' > $(VENV)/policy-rc.d && chmod +x $(VENV)/policy-rc.d
	@if [ -e /usr/sbin/policy-rc.d ]; then \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(BENCH_PACKAGES) >/dev/null; \
	else \
		trap 'rm -f /usr/sbin/policy-rc.d' EXIT; cp $(VENV)/policy-rc.d /usr/sbin/policy-rc.d; \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(BENCH_PACKAGES) >/dev/null; \
	fi

clean:
	rm -rf $(VENV) $(DEMO) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
