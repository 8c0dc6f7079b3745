"""A parallel engine: supervised persistent workers, sealed data bundles and shared-memory frames."""

__version__ = "0.1.0"
