"""The exercises of the lessons: each has a stub and a solution, and the rest runs without the solutions."""

import ast
import re
import symtable
from pathlib import Path

import pytest
from limner.course.lessons import student

jupytext = pytest.importorskip("jupytext")

LESSONS = sorted((Path(__file__).parents[1] / "tutorials").glob("[0-9]*.py"))
QUESTION = re.compile(r"^\*\*\d+\.\*\* ", re.MULTILINE)
SIMPLE = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr)

Names = set[str]


@pytest.fixture(params=LESSONS, ids=lambda path: path.stem)
def cells(request):
    """The cells of a lesson, in order."""
    return jupytext.read(request.param).cells


def kind(cell) -> str:
    """ "exercise", "solution", or the type of the cell."""
    tags = cell.metadata.get("tags", [])
    assert len(tags) <= 1, f"a cell has at most one tag: {tags}"
    return tags[0] if tags else cell.cell_type


def names(statement: ast.stmt) -> tuple[Names, Names]:
    """The names that a statement reads before binding them, and those that it binds."""
    table = symtable.symtable(ast.unparse(statement), "cell", "exec")
    bound = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()}
    read = {s.get_name() for s in table.get_symbols() if s.is_referenced()}
    inner = table.get_children()
    while inner:
        scope = inner.pop()
        read |= {s.get_name() for s in scope.get_symbols() if s.is_global() and s.is_referenced()}
        inner += scope.get_children()
    return (read if isinstance(statement, SIMPLE) else read - bound), bound


def stray_reads(cells) -> list[str]:
    """Reads of a name that only a solution binds, in cells that a student has."""
    bound_by, found = {}, []
    for number, cell in enumerate(cells):
        for statement in ast.parse(cell.source).body if cell.cell_type == "code" else []:
            read, bound = names(statement)
            if kind(cell) != "solution":
                strays = sorted(name for name in read if kind(cells[bound_by.get(name, number)]) == "solution")
                found += [f"cell {number} reads '{name}' of the solution in cell {bound_by[name]}" for name in strays]
            bound_by |= dict.fromkeys(bound, number)
    return found


def calls(source: str) -> list[str]:
    """The names of the functions that a cell calls, without the module or object before the dot."""
    found = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [ast.unparse(function).rpartition(".")[2] for function in found]


# --- the parts of an exercise ---------------------------------------------------------------------------------------


def test_each_question_has_a_stub_and_a_solution(cells):
    kinds = [kind(cell) for cell in cells]
    asked = [
        number for number, cell in enumerate(cells) if kinds[number] == "markdown" and QUESTION.search(cell.source)
    ]
    stubs = [number for number, name in enumerate(kinds) if name == "exercise"]
    assert len(asked) >= 2, "a lesson ends with exercises"
    assert [number + 1 for number in asked if number + 1 not in stubs] == []
    assert [len(QUESTION.findall(cells[number].source)) for number in asked] == [1] * len(asked), "one per cell"
    for stub in stubs:
        assert (kinds[stub - 1], kinds[stub + 1]) == ("markdown", "solution"), cells[stub].source
    for number, name in enumerate(kinds):
        if name == "solution":
            assert kinds[number - 1] in ("exercise", "solution"), cells[number].source


def test_a_stub_has_a_gap_and_checks_the_answer(cells):
    for cell in cells:
        if kind(cell) == "exercise":
            tree = ast.parse(cell.source)
            assert any(isinstance(node, ast.Constant) and node.value is ... for node in ast.walk(tree)), cell.source
            assert isinstance(tree.body[-1], ast.Expr), cell.source
            assert ast.unparse(tree.body[-1]).startswith("limner.exercises.check("), cell.source
            assert not {"train", "compare", "tradeoff"} & set(calls(cell.source)), "a stub trains nothing"


def test_a_solution_is_collapsed(cells):
    for cell in cells:
        if kind(cell) == "solution" and cell.cell_type == "code":
            assert cell.metadata["jupyter"]["source_hidden"]
        elif kind(cell) == "solution":
            assert cell.source.startswith("<details><summary>Solution</summary>\n\n"), cell.source
            assert cell.source.endswith("\n\n</details>"), cell.source
        else:
            assert "*Solution" not in cell.source
            assert "<details>" not in cell.source


# --- two notebooks from one source ----------------------------------------------------------------------------------


def test_the_student_version_has_no_solutions(cells):
    notebook = {"cells": cells, "nbformat": 4}
    kept = student(notebook)
    assert [cell["source"] for cell in kept["cells"]] == [c.source for c in cells if kind(c) != "solution"]
    assert len(kept["cells"]) < len(cells)
    assert all(not cell.get("outputs") and not cell.get("execution_count") for cell in kept["cells"])
    assert student(kept) == kept


def test_no_other_cell_needs_a_solution(cells):
    """So a lesson that runs with its solutions also runs without them."""
    assert stray_reads(cells) == []


@pytest.mark.parametrize(
    ("later", "found"),
    [
        ("answer", "reads 'answer'"),
        ("def f():\n    return answer", "reads 'answer'"),
        ("answer = answer + 1", "reads 'answer'"),
        ("print([answer for _ in range(3)])", "reads 'answer'"),
        ("given", "reads 'given'"),  # the lesson binds it too, but the solution was last
        ("answer = 2\nprint(answer)", None),
        ("for answer in range(3):\n    print(answer)", None),
        ("print([answer for answer in range(3)])", None),
        ("def f(answer):\n    return answer", None),
        ("import answer\nanswer.x", None),
        ("object.answer", None),
        ("unchanged", None),
    ],
)
def test_a_stray_read_is_found(later, found):
    source = ("given = unchanged = 1\n\n# %% tags=['solution']\ngiven, answer = 2, 3\n\n# %%\n" + later).replace(
        "'", '"'
    )
    problems = stray_reads(jupytext.reads("# %%\n" + source, fmt="py:percent").cells)
    assert len(problems) == (found is not None)
    assert found is None or found in problems[0]
