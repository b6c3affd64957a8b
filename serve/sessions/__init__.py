"""Where sessions were last served, shared by workers: by a file on one host, by Redis over several."""
