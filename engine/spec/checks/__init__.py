"""What a schema cannot say about a spec: whether its names and numbers fit together. One file a section."""
