"""The C heap under an agent."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from ringwatch_agent import heap

# In a process of its own, since what is set stays set. By default each thread here gets a heap of its own.
_PROGRAM = """
import ctypes, sys, threading
from ringwatch_agent import heap

print(heap.keep_small())
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
libc.free.argtypes = libc.fclose.argtypes = [ctypes.c_void_p]
libc.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
blocks, barrier = [], threading.Barrier(8)

def allocate():
    barrier.wait()
    blocks.extend(libc.malloc(1000) for _ in range(2000))

threads = [threading.Thread(target=allocate) for _ in range(8)]
for each in threads:
    each.start()
for each in threads:
    each.join()
file = libc.fopen(sys.argv[1].encode(), b"w")
libc.malloc_info(0, file)
libc.fclose(file)
for block in blocks[:-1]:  # the last one holds up the end of the heap
    libc.free(block)
print(heap.give_back())
"""


def test_all_threads_share_one_heap_and_what_is_free_goes_back(tmp_path: Path) -> None:
    """As glibc itself counts its heaps."""
    counts = tmp_path / "heaps.xml"
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(counts)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "True"]
    assert counts.read_text().count("<heap nr=") == 1


async def test_giving_back_goes_on_until_it_is_cancelled() -> None:
    """Time after time, as long as the agent runs."""
    times: list[None] = []
    task = asyncio.create_task(heap.give_back_now_and_then(0.001, lambda: times.append(None)))
    while len(times) < 3:
        await asyncio.sleep(0.001)
    assert not task.done()
    task.cancel()
