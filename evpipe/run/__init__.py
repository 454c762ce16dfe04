"""Running a graph: workers, supervisor, clock, exit table."""
