"""Stages, the generator that stacks them, the discriminator for several scales, and consistency between scales."""

import json

import limner
import pytest
import torch
from limner import LimnerError, Sizes, Slot, TextFeatures
from limner.testing import check_discriminator
from limner_hierarchy.convex import ConvexEnlargement
from limner_hierarchy.discriminator import ScalesDiscriminator
from limner_hierarchy.generator import StagedGenerator
from limner_hierarchy.initial import InitialStage
from limner_hierarchy.refinement import RefinementStage
from limner_hierarchy.scale_consistency import ScaleConsistency
from limner_hierarchy.super_resolution import SuperResolutionStage
from torch.nn.functional import interpolate

FIRST = (InitialStage, None, {"size": 8, "channels": [8, 8]})
REFINEMENT = (RefinementStage, None, {"channels": 8})
SUPER = (SuperResolutionStage, None, {"channels": 8})


def sizes_of(image, resolutions=()):
    return Sizes(image=image, vocabulary=50, length=12, text=16, resolutions=resolutions)


def text_of(rows, seed=0):
    words = torch.randn(rows, 5, 16, generator=torch.Generator().manual_seed(seed))
    return TextFeatures(words, words.mean(1), torch.ones(rows, 5, dtype=torch.bool))


@pytest.fixture(autouse=True)
def seeded():
    """The same weights in each test."""
    torch.manual_seed(0)


# --- the generator and its stages -----------------------------------------------------------------------------------


@pytest.mark.parametrize("stages", [[FIRST], [FIRST, REFINEMENT], [FIRST, SUPER], [FIRST, REFINEMENT, SUPER]], ids=len)
def test_every_stage_gives_an_image(stages):
    image = 8 * 2 ** (len(stages) - 1)
    generator = StagedGenerator(sizes_of(image), stages=Slot(stages), noise=8)
    painted = generator(torch.randn(2, 8), text_of(2))
    assert generator.resolutions == tuple(8 * 2**stage for stage in range(len(stages)))
    assert [x.shape for x in painted] == [(2, 3, size, size) for size in generator.resolutions]
    assert all(x.abs().max() <= 1 for x in painted)


@pytest.mark.parametrize("stage", [REFINEMENT, SUPER], ids=["refinement", "super-resolution"])
def test_a_later_stage_reads_text_and_noise_again(stage):
    generator = StagedGenerator(sizes_of(16), stages=Slot([FIRST, stage]), noise=8)
    first, later = generator.children_in_order()
    noise, text = torch.randn(2, 8), text_of(2)
    canvas = first(None, noise, text)
    painted = later(canvas, noise, text).image
    assert (painted - later(canvas, noise, text_of(2, seed=1)).image).abs().max() > 1e-4
    assert (painted - later(canvas, torch.randn(2, 8), text).image).abs().max() > 1e-4


def test_gradients_reach_every_parameter_of_every_stage():
    generator = StagedGenerator(sizes_of(32), stages=Slot([FIRST, REFINEMENT, SUPER]), noise=8)
    loss = torch.cat([image.square().flatten() for image in generator(torch.randn(2, 8), text_of(2))]).sum()
    gradients = torch.autograd.grad(loss, list(generator.parameters()))
    assert all(gradient.abs().sum() > 0 for gradient in gradients)


@pytest.mark.parametrize(
    ("stages", "image", "options", "message"),
    [
        ([FIRST, REFINEMENT], 16, {"freeze": True}, "freeze: all stages train from the start"),
        ([FIRST, REFINEMENT], 32, {}, "they paint 8 -> 16, and the recipe's image_size is 32"),
        ([], 32, {}, "they paint nothing"),
        ([REFINEMENT], 16, {}, "'refinement' .* cannot be the first"),
        ([SUPER], 16, {}, "'super-resolution' .* cannot be the first"),
        ([FIRST, FIRST], 8, {}, "'initial' .* must be the first stage"),
        ([(InitialStage, None, {"size": 12, "channels": [8, 8]})], 12, {}, "image size 12 is not a multiple"),
        ([(InitialStage, [8], {})], 32, {}, "at: a stage .* takes no resolution"),
        ([FIRST, REFINEMENT], 16, {"grow": [0.2, 0.4]}, "grow: expected 1 rising fractions"),
        ([FIRST, REFINEMENT, REFINEMENT], 32, {"grow": [0.4, 0.2]}, "grow: expected 2 rising fractions"),
    ],
)
def test_stages_that_do_not_fit_are_refused(stages, image, options, message):
    with pytest.raises(LimnerError, match=message):
        StagedGenerator(sizes_of(image), stages=Slot(stages), **options)


