"""Time limit of a run."""

import time


class TimeLimit:
    """Time limit of a run, with room for the last validation and diagnosis.

    Training ends so early that a validation and a diagnosis that take as long as those before end in time. At least
    half of the time is for training, so that a limit shorter than them is exceeded.

    Args:
        seconds: the limit; 0: none.
        began: when the run began, by `time.perf_counter`.
    """

    def __init__(self, seconds: float, began: float) -> None:
        self._seconds = seconds
        self._began = began
        self._diagnosis = 0.0
        self._validation: float | None = None

    def note_diagnosis(self, seconds: float) -> None:
        """Take down how long a diagnosis took."""
        self._diagnosis = seconds

    def note_validation(self, seconds: float) -> None:
        """Take down how long a validation took."""
        self._validation = seconds

    def over(self, likely: float = 0.0, *, validated: bool = False) -> bool:
        """Return whether training must end now.

        Args:
            likely: the seconds that a validation is likely to take, where none was measured.
            validated: whether the model was validated just now, so that no validation is left.
        """
        if not self._seconds:
            return False
        validation = 0.0 if validated else likely if self._validation is None else self._validation
        room = min(self._seconds / 2, validation + self._diagnosis)
        return time.perf_counter() - self._began >= self._seconds - room
