"""What `evpipe bench simulator` measures."""
