"""Writers of recordings: one module per format, each in constant memory, each counting what it could not keep."""
