"""Stand-in files in the format of each experiment, for whoever has no data at hand."""
