"""Where evaluations run: one backend per file behind the contract of ``base``."""
