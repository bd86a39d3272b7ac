"""Native kernels, one folder each, with every implementation side by side; imports nothing of `engine`."""
