"""What an error tells beside its class: where it was raised, by whom, and if memory ran out."""

from dis import opmap
from pathlib import Path
from types import TracebackType


def raised_by(error: BaseException) -> tuple[str, bool]:
    """Where an error comes from, and whether a ``raise`` of dt_runtime or dt_export made it."""
    trace: TracebackType | None = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "nowhere", False
    code = trace.tb_frame.f_code
    ours = "/dt_runtime/" in code.co_filename or "/dt_export/" in code.co_filename
    deliberate = code.co_code[trace.tb_lasti] == opmap["RAISE_VARARGS"]
    return f"{'/'.join(Path(code.co_filename).parts[-2:])}:{trace.tb_lineno}", ours and deliberate


def out_of_memory(error: BaseException | None) -> bool:
    """Whether it, or what it was made of, is a failed allocation."""
    signs = ("can't allocate memory", "bad_alloc", "unable to allocate", "cannot allocate")
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        text = str(error)[:5000].lower() if not isinstance(error, KeyError) else ""
        if isinstance(error, MemoryError) or any(sign in text for sign in signs):
            return True
        error = error.__cause__ or error.__context__
    return False
