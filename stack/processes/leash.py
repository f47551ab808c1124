"""Execute a command that cannot outlive the process which started it, and that does not keep root
privileges.

    python -I -S leash.py PARENT SIGNAL DROP [--poll] -- COMMAND …

PARENT is the pid of the process to follow, SIGNAL is sent to the command once PARENT is gone, and
DROP says how to drop root: `keep` (do not), `namespace` (a user namespace in which this root is uid
1000; files stay root's, so a tree below /root works) or `nobody` (setuid; every folder on the way
to the command must be accessible to others).

On Linux the kernel sends SIGNAL (PR_SET_PDEATHSIG) and this program is replaced by the command.
Elsewhere, or with --poll, it stays as the command's parent, forwards signals, and checks its own
parent twice a second.

It runs between fork and exec instead of a preexec function, which is not safe in a process with
threads. Exit codes: 71 if the privilege cannot be dropped, 127 if the command cannot be run.
"""

import ctypes
import os
import pwd
import signal
import subprocess
import sys

PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000
INSIDE_UID = 1000
CANNOT_DROP = 71
CANNOT_RUN = 127
POLL_SECONDS = 0.5


def enter_namespace() -> None:
    """PostgreSQL only refuses uid 0: inside the namespace, this root is uid 1000."""
    uid, gid = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{INSIDE_UID} {uid} 1"),
        ("gid_map", f"{INSIDE_UID} {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def become_nobody() -> None:
    nobody = pwd.getpwnam("nobody")
    os.setgroups([])
    os.setgid(nobody.pw_gid)
    os.setuid(nobody.pw_uid)


def follow(parent: int, number: int) -> None:
    """Ask the kernel to send `number` when the parent ends. Call this after dropping root, because
    setuid clears it.
    """
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:  # it ended before we asked
        os._exit(0)


def supervise_child(parent: int, number: int, command: list[str]) -> int:
    # Pass on the file descriptors that this program was given, such as a socket to listen on.
    child = subprocess.Popen(command, close_fds=False)
    for passed in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(passed, lambda received, _frame: child.send_signal(received))
    while True:
        try:
            code = child.wait(timeout=POLL_SECONDS)
        except subprocess.TimeoutExpired:
            if os.getppid() != parent:
                child.send_signal(number)
        else:
            return code if code >= 0 else 128 - code


def main(arguments: list[str]) -> int:
    split = arguments.index("--")
    options, command = arguments[:split], arguments[split + 1 :]
    parent, number, drop = int(options[0]), int(options[1]), options[2]
    try:
        if drop == "namespace":
            enter_namespace()
        elif drop == "nobody":
            become_nobody()
    except OSError as error:
        print(f"cannot run {command[0]} as an unprivileged user: {error}", file=sys.stderr)
        return CANNOT_DROP
    try:
        if sys.platform != "linux" or "--poll" in options:
            return supervise_child(parent, number, command)
        follow(parent, number)
        os.execv(command[0], command)
    except OSError as error:
        print(f"cannot run {command[0]}: {error}", file=sys.stderr)
        return CANNOT_RUN


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
