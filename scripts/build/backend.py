"""The build backend: hatchling's, except that an editable install fetches no compiler."""

from __future__ import annotations

import os
from typing import Any

import hatchling.build
from hatchling.build import *  # noqa: F403 - all that a backend is asked for


def get_requires_for_build_editable(config_settings: dict[str, Any] | None = None) -> list[str]:
    os.environ["TRIOECHO_COMPILED"] = "0"  # for hook.py; this process makes no other call
    return hatchling.build.get_requires_for_build_editable(config_settings)
