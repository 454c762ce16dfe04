"""Who computes a trained network's layers: compiled event by event, torch, optional libraries."""
