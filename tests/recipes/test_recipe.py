"""Recipes: how they extend one another, and that whatever is wrong in one is told in one sentence."""

import re
import tomllib

import limner
import pytest
import tomli_w
from limner import CaptionedImages, Dataset, LimnerError, PluginHost, Recipe, hookimpl
from limner.recipes.merging import merge

RECIPES = list(PluginHost().components("recipe"))


# --- bundled recipes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RECIPES)
def test_a_bundled_recipe_is_right_and_its_sizes_fit(plugins, name):
    from limner.recipes.build import dry_run

    recipe = Recipe.read(plugins, name)
    assert recipe.title, "`limner recipes` shows it"
    dry_run(plugins, recipe)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_survives_being_written(plugins, name):
    recipe = Recipe.read(plugins, name)
    written = tomli_w.dumps(recipe.table())
    assert Recipe.read(plugins, tomllib.loads(written)) == recipe


# --- a text instead of a table --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("data", "scenes"),
        ("encoder", "lstm"),
        ("generator", "convolutional"),
        ("discriminator", "convolutional"),
        ("losses.adversarial", "hinge"),
        ("metrics.judge", "scene-judge"),
    ],
)
def test_a_text_stands_for_the_component_of_that_name(plugins, recipe, place, name):
    text, table = ([f"{place}={part}"] for part in (name, f"{{name = '{name}'}}"))
    assert Recipe.read(plugins, recipe, text) == Recipe.read(plugins, recipe, table)
    group, _, own = place.rpartition(".")
    whole = recipe | ({group: {own: name}} if group else {own: name})
    checked = {where: part.name for _, where, part in Recipe.check(plugins, whole, "here").parts()}
    assert checked[place] == name


def test_a_text_is_extended_as_a_table_is(plugins, write):
    write("short", "extends = 'base.toml'\nencoder = 'lstm'\nlosses.one = 'hinge'\nlosses.two = 'r1'\n")
    mine = Recipe.read(plugins, write("my", "extends = 'short.toml'\nencoder.width = 8\nlosses.two = false\n"))
    assert (mine.encoder.name, mine.encoder.options) == ("lstm", {"width": 8})
    assert (mine.losses["one"].name, "two" in mine.losses) == ("hinge", False)
    again = Recipe.read(plugins, write("again", "extends = 'my.toml'\nencoder = 'lstm'\n"))
    assert again.encoder == mine.encoder, "the component is the same, so its options stay"


def test_an_unknown_component_is_told_when_it_is_but_a_text(plugins, recipe):
    with pytest.raises(LimnerError, match=r"the recipe: encoder: there is no encoder 'lstn', did you mean 'lstm'\?"):
        Recipe.read(plugins, recipe, ["encoder=lstn"])


# --- extending ------------------------------------------------------------------------------------------------------


@pytest.fixture
def write(tmp_path, recipe):
    """Writes the tiny recipe as `base.toml`, and further ones beside it: `write("my", "extends = 'base.toml'")`."""
    (tmp_path / "base.toml").write_text(tomli_w.dumps(recipe))

    def written(name, text):
        path = tmp_path / f"{name}.toml"
        path.write_text(text)
        return path

    return written


def test_extending_a_file_says_only_what_differs(plugins, write):
    mine = Recipe.read(plugins, write("my", "extends = 'base.toml'\n[training]\nsteps = 7\n"))
    assert mine.training.steps == 7
    assert mine.training.batch_size == 8
    assert mine.encoder.options == {"width": 16, "hidden": 16}


def test_extending_goes_on_through_folders(plugins, write, tmp_path):
    (tmp_path / "deep").mkdir()
    write("deep/middle", "extends = '../base.toml'\ntitle = 'middle'\n")
    mine = Recipe.read(plugins, write("my", "extends = 'deep/middle.toml'\nimage_size = 32\n"))
    assert (mine.title, mine.image_size, mine.training.steps) == ("middle", 32, 3)


def test_extending_a_recipe_of_a_plugin_by_name(install, write):
    site = install(
        "limner-glow",
        "1",
        {"glow": "limner_glow"},
        limner_glow="from limner.hooks import hookimpl\n\n@hookimpl\ndef limner_recipes():\n"
        "    return {'glowing': 'limner_glow_recipes:glowing.toml'}\n",
    )
    (site / "limner_glow_recipes").mkdir()
    (site / "limner_glow_recipes" / "glowing.toml").write_text((site.parent / "base.toml").read_text())
    mine = Recipe.read(PluginHost(), write("my", "extends = 'glowing'\n[training]\nsteps = 7\n"))
    assert (mine.training.steps, mine.generator.options["noise"]) == (7, 8)


def test_recipes_that_extend_each_other_in_a_circle_are_named(plugins, write):
    write("a", "extends = 'b.toml'")
    write("b", "extends = 'a.toml'")
    with pytest.raises(LimnerError, match=r"in a circle: .*a\.toml -> .*b\.toml -> .*a\.toml"):
        Recipe.read(plugins, write("my", "extends = 'a.toml'"))


