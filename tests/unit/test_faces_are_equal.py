"""The two faces are one text: without `async`, `await` and "Async" nothing tells them apart."""

import ast
from pathlib import Path

import breaker

PACKAGE = Path(breaker.__file__).parent
# What may differ: how a coroutine function's type is written, and which functions are decorated.
NAMES = {
    "Awaitable[J | None]": "J | None",
    "Awaitable[object]": "object",
    "awaited(": "blocking(",
}


class Blocking(ast.NodeTransformer):
    """Turns the awaited face into the blocking one."""

    def visit_AsyncFunctionDef(self, node):
        return self.generic_visit(ast.FunctionDef(**vars(node)))

    def visit_AsyncWith(self, node):
        return self.generic_visit(ast.With(**vars(node)))

    def visit_Await(self, node):
        return self.visit(node.value)


def body(file, kind):
    """The classes or functions of a module, by name, as plain text."""
    tree = Blocking().visit(ast.parse((PACKAGE / file).read_text()))
    found = {}
    for node in tree.body:
        if isinstance(node, kind):
            if ast.get_docstring(node) is not None and isinstance(node, ast.ClassDef):
                node.body = node.body[1:]
            text = ast.unparse(node).replace("AsyncStore", "SyncStore")
            for awaited, blocking in NAMES.items():
                text = text.replace(awaited, blocking)
            text = text.replace("Async", "").replace("__aenter__", "__enter__")
            text = text.replace("__aexit__", "__exit__").replace("an async", "a")
            found[node.name.replace("Async", "")] = text
    return found


def test_the_two_faces_are_equal():
    assert body("aio.py", ast.ClassDef) == body("sync.py", ast.ClassDef)


def test_the_functions_by_queue_name_are_equal():
    assert body("aio.py", ast.FunctionDef) == body("queues.py", ast.FunctionDef)