def test_a_growing_generator_starts_with_one_stage():
    generator = StagedGenerator(sizes_of(32), stages=Slot([FIRST, REFINEMENT, SUPER]), noise=8, grow=[0.5, 0.75])
    joined = []
    for progress in (0.0, 0.49, 0.5, 0.8, 1.0):
        generator.grow_to(progress)
        joined.append([image.shape[-1] for image in generator(torch.randn(1, 8), text_of(1))])
    assert joined == [[8], [8], [8, 16], [8, 16, 32], [8, 16, 32]]
    generator.grow_to(0.5)
    read = StagedGenerator(sizes_of(32), stages=Slot([FIRST, REFINEMENT, SUPER]), noise=8)
    read.load_state_dict(generator.state_dict())
    assert read.resolutions == (8, 16)


# --- enlargement ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [3, 6, 12])
def test_convex_enlargement_equals_its_formula(size):
    part = ConvexEnlargement(4).double()
    torch.nn.init.normal_(part.masks.weight, std=0.5)
    hidden, image = torch.randn(2, 4, size, size).double(), torch.rand(2, 3, 6, 6).double()
    masks = interpolate(part.masks(hidden), (12, 12), mode="bilinear")
    padded = torch.nn.functional.pad(image, (1, 1, 1, 1), mode="replicate")
    toward = [[0.25, 0.75, 0.01], [0.01, 0.75, 0.25]]  # the old pixel before, at and after an even or an odd new one
    for y, x in ((0, 0), (5, 8), (11, 3)):
        row, column = y // 2, x // 2
        bilinear = [toward[y % 2][one] * toward[x % 2][other] for one in range(3) for other in range(3)]
        shares = (masks[:, :, y, x] + torch.tensor(bilinear).double().log()).softmax(1)
        around = padded[:, :, row : row + 3, column : column + 3].flatten(2)
        expected = (shares[:, None] * around).sum(-1).float()
        torch.testing.assert_close(part(hidden, image)[:, :, y, x], expected)


def test_convex_enlargement_starts_bilinear_and_adds_no_color():
    part = ConvexEnlargement(4)
    image = torch.rand(2, 3, 8, 8)
    painted = part(torch.zeros(2, 4, 4, 4), image)
    assert (painted - interpolate(image, scale_factor=2, mode="bilinear")).abs().max() < 0.05
    wild = part(1000 * torch.randn(2, 4, 4, 4), image)
    assert wild.max() <= image.max() + 1e-5
    assert wild.min() >= image.min() - 1e-5


# --- the discriminator ----------------------------------------------------------------------------------------------


def images_of(rows, sizes):
    return [torch.rand(rows, 3, size, size) for size in sizes]


@pytest.mark.parametrize(("apart", "scores"), [(False, 1), (True, 3)])
def test_every_scale_changes_the_score(apart, scores):
    part = ScalesDiscriminator(sizes_of(32, (8, 16, 32)), channels=[8, 8, 8], meet=8, apart=apart, residual=[8, 4])
    for trunk in part.trunks.children():
        for stem in trunk.get_submodule("stems").children():  # as after some steps: at first all but one are small
            torch.nn.init.normal_(stem.get_parameter("weight"), std=0.1)
    images, text = images_of(2, (8, 16, 32)), text_of(2)
    judgement = part(images, text)
    assert judgement.match.shape == (2, scores)
    assert judgement.features.shape == (2, part.feature_channels, part.feature_size, part.feature_size)
    for place in range(3):
        others = [torch.rand_like(image) if i == place else image for i, image in enumerate(images)]
        changed = (part(others, text).match - judgement.match).abs().amax(0) > 1e-5
        assert changed.tolist() == ([i == place for i in range(3)] if apart else [True])
    assert (part(images, text_of(2, seed=1)).match - judgement.match).abs().min() > 1e-5


