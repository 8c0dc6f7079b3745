"""Makes the objectives of these tests importable by name in every worker."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
