# Commands:
#   make demo          a short synthetic drive, labelled live by the ROS 2 node and by CLIP, scored, drawn
#   make test          all tests; skipped ones are counted by reason
#   make check         ruff, mypy and the import rules
#   make setup         .venv with everything that development needs
#   make bench-NAME    runs bench/NAME.py
#   make clean         removes what was built; `make distclean` removes .venv too
# Settings:
#   PYTHON=python3.12           interpreter of .venv (else the first usable of 3.11, 3.12, 3.13, 3.10)
#   PIP_FLAGS='...'             for pip, such as the CPU-only index that PyTorch's install page names
#   VIEWER=1                    make demo opens the 3D viewer
#   REQUIRE_SHARED=1            make test fails where the data in ../shared is absent
#   PYTEST_FLAGS= DEMO_FLAGS= BENCH_FLAGS=   passed to the command itself

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV ?= .venv
BIN := $(VENV)/bin
VIEWER ?= 0
PACKAGING := setup.py setup.cfg pyproject.toml constraints.txt
export REQUIRE_SHARED VIEWER

# A sourced ROS 2 would put its own rclpy, built for another Python, before the one in .venv.
unexport PYTHONPATH AMENT_PREFIX_PATH RMW_IMPLEMENTATION

# An environment made for development serves the demo as well.
FOR_DEMO := $(if $(wildcard $(VENV)/.installed-dev),$(VENV)/.installed-dev,$(VENV)/.installed-demo)
FOR_VIEWER := $(if $(filter 1,$(VIEWER)),$(VENV)/.installed-viewer)

.PHONY: help setup demo test check clean distclean
help:
	@sed -n '/^[^#]/q;s/^# \{0,1\}//p' $(firstword $(MAKEFILE_LIST))

setup: $(VENV)/.installed-dev
	@echo "setup: $(VENV) is ready; activate it with: source $(BIN)/activate"

demo: $(FOR_DEMO) $(FOR_VIEWER)
	@$(BIN)/clip2scene demo $(if $(FOR_VIEWER),--viewer) $(DEMO_FLAGS)

test: $(VENV)/.installed-dev
	@$(BIN)/python -m pytest $(PYTEST_FLAGS)

check: $(VENV)/.installed-dev
	@step() { echo "check: $$*"; $(BIN)/python -m "$$@"; }
	step ruff check . scripts/*
	step ruff format --check . scripts/*
	step mypy
	step pytest -q test/test_imports.py
	echo "check: passed in $$SECONDS s"

bench-%: $(VENV)/.installed-bench
	@$(BIN)/python bench/$(subst -,_,$*).py $(BENCH_FLAGS)

clean:
	rm -rf build dist install log *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

distclean: clean
	rm -rf $(VENV)

$(VENV)/.installed-demo: EXTRAS = ros,train,clip
$(VENV)/.installed-dev: EXTRAS = ros,train,clip,dev
$(VENV)/.installed-bench: EXTRAS = ros,train,clip,dev,bench
$(VENV)/.installed-viewer: EXTRAS = ros,train,viewer
# The build backend is pinned like everything else, hence no build isolation.
$(VENV)/.installed-%: $(PACKAGING) | $(BIN)/python
	@echo "setup: installing clip2scene_ros[$(EXTRAS)] into $(VENV) (minutes, when torch must be fetched)"
	pip() { $(BIN)/python -m pip --disable-pip-version-check "$$@"; }
	pip install --quiet $(PIP_FLAGS) -c constraints.txt setuptools wheel
	pip install --quiet $(PIP_FLAGS) -c constraints.txt --no-build-isolation -e '.[$(EXTRAS)]'
	touch $@
	echo "setup: installed in $$SECONDS s"

$(BIN)/python:
	@usable='import ensurepip, sys, venv; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))'
	for python in $(or $(PYTHON),python3.11 python3.12 python3.13 python3.10 python3); do
		if "$$python" -c "$$usable" 2>/dev/null; then
			echo "setup: making $(VENV) with $$("$$python" --version)"
			"$$python" -m venv $(VENV)
			exit 0
		fi
	done
	echo "setup: no usable Python 3.10 to 3.13 (tried $(or $(PYTHON),python3.11 3.12 3.13 3.10)). It needs venv:" >&2
	echo "       on Debian and Ubuntu 'apt install python3-venv'; another interpreter with 'make PYTHON=...'." >&2
	exit 1
