"""Cameras and network streams as live sources: one module each, its library imported when it is opened."""
