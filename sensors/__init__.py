"""Where events come from: recordings, a simulated camera, cameras."""