@pytest.mark.parametrize("apart", [False, True])
def test_a_missing_scale_contributes_zeros(apart):
    part = ScalesDiscriminator(sizes_of(16, (8, 16)), channels=[8, 8], meet=8, apart=apart)
    judgement = part(images_of(2, (8,)), text_of(2))
    assert judgement.features.shape[1] == part.feature_channels
    assert judgement.match.isfinite().all()


@pytest.mark.parametrize("apart", [False, True])
def test_every_head_scores_its_regions_too(apart):
    options = {"channels": [8, 8, 8], "meet": 8, "apart": apart}
    plain, part = (
        (torch.manual_seed(0), ScalesDiscriminator(sizes_of(16, (8, 16)), **options, regions=regions))[1]
        for regions in (False, True)
    )
    part.load_state_dict(plain.state_dict(), strict=False)
    images, text = images_of(2, (8, 16)), text_of(2)
    whole, scores = plain(images, text).match, part(images, text).match.unflatten(1, (-1, 2, 16))
    assert torch.equal(scores[:, :, 1], whole[..., None].expand(-1, -1, 16))
    assert scores[:, :, 0].std(-1).min() > 1e-4
    check_discriminator(ScalesDiscriminator, **options, regions=True)


def test_a_scale_that_joins_changes_little_but_learns():
    part = ScalesDiscriminator(sizes_of(32, (8, 16, 32)), channels=[8, 8, 8], meet=8)
    images, text = images_of(2, (8, 16, 32)), text_of(2)
    judgement = part(images, text)
    change, spread = judgement.match - part(images[:1], text).match, judgement.match - judgement.match.mean()
    assert change.abs().max() < 0.05 * spread.abs().max()
    gradients = torch.autograd.grad(judgement.match.sum(), list(part.parameters()))
    assert all(gradient.abs().sum() > 0 for gradient in gradients)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"meet": 12}, "meet: expected a size that divides every image size, got 12 for 16"),
        ({"meet": 4, "channels": [8, 8, 8, 8, 8]}, "channels: 5 layers shrink a map of 4 pixels too far"),
        ({"residual": [5]}, "residual: .* no map of 5 pixels; it has 16, 8, 4"),
    ],
)
def test_a_discriminator_that_does_not_fit_is_refused(options, message):
    with pytest.raises(LimnerError, match=message):
        ScalesDiscriminator(sizes_of(32, (16, 32)), **options)


@pytest.mark.parametrize("apart", [False, True])
def test_weights_of_stems_are_read_under_their_old_name(apart):
    part = ScalesDiscriminator(sizes_of(32, (16, 32)), channels=[8, 8, 8], meet=8, apart=apart)
    old = {name.replace(".stems.", ".eyes."): torch.randn_like(value) for name, value in part.state_dict().items()}
    assert any(".eyes." in name for name in old)
    part.load_state_dict(dict(old))
    assert torch.equal(part.trunks.get_parameter("0.stems.16.weight"), old["trunks.0.eyes.16.weight"])


# --- the loss, and a training ---------------------------------------------------------------------------------------


def test_scale_consistency_equals_its_formula(make_step):
    small, middle, large = images_of(2, (4, 8, 16))
    step = make_step(generated_images=[small, middle, large])
    down = [image.double().unflatten(3, (-1, 2)).mean(-1).unflatten(2, (-1, 2)).mean(3) for image in (middle, large)]
    expected = (((down[0] - small) ** 2).mean() + ((down[1] - middle) ** 2).mean()) / 2
    loss = ScaleConsistency(sizes_of(16))
    found = loss.generator(step)
    assert found is not None
    torch.testing.assert_close(found.double(), expected)
    assert loss.generator(make_step(generated_images=[small])) is None


