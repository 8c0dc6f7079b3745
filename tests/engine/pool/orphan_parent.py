"""A program that uses a pool and is to be killed; its arguments: what it waits in, the start method."""

import random
import re
import subprocess
import sys
import time

from optengine import PersistentWorkerPool

WAITS_IN, METHOD = sys.argv[1:3]


def say_so_and_hang():
    print("here", flush=True)
    time.sleep(600)


def leave_a_child_behind(_):
    subprocess.Popen(["sleep", "600"])


def keep_the_interpreter_lock(_):
    subprocess.Popen(["sleep", "600"])
    print("here", flush=True)
    re.match("(a+)+$", "a" * 64 + "b")


def nap(seconds):
    time.sleep(seconds)


if __name__ != "__main__" and WAITS_IN == "import":
    say_so_and_hang()

if __name__ == "__main__":
    settings = {"initializer": say_so_and_hang} if WAITS_IN == "initializer" else {}
    if WAITS_IN == "restarts":
        settings = {"max_tasks_per_worker": 1}
    print("begun", flush=True)
    while True:
        with PersistentWorkerPool(2, start_method=METHOD, **settings) as pool:
            if WAITS_IN == "idle":
                pool.run_batch(leave_a_child_behind, range(2))
                say_so_and_hang()
            if WAITS_IN == "c code":
                pool.run_batch(keep_the_interpreter_lock, range(2))
            pool.run_batch(nap, [random.random() / 100 for _ in range(10)], chunksize=1)
