"""Classes of values with named fields: as much of `dataclasses` as we use.

The library brings `inspect`, and with that Python's tokenizer, parser and disassembler: 1.3 MB that a daemon would
carry for good. And it compiles six functions for each class, where here all classes have them in common: 20 ms of our
start. Type checkers are told that this is the library's own, and it behaves so, where annotations are mere texts
(`from __future__ import annotations`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import repeat
from operator import attrgetter

TYPE_CHECKING = False  # what type checkers take for true
if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
    from dataclasses import field as field
    from dataclasses import replace as replace
    from typing import Any, NoReturn


class _Field:
    """What makes a field's value where none is given; without `init`, `__post_init__` does."""

    def __init__(self, make: Callable[[], object], init: bool) -> None:
        self.make = make
        self.init = init


def _field(*, init: bool = True, default_factory: Callable[[], object] = lambda: None) -> Any:
    return _Field(default_factory, init)


def _dataclass(*, frozen: bool = False, slots: bool = True, order: bool = False) -> Callable[[type], type]:
    """As the library's with these arguments; there are always slots, and of an order only what sorting needs."""
    methods: dict[str, object] = {"__eq__": _equal, "__hash__": None, "__repr__": _shown, "__reduce__": _reduced}
    if frozen:
        methods |= {"__hash__": _hashed, "__setattr__": _refuse, "__delattr__": _refuse}
    if order:
        methods["__lt__"] = _before
    return lambda cls: _made(cls, methods)


def _made(cls: Any, methods: dict[str, object]) -> type:
    """The class anew, since slots cannot be added to one."""
    own = dict(_own_fields(cls))
    fields = {**getattr(cls, "_fields", {}), **own}
    given = tuple(name for name, each in fields.items() if each.init)
    body = {name: each for name, each in vars(cls).items() if name not in {*own, "__dict__", "__weakref__"}}
    body |= {"__slots__": tuple(own), "__match_args__": given, "__qualname__": cls.__qualname__}
    made: Any = type(cls)(cls.__name__, cls.__bases__, {**methods, **body})
    made._fields = fields
    made._setters = {name: getattr(made, name).__set__ for name in fields}  # the slots' own, which nobody refuses
    made._values = staticmethod(attrgetter(*fields))
    made.__init__ = _initializer(made)
    return made  # type: ignore[no-any-return]


def _own_fields(cls: Any) -> Iterator[tuple[str, _Field]]:
    for name, kind in cls.__annotations__.items():
        if not kind.startswith("ClassVar"):
            given = vars(cls).get(name, _Field(partial(_miss, cls.__qualname__, name), True))
            yield name, given if isinstance(given, _Field) else _Field(repeat(given).__next__, True)


def _miss(title: str, name: str) -> NoReturn:
    raise TypeError(f"a {title} needs '{name}'")


def _initializer(cls: Any) -> Callable[..., None]:
    makes = [(name, cls._fields[name].make) for name in cls.__match_args__]
    put = [cls._setters[name] for name in cls.__match_args__]
    finish = getattr(cls, "__post_init__", None)

    def initialize(self: object, /, *values: object, **named: object) -> None:
        if named or len(values) != len(put):
            made = [named.pop(name) if name in named else make() for name, make in makes[len(values) :]]
            values = (*values, *made)
        if named or len(values) != len(put):
            raise TypeError(f"{type(self).__qualname__} takes {cls.__match_args__}, not {values} and {named}")
        for each, value in zip(put, values, strict=True):
            each(self, value)
        if finish:
            finish(self)

    return initialize


def _equal(self: Any, other: Any) -> bool:
    return self._values(self) == other._values(other) if type(self) is type(other) else NotImplemented


def _before(self: Any, other: Any) -> bool:
    return self._values(self) < other._values(other) if type(self) is type(other) else NotImplemented


def _hashed(self: Any) -> int:
    return hash(self._values(self))


def _shown(self: Any) -> str:
    values = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._fields)
    return f"{type(self).__qualname__}({values})"


def _refuse(self: object, name: str, value: object = None) -> None:
    raise AttributeError(f"a {type(self).__qualname__} does not change; its '{name}' neither")


def _reduced(self: Any) -> tuple[Any, ...]:
    """For pickle: all fields as they are, also those that are worked out, so that nothing is worked out again."""
    return _restored, (type(self), *(getattr(self, name) for name in self._fields))


def _restored(cls: Any, *values: object) -> object:
    made = cls.__new__(cls)
    for put, value in zip(cls._setters.values(), values, strict=True):
        put(made, value)
    return made


def _replace(record: Any, /, **changes: object) -> Any:
    """The same with other values for some fields; those without `init` are worked out anew."""
    names = type(record).__match_args__
    values = [changes.pop(name) if name in changes else getattr(record, name) for name in names]
    return type(record)(*values, **changes)


if not TYPE_CHECKING:
    dataclass, field, replace = _dataclass, _field, _replace
