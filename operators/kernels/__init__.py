"""Compiled loops over events, exact against plain numpy."""
