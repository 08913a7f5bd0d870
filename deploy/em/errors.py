"""What em tells a person instead of a traceback.

EmError
├── PortTaken        a port the stack needs is in use
├── EmbeddedMissing  the binaries of the `embedded` extra are not installed
├── EmbeddedUnusable they are, but cannot run here
├── StartFailed      a program of the stack did not start or get ready
├── AlreadyRunning   another `em up` holds the state directory
└── NotPermitted     the state directory or a process belongs to another user
"""


class EmError(Exception):
    """`message` says what is wrong, `hint` what to do about it; `detail` may hold log lines."""

    def __init__(self, message: str, *, hint: str = "", detail: str = "") -> None:
        super().__init__("\n".join(filter(None, (message, detail, hint))))
        self.message = message
        self.hint = hint
        self.detail = detail


class PortTaken(EmError):
    pass


class EmbeddedMissing(EmError):
    pass


class EmbeddedUnusable(EmError):
    pass


class StartFailed(EmError):
    pass


class AlreadyRunning(EmError):
    pass


class NotPermitted(EmError):
    pass
