"""The closed list of nodes. What is not in it does not compile; the tree never goes back to Python."""

from __future__ import annotations

import ast

from flows.expressions import calls, containers, operators
from flows.expressions.access import access
from flows.expressions.compiler import Maker
from flows.expressions.comprehension import comprehension

MAKERS: dict[type[ast.expr], Maker] = {
    ast.Constant: operators.constant,
    ast.Name: operators.name,
    ast.Attribute: access,
    ast.Subscript: access,
    ast.BinOp: operators.binary,
    ast.UnaryOp: operators.unary,
    ast.BoolOp: operators.boolean,
    ast.Compare: operators.compare,
    ast.IfExp: operators.conditional,
    ast.List: containers.list_of,
    ast.Dict: containers.object_of,
    ast.JoinedStr: containers.f_string,
    ast.ListComp: comprehension,
    ast.DictComp: comprehension,
    ast.Call: calls.call,
}
"""What makes the closure of each."""
