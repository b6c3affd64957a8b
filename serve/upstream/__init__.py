"""The far side of the socket: providers, dialects, and the client that calls them."""
