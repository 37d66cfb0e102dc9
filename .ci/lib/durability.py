"""Measures what durability costs: ours in each mode, and Distribution, one after the other, again and again.

durability.py FOLDER CLIENTS SECONDS ROUNDS PUSH_IMAGES OURS DISTRIBUTION

Each turn has a server of its own on a fresh folder below FOLDER, and CLIENTS push images to it for SECONDS. The turns
of the modes take turns in another order each round, so that whatever else the machine does falls on all of them.
What counts is the best round of each mode. Exit 0 if strict needs no more time for an image than Distribution, and
group at most half of strict.
"""

import collections
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

MODES = ("strict", "group", "os", "distribution")
READY_SECONDS = 30
TICKS = os.sysconf("SC_CLK_TCK")

# mean_ms, median_ms and last_ms (99 %) are of one image as its client sees it.
Turn = collections.namedtuple("Turn", "images mean_ms median_ms last_ms per_second cpu_ms")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def configuration(mode, root, address):
    durability = "" if mode == "distribution" else f", durability: {mode}"
    return (
        "version: 0.1\n"
        "log: {level: error, accesslog: {disabled: true}}\n"
        f'http: {{addr: "{address}", secret: a-secret-for-tests}}\n'
        f'storage: {{filesystem: {{rootdirectory: "{root}"{durability}}}}}\n'
    )


def plain_environment():
    """Without the settings that a registry would read from it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("REGISTRY_", "OTEL_"))}
    return kept | {"OTEL_TRACES_EXPORTER": "none"}


def wait_until_ready(process, address):
    begun = time.monotonic()
    while time.monotonic() - begun < READY_SECONDS:
        if process.poll() is not None:
            raise SystemExit(f"the server ended with {process.returncode} while it started")
        try:
            with urllib.request.urlopen(f"http://{address}/v2/", timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.05)
    raise SystemExit("the server did not start in time")


def cpu_seconds(pid):
    """Of all of its threads, in user code and in the kernel."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def turn(mode, seed, folder, clients, seconds, push_images, programs):
    folder.mkdir()
    address = f"127.0.0.1:{free_port()}"
    config = folder / "config.yml"
    config.write_text(configuration(mode, folder / "volume", address))
    command = [programs[mode], "serve", str(config)]
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=plain_environment())
    try:
        wait_until_ready(process, address)
        # What is left of the turn before must not be written in this one.
        os.sync()
        cpu, begun = cpu_seconds(process.pid), time.monotonic()
        load = [push_images, address, str(seed), str(clients), str(seconds)]
        said = subprocess.run(load, stdout=subprocess.PIPE, check=True, text=True).stdout.split()
        length, cpu = time.monotonic() - begun, cpu_seconds(process.pid) - cpu
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder)
    images = int(said[0])
    return Turn(images, *map(float, said[1:]), images / length, cpu * 1000 / images)


def best(turns):
    return min(turns, key=lambda one: one.mean_ms)


def judge(turns):
    strict, group, _, distribution = (best(turns[mode]).mean_ms for mode in MODES)
    verdicts = [
        (strict <= distribution, f"strict needs {strict / distribution:.2f} of Distribution's time, wanted 1.00 at most"),
        (group <= strict / 2, f"group needs {group / strict:.2f} of strict's time, wanted 0.50 at most"),
    ]
    for good, text in verdicts:
        print(f"{'ok  ' if good else 'FAIL'}  {text}")
    return all(good for good, _ in verdicts)


def main():
    folder, (clients, seconds, rounds) = pathlib.Path(sys.argv[1]), map(int, sys.argv[2:5])
    push_images, ours, distribution = sys.argv[5:8]
    programs = dict.fromkeys(MODES, ours) | {"distribution": distribution}
    turns = {mode: [] for mode in MODES}
    for number in range(rounds):
        first = number % len(MODES)
        for mode in MODES[first:] + MODES[:first]:
            one = turn(mode, number, folder / mode, clients, seconds, push_images, programs)
            turns[mode].append(one)
            print(f"round {number + 1}  {mode:12}  {one.mean_ms:8.1f} ms", flush=True)
    print(f"\nbest of {rounds} rounds of {seconds} s, {clients} clients, images of ten layers of 4 KiB:")
    print(f"{'':12}  {'ms/image':>9} {'median':>8} {'99 %':>8}  {'images/s':>8}  {'server CPU ms/image':>19}  rounds")
    for mode, mine in turns.items():
        top = best(mine)
        spread = " ".join(f"{one.mean_ms:.0f}" for one in mine)
        print(
            f"{mode:12}  {top.mean_ms:9.1f} {top.median_ms:8.1f} {top.last_ms:8.1f}  {top.per_second:8.1f}"
            f"  {top.cpu_ms:19.1f}  {spread}"
        )
    return 0 if judge(turns) else 1


if __name__ == "__main__":
    sys.exit(main())
