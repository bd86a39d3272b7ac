"""Figures, one file each: predictions and metrics in, PNG and PDF out."""
