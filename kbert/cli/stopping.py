"""SIGTERM and Ctrl-C as a question that a training asks after each step, so that it ends in good order."""

import signal
import threading

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopSignals:
    """Within `with`, the first signal is remembered, and a second one ends the process as it would without.

    Attributes:
        number: of the signal that came; None for none.
    """

    def __init__(self):
        self.number: int | None = None
        self._before = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():  # only there can handlers be set
            self._before = {number: signal.signal(number, self._remember) for number in SIGNALS}
        return self

    def __exit__(self, *error) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _remember(self, number, frame) -> None:
        self.number = number
        self.__exit__()

    def asked(self) -> bool:
        """Whether to stop."""
        return self.number is not None

    @property
    def exit_code(self) -> int:
        """What a shell says of a process that the signal ended: 143 for SIGTERM, 130 for Ctrl-C.

        143 also where the signal came to another worker of the training, and all stopped.
        """
        return 128 + (self.number or signal.SIGTERM)
