"""Files to prepared dataset to batches."""
