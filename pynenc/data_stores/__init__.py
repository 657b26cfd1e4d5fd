"""Stores of large values apart from the store of invocations."""
