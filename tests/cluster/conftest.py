"""A cluster with accounting, and a small project that is built on it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from building import Clustered
from project import tiny_params, tiny_project
from slurm import Slurm, missing, said, started


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    """Three nodes with accounting."""
    if why := missing():
        pytest.skip(why)
    with started(tmp_path_factory.mktemp("slurm")) as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def idle(slurm: Slurm) -> Iterator[None]:
    """Every test finds the nodes idle."""
    yield
    for process in psutil.Process().children():
        with contextlib.suppress(psutil.Error):  # ended since
            if "snakemake" in " ".join(process.cmdline()):
                process.kill()
    said("scancel", "--user=root")
    for name in set(slurm.nodes()) - set(slurm.daemons):
        slurm.start_node(name)
    slurm.settle()


@pytest.fixture(scope="session")
def declared(tmp_path_factory: pytest.TempPathFactory) -> Clustered:
    """A project of a text and a model that learns it; nothing built."""
    params = tiny_params()
    for section in ["exams", "questions", "evaluations", "fertility", "tokenizers"]:
        params[section] = {}
    params["sources"] = {"primer": params["sources"]["primer"]}
    params["corpora"] = {"textbook": params["corpora"]["textbook"]}
    params["corpora"]["textbook"]["decontaminate"]["exams"] = []
    base, reader = (params["models"][name] for name in ["smollm2", "reader"])
    reader["tokenizer"] = reader["pack"]["general"] = reader["train"]["gate"] = None
    reader["pack"]["data"] = {"textbook": 1}
    params["models"] = {"smollm2": base, "reader": reader}
    project = Clustered(tiny_project(tmp_path_factory.mktemp("declared") / "project").root)
    project.declare(params)
    project.commit("a smaller one")
    return project


@pytest.fixture(scope="session")
def small(declared: Clustered, slurm: Slurm) -> Clustered:  # noqa: ARG001
    """The same, built on the cluster, its text shared out, and committed; do not change it."""
    config = ("--config", "nodes=1", "orphans=wait", "share=10000")
    build = declared.build(*config, RESIDENCY_WORK=str(declared.root.parent / "work"))
    (declared.root.parent / "first.log").write_text(build.ended())
    declared.commit("built")
    return declared


@pytest.fixture
def mine(small: Clustered, tmp_path: Path) -> Clustered:
    """A copy of the built one whose model is to be trained anew, for a while."""
    project = small.copied(tmp_path / "project")
    project.forget_logs()
    params = project.params()
    params["models"]["reader"]["train"].update(epochs=None, steps=400, batch_tokens=128)
    project.declare(params)
    return project