BASE = {
    "encoder": {"name": "mlp", "width": 8},
    "training": {"steps": 3, "seed": 1},
    "losses": {"hinge": {"weight": 2.0}},
}


@pytest.mark.parametrize(
    ("changes", "merged"),
    [
        ({"encoder": {"width": 9}}, {"encoder": {"name": "mlp", "width": 9}}),
        ({"encoder": {"name": "mlp", "hidden": 9}}, {"encoder": {"name": "mlp", "width": 8, "hidden": 9}}),
        ({"encoder": {"name": "lstm"}}, {"encoder": {"name": "lstm"}}),
        ({"training": {"seconds": 5}}, {"training": {"seconds": 5, "seed": 1}}),
        ({"training": {"steps": 5}}, {"training": {"steps": 5, "seed": 1}}),
        ({"losses": {"r1": {}}}, {"losses": {"hinge": {"weight": 2.0}, "r1": {}}}),
        ({"losses": {"hinge": False}}, {"losses": {}}),
        ({"losses": {"hinge": {"weight": 3.0}}}, {"losses": {"hinge": {"weight": 3.0}}}),
        ({"prompts": ["a"]}, {"prompts": ["a"]}),
    ],
    ids=str,
)
def test_merging(changes, merged):
    before = {key: dict(value) for key, value in BASE.items()}
    assert merge(BASE, changes) == {**BASE, **merged}
    assert before == BASE, "the base is not changed"


def test_a_replaced_component_keeps_its_place_in_the_slot():
    slot = {"attention": {"name": "spatial", "at": [4, 8], "heads": 2}}
    assert merge(slot, {"attention": {"name": "channel"}}) == {"attention": {"name": "channel", "at": [4, 8]}}
    assert merge(slot, {"attention": {"name": "channel", "at": [8]}}) == {"attention": {"name": "channel", "at": [8]}}
    assert merge(slot, {"attention": {"at": [8]}}) == {"attention": {"name": "spatial", "at": [8], "heads": 2}}


@pytest.mark.parametrize(("one", "other"), [("steps", "seconds"), ("seconds", "steps")])
def test_one_budget_replaces_the_other(plugins, write, one, other):
    write("parent", f"extends = 'base.toml'\n[training]\n{one} = 5\n")
    training = Recipe.read(plugins, write("my", f"extends = 'parent.toml'\n[training]\n{other} = 6\n")).training
    assert getattr(training, one) is None
    assert getattr(training, other) == 6


# --- overrides ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "read"),
    [
        ("training.steps=500", lambda r: r.training.steps == 500),
        ("training.seconds=1.5", lambda r: (r.training.seconds, r.training.steps) == (1.5, None)),
        ("encoder.name=transformer", lambda r: (r.encoder.name, r.encoder.options) == ("transformer", {})),
        ("title=two words = one title", lambda r: r.title == "two words = one title"),
        ("generator.channels=[4, 4]", lambda r: r.generator.options["channels"] == [4, 4]),
        ("losses.hinge=false", lambda r: "hinge" not in r.losses),
        ("losses.second={name='hinge', weight=0.5}", lambda r: r.losses["second"].weight == 0.5),
        ("metrics.scene-judge.prompts=9", lambda r: r.metrics["scene-judge"].options == {"prompts": 9}),
    ],
)
def test_overrides(plugins, recipe, override, read):
    assert read(Recipe.read(plugins, recipe, [override]))


def test_later_overrides_win_also_in_train(plugins, recipe):
    checked = Recipe.read(plugins, recipe, ["training.steps=5", "training.steps=2", "encoder.width=8"])
    assert (checked.training.steps, checked.encoder.options) == (2, {"width": 8, "hidden": 16})
    assert limner.train(checked, overrides=["training.seed=5"], quiet=True).recipe.training.seed == 5


# --- whatever is wrong is told in one sentence ----------------------------------------------------------------------

