"""Clean-up and scaling of features: the same parameters in every implementation."""
