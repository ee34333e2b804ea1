"""Protocols: how a model is asked an exam, one module each."""
