"""How packets cross between workers: wire format, shared memory, tcp, policies, accounts."""
