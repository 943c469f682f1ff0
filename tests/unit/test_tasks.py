"""Tasks that run beside whoever started them: none of the package's dies unheard."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

import stemwatch
from stemwatch.tasks import in_a_thread, kept_going, supervised

ROOT = Path(stemwatch.__file__).parent


def test_a_fault_is_told_and_a_cancellation_is_not() -> None:
    told: list[BaseException] = []

    async def scenario() -> None:
        fails = supervised(_failing(), told.append, name="fails")
        ends = supervised(asyncio.sleep(0, "value"), told.append)
        stopped = supervised(asyncio.Event().wait(), told.append)
        called = in_a_thread(int, "no number", broken=told.append)
        await asyncio.wait({fails, ends, called})
        stopped.cancel()
        await asyncio.wait({stopped})
        assert (fails.get_name(), ends.result()) == ("fails", "value")

    asyncio.run(scenario())
    assert {type(fault) for fault in told} == {ZeroDivisionError, ValueError}
    assert len(told) == 2


def test_a_part_is_kept_going_until_it_returns() -> None:
    told: list[BaseException] = []
    tries = iter([_failing, _failing, asyncio.sleep])

    async def work() -> None:
        await next(tries)(0)  # type: ignore[operator]

    asyncio.run(kept_going(work, told.append, pause=0.0))
    assert [type(fault) for fault in told] == [ZeroDivisionError, ZeroDivisionError]


def test_a_call_in_a_thread_is_waited_for_when_cancelled() -> None:
    began, go = Event(), Event()

    def work() -> None:
        began.set()
        go.wait(20)
        raise ZeroDivisionError  # which nobody hears of

    async def scenario() -> None:
        call = asyncio.create_task(stemwatch.tasks.to_its_end(work))
        await asyncio.to_thread(began.wait, 20)
        call.cancel()
        for _ in range(3):
            await asyncio.sleep(0)
        assert not call.done()
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await stemwatch.tasks.to_its_end(int, "7") == 7

    asyncio.run(scenario())


async def _failing(seconds: float = 0) -> None:
    await asyncio.sleep(seconds)
    raise ZeroDivisionError


# -- the whole package ---------------------------------------------------------------------

_STARTS = {"create_task", "ensure_future", "run_in_executor"}
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def test_no_task_dies_unheard() -> None:
    """Each is awaited, returned, gathered or asked for its result where it is started, or
    `tasks.supervised`: its fault would be kept for somebody who never comes."""
    unheard = [
        f"{path.relative_to(ROOT)}: {ast.unparse(call)}"
        for path in sorted(ROOT.rglob("*.py"))
        for call in _unheard(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert unheard == []


@pytest.mark.parametrize(
    "body",
    [
        "await asyncio.create_task(work())",
        "return asyncio.ensure_future(work())",
        "await asyncio.gather(asyncio.create_task(work()))",
        "task = asyncio.create_task(work()); await asyncio.shield(task)",
        "tasks = [asyncio.create_task(work())]; await asyncio.gather(*tasks)",
        "for _ in x: tasks.append(asyncio.create_task(work()))\n    await tasks.popleft()",
        "task = asyncio.create_task(work()); await asyncio.wait({task}); task.result()",
        "ends = [asyncio.create_task(work())]; done, _ = await asyncio.wait(ends)\n"
        "    for one in done: one.result()",
        "self.a.task = asyncio.create_task(work()); self.a.task.result()",
        "supervise(loop.run_in_executor(None, work), broken)",
        "async with asyncio.TaskGroup() as group: group.create_task(work())",
    ],
)
def test_a_task_that_is_heard(body: str) -> None:
    assert list(_unheard(ast.parse(f"async def f(self):\n    {body}"))) == []


@pytest.mark.parametrize(
    "body",
    [
        "asyncio.create_task(work())",
        "task = asyncio.create_task(work()); task.cancel()",
        "self._task = asyncio.create_task(work())",
        "task = asyncio.create_task(work()); self._tasks.add(task)",
        "task = asyncio.create_task(work()); await asyncio.wait({task})",
        "task = asyncio.create_task(work()); await asyncio.gather(task, return_exceptions=True)",
        "task = asyncio.create_task(work()); await other()",
        "loop.run_in_executor(None, work)",
    ],
)
def test_a_task_that_is_not(body: str) -> None:
    assert len(list(_unheard(ast.parse(f"async def f(self):\n    {body}")))) == 1


def _unheard(tree: ast.AST) -> Iterator[ast.AST]:
    """Calls that start a task whose fault nobody asks for in the same function."""
    for function in ast.walk(tree):
        if isinstance(function, _Function):
            for call in ast.walk(function):
                if _callee(call) in _STARTS and not _is_heard(call, function):
                    yield call


def _is_heard(call: ast.AST, function: _Function) -> bool:
    groups = {
        ast.unparse(item.optional_vars)
        for node in ast.walk(function)
        if isinstance(node, ast.AsyncWith)
        for item in node.items
        if "TaskGroup" in ast.unparse(item.context_expr) and item.optional_vars is not None
    }
    assert isinstance(call, ast.Call)
    if isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) in groups:
        return True
    names = _names_of(call, function)
    return any(_hears(node, call, names) for node in ast.walk(function)) or (
        any(_waits(node, call, names) for node in ast.walk(function))
        and any(_callee(node) in {"result", "exception"} for node in ast.walk(function))
    )


def _names_of(call: ast.AST, function: _Function) -> set[str]:
    """What the task, or a list that it is put into, is called in this function."""
    names: set[str] = set()
    while True:
        before = len(names)
        for node in ast.walk(function):
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                value: ast.AST = node.value
            elif isinstance(node, ast.Call) and _callee(node) in {"append", "add"}:
                assert isinstance(node.func, ast.Attribute)
                targets, value = [node.func.value], node
            else:
                continue
            if not isinstance(value, ast.Await) and _speaks_of(value, call, names):
                names |= {ast.unparse(target) for target in targets}
        if len(names) == before:
            return names


def _hears(node: ast.AST, call: ast.AST, names: set[str]) -> bool:
    """Whether this raises the task's fault, or hands the task to somebody who asks for it."""
    if isinstance(node, ast.Await) and isinstance(node.value, ast.Call):
        ignores = any(keyword.arg == "return_exceptions" for keyword in node.value.keywords)
        if ignores or _callee(node.value) == "wait":
            return False
    if isinstance(node, ast.Await | ast.Return):
        return node.value is not None and _speaks_of(node.value, call, names)
    if _callee(node) == "supervise":
        return _speaks_of(node, call, names)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.attr == "result" and ast.unparse(node.func.value) in names
    return False


def _waits(node: ast.AST, call: ast.AST, names: set[str]) -> bool:
    return _callee(node) == "wait" and _speaks_of(node, call, names)


def _speaks_of(node: ast.AST, call: ast.AST, names: set[str]) -> bool:
    return any(
        one is call or (isinstance(one, ast.Name | ast.Attribute) and ast.unparse(one) in names)
        for one in ast.walk(node)
    )


def _callee(node: ast.AST) -> str:
    """The last word of what is called; "" where nothing is."""
    if not isinstance(node, ast.Call):
        return ""
    return node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
