"""A cluster with accounting, for the tests of this folder, and projects that are built on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from slurm import Slurm, missing, started



@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    """Three idle nodes with accounting."""
    if why := missing():
        pytest.skip(why)
    with started(tmp_path_factory.mktemp("slurm"), accounting=True) as cluster:
        yield cluster
