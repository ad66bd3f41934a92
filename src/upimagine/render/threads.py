"""Python threads for tensor work without gradients, each of which keeps to one core."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import torch


def single_threads(count: int) -> ThreadPoolExecutor:
    """So many threads, already running, within which torch uses one thread each; elsewhere it uses as many as before.

    Torch keeps the number a thread began with, and gives new threads the last number that anyone asked for.
    """
    before = torch.get_num_threads()
    ready = threading.Barrier(count + 1)

    def begin() -> None:
        torch.set_num_threads(1)
        torch.set_grad_enabled(False)  # a matter of each thread, too
        ready.wait()

    pool = ThreadPoolExecutor(count, thread_name_prefix="render", initializer=begin)
    for _ in range(count):
        pool.submit(int)  # a thread begins with its first work
    ready.wait()
    torch.set_num_threads(before)
    return pool
