"""Declared blocks to a torch module."""
