"""The languages that providers speak, each a hand of `serve.upstream.dialect`; `table` has them by name."""
