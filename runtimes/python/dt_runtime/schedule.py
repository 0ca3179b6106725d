"""The slot schedule of a step graph: which slot begins at a step, and which slot answers.

A cache that began at step s gives, at step t, exactly the action of the window [s..t], and it
cannot forget its oldest timestep. So several caches, called slots, begin at different steps. Every
new timestep goes into all of them, and the slot with the longest window of at most K timesteps
answers.

Everything here is integers: docs/step-protocol.md states the same rules for other languages.
"""

from dataclasses import dataclass
from numbers import Integral

from dt_runtime.errors import ArgumentError

RING = "ring"


@dataclass(frozen=True)
class Turn:
    """What happens at one step of an episode."""

    begins: tuple[int, ...]  # slots that forget their past and begin with this timestep
    answers: int  # the slot whose action is used
    length: int  # timesteps in that slot's window, this one included


@dataclass(frozen=True)
class Schedule:
    """The schedule of ``slots`` slots (G) for a context length K, with 1 <= G <= K.

    Steps count from 0 at the start of an episode. In the first K steps slot 0 answers with the
    whole episode. From step K on, windows are K - ceil(K / G) + 1 to K timesteps long.

    A ``ring`` is one slot that never begins anew and overwrites its oldest timestep instead.
    """

    context_length: int
    slots: int
    ring: bool = False

    @classmethod
    def of(cls, context_length: int, slots: int | str) -> "Schedule":
        """The schedule that a user asks for: a number of slots, or ``"ring"``.

        Raises:
            ValueError: ``slots`` is neither ``"ring"`` nor a whole number from 1 to K.
        """
        if slots == RING:
            return cls(context_length, 1, ring=True)
        whole = isinstance(slots, Integral) and not isinstance(slots, bool)
        if not whole or not 1 <= int(slots) <= context_length:
            raise ArgumentError(
                f"slots is {slots!r}, expected 1 to {context_length} (K), or {RING!r}"
            )
        return cls(context_length, int(slots))

    def phase(self, slot: int) -> int:
        """The slot begins anew at every step that is ``phase`` modulo K."""
        return slot * self.context_length // self.slots

    def turn(self, step: int) -> Turn:
        """What happens at this step of an episode."""
        context, slots = self.context_length, self.slots
        if step == 0:
            return Turn(tuple(range(slots)), 0, 1)
        if self.ring:
            return Turn((), 0, min(step + 1, context))
        place = step % context
        candidate = -(-place * slots // context)  # the first slot whose phase is not before place
        begins = (candidate,) if self.phase(candidate) == place else ()
        if step < context:
            return Turn(begins, 0, step + 1)
        # The slot that begins next has the longest window; after the last one comes slot 0.
        answers = -(-(place + 1) * slots // context) % slots
        return Turn(begins, answers, (place - self.phase(answers)) % context + 1)

    def table(self) -> list[Turn]:
        """The turns of steps 0 to 2K - 1: every later step repeats one of them (see ``row``)."""
        return [self.turn(step) for step in range(2 * self.context_length)]

    def row(self, step: int) -> int:
        """The row of ``table`` that holds the turn of this step."""
        context = self.context_length
        return step if step < context else context + step % context
