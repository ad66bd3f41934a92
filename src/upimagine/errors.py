"""The errors users meet: one line that says what, where and how to mend."""

from __future__ import annotations


class UpimagineError(Exception):
    """Something the user can mend. The message is one line: what is wrong, where, and the mend.

    The command line prints it without a traceback (``--debug`` shows one) and exits with 1.
    """


class PictureError(UpimagineError):
    """One picture could not be read, used or written. A batch names it, passes over it and goes on (exit code 3)."""


class UsageError(UpimagineError):
    """The command line says too little or what cannot go together; the verb ends with 2."""
