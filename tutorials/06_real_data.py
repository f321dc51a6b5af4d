# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
# ---

# %% [markdown]
# # 6. Real data: from raw COCO files to a batch, and a pretrained encoder
#
# **Goal.** Follow a captioned image from its file to the numbers that a model sees: the COCO layout, captions and tokens,
# padding and mask, pixels. See what goes wrong on the way, and how Limner handles it. Then change one line: replace a text
# encoder learned from scratch (LSTM) with a pretrained one (BERT). Estimate what all of MS-COCO would take. **You need**
# [lesson 0](00_quickstart.ipynb). **Time**: about three and a half minutes on two CPU cores.
#
# ## A folder in the COCO layout
#
# MS-COCO (Lin et al. 2014; captions: Chen et al. 2015) is a folder of JPEG files and a JSON file that describes them. The
# JSON file has a list `images` and a list `annotations`; each annotation holds the id of its image. Five people described
# each of 123,287 photographs. We download nothing here: a folder of our own, with drawn scenes written to files, works the
# same way. You can use your own folder instead.

# %%
import json
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import limner
import numpy as np
import torch
from IPython.display import HTML
from limner import Tokenizer, decode_image
from limner.data.batches import Batches
from limner.data.export import export
from limner.recipes.schema import Text
from limner_coco.checking import check
from limner_coco.folder import CaptionedFolder
from limner_scenes.dataset import Scenes
from limner_scenes.judge import read, score
from PIL import Image
from pycocotools.coco import COCO
from transformers import BertConfig, BertForMaskedLM

root = Path(tempfile.mkdtemp())
folder = root / "scenes"
count = export("scenes-one", folder, ["data.count=3000"])
raw = json.loads((folder / "captions.json").read_text())
print(count, "images;", [path.name for path in sorted(folder.iterdir())])
print({key: raw["images"][0][key] for key in ("id", "file_name")})
print({key: raw["annotations"][0][key] for key in ("id", "image_id", "caption")})

# %% [markdown]
# [pycocotools](https://github.com/cocodataset/cocoapi) reads this file and finds the captions of each image.

# %%
coco: Any = COCO(str(folder / "captions.json"))
first = next(iter(coco.imgs))
print(coco.imgs[first]["file_name"], [annotation["caption"] for annotation in coco.imgToAnns[first]])

# %% [markdown]
# ## Captions become numbers
#
# A model reads numbers, so a **tokenizer** cuts a caption into pieces and looks up each piece in its vocabulary. *WordPiece*
# (Schuster and Nakajima 2012; used by BERT) keeps frequent words whole and builds rare ones from pieces. Here it learns from
# a few captions as people write them, with all their quirks: capitals, an extra space, a line break, a typo.

# %%
said = [
    "A man riding a wave on top of a surfboard.",
    "a man on a surfboard rides a big wave ",
    "Two dogs are running on the beach.",
    "a brown dog runs across a sandy beach\n",
    "A kitchen with a stove, a microwave and a refridgerator.",
    "The kitchen has a white refrigerator and a stove",
    "Surfers wait for the waves at the beach",
    "a plate of food with broccoli and rice",
] * 4
tokenizer = Tokenizer.learn(said, Text(vocabulary=160, length=16))
for caption in ("A man rides a big wave", "a surfer on the beach", "An unfathomable refridgerator"):
    print([piece for piece, _ in tokenizer.pieces(caption)])

# %% [markdown]
# *Surfer* never appeared, so it is built from two pieces. `[UNK]` stands for a word that cannot be built from the pieces.
# The typo appeared often enough to become a word of its own: a tokenizer learns what people write.
#
# Captions in a batch have different lengths, but a tensor has a fixed shape. So short captions are filled up with
# **padding**, and a **mask** marks the real tokens. BERT's own tokenizer is called in the same way:

# %%
batch_of_captions = said[:3]
encoded = tokenizer.inner(batch_of_captions, padding=True, truncation=True, max_length=16, return_tensors="pt")
print(encoded["input_ids"])
print(encoded["attention_mask"])

# %% [markdown]
# Everything that reads words must use the mask. If padding had any influence, a caption would mean something different next
# to a longer one. (The tests check this for every encoder: `limner.testing.check_encoder`.)
#
# ## Images become numbers
#
# Photographs come in any size and shape. Each is rotated upright as its EXIF data says, cropped to its central square and
# shrunk with a good filter. Then bytes from 0 to 255 become values from -1 to 1.

