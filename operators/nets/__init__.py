"""Network modules in torch, read top to bottom."""
