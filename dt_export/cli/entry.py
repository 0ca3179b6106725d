"""Where the process begins: signals are handled before anything that takes time is imported."""

import atexit
import signal

from dt_export.process import interrupts


def main() -> None:
    """The ``dt-export`` command."""
    try:
        with interrupts.reported(leave=True):
            from dt_export.cli import app

            app.main()
    finally:
        # The command is over. Python would print a traceback if Ctrl-C met it on its way out, but
        # a caller in the same process, who goes on, keeps its signals.
        atexit.register(_ignore_signals)


def _ignore_signals() -> None:
    for number in interrupts.ENDING:
        signal.signal(number, signal.SIG_IGN)
