"""Streaming: one order for one seed, a bounded buffer, shards of one's own, and an exact continuation."""

from itertools import islice

import limner
import limner_shards.stream
import pytest
import torch
from limner import CaptionedImages, LimnerError, PluginHost, Tokenizer, hookimpl
from limner.data.batches import Batches
from limner.data.export import export
from limner.data.streamed_batches import StreamedBatches, some_captions
from limner.recipes.schema import Text
from limner.shared_rows import AllRows
from limner.testing import tiny_recipe
from limner.testing.tiny import TINY, make_plugin
from limner_shards.dataset import Shards
from limner_shards.stream import shuffled


def random(seed=0):
    return torch.Generator().manual_seed(seed)


def stream_of(folder, process=0, processes=1, **options):
    return Shards(16, root=str(folder), **options).stream(process, processes)


def images_of(stream, seed=0, start=0):
    return [image for image in stream.epoch(random(seed), start) if image is not None]


def numbers(stream, seed=0, start=0):
    return [image.number for image in images_of(stream, seed, start)]


def batches_of(folder, size=4, seed=0, process=0, processes=1, **options):
    stream = stream_of(folder, process, processes, **options)
    words = Tokenizer.learn(stream.captions, Text(length=12))
    return StreamedBatches(stream, words, size, seed, None, Half(process) if processes == 2 else AllRows())


class Half(AllRows):
    """The rows of one of two processes, which never hears of the other."""

    processes = 2

    def __init__(self, rank):
        self.rank = rank


def same(one, other):
    return all(torch.equal(a.images, b.images) and torch.equal(a.tokens.ids, b.tokens.ids) for a, b in zip(one, other))


@pytest.fixture
def folder(make_shards):
    """Four shards of five images."""
    return make_shards(*[list(range(first, first + 5)) for first in (0, 5, 10, 15)])


# --- the order ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 7, 100])
@pytest.mark.parametrize("buffer", [1, 3, 7, 1000])
def test_a_shuffle_buffer_returns_each_number_once_and_none_too_early(count, buffer):
    order = list(shuffled(count, buffer, random()))
    assert sorted(order) == list(range(count))
    assert all(number < place + buffer for place, number in enumerate(order))
    assert buffer > 1 or order == sorted(order)


def test_a_large_buffer_shuffles_evenly():
    firsts = [next(shuffled(4, 4, random(seed))) for seed in range(400)]
    assert all(70 < firsts.count(number) < 130 for number in range(4))


def test_one_seed_gives_one_order_and_every_image_once(folder):
    stream = stream_of(folder, shuffle=4)
    assert numbers(stream) == numbers(stream) == numbers(stream_of(folder, shuffle=4))
    assert sorted(numbers(stream)) == list(range(20))
    assert numbers(stream) != numbers(stream, seed=1)
    assert numbers(stream_of(folder, shuffle=1)) == list(range(20))


@pytest.mark.parametrize("start", [1, 6, 13, 19, 20])
def test_an_epoch_can_start_in_its_middle(folder, start):
    stream = stream_of(folder, shuffle=6)
    assert numbers(stream, start=start) == numbers(stream)[start:]


def test_only_what_is_still_to_come_is_decoded_again(folder, monkeypatch):
    stream, decoded, decode = stream_of(folder, shuffle=6), [], limner_shards.stream.decode_images
    monkeypatch.setattr(limner_shards.stream, "decode_images", lambda s, n: decoded.extend(s) or decode(s, n))
    numbers(stream, start=15)
    assert len(decoded) == 5


def test_memory_holds_no_more_than_the_buffer(folder, monkeypatch):
    """Images that were decoded and not returned yet."""
    monkeypatch.setattr(limner_shards.stream, "CHUNK", 1)
    made, decode = [], limner_shards.stream.decode_images
    monkeypatch.setattr(limner_shards.stream, "decode_images", lambda s, n: made.extend(s) or decode(s, n))
    most = max(len(made) - returned for returned, _ in enumerate(stream_of(folder, shuffle=6).epoch(random())))
    assert most == 6


# --- batches --------------------------------------------------------------------------------------------------------


def test_batches_go_on_into_the_next_epoch(folder):
    read = [round(float(red)) for b in islice(batches_of(folder, 8), 5) for red in (b.images[:, 0, 0, 0] + 1) * 127.5]
    assert sorted(read[:20]) == sorted(read[20:]) == list(range(20))
    assert read[:20] != read[20:]


def test_each_image_comes_with_another_of_its_captions(folder):
    batches, read = batches_of(folder, 4), set()
    for batch in islice(batches, 10):
        assert batch.other_captions is not None
        captions, others = (
            [str(batches.tokenizer.inner.decode(ids, skip_special_tokens=True)) for ids in tokens.ids]
            for tokens in (batch.tokens, batch.other_captions)
        )
        numbers = ((batch.images[:, 0, 0, 0] + 1) * 127.5).round().int().tolist()
        for number, caption, other in zip(numbers, captions, others):
            assert {caption, other} == {f"wall number {number}", "a plain wall"}
            read.add(caption == "a plain wall")
    assert read == {True, False}, "each of the two is drawn"


@pytest.mark.parametrize("made", [1, 4, 6, 12])
def test_batches_continue_exactly(folder, made):
    first = batches_of(folder, 4, shuffle=6)
    stopped = iter(first)
    list(islice(stopped, made))
    state, own = first.state_dict(), first.own_random.get_state()
    expected = list(islice(stopped, 7))
    resumed = batches_of(folder, 4, shuffle=6)
    resumed.load_state_dict(state)
    resumed.own_random.set_state(own)
    found = list(islice(resumed, 7))
    assert same(found, expected)
    assert all(torch.equal(a.mismatched, b.mismatched) for a, b in zip(found, expected))


