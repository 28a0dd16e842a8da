"""Lock of a run folder, into which only one process at a time writes."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from throughtime.errors import RunFolderError
from throughtime.files import FileLock, LockHeldError
from throughtime.wording import reason_of

LOCK = "run.lock"
"""Name of the file that says who writes into the folder; it is gone when nobody does."""


@contextmanager
def only_writer(folder: Path, cure: str = "wait until it ends, or stop it") -> Iterator[None]:
    """Hold the lock of a run folder. Reading needs no lock, because every file is replaced as a whole.

    Args:
        folder: the run folder, which exists.
        cure: what to do where another process holds the lock.

    Raises:
        RunFolderError: another process writes into the folder, or the lock cannot be made there.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(FileLock(folder / LOCK))
        except LockHeldError as error:
            raise RunFolderError(f"RUN {folder} is in use by {error}: {cure}.") from None
        except OSError as error:
            raise RunFolderError(f"RUN {folder} cannot be written to ({reason_of(error)}): mend the folder.") from None
        yield
