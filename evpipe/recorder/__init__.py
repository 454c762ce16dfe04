"""Recordings that evpipe writes itself."""
