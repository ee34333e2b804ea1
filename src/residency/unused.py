"""unused: a library that is installed, but not at work here, is not imported either."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def unused(library: str) -> Iterator[None]:
    """Within, a library that is not imported yet seems not to be installed.

    accelerate imports DeepSpeed wherever it is installed to ask whether a model is one of its own,
    which costs each job half a second and a warning. None in sys.modules is Python's own way to say
    that a module is not there; importlib.util.find_spec heeds it, too.
    """
    if library in sys.modules:
        yield
        return
    sys.modules[library] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[library]
