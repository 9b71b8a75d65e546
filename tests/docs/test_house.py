"""The house stands as it is drawn: imports go one way, files and functions are of a size to read."""

import ast
from functools import cache
from graphlib import CycleError, TopologicalSorter

import pytest
from conftest import ROOT

FILES = sorted((ROOT / "mma82cli").rglob("*.py"))
MODULES = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in FILES}
MOST_LINES, LONGEST_FUNCTION = 400, 60
NO_TORCH = ("metrics", "annotation", "protocol", "emotion", "formats", "validation")
LEARN = ("mma82cli.emotion.mlp",)  # the network of Algorithm 1


@cache
def tree(name: str) -> ast.Module:
    return ast.parse(MODULES[name].read_text(encoding="utf-8"))


def nodes(node: ast.AST, lazy: bool):
    """All nodes below, without what only a type checker reads; without functions' bodies unless `lazy`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if not lazy and isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        yield child
        yield from nodes(child, lazy)


def imports(name: str, lazy: bool) -> set[str]:
    """The modules, ours and others, that a module names in its imports."""
    found = set()
    for node in nodes(tree(name), lazy):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name}: a relative import, line {node.lineno}"
            both = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (both & MODULES.keys()) | ({node.module} if both - MODULES.keys() else set())
    return found


def package(module: str) -> str:
    """mma82cli.metrics.tables -> metrics; mma82cli.stream -> stream."""
    return module.split(".")[1] if "." in module else module


def assert_no_circle(graph: dict[str, set[str]]) -> None:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail("a circle: " + " -> ".join(error.args[1]))


def test_there_is_a_house():
    assert len(FILES) > 200 and "mma82cli.records" in imports("mma82cli.stream", False)
    assert "mma82cli.stream" in imports("mma82cli.commands.options", True) - imports("mma82cli.commands.options", False)


@pytest.mark.parametrize("lazy", [False, True], ids=["as it is imported", "with what its functions import"])
def test_no_module_is_in_a_circle_of_imports(lazy):
    assert_no_circle({name: imports(name, lazy) & MODULES.keys() for name in MODULES})


def test_no_package_is_in_a_circle():
    """Here what functions import counts too."""
    graph: dict[str, set[str]] = {}
    for name in MODULES:
        others = {package(other) for other in imports(name, True) & MODULES.keys()} - {package(name), "mma82cli"}
        graph.setdefault(package(name), set()).update(others)
    assert_no_circle(graph)


@pytest.mark.parametrize("name", MODULES)
def test_a_file_and_its_functions_are_of_a_size_to_read(name):
    lines = len(MODULES[name].read_text(encoding="utf-8").splitlines())
    assert lines <= MOST_LINES, f"{lines} lines"
    functions = (node for node in ast.walk(tree(name)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))
    long = {f.name: f.end_lineno - f.lineno + 1 for f in functions if f.end_lineno - f.lineno >= LONGEST_FUNCTION}
    assert not long, f"longer than {LONGEST_FUNCTION} lines: {long}"


@pytest.mark.parametrize("name", [m for m in MODULES if package(m) not in ("commands", "manual", "cli", "__main__", "mma82cli")])
def test_nothing_below_the_commands_speaks(name):
    """No options, no printing, no import of a command; `share` alone looks at the environment."""
    assert not {m for m in imports(name, True) if m.startswith(("mma82cli.commands", "mma82cli.manual", "typer"))}
    used = {node.func.id for node in nodes(tree(name), True) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert name == "mma82cli.stream" or not used & {"print", "input"}
    attributes = {node.attr for node in nodes(tree(name), True) if isinstance(node, ast.Attribute)}
    assert name == "mma82cli.share" or not attributes & {"environ", "getenv"}


@pytest.mark.parametrize("name", [m for m in MODULES if package(m) in NO_TORCH and m not in LEARN])
def test_numbers_need_no_torch(name):
    assert not {m for m in imports(name, True) if m.split(".")[0] == "torch" or m.startswith("mma82cli.models")}
