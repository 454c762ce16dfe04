"""Training of fusion models, from paired pictures and events to a model folder: what `evpipe train` does of it."""
