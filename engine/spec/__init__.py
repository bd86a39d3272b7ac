"""The spec language: YAML with positions, JSON Schema, cross-checks, expressions, the typed experiment."""
