"""The semantic cache: what may answer one prompt with the answer to another."""
