"""Plugins that do anything: each is used, or left out with a short sentence, and leaves nothing behind."""

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from limner import LimnerError, Loss, PluginHost, hookimpl
from limner.errors import LONGEST, printable
from limner.kinds import KINDS
from limner.plugin_checks import LONGEST_PROBLEM

HOST = PluginHost()


class Odd:
    """An object that cannot be shown or compared."""

    def __repr__(self):
        raise RuntimeError("\x1b[31m" * 1000)

    __str__ = __repr__


class UnspeakableError(Exception):
    """An exception that has no message."""

    def __str__(self):
        raise RuntimeError("no message")


names = st.text(max_size=20) | st.sampled_from(["hinge", "mlp", "quickstart", "scenes", "a" * 5000, "\x1b[31m"])
targets = st.sampled_from(
    ["limner:Loss", "json", "json:", ":", "no_such:A", "limner_scenes:gone.toml", "json.decoder:x"]
)
values = st.none() | st.integers() | st.text(max_size=20) | st.just(Loss) | st.just(int) | st.builds(Odd) | targets
named = st.dictionaries(names, targets | st.just(Loss) | st.just(int), max_size=3) | st.dictionaries(
    st.integers() | names, values, max_size=3
)
errors = st.sampled_from(
    [RuntimeError("x" * 10_000), SystemExit(3), RecursionError(), MemoryError(), UnspeakableError()]
)
versions = (
    st.none() | st.text(max_size=12) | st.integers() | st.builds(Odd) | st.sampled_from(["1.0", "1.1", "9" * 9999])
)


def plugin_of(kind: str, returned: Any, version: Any) -> SimpleNamespace:
    """An object with one hook that returns that, or raises it."""

    def hook():
        if isinstance(returned, BaseException):
            raise returned
        return returned

    hook.__name__ = KINDS[kind].hook
    module = SimpleNamespace(**{hook.__name__: hookimpl(hook)})
    if version is not None:
        module.API_VERSION = version
    return module


def use(kind: str, name: str) -> None:
    """Use a component, whatever its kind."""
    if kind == "recipe":
        HOST.recipe_path(name)
    elif kind == "model":
        HOST.model_path(name)
    elif kind == "data command":
        HOST.bring(HOST.find(kind, name))
    else:
        HOST.load(kind, name)


@given(st.sampled_from(sorted(KINDS)), named | values | errors | st.lists(values, max_size=3), versions)
def test_any_plugin(kind, returned, version):
    before = dict(HOST.plugins), {key: list(found) for key, found in HOST._components.items()}
    with HOST.registered(plugin_of(kind, returned, version)) as plugin:
        if plugin.problem:
            assert len(plugin.problem) <= LONGEST_PROBLEM
            assert plugin.problem == printable(plugin.problem)
        for name in returned if isinstance(returned, dict) and not plugin.problem else ():
            told = ""
            try:
                use(kind, name)
            except LimnerError as error:
                told = str(error)
            assert len(told) <= LONGEST
        assert (kind, "mlp") in HOST.clashes or HOST.load("encoder", "mlp").__name__ == "MLPEncoder"
    assert (HOST.plugins, HOST._components) == before
