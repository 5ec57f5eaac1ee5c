"""What every kind must have that its contract names. Raises AssertionError."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar, get_args, get_origin, get_type_hints

import msgspec

from reactor.contracts.kinds import Kind


def require(condition: object, message: object) -> None:
    if not condition:
        raise AssertionError(message)


def fulfils(cls: type[Any], contract: type[Kind]) -> None:
    """The class is of the contract, with all of its methods and a value of the right type for each attribute."""
    require(isinstance(cls, type) and issubclass(cls, contract), f"{cls} is no {contract.__name__}")
    for name, hint in get_type_hints(contract).items():
        if get_origin(hint) is not ClassVar:
            continue
        require(hasattr(cls, name), f"{cls} has no {name}")
        _fits(cls, name, getattr(cls, name), get_args(hint)[0])
    missing = sorted(getattr(cls, "__abstractmethods__", ()))
    require(not missing, f"{cls} does not have {', '.join(missing)}")
    require(not inspect.isabstract(cls), f"{cls} is abstract")


def _fits(cls: type[Kind], name: str, value: object, wanted: Any) -> None:
    if get_origin(wanted) is type:
        base = get_args(wanted)[0]
        require(isinstance(value, type) and issubclass(value, base), f"{cls}: {name} is no {base.__name__}")
        return
    try:
        msgspec.convert(value, wanted, strict=True)
    except msgspec.ValidationError as error:
        raise AssertionError(f"{cls}: {name}: {error}") from None


def describes_itself(cls: type[Kind]) -> None:
    require(cls.name and cls.summary.endswith("."), f"{cls} needs a name and a summary that ends with a full stop")
    config = cls.Options.__struct_config__
    require(config.frozen and config.forbid_unknown_fields, f"{cls.name}: Options are frozen and closed")
    require(msgspec.json.schema(cls.Options), f"{cls.name}: Options have a JSON Schema")


def has_option(options: type[Any], path: str) -> bool:
    """Whether options have a place that is named with dots; elements of lists count as the list."""
    head, _, rest = path.partition(".")
    found = next((field.type for field in msgspec.structs.fields(options) if field.encode_name == head), None)
    if found is None or not rest:
        return found is not None
    inner = [found, *get_args(found)]
    return any(isinstance(one, type) and issubclass(one, msgspec.Struct) and has_option(one, rest) for one in inner)