def staged(recipe, **options):
    stages = [{"name": "initial", "size": 8, "channels": [8, 8]}, {"name": "refinement", "channels": 8}]
    recipe["generator"] = {"name": "staged", "stages": stages, "noise": 8, **options}
    recipe["discriminator"] = {"name": "scales", "channels": [8, 8, 8], "meet": 8, "head": 8}
    recipe["losses"]["scale-consistency"] = {}
    return recipe


@pytest.mark.parametrize("apart", [False, True])
def test_a_saved_model_gives_the_same_images(recipe, tmp_path, apart):
    recipe = staged(recipe)
    recipe["discriminator"]["apart"] = apart
    model = limner.train(recipe, tmp_path / "run", quiet=True)
    painted = model.paint_images(["a red circle above a blue square"])
    assert painted.shape == (1, 3, 16, 16)
    assert torch.equal(limner.load(tmp_path / "run").paint_images(["a red circle above a blue square"]), painted)


def test_growing_ends_with_every_stage(recipe, tmp_path):
    resolutions = []

    class Record:
        @limner.hookimpl(trylast=True)
        def limner_step_finished(self, run):
            resolutions.append(run.networks.conditional_generator.generator.resolutions)

    recipe = staged(recipe, grow=[0.5])
    recipe["training"]["steps"] = 4
    model = limner.train(recipe, tmp_path / "run", quiet=True, callbacks=[Record()])
    assert resolutions == [(8,), (8, 16), (8, 16), (8, 16)]
    assert model.paint_images(["a red circle above a blue square"]).shape[-1] == 16


def test_earlier_stages_are_frozen_at_their_average(recipe, tmp_path):
    weights = []  # of each step: those that learn, and their average

    class Record:
        @limner.hookimpl(trylast=True)
        def limner_step_finished(self, run):
            both = run.networks.conditional_generator, run.model.conditional_generator
            states = [(part.encoder.state_dict(), part.generator.stages[0].state_dict()) for part in both]
            weights.append([{k: v.clone() for part in parts for k, v in part.items()} for parts in states])

    recipe = staged(recipe, grow=[0.5], freeze=True)
    recipe["training"]["steps"] = 6
    model = limner.train(recipe, tmp_path / "run", quiet=True, callbacks=[Record()])

    def same(one, other):
        return all(torch.equal(one[name], other[name]) for name in one)

    assert not same(weights[0][0], weights[1][0])  # it learns while it is alone
    assert not same(weights[1][0], weights[2][0])  # then it takes the average
    assert all(same(weights[2][which], later[which]) for later in weights[3:] for which in (0, 1))
    assert same(weights[2][0], weights[2][1])
    assert limner.load(tmp_path / "run").conditional_generator.generator.resolutions == (8, 16)
    assert model.recipe.generator.options["freeze"] is True


@pytest.mark.slow
def test_every_stage_can_be_painted_and_evaluated(recipe, tmp_path, command):
    recipe = staged(recipe)
    model = limner.train(recipe, tmp_path / "run", quiet=True)
    prompt = "a red circle above a blue square"
    small, large = (model.paint_images([prompt], seed=3, size=size) for size in (8, 16))
    assert (small.shape[-1], large.shape[-1]) == (8, 16)
    assert torch.equal(large, model.paint_images([prompt], seed=3))
    pictures = model.paint_stages(prompt, seed=3)
    assert [image.size for image in pictures.images] == [(16, 16)] * 2
    assert pictures.labels[0] == f"8 px: {prompt}"
    assert pictures[0].resize((8, 8), 0).tobytes() == model.paint(prompt, seed=3, size=8)[0].tobytes()
    with pytest.raises(LimnerError, match="paints no images of 32 pixels; it paints 8, 16"):
        model.evaluate(32)
    status, out, _ = command("evaluate", tmp_path / "run", "--size", 16, "--json")
    assert status == 0
    assert (
        json.loads(out)["trained/exact"]
        == json.loads((tmp_path / "run" / "scores_16.json").read_text())["trained/exact"]
    )
    status, _, err = command("paint", tmp_path / "run", prompt, "--size", 9)
    assert (status, "size: this model paints no images of 9 pixels" in err) == (1, True)
