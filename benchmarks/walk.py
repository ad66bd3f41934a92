"""Whole commands as users run them: time, peak memory, and the share of rendering spent outside the networks.

    python benchmarks/walk.py [--runs 3] [--recipe portrait]

Each run is a process of its own. Run it on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def run(arguments: list[str]) -> tuple[float, float, str]:
    """Seconds, peak memory in MB and standard output of `upimagine ARGUMENTS`. Raises CalledProcessError."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "upimagine", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, output)
    return time.perf_counter() - started, usage.ru_maxrss / 1024, output


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--recipe", default="portrait")
    args = parser.parse_args()
    helps = [run(["--help"])[0] for _ in range(10 * args.runs)]
    print(f"upimagine --help: median {statistics.median(helps):.3f} s, worst {max(helps):.3f} s of {len(helps)}")
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(args.runs):
            seconds, peak_mb, output = run(["make", args.recipe, "--out", str(Path(folder) / str(turn)), "--json"])
            told = json.loads(output)
            print(
                f"make {args.recipe}: {seconds:.1f} s, peak {peak_mb:.0f} MB, rendering {told['rendering_seconds']} s, "
                f"of it outside the networks {told['outside_networks']:.1%}"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
