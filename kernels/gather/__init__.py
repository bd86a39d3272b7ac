"""Rows out of prepared segments into padded batches, sanitized on the way."""
