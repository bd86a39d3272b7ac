"""Batches and a network to a trained run."""
