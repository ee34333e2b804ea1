"""Readers: one module per family of formats, each from a file's content to its blocks."""
