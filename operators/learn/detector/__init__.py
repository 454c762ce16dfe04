"""Training and measuring spiking detectors: recipes, clips with boxes, and what becomes of them."""
