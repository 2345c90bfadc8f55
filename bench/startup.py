"""Measures the executable beside the installed package: start, size and memory.

    python bench/startup.py dist/rt-proxy

Both serve the example config, the package by this Python. The first start of the executable, which
unpacks it, is told apart.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

CONFIG = """\
[listen]
port = 0

[[channels]]
name = "simulator"
provider = "simulator"
models = ["*"]
"""
#: What the executable may need at most: of the package's time and memory, and in bytes.
MOST_TIME, MOST_MEMORY, MOST_SIZE = 2.5, 1.3, 45_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the executable beside the package.")
    parser.add_argument("executable", type=Path)
    parser.add_argument("--repeat", type=int, default=15, help="starts of each (default: 15)")
    arguments = parser.parse_args()
    executable = (str(arguments.executable.resolve()),)
    package = (sys.executable, "-m", "rt_proxy")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "config.toml").write_text(CONFIG)
        os.environ["RT_PROXY_UNPACK_IN"] = str(folder / "unpacked")
        started(package, folder)
        first, _ = started(executable, folder)
        samples = {program: [] for program in (package, executable)}
        for number in range(arguments.repeat):
            print(f"start {number + 1} of {arguments.repeat}", file=sys.stderr)
            for program, found in samples.items():  # in turns, so that both meet the same noise
                found.append(started(program, folder))
    times, memories = (
        [statistics.median(sample[index] for sample in samples[of]) for of in (package, executable)]
        for index in (0, 1)
    )
    size = arguments.executable.stat().st_size
    print(f"medians of {arguments.repeat} starts; the first start, which unpacks: {first:.2f} s\n")
    print("                        package  executable  ratio  target  verdict")
    row("start to listening", [f"{one:.2f} s" for one in times], times[1] / times[0], MOST_TIME)
    resident = [f"{one:.0f} MiB" for one in memories]
    row("memory after start", resident, memories[1] / memories[0], MOST_MEMORY)
    verdict = "met" if size <= MOST_SIZE else "MISSED"
    print(f"size of the file       {size / 1e6:.1f} MB, target {MOST_SIZE / 1e6:.0f} MB, {verdict}")


def row(what: str, values: Sequence[str], ratio: float, most: float) -> None:
    verdict = "met" if ratio <= most else "MISSED"
    print(f"{what:<22} {values[0]:>8} {values[1]:>10} {ratio:>6.2f}  <= {most:<4}  {verdict}")


def started(program: Sequence[str], folder: Path) -> tuple[float, float]:
    """Return the seconds until it listens, and its memory then, in MiB."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        [*program, "serve"],
        cwd=folder,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if "listening" in line:
                break
        else:
            raise SystemExit(f"{program} did not start")
        seconds = time.perf_counter() - begun
        status = Path(f"/proc/{process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found is not None
        return seconds, int(found[1]) / 1024
    finally:
        process.kill()
        process.stderr.close()
        process.wait()


if __name__ == "__main__":
    main()
