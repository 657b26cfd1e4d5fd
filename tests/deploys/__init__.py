"""Runners that come and go: drains, restarts, probes, and the examples of how to deploy them."""
