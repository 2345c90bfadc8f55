"""Measure how long `rt-proxy usage` takes over a large ledger, by the real command.

README.md says what is measured, and how to read it.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from rt_proxy.usage.schema import open_to_write

#: What the report by day is held to, in seconds over a million rows.
TARGET = 2.0
_CONFIG = '[usage]\nfile = "usage.db"\ntime_zone = "Europe/Berlin"\n'
_DAY = 86_400_000_000
_FIRST = 1_767_225_600_000_000  # 2026-01-01
_TOKENS, _SESSIONS, _MODELS = 200, 50_000, ("gpt-realtime-2.1", "gpt-realtime-2.1-mini")


def fill(path: Path, rows: int) -> None:
    """Write rows over three hundred days, as a proxy would: the same ones at each call."""
    columns = (
        "time, kind, session_id, token_id, token_name, channel, model, upstream_id, content_index, "
        "status, text_in, text_cached_in, audio_in, audio_cached_in, image_in, image_cached_in, "
        "text_out, audio_out, tokens, milliseconds, nano_usd, estimated"
    )
    step = 300 * _DAY // rows
    with closing(open_to_write(path)) as connection:
        connection.execute("BEGIN")
        connection.executemany(
            f"INSERT INTO usage ({columns}) VALUES ({', '.join('?' * 22)})",
            (
                (
                    _FIRST + number * step,
                    "response" if number % 5 else "transcription",
                    f"session{number % _SESSIONS:08d}",
                    f"tok_{number % _TOKENS:012d}",
                    f"client {number % _TOKENS}",
                    "openai" if number % 3 else "azure",
                    _MODELS[number % 2],
                    f"resp_{number:020d}",
                    0,
                    "completed",
                    *(300, 900, 120, 640, 0, 0, 60, 180, 2_200),
                    0,
                    None if number % 1_000 == 0 else 20_000_000 + number % 977,
                    number % 50 == 0,
                )
                for number in range(rows)
            ),
        )
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def seconds_of(folder: Path, *arguments: str) -> float:
    """Run the command, and return how long it took."""
    command = [sys.executable, "-m", "rt_proxy", "usage", "--since", "2026-01-01", *arguments]
    before = time.monotonic()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return time.monotonic() - before


def main() -> None:
    """Fill a ledger, run the reports, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="default: 1000000")
    parser.add_argument("--repeat", type=int, default=5, help="runs of each report (default: 5)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rt-proxy-bench-") as name:
        folder = Path(name)
        (folder / "config.toml").write_text(_CONFIG)
        print(f"writing {given.rows:,} rows", file=sys.stderr, flush=True)
        fill(folder / "usage.db", given.rows)
        size = (folder / "usage.db").stat().st_size / 2**20
        print(f"{given.rows:,} rows, {size:.0f} MiB; seconds of {given.repeat} runs\n")
        print(f"{'report':<16}{'least':>8}{'middle':>8}{'most':>8}  target  verdict")
        for by in ("day", "token", "model", "channel", "session"):
            print(f"usage --by {by}", file=sys.stderr, flush=True)
            taken = sorted(seconds_of(folder, "--by", by) for _ in range(given.repeat))
            middle = taken[len(taken) // 2]
            verdict = ("met" if middle <= TARGET else "MISSED") if by == "day" else ""
            target = f"<= {TARGET:g}" if by == "day" else ""
            line = f"--by {by:<11}{taken[0]:>8.2f}{middle:>8.2f}{taken[-1]:>8.2f}"
            print(f"{line}  {target:<6}  {verdict}".rstrip())


if __name__ == "__main__":
    main()
