"""Predictions to metrics, plots and a report."""
