"""Recording formats: one module per format, each reading in chunks of constant memory."""
