"""Compile what a byte passes on its way: run in a folder with a copy of `trioecho`; writes to `built`.

The others gain nothing, or mypyc makes them slower: async functions, subclasses of Trio's
classes, functions made by other functions. ``scripts/bench --ours`` compares both builds.
"""

from __future__ import annotations

import os

from mypyc.build import mypycify
from setuptools import Distribution

MODULES = [
    "base/build.py",
    "base/histogram.py",
    "framing/scanning.py",
    "framing/native_scanning.py",
    "framing/decoder.py",
    "framing/connection_decoder.py",
    "connection/calls.py",
    "connection/sending.py",
    "connection/receiving.py",
    "connection/replying.py",
    "connection/exchange.py",
    "connection/echoes_at_rest.py",
    "connection/registration.py",
    "connection/turn.py",
    "server/counts.py",
    "server/tally.py",
]

OPTIONS = [
    "--config-file=",
    f"--cache-dir={os.devnull}",
    # Trio is not needed for this, and what is found would depend on whether it is there.
    "--no-site-packages",
    "--ignore-missing-imports",
]


def main() -> None:
    # The paths are relative, so that a traceback has them as in an installed package.
    extensions = mypycify(
        [*OPTIONS, *(f"trioecho/{module}" for module in MODULES)],
        opt_level="3",
        debug_level="0",
        group_name="trioecho.compiled",
        target_dir="c",
    )
    distribution = Distribution({"name": "trioecho", "ext_modules": extensions})
    command = distribution.get_command_obj("build_ext")
    command.build_lib = "built"
    command.build_temp = "objects"
    command.ensure_finalized()
    command.run()


if __name__ == "__main__":
    main()
