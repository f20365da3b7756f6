"""What the reference says of the commands' JSON, and whether a document is like that."""

import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def read_shapes():
    """Return the documented shapes: by the command's name, the types of each path."""
    with open(os.path.join(ROOT, "docs", "reference", "commands.md"), encoding="utf-8") as file:
        section = re.split(r"^## ", file.read().split("\n## JSON\n")[1], flags=re.MULTILINE)[0]
    blocks = re.findall(r"^### (\w+)\n.*?```text\n(.*?)```", section, re.MULTILINE | re.DOTALL)
    return {name: dict(map(read_line, block.splitlines())) for name, block in blocks}


def read_line(line):
    """Return a documented path as its parts, and its types."""
    path, types = line.split()[:2]
    return tuple(re.findall(r"\[\]|[^.\[\]]+", path)), set(types.split("|"))


def list_leaves(value, path=()):
    """Yield the paths in a document, each with its type; of something empty the type is empty."""
    items = list(value.items()) if isinstance(value, dict) else value
    if not isinstance(value, (dict, list)):
        yield path, TYPES[type(value)]
    elif not items:
        yield path, ""
    elif isinstance(value, dict):
        for name, each in items:
            yield from list_leaves(each, (*path, name))
    else:
        for each in items:
            yield from list_leaves(each, (*path, "[]"))


def is_like(path, documented):
    """Return whether the beginning of one path is the other, in which * is any name."""
    return all(part in ("*", name) for name, part in zip(path, documented))


def check_shape(name, document):
    """Fail unless a document has what is documented for a command, and nothing else."""
    documented = read_shapes()[name]
    leaves = list(list_leaves(document))
    for path, kind in leaves:
        fits = [
            types
            for known, types in documented.items()
            if is_like(path, known)
            and (kind == "" or "any" in types or (len(path) == len(known) and kind in types))
        ]
        assert fits, (path, kind)
    for known in documented:
        assert any(is_like(path, known) for path, _ in leaves), known
