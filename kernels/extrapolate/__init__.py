"""Helices taken to the point of closest approach to another point: closed form, differentiable."""
