"""Workloads and measurements of the validator: shared by ``optengine rules-bench`` and the files in
``benchmarks/``."""
