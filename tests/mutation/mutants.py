"""Mutants of a module: the same module with one small mistake in it.

Left alone are annotations, decorators and base classes, which mypy judges, and the text of strings, which people read.
"""

import ast
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from copy import copy, deepcopy
from dataclasses import dataclass
from functools import partial
from types import CodeType
from typing import TypeVar

SWAPPED: dict[type[ast.AST], tuple[type[ast.AST], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div,),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Mult,),
    ast.Mod: (ast.Mult,),
    ast.Pow: (ast.Mult,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
    ast.BitXor: (ast.BitAnd,),
    ast.LShift: (ast.RShift,),
    ast.RShift: (ast.LShift,),
    ast.And: (ast.Or,),
    ast.Or: (ast.And,),
}
"""An inequality misses by its boundary, and turns round."""

SWAPPED_NAMES = {"max": "min", "min": "max", "any": "all", "all": "any"}

NOT_MUTATED = {"annotation", "returns", "decorator_list", "bases", "format_spec", "type_params"}

Node = TypeVar("Node", bound=ast.AST)


@dataclass(frozen=True, slots=True)
class Mutant:
    """A module with one mistake. `name` tells where and which; it does not change when lines move, and is unique."""

    name: str
    line: int
    compiled: Callable[[], CodeType]

    @property
    def code(self) -> CodeType:
        """Made when it is asked for: a name needs none."""
        return self.compiled()


def mutants_of(source: str, path: str) -> Iterator[Mutant]:
    """Every mutant of a module, in the order of its lines; `path` stands in its tracebacks."""
    tree = ast.parse(source)
    seen: Counter[str] = Counter()
    for scope, parent, field, index in list(_places(tree, "module")):
        block = getattr(parent, field)
        node = block if index is None else block[index]
        for change, other in _mistakes(node):
            name = f"{scope}: {change}"
            seen[name] += 1
            nth = "" if seen[name] == 1 else f" (no. {seen[name]})"
            put = partial(_put, parent, field, index)
            yield Mutant(name + nth, getattr(node, "lineno", 0), partial(_compiled, tree, path, put, node, other))


def _compiled(tree: ast.Module, path: str, put: Callable[[ast.AST], None], node: ast.AST, other: ast.AST) -> CodeType:
    """The module with `other` in the place of a node, which is there again afterwards."""
    # A copy: the other one may be a part of the node, which keeps its own place.
    put(ast.copy_location(copy(other), node))
    whole = ast.fix_missing_locations(deepcopy(tree))
    put(node)
    return compile(whole, path, "exec")


def _places(node: ast.AST, scope: str) -> Iterator[tuple[str, ast.AST, str, int | None]]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        scope = node.name if scope == "module" else f"{scope}.{node.name}"
    for field, value in ast.iter_fields(node):
        children = list(enumerate(value)) if isinstance(value, list) else [(None, value)]
        for index, child in children:
            if isinstance(child, ast.AST) and field not in NOT_MUTATED:
                yield scope, node, field, index
                yield from _places(child, scope)


def _put(parent: ast.AST, field: str, index: int | None, node: ast.AST) -> None:
    if index is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[index] = node


def _mistakes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """What the node could be by mistake, and how a person is told."""
    match node:
        case ast.Compare(ops=operators):
            for i, operator in enumerate(operators):
                for swapped in SWAPPED[type(operator)]:
                    yield _turned(node, ops=[*operators[:i], swapped(), *operators[i + 1 :]])
        case ast.BoolOp(op=operator, values=values):
            yield _turned(node, op=SWAPPED[type(operator)][0]())
            for kept in _without_each(values):
                other = kept[0] if len(kept) == 1 else _with(node, values=kept)
                yield f"{_text(node)} -> {_text(other)}", other
        case ast.BinOp(op=operator) | ast.AugAssign(op=operator):
            if not any(isinstance(part, ast.JoinedStr | ast.List) or _is_text(part) for part in ast.walk(node)):
                yield from (_turned(node, op=swapped()) for swapped in SWAPPED[type(operator)])
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield f"{_text(node)} -> {_text(operand)}", operand
        case ast.If(test=test) | ast.IfExp(test=test):
            for constant in (True, False):
                yield f"if {_text(test)} -> if {constant}", _with(node, test=ast.Constant(constant))
        case ast.While(test=test):
            yield f"while {_text(test)} -> while False", _with(node, test=ast.Constant(value=False))
        case ast.comprehension(ifs=conditions):
            for kept in _without_each(conditions):
                yield _turned(node, ifs=kept)
        case ast.Constant(value=bool(value)):
            yield _turned(node, value=not value)
        case ast.Constant(value=int(value) | float(value)):
            yield _turned(node, value=value + 1)
        case ast.Name(id=name) if name in SWAPPED_NAMES:
            yield _turned(node, id=SWAPPED_NAMES[name])
        case ast.Call(func=function, keywords=keywords):
            for dropped, kept in zip(keywords, _without_each(keywords), strict=True):
                yield f"{_text(function)}(…) without {_text(dropped)}", _with(node, keywords=kept)
        case ast.Tuple(elts=elements, ctx=ast.Load()) | ast.List(elts=elements, ctx=ast.Load()):
            for dropped, kept in zip(elements, _without_each(elements), strict=True):
                yield f"a {type(node).__name__.lower()} without {_text(dropped)}", _with(node, elts=kept)
        case ast.Dict(keys=keys, values=values):
            kept_pairs = zip(keys, values, _without_each(keys), _without_each(values), strict=True)
            for key, value, kept_keys, kept_values in kept_pairs:
                pair = f"{_text(key) if key else '**'}: {_text(value)}"
                yield f"a dict without {pair}", _with(node, keys=kept_keys, values=kept_values)
        case ast.Return(value=ast.expr() as value) if not _is_none_or_false(value):
            yield f"{_text(node)} -> return None", _with(node, value=ast.Constant(None))
        case ast.Expr(value=ast.Call() | ast.Yield() | ast.YieldFrom()) | ast.Raise():
            yield f"without {_text(node)}", ast.Pass()
    if isinstance(node, ast.AugAssign) or _sets_an_attribute(node):
        yield f"without {_text(node)}", ast.Pass()


def _sets_an_attribute(node: ast.AST) -> bool:
    return isinstance(node, ast.Assign) and any(isinstance(target, ast.Attribute) for target in node.targets)


def _is_none_or_false(node: ast.AST) -> bool:
    """To return None for None is no mistake; False is turned to True by itself."""
    return isinstance(node, ast.Constant) and (node.value is None or node.value is False)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)


def _with(node: Node, **fields: object) -> Node:
    other = copy(node)
    vars(other).update(fields)
    return other


def _turned(node: ast.AST, **fields: object) -> tuple[str, ast.AST]:
    other = _with(node, **fields)
    return f"{_text(node)} -> {_text(other)}", other


def _without_each(items: Sequence[ast.AST]) -> Iterator[list[ast.AST]]:
    return ([*items[:i], *items[i + 1 :]] for i in range(len(items)))


def _text(node: ast.AST) -> str:
    return " ".join(ast.unparse(node).split())
