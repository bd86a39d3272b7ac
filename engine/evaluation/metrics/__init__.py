"""Metrics, one file each: predictions in, numbers and curves out."""
