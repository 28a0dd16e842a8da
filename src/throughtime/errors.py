"""What throughtime raises. Every message names the argument, what came, what is allowed and the way out."""


class ThroughtimeError(Exception):
    """The base of every error that throughtime raises on purpose."""


class ArgumentError(ThroughtimeError, ValueError, RuntimeError):
    """An argument of the wrong shape, dtype, range or combination, found before any work.

    It is a `ValueError` and a `RuntimeError` at once because torch.nn raises now the one, now the other, and code
    written around torch.nn catches either.

    The message is "ARGUMENT CAME; ALLOWED: CURE". The library speaks of arguments; a command replaces `argument` by
    its own word for it, such as an option.

    Args:
        argument: the name of the argument, as a caller of the library writes it.
        came: what came, with its verb: "is -1", "has the shape (3, 4)".
        allowed: what is allowed: "it must be at least 1".
        cure: the way out, where `allowed` does not say it: "leave it out".
    """

    def __init__(self, argument: str, came: str = "", allowed: str = "", cure: str = "") -> None:
        super().__init__(argument, came, allowed, cure)
        self.argument, self.came, self.allowed, self.cure = argument, came, allowed, cure

    def __str__(self) -> str:
        return self.of(self.argument)

    def of(self, name: str) -> str:
        """Return the message with another name for the argument."""
        sentence = f"{name} {self.came}" if self.came else name
        sentence = f"{sentence}; {self.allowed}" if self.allowed else sentence
        return f"{sentence}: {self.cure}" if self.cure else sentence


class UnsupportedError(ThroughtimeError, NotImplementedError):
    """A combination that is legal but that the chosen method, cell or device cannot serve; raised before any work."""


class NonFiniteError(ThroughtimeError, ArithmeticError):
    """A NaN or an infinity where a number is needed; the message names where it was met first."""


class WrongGradientError(ThroughtimeError, AssertionError):
    """A derivative that differs from central differences; the message names the element and both values."""


class InputFileError(ThroughtimeError):
    """A file of data that is missing, empty, too short or not what its name promises."""


class RunFolderError(ThroughtimeError):
    """A run folder that is missing, incomplete, in the way, or written by another version."""
