"""Shipped with the engine for its own tests and for those who write backends: conformance suites, misbehaving tasks."""
