"""Forms in which a trained network answers a stream: windows, causal steps, gates."""
