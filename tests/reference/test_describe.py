"""The reference and `limner describe` cover every component, hook and interface, and agree with the code."""

import inspect
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pytest
from limner import Attention, LimnerError, Loss, PluginHost, Sizes, Slot, hookimpl, hooks
from limner.kinds import COMPONENTS, KINDS
from limner.recipes.options import option_model, resolve_component
from limner.recipes.schema import Recipe, Training
from limner.reference.commands import all_commands
from limner.reference.describe import component_options, describe, describe_component, recipe_snippet
from limner.reference.docstrings import argument_descriptions, docstring_to_markdown, escape
from limner.reference.entries import Description
from limner.reference.markdown import page, sections
from limner.reference.signatures import all_hooks, all_interfaces, field_comments
from limner.reference.type_words import type_in_words, value_in_words
from pydantic import Field

Positive = Annotated[int, Field(gt=0)]
HOOKS = [name for name in vars(hooks) if name.startswith("limner_")]
BUNDLED = [(kind, name) for kind in COMPONENTS for name in PluginHost().components(kind)]


class Glow(Loss):
    """Makes images glow.

        L_G = E[ a_*b*_c <d> ]

    As written in [1], *not* in x_1 | x_2.
    """

    def __init__(
        self,
        sizes: Sizes,
        *,
        warmth: Annotated[float, Field(gt=0, description="in kelvin")],
        color: Literal["red", "blue"] | None = None,
        lamps: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=2)] = [1, 2],  # noqa: B006
        at: Slot[Attention] = Slot(),  # noqa: B008
    ):
        """`color`: c, of the light; `lamps`: how many, room by room.

        Raises:
            LimnerError: in the dark.
        """
        super().__init__(sizes)


class GlowPlugin:
    """A plugin with Glow, and with a component that cannot be imported."""

    @hookimpl
    def limner_losses(self):
        return {"glow": Glow, "gloom": "limner_gloom:Gloom"}


@pytest.fixture
def glowing(plugins) -> PluginHost:
    plugins.register(GlowPlugin())
    return plugins


def squeeze(text: str) -> str:
    return " ".join(text.split())


# --- complete and exact ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_its_exact_signature(plugins, hook):
    function = getattr(hooks, hook)
    signature = all_hooks()[hook].signature
    scope: dict[str, Any] = {"Run": "Run", "Mapping": Mapping, "Named": hooks.Named}
    exec(f"{signature}: ...", scope)
    assert inspect.signature(scope[hook]) == inspect.signature(function)
    text = page(describe(plugins, "hooks"))
    assert f"## {escape(hook)}\n\n```python\n{signature}\n```\n" in text
    assert all(escape(squeeze(part)) in text for part in (inspect.getdoc(function) or "").split("\n\n"))
    assert page(describe(plugins, "hook", hook)).count("## ") == 1


@pytest.mark.parametrize("interface", [kind.interface for kind in COMPONENTS.values()], ids=COMPONENTS)
def test_every_interface_has_its_members(plugins, interface):
    members = {member.name: member for member in all_interfaces()[interface.__name__].members}
    for name, value in vars(interface).items():
        if inspect.isfunction(value) and not name.startswith("_"):
            for argument in inspect.signature(value).parameters:
                assert argument in members[name].signature
            assert members[name].about == (inspect.getdoc(value) if value.__doc__ else "")
    assert set(getattr(interface, "__annotations__", {})) <= set(members)
    text = page(describe(plugins, "interface", interface.__name__))
    assert all(f"\n{member.signature}\n" in text for member in members.values())


@pytest.mark.parametrize(("kind", "name"), BUNDLED)
def test_every_component_is_described_with_its_options(plugins, kind, name):
    component = plugins.load(kind, name)
    found = describe_component(plugins, kind, name)
    fields = option_model(component).model_fields
    assert [option.name for option in found.options] == list(fields)
    [section] = sections([found])
    for option, field in zip(found.options, fields.values()):
        default = "required" if field.is_required() else value_in_words(field.default)
        assert option.default == default
        assert re.search(rf"^\| `{option.name}` \| [^|]+ \| `?{re.escape(default)}`? \|", section, re.MULTILINE)
        assert option.about, f"the constructor's docstring should describe {option.name}"
    assert found.place in section
    assert f"plugin `{found.plugin}` (limner " in section


@pytest.mark.parametrize(("kind", "name"), BUNDLED)
def test_every_equation_is_unchanged(plugins, kind, name):
    docstring = inspect.cleandoc(plugins.load(kind, name).__doc__)
    blocks = re.findall(r"```text\n(.*?)\n```", docstring_to_markdown(docstring), re.DOTALL)
    equations = [line for line in docstring.splitlines() if line.startswith("    ") or re.match("L_. =", line)]
    kept = [line for block in blocks for line in block.splitlines() if line]
    assert [line.strip() for line in kept] == [line.strip() for line in equations]


