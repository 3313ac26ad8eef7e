"""The command `python -m sandbox.device`."""

from __future__ import annotations

import sys

from sandbox.device.commands import main

sys.exit(main())
