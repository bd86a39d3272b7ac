"""Training of neural networks in particle physics, declared in YAML."""
