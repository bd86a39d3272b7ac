"""The torch modules behind the primitive blocks; each takes and returns a list of (tensor, mask or None)."""
