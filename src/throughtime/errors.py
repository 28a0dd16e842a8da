"""What throughtime raises. Every message names the argument, what came, what is allowed and the way out."""


class ThroughtimeError(Exception):
    """The base of every error that throughtime raises on purpose."""


class ArgumentError(ThroughtimeError, ValueError, RuntimeError):
    """An argument of the wrong shape, dtype, range or combination, found before any work.

    It is a `ValueError` and a `RuntimeError` at once because torch.nn raises now the one, now the other, and code
    written around torch.nn catches either.
    """


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
