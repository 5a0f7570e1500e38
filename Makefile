# Every target sets up what it needs; `make help` lists them.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# Versions of the dependencies to test with; empty means the newest.
CONSTRAINTS ?=

.PHONY: help setup demo test test-corners test-all test-oldest install-test readme-test torture fuzz
.PHONY: lint format bench bench-quick deb have-package package-test lintian package-check autopkgtest ansible-test clean

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
	@# The oldest PyYAML is built by a Cython of its time only, and Python 3.12 needs a setuptools of its own.
	$(if $(CONSTRAINTS),$(BIN)/pip install --quiet 'setuptools<72' wheel 'cython<3')
	$(if $(CONSTRAINTS),$(BIN)/pip install --quiet --no-build-isolation --requirement $(CONSTRAINTS))
	@# setuptools writes a screenful about what is well: shown only if something is not.
	@echo "$(BIN)/pip install --editable '.[test,lint]' $(CONSTRAINTS)"
	@$(BIN)/pip install --quiet $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS)) --editable '.[test,lint]' \
		>$(VENV)/pip.log 2>&1 || { cat $(VENV)/pip.log; exit 1; }
	touch $@

demo: setup ## show the main job: a leak is warned about, stopped and terminated
	@$(BIN)/python demo/demo.py

# Those with real daemons mostly wait, so more of them run at a time than there are processors. The last few want the
# machine to themselves, for what they time. With AGAIN=yes what failed is tried once more by itself, and named: who
# lands a change is not to be stopped by a machine that was busy; that it failed is a bug all the same.
PYTEST = $(BIN)/python -m pytest -q
LAST_FAILED = $(if $(AGAIN),|| { echo "FAILED ONCE; tried again:"; $(PYTEST) -v --last-failed --lfnf none; })
test: setup ## all tests; they end every process that they start
	$(PYTEST) -n 4 -m "live and not alone" $(LAST_FAILED)
	$(PYTEST) -n logical --maxprocesses 4 -m "not live and not alone" $(LAST_FAILED)
	$(PYTEST) -m alone $(LAST_FAILED)

test-corners: ## all tests with the oldest Python here and the oldest libraries, and with the newest of both
	MAKE="$(MAKE)" tests/corners ends

test-all: ## all tests with every Python here, each with the oldest and the newest libraries
	MAKE="$(MAKE)" tests/corners all

readme-test: setup ## what README.md tells a newcomer to type, on a clean Debian; needs root, three minutes, 2 GB
	$(BIN)/python -m pytest -q tests/install/test_readme.py

install-test: setup ## install it with pip and pipx and from what they build, each time into something empty
	$(BIN)/python -m pytest -q tests/install --ignore tests/install/test_readme.py

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

# Built in a copy, so that nothing is left beside the checkout. debuild lets nothing of the environment through but what
# Debian says may be there, such as DEB_BUILD_OPTIONS; Python is Debian's, whatever is first in PATH.
deb: ## the Debian package, in dist/
	rm -rf build/deb dist/fall-from-grace_*
	mkdir -p build/deb/fall-from-grace dist
	tar -c --exclude-vcs --exclude=./build --exclude=./dist --exclude='./.venv*' . | tar -x -C build/deb/fall-from-grace
	cd build/deb/fall-from-grace && debuild --no-conf --no-lintian -us -uc -b
	mv build/deb/*.deb build/deb/*.changes build/deb/*.buildinfo dist/
	rm -rf build/deb

PACKAGE = dist/fall-from-grace_*.deb
have-package:
	@test -f $(PACKAGE) || $(MAKE) deb

package-test: have-package ## install that package for real, run its whole life, and boot with it; needs root
	tests/package/lifecycle $(PACKAGE)
	tests/package/sysvinit $(PACKAGE)
	tests/package/systemd $(PACKAGE)
	tests/package/desktop $(PACKAGE)

lintian: have-package ## what Debian's lintian says of it: nothing, or it fails
	lintian --allow-root -I -E --pedantic --fail-on error,warning,info,pedantic,experimental dist/*.changes

package-check: lintian ## the same, and what piuparts says, and that it is built twice the same; needs root
	tests/package/reproducible
	tests/package/piuparts $(PACKAGE)

autopkgtest: have-package ## its own tests as Debian runs them, with both inits; needs root
	tests/package/autopkgtest $(PACKAGE)
	INIT=systemd tests/package/autopkgtest $(PACKAGE)

ansible-test: have-package ## examples/ansible, played by the real Ansible on a copy of this machine; needs root
	tests/package/ansible $(PACKAGE)

clean: ## remove all that make has made
	rm -rf .venv .venv-* build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -r {} +
