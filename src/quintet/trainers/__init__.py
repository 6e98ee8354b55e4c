"""Training methods, one readable file each, and the little they share. Libraries are imported inside functions."""