# %%
wide = np.zeros((200, 320, 3), np.uint8)
wide[...] = np.linspace(40, 220, 320)[None, :, None]
wide[60:140, 120:200] = (200, 40, 40)
held = Image.fromarray(wide)
exif = Image.Exif()
exif[0x0112] = 6  # the camera was turned
held.save(root / "turned.jpg", exif=exif)
square = decode_image(root / "turned.jpg", 64)
values = torch.from_numpy(square).float() / 127.5 - 1
print(held.size, "->", tuple(values.shape), f"from {values.min():.2f} to {values.max():.2f}")
limner.Pictures.of(values[None], ["what the model sees"])

# %% [markdown]
# `CaptionedFolder` does this for a whole folder. Each file is decoded only **once**: the squares are stored in a
# memory-mapped file, so the next epoch, and the next training, read no JPEG. This is how all of MS-COCO fits on a small
# machine.

# %%
for time_of in ("first", "second"):
    start = time.perf_counter()
    data = CaptionedFolder(32, root=str(folder)).load()
    print(
        f"the {time_of} time: {time.perf_counter() - start:.2f} s for {len(data)} images, {data.pixels.nbytes / 1e6:.0f} MB"
    )

# %% [markdown]
# Here is a batch, with everything that the losses read:

# %%
captions = [annotation["caption"] for of_image in data.annotations for annotation in of_image]
words = Tokenizer.learn(captions, Text())
batch = next(iter(Batches(data, words, batch_size=8, seed=0)))
print(
    "images", tuple(batch.images.shape), "tokens", tuple(batch.tokens.ids.shape), "mask", tuple(batch.tokens.mask.shape)
)
texts = [str(words.inner.decode(row, skip_special_tokens=True)) for row in batch.tokens.ids.tolist()]
limner.Pictures.of(batch.images, texts, columns=8)

# %% [markdown]
# ## What goes wrong
#
# In any large folder something is broken. Check before you train (`limner data folder --root mine --thorough`):

# %%
mine = root / "mine"
mine.mkdir()
for number in range(8):
    Image.fromarray(np.full((40, 60, 3), 30 * number, np.uint8)).save(mine / f"{number}.jpg")
    (mine / f"{number}.txt").write_text(f"a gray wall, number {number}\n")
