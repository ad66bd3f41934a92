"""Self-describing weight files: build, save, load; the built-in models."""
