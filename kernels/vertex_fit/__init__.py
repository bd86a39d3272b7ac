"""Vertex fit of charged tracks: weighted, batched, differentiable."""
