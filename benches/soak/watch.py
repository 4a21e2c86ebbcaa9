"""Runs rsm-check and watches what it holds: resident memory, open files, threads.

Usage: python3 watch.py SECONDS_OF_WARM_UP rsm-check run WORKLOAD [OPTION...]

Samples the harness (not its nodes) once a second from /proc until it begins to judge,
when all of the history is read into memory on purpose. Prints the medians of the first
and of the last tenth after the warm-up, the growth between them, what was largest, and
what is left of the run's processes afterwards. Exit 1 if memory grew by 5 % or more, the
number of open files differs by more than the connections of its clients explain, or
anything is left behind.
"""
import os
import statistics
import subprocess
import sys
import threading
import time

GROWTH = 5.0
#: Connections come and go: the median may differ by so many open files.
FILES = 4


def sample(pid):
    with open(f"/proc/{pid}/status") as status:
        fields = dict(line.split(":", 1) for line in status)
    return {
        "kib": int(fields["VmRSS"].split()[0]),
        "files": len(os.listdir(f"/proc/{pid}/fd")),
        "threads": int(fields["Threads"]),
    }


def below(pid):
    """Every process below that one, however deep."""
    children = {}
    for name in os.listdir("/proc"):
        try:
            with open(f"/proc/{name}/stat") as stat:
                parent = int(stat.read().rsplit(")", 1)[1].split()[1])
            children.setdefault(parent, []).append(int(name))
        except (OSError, ValueError):
            continue
    found, todo = set(), [pid]
    while todo:
        for child in children.get(todo.pop(), []):
            found.add(child)
            todo.append(child)
    return found


def started(pid):
    """Tells a process from a later one with its number."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[19]
    except OSError:
        return None


def tenths(series):
    size = max(1, len(series) // 10)
    return [series[at : at + size] for at in range(0, size * 10, size) if series[at : at + size]]


def main():
    warm_up, command = float(sys.argv[1]), sys.argv[2:]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    judging = threading.Event()

    def listen():
        for line in process.stderr:
            print(line, end="", flush=True)
            if "judging what was recorded" in line:
                judging.set()
        judging.set()

    threading.Thread(target=listen, daemon=True).start()
    began, samples, family = time.monotonic(), [], {}
    while not judging.wait(1):
        try:
            taken = sample(process.pid)
        except (OSError, KeyError):
            break
        taken["at"] = time.monotonic() - began
        samples.append(taken)
        if len(samples) % 10 == 1:
            family.update({pid: started(pid) for pid in below(process.pid)})
    code = process.wait()
    left = [pid for pid, since in family.items() if since is not None and started(pid) == since]
    warm = [taken for taken in samples if taken["at"] >= warm_up]
    tenth = max(1, len(warm) // 10)
    fine = bool(warm) and not left
    print(f"exit {code}; {len(samples)} samples, {len(warm)} after a warm-up of {warm_up:.0f} s")
    print(f"processes seen below it: {len(family)}; left behind: {left or 'none'}")
    for what in ["kib", "files", "threads"] if warm else []:
        series = [taken[what] for taken in warm]
        first, last = statistics.median(series[:tenth]), statistics.median(series[-tenth:])
        growth = 100.0 * (last - first) / first
        print(
            f"{what:8} first tenth {first:.0f}, last tenth {last:.0f} ({growth:+.1f} %), "
            f"median {statistics.median(series):.0f}, largest {max(series)}"
        )
        print(" " * 8, "by tenths:", *(f"{statistics.median(part):.0f}" for part in tenths(series)))
        fine = fine and not (what == "kib" and growth >= GROWTH) and not (what == "files" and abs(last - first) > FILES)
    sys.exit(0 if fine else 1)


main()