WRONG = {  # an override of the tiny recipe: the place in the recipe, and what the sentence says
    "trainin.steps=3": ("trainin", "did you mean 'training'?"),
    "training.step=3": ("training.step", "no option 'step', did you mean 'steps'?"),
    "text.lenght=4": ("text.lenght", "did you mean 'length'?"),
    "encoder.widht=3": ("encoder.widht", "the encoder 'mlp' has no option 'widht', did you mean 'width'?"),
    "data.colour=3": ("data.colour", "the dataset 'scenes' has no option 'colour'"),
    "losses.hinge.margin=3": ("losses.hinge.margin", "the loss 'hinge' has no option 'margin'"),
    "encoder.name=lstn": (
        "encoder",
        "there is no encoder 'lstn', did you mean 'lstm'?; there is lstm, mlp, phrase, pretr",
    ),
    "generator.name=convolutionl": ("generator", "did you mean 'convolutional'?"),
    "data.name=scene": ("data", "there is no dataset 'scene', did you mean 'scenes'?"),
    "losses.hing={}": ("losses.hing", "there is no loss 'hing', did you mean 'hinge'?"),
    "metrics.scene-judg={}": ("metrics.scene-judg", "did you mean 'scene-judge'?"),
    "generator.attention=spotlight": ("generator.attention", "there is no attention 'spotlight'"),
    "generator.attention=3": ("generator.attention", 'expected "name" or {name = "...", at = [...]}, got 3'),
    "training.steps=many": ("training.steps", "expected a valid integer, got 'many'"),
    "training.steps=0": ("training.steps", "expected greater than or equal to 1, got 0"),
    "encoder.width=8.5": ("encoder.width", "expected a valid integer, got 8.5"),
    "encoder.width=true": ("encoder.width", "expected a valid integer, got True"),
    "training.optimizer.betas=[0.5]": ("training.optimizer.betas", "at least 2 items"),
    "training.precision='half'": ("training.precision", "expected 'auto', 'float32' or 'bfloat16', got 'half'"),
    f"training.seed={2**64}": ("training.seed", "less than"),
    "losses.hinge.condition='words'": ("losses.hinge.condition", "expected 'text', 'none' or 'both', got 'words'"),
    "losses.hinge.weight=-1": ("losses.hinge.weight", "expected greater than or equal to 0, got -1"),
    "prompts=red": ("prompts", "expected a valid list, got 'red'"),
    "data.name=coco": ("data.root", "the dataset 'coco' needs this option"),
    "losses.hinge.name=false": ("losses.hinge.name", "expected a valid string, got False"),
}


@pytest.mark.parametrize(("override", "place", "message"), [(key, *value) for key, value in WRONG.items()])
def test_a_wrong_entry_is_told_with_its_place(plugins, recipe, override, place, message):
    with pytest.raises(LimnerError) as caught:
        Recipe.read(plugins, recipe, [override])
    assert str(caught.value).startswith(f"the recipe: {place}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("part", ["data", "encoder", "generator", "losses", "training"])
def test_a_missing_part_is_told(plugins, recipe, part):
    del recipe[part]
    with pytest.raises(LimnerError, match=f"the recipe: {part}: a recipe needs this option"):
        Recipe.read(plugins, recipe)


def test_both_budgets_or_none_are_told(plugins, recipe):
    for budget in ({}, {"steps": 3, "seconds": 3.0}):
        with pytest.raises(LimnerError, match=r"training: .*give the budget either in steps or in seconds"):
            Recipe.read(plugins, recipe | {"training": budget})


@pytest.mark.parametrize("override", ["training.steps", "=3", "", " = 3"])
def test_an_override_that_is_none_is_told(plugins, recipe, override):
    with pytest.raises(LimnerError, match=rf"--set {re.escape(override)}: expected KEY=VALUE"):
        Recipe.read(plugins, recipe, [override])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image_size = ", "is not valid TOML: Invalid value"),
        ("extends = 3", "extends: expected the name or file of one recipe, got 3"),
        ("extends = 'nowhere.toml'", r"my\.toml: extends: there is no recipe file .*nowhere\.toml"),
        ("extends = 'no-such-recipe'", r"my\.toml: extends: there is no recipe 'no-such-recipe'"),
        ("extends = 'base.toml'\n[training]\nstep = 1", r"my\.toml: training\.step: .*did you mean 'steps'"),
    ],
)
def test_a_wrong_file_is_named(plugins, write, text, message):
    path = write("my", text)
    with pytest.raises(LimnerError, match=message) as caught:
        Recipe.read(plugins, path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("coc", "There is no recipe 'coc', did you mean 'coco'?"),
        ("mine.toml", "There is no recipe file mine.toml"),
        ("recipes/mine", "There is no recipe file recipes/mine"),
    ],
)
def test_an_unknown_recipe_is_told(plugins, name, message):
    with pytest.raises(LimnerError, match=message):
        Recipe.read(plugins, name)


# --- what does not fit together fails before any work ---------------------------------------------------------------


class NeverRead(Dataset):
    """Captioned images that nobody may ask for."""

    def load(self) -> CaptionedImages:
        raise AssertionError("the data was read")


class Brings:
    """A plugin with the data set above."""

    @hookimpl
    def limner_datasets(self):
        return {"never-read": NeverRead}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("generator.channels=[8, 8, 8, 8]", "generator: channels: 4 levels make a map of 32 pixels"),
        ("discriminator.channels=[8, 8, 8, 8, 8, 8, 8]", "discriminator: channels: 7 layers shrink 16 pixels too far"),
        ("losses.noise-reading.numbers=9", "losses.noise-reading: numbers: the noise has only 8"),
        ("encoder={name='lstm', width=9}", "encoder: width: expected an even number"),
        ("encoder={name='transformer', width=10}", "encoder: heads: 4 heads do not divide the width 10"),
        ("losses={hinge=false, sentence-contrast=false, noise-reading=false}", "losses: .* the generator"),
    ],
)
def test_what_does_not_fit_fails_before_data_is_read(plugins, recipe, tmp_path, override, message):
    plugins.register(Brings())
    recipe["data"] = {"name": "never-read"}
    with pytest.raises(LimnerError, match=message):
        limner.train(recipe, tmp_path / "run", [override], quiet=True, plugins=plugins)
    assert not (tmp_path / "run").exists()
