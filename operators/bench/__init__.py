"""What `evpipe bench` measures."""
