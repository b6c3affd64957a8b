"""A prompt as a vector, for the semantic cache: MiniLM on one thread, in time or not at all."""
