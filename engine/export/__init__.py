"""A trained run to the formats that other programs read."""
