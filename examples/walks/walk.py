"""Runs the commands of docs/models.md that need libraries from PyPI, as a reader would: from a training script to answers of clients.

    python walk.py [WALK ...]

A walk is the `sh` blocks of the page that are marked `walk: NAME` or `walk: all`, in order, in one shell. $DIR is a new folder, and
the ports are free ones. `taper` and the `python` with the libraries must be in $PATH. One line is printed per walk; the output of a
walk that fails is printed in full.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/models.md"
SECONDS = 900
ANSWER = re.compile(r"^(\S+): (\d+) rows? by (\S+) answered as expected, largest difference (\S+)$", re.MULTILINE)


def blocks():
    """Returns each marked block as its walk and its commands."""
    marked = re.compile(r"^```sh walk: (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return marked.findall(PAGE.read_text())


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def run(walk, commands):
    """Runs a walk, and returns its exit status and its output."""
    http, data, admin = (f"127.0.0.1:{port}" for port in free_ports(3))
    # Without job control, because it gives a walk up if one of its programs is paused, and nothing here needs it.
    lines = ["set -euxo pipefail; trap 'kill $(jobs -p) 2>/dev/null || true' EXIT", *commands]
    script = "\n".join(lines).replace("127.0.0.1:8000", http).replace("127.0.0.1:8001", data)
    with tempfile.TemporaryDirectory(prefix=f"walk-{walk}-") as folder:
        addresses = {"TAPER_HTTP_ADDR": http, "TAPER_DATA_ADDR": data, "TAPER_ADMIN_ADDR": admin}
        process = subprocess.Popen(
            ["bash", "-c", script], cwd=ROOT, env={**os.environ, **addresses, "DIR": folder}, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        try:
            output, _ = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGTERM)
            output, _ = process.communicate()
            output += f"\nstopped after {SECONDS} seconds"
        return process.returncode, output


def main():
    found = blocks()
    known = list(dict.fromkeys(walk for walk, _ in found if walk != "all"))
    wanted = sys.argv[1:] or known
    unknown = [walk for walk in wanted if walk not in known]
    if unknown:
        sys.exit(f"unknown walk {', '.join(unknown)}; expected some of {', '.join(known)}")
    failed = []
    for walk in wanted:
        begun = time.monotonic()
        status, output = run(walk, [commands for name, commands in found if name in (walk, "all")])
        took = time.monotonic() - begun
        answers = ANSWER.findall(output)
        if status != 0 or not answers:
            failed.append(walk)
            print(f"{walk}: FAILED after {took:.0f} s; its output:\n{output}", flush=True)
            continue
        models = ", ".join(dict.fromkeys(model for model, *_ in answers))
        rows = sum(int(count) for _, count, *_ in answers)
        largest = max(float(difference) for *_, difference in answers)
        print(f"{walk}: {models}: {rows} rows answered as the library does, largest difference {largest:.1e} ({took:.0f} s)", flush=True)
    print(f"{len(wanted) - len(failed)} passed, {len(failed)} failed")
    sys.exit(1 if failed else 0)


main()
