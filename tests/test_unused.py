from __future__ import annotations

import importlib.util
import sys

import pytest

from residency.unused import unused


def test_an_unused_library_seems_not_installed_until_it_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    with unused("wave"):
        assert importlib.util.find_spec("wave") is None
        with pytest.raises(ImportError):
            importlib.import_module("wave")
    assert importlib.import_module("wave").__name__ == "wave"


def test_a_library_at_work_stays() -> None:
    with unused("sys"):
        assert importlib.import_module("sys") is sys
    assert "sys" in sys.modules


def test_it_is_given_back_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    with pytest.raises(KeyError), unused("wave"):
        raise KeyError
    assert "wave" not in sys.modules
