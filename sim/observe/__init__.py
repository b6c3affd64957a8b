"""What routing would have cost on calls that named their model, before anything is routed."""
