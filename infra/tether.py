"""Run a command that does not outlive its parent, as another user where asked.

Started as a script: `tether.py SIGNAL PARENT UID GID COMMAND...`, -1 keeping a user or
group. On Linux the kernel sends the signal to the command when the parent dies, by
whatever death; elsewhere the command merely runs. It imports the standard library
only, so that it starts within milliseconds.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence


PR_SET_PDEATHSIG = 1


def tethered(
    command: Sequence[str],
    *,
    death: signal.Signals = signal.SIGKILL,
    user: tuple[int, int] = (-1, -1),
) -> list[str]:
    """Return the command line that runs a command tethered to this process.

    The tether is to the thread that starts it: start it from one that lasts.
    """
    options = (int(death), os.getpid(), *user)
    return [sys.executable, "-I", "-S", __file__, *map(str, options), *command]


def main(arguments: Sequence[str]) -> None:
    """Become the command."""
    death, parent, uid, gid = map(int, arguments[:4])
    command = arguments[4:]
    if gid >= 0:
        os.setgroups([])
        os.setgid(gid)
    if uid >= 0:
        os.setuid(uid)
    if sys.platform == "linux":
        # A change of user clears it, so it comes after.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit("the parent is gone")
    os.execvp(command[0], list(command))  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
