"""Time of `upimagine cull` over many candidates: python benchmarks/cull.py [FOLDER] [COUNT].

Without FOLDER it first samples that many with portrait-128, untimed.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from upimagine.make.culling import candidates_in


def main() -> None:
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 5000
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(scratch) / "made"
        verb = [sys.executable, "-m", "upimagine"]
        if not made.exists():
            subprocess.run([*verb, "sample", "portrait-128", "-n", str(count), "-o", str(made)], check=True)
        # COUNT pictures out of as many as there are, again and again under other names.
        found, folder = candidates_in(made), Path(scratch) / "many"
        folder.mkdir()
        for index in range(count):
            (folder / f"{index:06d}.png").write_bytes(found[index % len(found)].read_bytes())
        started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([*verb, "cull", str(folder), "--keep", "4", "-o", str(Path(scratch) / "kept")], check=True)
        took, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(f"{count} candidates: {took:.1f} s, {cpu:.1f} s of processor time, peak {after.ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
