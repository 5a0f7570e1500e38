# Every target sets up what it needs; `make help` lists them.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# Versions of the dependencies to test with; empty means the newest.
CONSTRAINTS ?=

.PHONY: help setup demo test torture fuzz test-oldest lint format bench bench-quick deb package-test clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

setup: $(VENV)/ready ## make the virtual environment

$(VENV)/ready: setup.py pyproject.toml bin/fall-from-grace $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "fall-from-grace needs Python 3.10 or later; name one: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
		{ echo "Python's venv is missing; as root: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	@# The oldest PyYAML is built by what there was at its time only.
	$(if $(CONSTRAINTS),$(BIN)/pip install --quiet 'setuptools<65' wheel 'cython<3')
	$(if $(CONSTRAINTS),$(BIN)/pip install --quiet --no-build-isolation --requirement $(CONSTRAINTS))
	@# setuptools writes a screenful about what is well: shown only if something is not.
	@echo "$(BIN)/pip install --editable '.[test,lint]' $(CONSTRAINTS)"
	@$(BIN)/pip install --quiet $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS)) --editable '.[test,lint]' \
		>$(VENV)/pip.log 2>&1 || { cat $(VENV)/pip.log; exit 1; }
	touch $@

demo: setup ## show the main job: a leak is warned about, stopped and terminated
	@$(BIN)/python demo/demo.py

# Those with real daemons mostly wait, so several run at a time. The others want the machine to themselves, for what they
# measure or the signals that they are sent.
test: setup ## all tests; they end every process that they start
	$(BIN)/python -m pytest -q -n 3 tests/live
	$(BIN)/python -m pytest --ignore tests/live

torture: setup ## what SECURITY.md promises, under attack, in about an hour; TORTURE="reuse hups" or "--short"
	$(BIN)/python -m tests.torture $(TORTURE)

lint: setup ## ruff and mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: setup ## put the code into ruff's format
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

fuzz: setup ## a million random texts for the language, and files for the parser; FUZZ="--seed 1" and others
	$(BIN)/python -m tests.fuzz $(FUZZ)

test-oldest: ## all tests with the oldest dependencies that are supported
	$(MAKE) test VENV=.venv-oldest CONSTRAINTS=tests/oldest.txt

bench: setup ## cost, reaction and footprint beside others, in a quarter of an hour; BENCH="cost --json FILE" and others
	$(BIN)/python -m bench $(BENCH)

bench-quick: setup ## the same with less of everything, in two minutes
	$(BIN)/python -m bench --quick $(BENCH)

# Built in a copy, so that nothing is left beside the checkout, and by Debian's own Python whatever is first in PATH.
deb: ## the Debian package, in dist/
	rm -rf build/deb dist/fall-from-grace_*
	mkdir -p build/deb/source dist
	tar -c --exclude=./.git --exclude=./build --exclude=./dist --exclude='./.venv*' . | tar -x -C build/deb/source
	cd build/deb/source && env -i HOME="$$HOME" LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin \
		DEB_BUILD_OPTIONS="$$DEB_BUILD_OPTIONS" dpkg-buildpackage -us -uc -b
	mv build/deb/*.deb build/deb/*.changes build/deb/*.buildinfo dist/
	rm -rf build/deb

package-test: ## install that package for real and run its whole life; needs root
	@test -f dist/fall-from-grace_*.deb || $(MAKE) deb
	tests/package/lifecycle dist/fall-from-grace_*.deb

clean: ## remove all that make has made
	rm -rf .venv .venv-oldest build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
