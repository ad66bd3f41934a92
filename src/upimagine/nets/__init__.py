"""Pure network modules: one architecture a file, no files read or written, no training."""
