"""What the workers of a gateway learn from each other: by a file on one host, by Redis over several."""
