"""The compiler of the kernels."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from suffice.extras import imported_for
from suffice.verifier.kernel_cache import writable_folder

with imported_for("deciding many cases at once"):
    import numba
    from numba.extending import intrinsic

Function = TypeVar("Function", bound=Callable[..., Any])

_config: Any = numba.config
_types: Any = numba.types

INTERPRETED = bool(_config.DISABLE_JIT)
"""Whether NUMBA_DISABLE_JIT is set: the same functions run as plain Python."""


def compiled(function: Function) -> Function:
    """The function compiled at its first call, strictly in IEEE arithmetic; it runs without the interpreter's lock."""
    with _own_folder() as kept:
        # Not to be inlined is said, because Numba hands the option on from whoever calls.
        fast = numba.njit(nogil=True, cache=kept, error_model="numpy", forceinline=False)(function)
    return cast(Function, fast)


def inlined(function: Function) -> Function:
    """The function compiled into every compiled function that calls it."""
    return cast(Function, numba.njit(forceinline=True, error_model="numpy")(function))


FOLDER = None if INTERPRETED else writable_folder()
"""The folder in use; None when nothing is kept, because nothing is compiled or nothing can be written."""


@contextmanager
def _own_folder() -> Iterator[bool]:
    """Numba reads its folder from a global setting while it decorates; it is put back, it may be the host's."""
    before = _config.CACHE_DIR
    _config.CACHE_DIR = before if FOLDER is None else str(FOLDER)
    try:
        yield FOLDER is not None
    finally:
        _config.CACHE_DIR = before


@intrinsic
def _product(typing: Any, a: Any, b: Any) -> Any:  # noqa: ARG001
    from llvmlite import ir  # type: ignore[import-untyped]

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide, word = ir.IntType(128), ir.IntType(64)
        product = builder.mul(builder.zext(arguments[0], wide), builder.zext(arguments[1], wide))
        high = builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), word)
        return context.make_tuple(builder, signature.return_type, (high, builder.trunc(product, word)))

    return _types.UniTuple(_types.uint64, 2)(_types.uint64, _types.uint64), generate


@intrinsic
def _pointer(typing: Any, array: Any) -> Any:  # noqa: ARG001
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.make_array(signature.args[0])(context, builder, arguments[0]).data

    return _types.CPointer(array.dtype)(array), generate


@intrinsic
def _rare(typing: Any) -> Any:  # noqa: ARG001
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        for attribute in ("noinline", "cold"):
            builder.function.attributes.add(attribute)
        return context.get_dummy_value()

    return _types.none(), generate


def _product_interpreted(a: Any, b: Any) -> Any:
    from numpy import uint64

    wide = int(a) * int(b)
    return uint64(wide >> 64), uint64(wide & 0xFFFFFFFFFFFFFFFF)


def _pointer_interpreted(array: Any) -> Any:
    return array


def _rare_interpreted() -> None:
    pass


product: Any = _product_interpreted if INTERPRETED else _product
"""The upper and the lower 64 bits of the product of two unsigned 64-bit words: one instruction, where two
multiplications would be two."""

pointer: Any = _pointer_interpreted if INTERPRETED else _pointer
"""A view of an array that the caller holds, without a reference: an atomic count for each draw would cost more than the
draw."""

rare: Any = _rare_interpreted if INTERPRETED else _rare
"""Said by a function that is seldom called: it is then kept apart, and takes no registers from those that call it."""
