"""``python -m trioecho``, the same as the command ``trioecho``."""

import sys

from .cli import main

sys.exit(main())
