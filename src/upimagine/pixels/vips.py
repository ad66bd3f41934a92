"""libvips, set up once for the room, and its many-line complaints cut to one."""

from __future__ import annotations

import errno
import os

import pyvips

# Nothing here is computed twice, and a cached load would keep its file open.
pyvips.cache_set_max(0)

SRGB = "srgb"
"""libvips' own name for its built-in sRGB profile."""

UNSTATED_DPI = 72.0
"""What a file says that has no print size in mind; formats have no way to say nothing."""

_processes: set[int] = set()


def enter() -> None:
    """Refuse to run libvips' threads in a process forked after they ran: they are not there, and it would wait forever.

    Raises:
        RuntimeError: in such a process; start workers with ``spawn`` or ``forkserver``.
    """
    _processes.add(os.getpid())
    if len(_processes) > 1:
        raise RuntimeError("pictures were read before this process was forked; start workers with 'spawn'")


def reason(error: pyvips.Error) -> str:
    """Give the first cause libvips names, as half a line for brackets."""
    lines = [line.strip() for line in str(error.detail or error.message).splitlines() if line.strip()]
    return lines[0][:120] if lines else "no reason given"


def refusal(error: pyvips.Error) -> OSError | None:
    """Find in libvips' complaint what the system refused it, None where it complains of something else."""
    text = f"{error.message} {error.detail}"
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS):
        if os.strerror(number) in text:
            return OSError(number, os.strerror(number))
    return None
