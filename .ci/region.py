"""A local region for checks from outside: started as a person starts it, ended as a person ends it."""

import contextlib
import re
import signal
import subprocess
import time


@contextlib.contextmanager
def region(program, *options):
    """Runs `program` and yields the addresses that it says it listens on."""
    process = subprocess.Popen([program, *options], stdout=subprocess.PIPE, text=True)
    try:
        yield read_addresses(process)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            code = process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            raise SystemExit("the region did not end within 20 s of Ctrl-C")
        if code != 0:
            raise SystemExit(f"the region ended with exit code {code}")


def read_addresses(process):
    """Reads what the region says at its start, up to the last address."""
    wanted = {"HTTP API": "api", "AWS endpoint": "aws", "SFTP": "sftp", "Site": "site"}
    found = {}
    for line in process.stdout:
        for label, key in wanted.items():
            match = re.match(rf"\s*{label}\s+(?:http://)?(127\.[0-9.]+:[0-9]+)", line)
            if match:
                found[key] = match.group(1)
        if len(found) == len(wanted):
            drain(process.stdout)
            return found
    raise SystemExit("the region ended before it said where it listens")


def drain(stream):
    """Reads on in the background, so that the region never waits for its reader."""
    import threading

    threading.Thread(target=lambda: [None for _ in stream], daemon=True).start()


def wait_until(what, probe, seconds=90):
    """Waits until `probe` gives something true, and returns it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = probe()
        if found:
            return found
        time.sleep(0.2)
    raise SystemExit(f"waited {seconds} s in vain for: {what}")
