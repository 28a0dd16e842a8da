"""Errors that throughtime raises.

A message names the argument, the value that was passed in, the allowed values and a cure.
"""


class ThroughtimeError(Exception):
    """Base of all errors that throughtime raises on purpose."""


class ArgumentError(ThroughtimeError, ValueError, RuntimeError):
    """Error for an argument of the wrong shape, dtype, range or combination.

    The error is raised before any work. The class is both a `ValueError` and a `RuntimeError`, because torch.nn raises
    sometimes the first and sometimes the second, and code written for torch.nn may catch either.

    The message is "ARGUMENT CAME; ALLOWED: CURE". The library uses the names of arguments; a command replaces
    `argument` by the name of its option.

    Args:
        argument: name of the argument, as a caller of the library writes it.
        came: description of the value that was passed in, with a verb: "is -1", "has the shape (3, 4)".
        allowed: the values that are allowed: "it must be at least 1".
        cure: what to do instead, if `allowed` does not say so: "leave it out".
    """

    def __init__(self, argument: str, came: str, allowed: str = "", cure: str = "") -> None:
        super().__init__(argument, came, allowed, cure)
        self.argument, self.came, self.allowed, self.cure = argument, came, allowed, cure

    def __str__(self) -> str:
        return self.of(self.argument)

    def of(self, name: str) -> str:
        """Return the message with `name` in place of the argument's name."""
        sentence = f"{name} {self.came}; {self.allowed}" if self.allowed else f"{name} {self.came}"
        return f"{sentence}: {self.cure}" if self.cure else sentence


class ArgumentTypeError(ArgumentError, TypeError):
    """Error for an argument of the wrong type, where torch.nn raises a `TypeError`."""


class UnsupportedError(ThroughtimeError, NotImplementedError):
    """Error for a legal combination that a method, cell or device cannot serve.

    The error is raised before any work.
    """


class NonFiniteError(ThroughtimeError, ArithmeticError):
    """Error for a NaN or an infinity where a finite number is needed.

    The message names the first place of such a value.
    """


class WrongGradientError(ThroughtimeError, AssertionError):
    """Error for a derivative that differs from central differences.

    The message names the element and both values.
    """


class InputFileError(ThroughtimeError):
    """Error for a missing, empty, too short or malformed data file."""


class RunFolderError(ThroughtimeError):
    """Error for a run folder that cannot be used.

    The folder is missing, incomplete, in the way, or written by another version.
    """
