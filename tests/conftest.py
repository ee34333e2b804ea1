"""Fixtures that more than one test module uses."""

from __future__ import annotations

from pathlib import Path

import pytest
from project import Project, copied, made_project, tiny_project
from tiny import tiny_model


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which trainings keep their state."""
    monkeypatch.setenv("RESIDENCY_WORK", str(tmp_path / "work"))
    return tmp_path / "work"


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model; do not change it."""
    folder = tmp_path_factory.mktemp("tiny")
    tiny_model(folder)
    return folder


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A tiny project, built once by `snakemake eval` and committed; do not change it."""
    project = tiny_project(tmp_path_factory.mktemp("built") / "project")
    project.snakemake("eval")
    project.commit("built")
    return project


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A tiny project with every artifact, in seconds; do not change it."""
    return made_project(tmp_path_factory.mktemp("made") / "project")


@pytest.fixture
def mine(made: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of it to do anything with, and the folder that commands are typed in."""
    project = copied(made, tmp_path / "project")
    monkeypatch.chdir(project.root)
    return project


@pytest.fixture
def project(built: Project, tmp_path: Path) -> Project:
    """A copy of the built project to do anything with."""
    return copied(built, tmp_path / "project")
