"""Where the process begins: signals are seen to before anything that takes time is imported."""

import signal

from dt_export.process import interrupts


def main() -> None:
    """The ``dt-export`` command."""
    try:
        with interrupts.reported(leave=True):
            from dt_export.cli import app as cli

            cli.main()
    finally:
        # All is said and done. What Ctrl-C met in the interpreter's own end, Python would print.
        for number in interrupts.ENDING:
            signal.signal(number, signal.SIG_IGN)
