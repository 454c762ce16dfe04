"""Graph files: YAML to a checked graph, a graph to workers."""