def test_processes_read_their_own_shards(folder):
    streams = [stream_of(folder, process, 3) for process in range(3)]
    parts = [set(numbers(stream)) for stream in streams]
    assert [sorted({number // 5 for number in part}) for part in parts] == [[0, 3], [1], [2]]
    assert sorted(number for part in parts for number in part) == list(range(20))
    assert len({stream.fingerprint for stream in streams}) == 1
    assert [len(next(iter(batches_of(folder, 7, 0, process, 2)))) for process in (0, 1)] == [4, 3]


def test_fewer_shards_than_processes_are_refused(folder):
    with pytest.raises(
        LimnerError, match="4 shards cannot be shared by 5 processes; write at least 5 shards, or start"
    ):
        stream_of(folder, 0, 5)


def test_captions_are_cut_counted_and_padded(folder, monkeypatch):
    batches = batches_of(folder, 4)
    assert (batches.captions, batches.truncated, batches.longest) == (40, 0, 0)
    monkeypatch.setattr(limner.data.streamed_batches, "MOST", 15)
    assert len(some_captions(batches.stream)) == 14
    batches.tokenizer.length = 4
    batches = StreamedBatches(batches.stream, batches.tokenizer, 4, 0)
    assert (batches.truncated, batches.longest) == (14, 5)
    batches.fixed_length = True
    assert {next(iter(batches)).tokens.ids.shape for _ in range(5)} == {(4, 4)}


def test_images_are_mirrored_unless_a_caption_says_left(make_shards):
    texts = [{"txt": b"a wall"}, {"txt": b"on the left"}]
    folder = make_shards([(number, texts[number % 2]) for number in range(8)])
    images = images_of(stream_of(folder, mirror=True, shuffle=1))
    assert [image.annotations[0]["mirrors"] for image in images] == [True, False] * 4
    assert not any(a["mirrors"] for of_image in Shards(16, root=str(folder)).load().annotations for a in of_image)


def test_another_image_takes_the_place_of_a_broken_one(make_shards):
    folder = make_shards([(0, {"png": b"no image"}), 1, 2, 3])
    with pytest.warns(UserWarning, match="1 of 4 images cannot be decoded"):
        batch = next(iter(batches_of(folder, 4, bad_images=0.5)))
    assert len(batch) == 4
    assert len(batch.images[:, 0, 0, 0].unique()) == 3
    assert batch.confusable.any()  # an image that occurs twice is no wrong answer


def test_a_shard_that_changes_during_training_is_named(folder, make_shards):
    stream = stream_of(folder, shuffle=1)
    (make_shards([0], name="other") / "000.tar").replace(folder / "001.tar")
    with pytest.raises(LimnerError, match=r"001.tar has 1 captioned images now, and had 5"):
        numbers(stream)
    (folder / "001.tar").unlink()
    with pytest.raises(LimnerError, match=r"001.tar is missing"):
        numbers(stream)


# --- from a data set to shards and back -----------------------------------------------------------------------------


def test_scenes_survive_the_export(tmp_path):
    export("scenes-32", tmp_path / "out", ["data.count=20"], shards=3)
    scenes = limner.recipes.build.build_dataset(
        limner.Recipe.read(limner.host(), "scenes-32", ["data.count=20"])
    ).load()
    read = Shards(32, root=str(tmp_path / "out")).load()
    assert isinstance(read, CaptionedImages)
    assert torch.equal(read.pixels, scenes.pixels)
    assert read.captions == scenes.captions
    words = Tokenizer.learn(scenes.captions, Text())
    mine = StreamedBatches(Shards(32, root=str(tmp_path / "out"), shuffle=1).stream(), words, 20, 0)
    [batch, theirs] = [next(iter(batches)) for batches in (mine, Batches(scenes, words, 20, 0))]
    assert batch.confusable.sum() == theirs.confusable.sum()
    assert batch.distractors is not None
    assert theirs.distractors is not None
    assert len(batch.distractors) == len(theirs.distractors)


@pytest.mark.parametrize(
    ("shards", "message"), [(21, "--shards 21: there are only 20 images"), (None, "This data is streamed from shards")]
)
def test_what_cannot_be_exported_is_told(folder, tmp_path, shards, message):
    data = f'data={{name="shards", root="{folder}"}}' if shards is None else "data.count=20"
    with pytest.raises(LimnerError, match=message):
        export("scenes-one", tmp_path / "out", [data], shards=shards)


# --- training -------------------------------------------------------------------------------------------------------


class Stop:
    """Stops a training before its time."""

    @hookimpl
    def limner_step_finished(self, run):
        if run.step == 7:
            raise KeyboardInterrupt


def test_a_resumed_training_equals_one_that_was_never_stopped(folder, tmp_path):
    plugins = PluginHost()
    plugins.register(make_plugin(TINY))
    training = {"steps": 16, "batch_size": 8, "precision": "float32"}
    recipe = tiny_recipe(data={"name": "shards", "root": str(folder), "shuffle": 6}, training=training)
    recipe["metrics"] = {"distribution": {"images": 12}}
    whole = limner.train(recipe, tmp_path / "whole", callbacks=[], plugins=plugins)
    limner.train(recipe, tmp_path / "run", callbacks=[Stop()], plugins=plugins)
    resumed = limner.resume(tmp_path / "run", callbacks=[], plugins=plugins)
    assert len(whole.history) > 0
    assert all(torch.equal(value, resumed.state_dict()[name]) for name, value in whole.state_dict().items())
    assert whole.evaluate(metrics=["distribution"])["FID"] > 0  # compared with real images
