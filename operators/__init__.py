"""What is done with events: binning, networks, filters."""
