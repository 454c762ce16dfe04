"""A data set through a graph: many recordings, each to a table of scores and boxes, with a summary and a report."""
