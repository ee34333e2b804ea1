"""Loaded once by a fork server, so that no fork parses the code again to find its imports."""

from residency import declaration, freshness, graph

LOADED = (declaration, freshness)
IMPORTS = [graph._imports(path) for path in sorted(graph.CODE.rglob("*.py"))]
