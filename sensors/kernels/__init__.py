"""Compiled loops over the bytes of recordings."""