@pytest.mark.parametrize(("kind", "name"), BUNDLED)
def test_every_example_is_a_valid_part_of_a_recipe(plugins, kind, name):
    table = tomllib.loads(recipe_snippet(plugins, kind, name, plugins.load(kind, name)))
    for key in re.sub(r"[][]", "", KINDS[kind].table.format(name)).split("."):
        table = table[key]
    part = table[0] if isinstance(table, list) else table
    assert part.pop("name", name) == name
    resolve_component(plugins, kind, name, part, "example")


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_lists_the_first_line_of_each_component(plugins, kind):
    listed = describe(plugins, kind).entries
    assert [entry.name for entry in listed] == list(plugins.components(kind))
    for entry in listed:
        assert entry.about
        assert "\n" not in entry.about
        assert squeeze(describe_component(plugins, kind, entry.name).about).startswith(entry.about)


def test_every_setting_of_a_recipe_is_described(plugins):
    found = {entry.name: entry for entry in describe(plugins, "settings").entries if isinstance(entry, Description)}
    keys = {option.name for setting in found.values() for option in setting.options}
    assert keys | set(found) >= {*Recipe.model_fields, *Training.model_fields}
    training = {option.name: option for option in found["training"].options}
    assert (training["seed"].default, training["load_parts"].default) == ("0", "[]")
    assert [option.name for option in training.values() if not option.about] == []


def test_every_command_is_described():
    from limner.cli.app import app
    from typer.main import get_command

    found = {command.name: command for command in all_commands(get_command(app), "limner")}
    assert {"limner train", "limner describe", "limner data coco"} <= set(found)
    options = {option.name: option for option in found["limner paint"].options}
    assert (options["-n"].type, options["-n"].default) == ("int, at least 1 and at most 1024", "4")
    assert (options["PROMPTS"].type, options["PROMPTS"].default) == ("str, may be repeated", "required")
    assert options["--best-of"].default == "not set"
    assert "limner paint runs/first" in found["limner paint"].example


# --- a component of the test ----------------------------------------------------------------------------------------


def test_options_of_all_types_are_described(glowing):
    rows = [(option.name, option.type, option.default, option.about) for option in component_options(Glow)]
    assert rows == [
        ("warmth", "float, more than 0", "required", "in kelvin"),
        ("color", '"red" or "blue", optional', "not set", "c, of the light."),
        ("lamps", "list of int, each at least 1; at least 2 of them", "[1, 2]", "how many, room by room."),
        ("at", "slot of attention", "empty", ""),
    ]
    found = describe(glowing, "loss", "glow")
    text = page(found)
    assert "| `warmth` | float, more than 0 | required | in kelvin |" in text
    assert "```text\nL_G = E[ a_*b*_c <d> ]\n```" in text
    assert r"As written in \[1\], \*not\* in x\_1 | x\_2." in text
    assert "```toml\n[losses.glow]\nwarmth = 1.0\n```" in text


def test_a_broken_component_is_listed_with_its_problem(glowing):
    listed = {entry.name: entry.about for entry in describe(glowing, "losses").entries}
    assert listed["glow"] == "Makes images glow."
    assert "could not be imported from 'limner_gloom:Gloom'" in listed["gloom"]
    with pytest.raises(LimnerError, match="could not be imported"):
        describe(glowing, "loss", "gloom")


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (int, "int"),
        (Annotated[int, Field(ge=1, le=4)], "int, at least 1 and at most 4"),
        (Annotated[int, Field(multiple_of=8)], "int, a multiple of 8"),
        (Annotated[str, Field(min_length=3)], "str, at least 3 characters"),
        (Annotated[int | None, Field(gt=0)], "int, more than 0, optional"),
        (Positive | None, "int, more than 0, optional"),
        (bool | Literal["nearest", "swapped"], 'bool, "nearest" or "swapped"'),
        (dict[str, str | int | float | bool], "table of str, int, float or bool"),
        (tuple[int, ...], "list of int"),
        (list[str] | None, "list of str, optional"),
        (list, "list"),
        (Slot[Attention], "slot of attention"),
        (Any, "anything"),
        (Sizes, "Sizes"),
    ],
)
def test_types_in_words(hint, words):
    assert type_in_words(hint) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (True, "true"),
        (None, "not set"),
        ("every level", '"every level"'),
        ([1, 0.5], "[1, 0.5]"),
        ({"split": "dev"}, '{split = "dev"}'),
        (Slot(), "empty"),
        (1e-3, "0.001"),
    ],
)
def test_values_in_words(value, words):
    assert value_in_words(value) == words


def test_descriptions_of_arguments():
    class Base:
        def __init__(self, *, width, height, old):
            """
            Args:
                width: of the map,
                    in pixels.
                height: likewise.
                old: as before.

            Raises:
                LimnerError: never.
            """

    class Derived(Base):
        def __init__(self, *, width, height, near, far):
            """`width` and `height`: g1, g2; `near`, `far`: of the
            space. Whatever else is said.
            """

    assert argument_descriptions(Derived) == {
        "width": "g1.",
        "height": "g2.",
        "near": "of the space. Whatever else is said.",
        "far": "of the space. Whatever else is said.",
        "old": "as before.",
    }
    assert argument_descriptions(Base)["width"] == "of the map, in pixels."