whole = (mine / "1.jpg").read_bytes()
(mine / "1.jpg").write_bytes(whole[: len(whole) // 2])  # an interrupted download
(mine / "2.jpg").write_bytes(b"")
(mine / "3.jpg").write_bytes(b"<html>404 Not Found</html>")
(mine / "4.txt").write_text("  \n")
Image.new("CMYK", (40, 60), (0, 200, 200, 0)).save(mine / "5.jpg")  # made for print
(mine / "6.jpg").unlink()
Image.new("I;16", (40, 60), 40000).save(mine / "6.png")  # from a scanner, with 65,536 gray levels
sentences = check("mine", mine, "train2017", thorough=True).sentences()
print(*[sentence.replace(f"{mine}/", "") for sentence in sentences], sep="\n")

# %% [markdown]
# Training lists what it leaves out and continues, as long as the share of broken files is at most `data.bad_images`. Above
# that it stops with an error. It never skips anything silently.

# %%
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    left = CaptionedFolder(32, root=str(mine), bad_images=0.5).load()
print(*[str(warning.message).replace(str(mine), "mine") for warning in told], sep="\n")
limner.Pictures.of(left.pixels.float() / 127.5 - 1, [of[0]["caption"] for of in left.annotations])

# %% [markdown]
# ## A pretrained encoder
#
# An LSTM that starts from scratch learns what *red* means from our captions alone. **BERT** (Devlin et al. 2019) has read a
# whole library: in its training, one word in seven was hidden and had to be guessed from the others. In a recipe you change
# one line:
#
# ```toml
# encoder = {name = "pretrained", model = "bert-base-uncased"}
# ```
#
# The name is either a model on the Hugging Face hub or a folder. We download nothing here, so we train a small BERT
# ourselves, in the same way as the large one: it reads 3,000 captions for a few seconds and guesses hidden words.

# %%
torch.manual_seed(0)
threads = torch.get_num_threads()
torch.set_num_threads(1)  # for such small tensors, two threads would only wait for each other
small = BertConfig(
    vocab_size=words.vocabulary, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128
)
bert = BertForMaskedLM(small)
optimizer = torch.optim.AdamW(bert.parameters(), 2e-3)
mark, everything = (
    words.inner.get_vocab()["[UNK]"],
    words(captions),
)  # our vocabulary has no [MASK], so [UNK] marks the hidden words
guessed, start = [], time.perf_counter()
while time.perf_counter() - start < 20:
    rows = torch.randint(len(captions), (64,))
    ids, mask = everything.ids[rows], everything.mask[rows]
    inner = mask & (ids != words.inner.cls_token_id) & (ids != words.inner.sep_token_id)
    hidden = inner & (torch.rand(ids.shape) < 0.15)
    if not hidden.any():
        continue
    logits = bert(input_ids=ids.masked_fill(hidden, mark), attention_mask=mask.long()).logits[hidden]
    loss = torch.nn.functional.cross_entropy(logits, ids[hidden])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    guessed.append((logits.argmax(1) == ids[hidden]).float().mean().item())
torch.set_num_threads(threads)
bert.bert.save_pretrained(root / "bert")
words.inner.save_pretrained(str(root / "bert"))
print(
    f"{len(guessed)} steps; hidden words guessed right: {np.mean(guessed[:10]):.2f} at first, {np.mean(guessed[-50:]):.2f} at the end"
)

# %% [markdown]
# Some hidden words can only be guessed by luck: the color of *a large [UNK] circle* could be any. But the model now knows
# what *kind* of word belongs there. Words that can replace each other are close together:

# %%
table = torch.nn.functional.normalize(bert.bert.embeddings.word_embeddings.weight.detach(), dim=1)
for word in ("red", "circle", "large"):
    near = (table @ table[words.inner.convert_tokens_to_ids(word)]).topk(6).indices[1:]
    print(word, "->", words.inner.convert_ids_to_tokens(near.tolist()))

# %% [markdown]
# ## One line changed
#
# Both trainings use the same folder, seed and time. BERT is **frozen**: it encodes each caption once, and the result is
# stored on disk, so it costs almost nothing. (`fine_tune = 0.02` lets it learn, at one fiftieth of the learning rate.)

# %%
same = [f"data={{name='folder', root='{folder}'}}", "training.steps=400"]
encoders = {
    "LSTM": "encoder={name='lstm'}",
    "BERT": f"encoder={{name='pretrained', model='{root / 'bert'}'}}",
}
models = {name: limner.train("scenes-one", overrides=[*same, line], quiet=True) for name, line in encoders.items()}

# %%
prompts = ["a large red circle", "a small blue square on a white background"]
models["LSTM"].paint(prompts, n=6, seed=1)

# %%
models["BERT"].paint(prompts, n=6, seed=1)

# %% [markdown]
# The scenes came from files, and the folder has no judge. But we know how they were drawn, so we can use the judge: 200
# fresh prompts, and the share of images that are right.

# %%
asked = Scenes(32, objects=1).prompts(200, seed=0)
found = {}
for name, model in models.items():
    right = score(read(model.paint_images(asked.texts)), asked.asked)
    found |= {f"{name}/{attribute}": float(values.float().mean()) for attribute, values in right.items()}
limner.Report(found)

# %% [markdown]
# BERT comes out **behind**. Why? It is frozen, and its sentence vector is the mean of its outputs over all tokens, followed
# by two learned linear maps. How far apart does that put our captions, and in which directions?

# %%
different = list(dict.fromkeys(captions))[:300]
tokens = words(different)
with torch.no_grad():
    said_of = bert.bert.eval()(input_ids=tokens.ids, attention_mask=tokens.mask.long()).last_hidden_state
mean = (said_of * tokens.mask[..., None]).sum(1) / tokens.mask.sum(1, keepdim=True)
stretch = torch.linalg.svdvals(mean - mean.mean(0))
print("lengths of the directions in which 300 captions differ:", [f"{s / stretch[0]:.2f}" for s in stretch[:8]])

# %% [markdown]
# In one direction they are far apart (whether the caption names a background at all). The directions that tell red from
# blue and circles from squares are some fifteen times shorter. A linear map has to stretch them first, and 400 steps
# are not enough. The LSTM learns vectors that differ in what matters. Sentence vectors of large models are uneven in the
# same way, and evening them out helps (Su et al. 2021, *Whitening sentence representations*); so does fine-tuning. A
# pretrained encoder pays off when there are many captions with rare words: of the 7,257 words in the 25,014 captions of
# MS-COCO's `val2017`, 41 % occur once, and 63 % fewer than four times. And one seed proves nothing; use
# `limner compare coco --vary ... --seeds 3`.
#
# ## What would all of MS-COCO take?
#
# `limner data coco --root coco --download` downloads it (20 GB), and `limner train coco --set data.root=coco` trains at 64
# px. How long does that take? We measure the recipe's speed in 60 steps, on our folder in place of MS-COCO:

# %%
start = time.perf_counter()
CaptionedFolder(64, root=str(folder)).load()
prepared = count / (time.perf_counter() - start)
trial = limner.train("coco", overrides=[f"data.root={folder}", "training.steps=60"], quiet=True)
speed = trial.history[-1]["images"] / trial.history[-1]["seconds"]
print(f"measured at 64 px: {prepared:.0f} images/s to prepare (once), {speed:.0f} images/s in training")
rows = []
for machine, factor in {"this machine": 1, "a GPU, if it is 30 times as fast": 30}.items():
    for epochs, like in ((1, "each image once"), (120, "as AttnGAN and DF-GAN were trained, at 256 px")):
        hours = 118_287 * epochs / (speed * factor) / 3600
        rows.append(f"<tr><td>{machine}</td><td>{epochs}</td><td>{like}</td><td>{hours:,.1f} hours</td></tr>")
HTML(f"<table><tr><th>on</th><th>epochs</th><th></th><th>estimated</th></tr>{''.join(rows)}</table>")

# %% [markdown]
# **These are estimates**: the speed was measured in 60 steps, the rest is arithmetic, and the GPU's factor is an
# assumption. MS-COCO's photographs are larger than our drawings and take longer to prepare, but that happens once. And good
# photographs of everything take more than time: a larger model, larger images, and a closer look at everything that can
# fail. That is why this course paints scenes.
#
# ## Exercises
#
# Fill in the `...` in a cell and run it: the cell tells you whether you are right.
#
# **1.** What share of this batch of tokens is padding?

# %% tags=["exercise"]
share = ...  # use encoded["attention_mask"] from above

limner.exercises.check(
    share, 1 - encoded["attention_mask"].float().mean(), hint="The mask is 1 for tokens and 0 for padding."
)

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# One minus the mean of the mask:
#
# </details>

# %% tags=["solution"] jupyter={"source_hidden": true}
print(f"{(encoded['attention_mask'] == 0).float().mean():.3f}")

# %% [markdown]
# **2.** With `data.mirror = true`, training shows the mirror image every other time. Some captions must be excluded from
# that. Which of these?

# %% tags=["exercise"]
four = ["a cat on a sofa", "a man with a bat in his left hand", "a clock shows three", "a dog to the right of a car"]
kept = ...  # a list of their indices, starting at 0

limner.exercises.check(
    kept, lambda kept: sorted(kept) == [1, 3], hint="Which sentences are no longer true in a mirror?"
)

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# Those that say left or right. (A clock that shows three shows nine in a mirror, but Limner does not know that: it only
# looks for words. Leave `mirror` off when such things matter.)
#
# </details>

# %% [markdown]
# **3.** A caption longer than `text.length` is cut. How many tokens must a model read to see every caption of `said` in
# full?

# %% tags=["exercise"]
length = ...  # a whole number

limner.exercises.check(
    length,
    max(tokenizer.count(caption) for caption in said),
    hint="`tokenizer.count(caption)` counts them before the cut.",
)

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# Fourteen: commas and periods are tokens, and so are the two special tokens at the ends.
#
# </details>

# %% tags=["solution"] jupyter={"source_hidden": true}
longest = max(said, key=tokenizer.count)
print(tokenizer.count(longest), [piece for piece, _ in tokenizer.pieces(longest)])
