"""Measures the same work in talkformer, PyTorch and onnxruntime alternately, so that all are affected by the same noise.

Run by `just bench-peers`; `--help` tells the flags. Results go to docs/performance.json, or to another page's file.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

from cases import Case, all_cases

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
DOCS = ROOT / "docs"
OURS = "talkformer"


def build() -> str:
    """Builds our worker and returns its path."""
    command = ["cargo", "bench", "--bench", "peers", "--no-run", "--message-format=json"]
    lines = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    messages = map(json.loads, lines)
    return next(one["executable"] for one in messages if one.get("executable") and one["target"]["name"] == "peers")


# What the program sets for itself when it trains (src/bin/talkformer/threads.rs); the others do not read it.
OURS_SETS = {
    "CANDLE_NUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    "MIMALLOC_ALLOW_THP": "1",
    "MIMALLOC_PURGE_DELAY": "10000",
}


class Worker:
    """A program that answers each case with one line, and sleeps while another one is measured.

    Threads of some libraries go on spinning for a while after an answer, on the cores that the next one is measured on.
    """

    def __init__(self, command: list[str], threads: int) -> None:
        environment = os.environ | OURS_SETS
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen([*command, str(threads)], env=environment, **pipes)
        self.asleep = False

    def ask(self, case: Case) -> Any:
        assert self.process.stdin and self.process.stdout
        self.wake()
        print(json.dumps(case), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"a worker went away at {case['kind']} {case.get('size')}")
        self.process.send_signal(signal.SIGSTOP)
        self.asleep = True
        return json.loads(line)

    def wake(self) -> None:
        if self.asleep:
            self.process.send_signal(signal.SIGCONT)
            self.asleep = False

    def end(self) -> int:
        """Ends the process; returns its peak memory in bytes."""
        assert self.process.stdin
        self.wake()
        self.process.stdin.close()
        usage = os.wait4(self.process.pid, 0)[2]
        return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def times_of(name: str, answer: Any) -> dict[str, float]:
    """Results by name, as some workers measure more than one variant."""
    if answer is None:
        return {}
    if isinstance(answer, dict):
        return {f"{name} {way}": seconds for way, seconds in answer.items()}
    return {name: answer}


def compare(cases: list[Case], commands: dict[str, list[str]], threads: int, options: argparse.Namespace) -> list:
    """All cases on this number of threads, round by round; cases that talkformer does not support are left out."""
    workers = {name: Worker(command, threads) for name, command in commands.items()}
    possible = [case for case in cases if workers[OURS].ask(case | {"seconds": 0.0}) is not None]
    for worker in workers.values():
        worker.ask({"kind": "machine", "seconds": 0})  # nobody is measured while another still starts
    kept = [{key: value for key, value in case.items() if key not in ("model", "texts")} for case in possible]
    rows = [{"threads": threads, **case, "seconds": {}} for case in kept]
    for at in range(options.rounds):
        for case, row in zip(possible, rows):
            # The first one runs on a cooler machine.
            for name in sorted(workers, reverse=at % 2 == 1):
                for way, seconds in times_of(name, workers[name].ask(case | {"seconds": options.seconds})).items():
                    row["seconds"].setdefault(way, []).append(seconds)
        print(f"{threads} threads, round {at + 1} of {options.rounds}", file=sys.stderr)
    for worker in workers.values():
        worker.end()
    return rows


def memory(cases: list[Case], commands: dict[str, list[str]], threads: int) -> list:
    """Peak memory of training, each case in its own process, and of an idle process."""
    rows = []
    for case in [{"kind": "machine"}, *(case for case in cases if case["kind"] == "training")]:
        row = {"threads": threads, **case, "kind": "memory" if "size" in case else "memory at rest", "bytes": {}}
        for name in (OURS, "torch"):
            worker = Worker(commands[name], threads)
            if worker.ask(case | {"seconds": 1.0}) is not None:
                row["bytes"][name] = worker.end()
            else:
                worker.end()
        rows.append(row)
    return rows


def machine(commands: dict[str, list[str]], threads: int) -> dict[str, Any]:
    """The ceilings and the versions, one after the other, because starting a worker takes up a core."""
    told: dict[str, Any] = {}
    for command in commands.values():
        worker = Worker(command, threads)
        told |= worker.ask({"kind": "machine", "seconds": 0})
        worker.end()
    return told


def ratio(row: dict) -> tuple[str, float] | None:
    """The fastest other system, and how many times as long it takes (median over the rounds)."""
    others = {name: times for name, times in row["seconds"].items() if name != OURS}
    if not others:
        return None
    best = min(others, key=lambda name: median(others[name]))
    return best, median(theirs / ours for theirs, ours in zip(others[best], row["seconds"][OURS]))


def show(row: dict) -> None:
    """One line: the case, our time, and how many times as long the best other system takes."""
    size = "x".join(map(str, row["size"]))
    words = [row["kind"], size, row.get("precision", ""), "backward" if row.get("backward") else ""]
    what = " ".join(filter(None, [*words, f"{row['threads']} threads"]))
    other = ratio(row)
    told = f"{other[0]} takes {other[1]:.2f} times as long" if other else ""
    print(f"{what:<52} {1e3 * median(row['seconds'][OURS]):>10.3f} ms   {told}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", help="kinds: product, attention, block, training, answer, embed")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.1, help="per case, worker and round")
    parser.add_argument("--threads", type=int, nargs="*", default=sorted({1, os.cpu_count() or 1}))
    parser.add_argument("--precisions", nargs="*", default=["f32", "bf16"], help="f32, bf16")
    parser.add_argument("--page", default="performance", help="the page of docs that the results are for")
    options = parser.parse_args()
    results = DOCS / f"{options.page}.json"
    python = {"torch": "torch_worker.py", "onnxruntime": "onnx_worker.py"}
    commands = {OURS: [build()]} | {name: [sys.executable, str(HERE / file)] for name, file in python.items()}
    wanted = lambda case: not options.only or case["kind"] in options.only
    cases = [case for case in all_cases() if wanted(case) and case.get("precision", "f32") in options.precisions]
    found = json.loads(results.read_text()) if results.exists() else {"rows": []}
    kinds = {case["kind"] for case in cases}
    if "training" in kinds:
        kinds |= {"memory", "memory at rest"}
    rows = [row for row in found["rows"] if row["kind"] not in kinds]
    machines = []
    for threads in options.threads:
        machines.append(machine(commands, threads))
        new = compare(cases, commands, threads, options)
        for row in new:
            show(row)
        rows += new + (memory(cases, commands, threads) if "training" in kinds else [])
    DOCS.mkdir(exist_ok=True)
    lines = ",\n".join(json.dumps(rounded(row)) for row in rows)
    head = json.dumps(rounded({"date": date.today().isoformat(), "machines": machines}))[:-1]
    results.write_text(f'{head}, "rows": [\n{lines}\n]}}\n')


def rounded(value: Any) -> Any:
    """Rounded to four digits, which is more than the noise allows."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    return [rounded(one) for one in value] if isinstance(value, list) else value


if __name__ == "__main__":
    main()