def test_comments_on_fields():
    class Fields:
        beside: int = 1  # on its line
        # on the line
        # above
        below: int = 2
        within: int = 3  # in brackets
        bare: int = 4

    comments = {"beside": "on its line", "below": "on the line above", "within": "in brackets", "bare": ""}
    assert field_comments(Fields) == comments


def test_a_docstring_as_markdown():
    docstring = """What it is.

    Code::

        first = 1

        second = 2

    A line
    - and another.

    Raises:
        LimnerError: for a width
            that is too <small>.
    """
    assert docstring_to_markdown(docstring).split("\n\n") == [
        "What it is.",
        "Code:",
        "```python\nfirst = 1",
        "second = 2\n```",
        "A line - and another.",
        "Raises:",
        "- `LimnerError`: for a width that is too &lt;small>.",
    ]


# --- the command ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["multi-head", "spatial"])
def test_the_command_prints_the_same_options(command, plugins, name):
    status, out, err = command("describe", "attention", name)
    assert (status, err) == (0, "")
    found = describe_component(plugins, "attention", name)
    for option in found.options:
        assert squeeze(f"{option.name} {option.type} {option.default} {option.about}") in squeeze(out)
    assert found.place in out
    assert f"plugin attention (limner {found.version})" in out
    assert f'[generator.attention] name = "{name}"' in squeeze(out)
    lines = [line.strip() for line in inspect.cleandoc(found.about).splitlines() if line.startswith("    ")]
    assert lines
    assert all(line in out for line in lines)


def test_the_command_lists_kinds_and_components(command):
    status, out, _ = command("describe")
    assert status == 0
    assert all(name in out and kind.hook in out for name, kind in KINDS.items())
    for topic in ("data-command", "data command", "Data commands"):
        assert "MS-COCO" in command("describe", topic)[1]


def test_the_command_prints_all_other_topics(command):
    out = command("describe", "hooks")[1]
    assert all(f"def {name}(" in out for name in HOOKS)
    assert 'limner_step_finished(run: "Run", losses: Mapping[str, float]) -> None' in out
    out = command("describe", "hook", "limner_losses")[1]
    assert "def limner_losses() -> Named" in out
    assert "limner_stages" not in out
    assert "class BagOfWords(TextEncoder):" in command("describe", "interface", "TextEncoder")[1]
    assert "batch_size" in command("describe", "setting", "training")[1]
    assert 'extends = "scenes-32"' in command("describe", "recipe", "quickstart")[1]
    assert "limner data coco --root coco" in command("describe", "data command", "coco")[1]


def test_the_command_prints_json(command):
    found = json.loads(command("describe", "attention", "multi-head", "--json")[1])
    assert found["place"] == "limner_attention.multi_head:MultiHeadAttention"
    heads = {"name": "heads", "type": "int, at least 1", "default": "4"}
    assert heads.items() < found["options"][0].items()
    listed = json.loads(command("describe", "attention", "--json")[1])
    assert [entry["name"] for entry in listed] == ["channel", "multi-head", "spatial"]
    assert [entry["name"] for entry in json.loads(command("describe", "hooks", "--json")[1])] == HOOKS
    assert {entry["name"] for entry in json.loads(command("describe", "--json")[1])} == set(KINDS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["atention"], "There is no topic 'atention', did you mean 'attention'.*there is encoder, .*, hook, interface"),
        (["multi-head"], "There is no topic 'multi-head'; there is 'limner describe attention multi-head'"),
        (["attention", "multihead"], "no attention 'multihead', did you mean 'multi-head'.*there is channel, multi-"),
        (["hook", "limner_loses"], "There is no hook 'limner_loses', did you mean 'limner_losses'"),
        (["interface", "Atention"], "There is no interface 'Atention', did you mean 'Attention'"),
        (["recipe", "quick"], "no recipe 'quick', did you mean 'quickstart'"),
    ],
)
def test_an_unknown_name_gets_a_suggestion(command, arguments, message):
    status, out, err = command("describe", *arguments)
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert re.search(message, err)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "imported"),
    [
        (["describe"], set()),
        (["describe", "hooks"], set()),
        (["describe", "recipe", "quickstart"], set()),
        (["describe", "--help"], set()),
        (["describe", "attention", "spatial"], {"torch", "numpy", "limner_attention.spatial"}),
    ],
)
def test_only_what_is_asked_for_is_imported(arguments, imported):
    heavy = ["torch", "numpy", "limner_attention.spatial", "limner_attention.channel", "limner_baseline.encoders"]
    code = (
        "import sys, limner.cli\n"
        f"sys.argv = ['limner', *{arguments!r}]\n"
        "try: limner.cli.main()\n"
        f"finally: print(*(set({heavy!r}) & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert set(done.stderr.split()) == imported
