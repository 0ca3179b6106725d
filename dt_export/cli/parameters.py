"""From tables of flags to Typer's options: a command asks for a table and is handed an instance.

    @with_tables
    def onnx(model: Model, *, options: OnnxOptions, overrides: Overrides) -> None: ...

has one option for each field of ``OnnxOptions`` and ``Overrides`` that carries a flag.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from inspect import Parameter
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer

from dt_export.flags import Flag, flags


@dataclass(frozen=True)
class Without:
    """Fields of a table that a command does not offer: ``Annotated[Table, Without(("a",))]``."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class _Table:
    """What a command's parameter stands for."""

    kind: type
    hidden: tuple[str, ...] = ()

    def parameters(self) -> list[Parameter]:
        hints = get_type_hints(self.kind)
        return [
            _parameter(name, hints[name], self.defaults()[name], known)
            for name, known in self.flags().items()
        ]

    def take(self, values: dict[str, Any]) -> Any:
        """An instance made of those values that are its own, which are removed."""
        taken = {name: values.pop(name) for name in self.flags()}
        hints, defaults = get_type_hints(self.kind), self.defaults()
        for name in taken:
            if _is_list(hints[name]):
                taken[name] = defaults[name] if taken[name] is None else _words(taken[name])
        return self.kind(**taken)

    def flags(self) -> dict[str, Flag]:
        return {n: known for n, known in flags(self.kind).items() if n not in self.hidden}

    def defaults(self) -> dict[str, Any]:
        return {field.name: field.default for field in fields(self.kind)}


def with_tables(command: Callable[..., None]) -> Callable[..., None]:
    """The command with an option for every flag of the tables among its parameters."""
    tables: dict[str, _Table] = {}
    parameters: list[Parameter] = []
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        table = _table(parameter.annotation)
        if table is None:
            parameters.append(parameter.replace(kind=Parameter.KEYWORD_ONLY))
        else:
            tables[parameter.name] = table
            parameters += table.parameters()

    def run(**values: Any) -> None:
        instances = {name: table.take(values) for name, table in tables.items()}
        command(**values, **instances)

    run.__name__, run.__doc__, run.__module__ = command.__name__, command.__doc__, __name__
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return run


def option(
    *names: str, help: str, low: float | None = None, high: float | None = None, **more: Any
) -> Any:
    """A Typer option with bounds; ``more`` is what ``typer.Option`` takes besides."""
    known = Flag(names[0], help, low=low, high=high)
    return typer.Option(*names, help=help, callback=_checking(known), **more)


def _table(annotation: Any) -> _Table | None:
    hidden: tuple[str, ...] = ()
    if get_origin(annotation) is Annotated:
        annotation, *notes = get_args(annotation)
        hidden = tuple(name for note in notes if isinstance(note, Without) for name in note.names)
    if not isinstance(annotation, type) or not is_dataclass(annotation):
        return None
    return _Table(annotation, hidden)


def _parameter(name: str, hint: Any, default: Any, known: Flag) -> Parameter:
    shown: Any = typer.Option(
        f"{known.name}/{known.off}" if known.off else known.name,
        help=known.help,
        callback=_checking(known),
        rich_help_panel=known.panel or None,
    )
    if known.choices:
        hint = Literal[known.choices]
    if _is_list(hint):  # typed with commas; not typed at all, it is the table's default
        hint, default = str | None, None
    return Parameter(
        name, Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[hint, shown]
    )


def _is_list(hint: Any) -> bool:
    return any(get_origin(kind) is tuple for kind in (hint, *get_args(hint)))


def _words(typed: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in typed.split(",") if word.strip())


def _checking(known: Flag) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        known.check(value)
        return value

    return check
