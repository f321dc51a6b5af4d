# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
# ---

# %% [markdown]
# # 6. Real data: from raw COCO files to a batch, and an encoder that has read before
#
# **Goal.** Follow a captioned image from its file to the numbers that a model sees: the COCO layout, captions and their pieces, padding and mask, pixels; know what goes wrong on the way and what is done about it.
# Then exchange one line: a text encoder learned from nothing (LSTM) for one that was pretrained (BERT). See what all of MS-COCO would take. **You need** [lesson 0](00_quickstart.ipynb). **Time**: about three and a half
# minutes on two CPU cores.
#
# ## A folder in the COCO layout
#
# MS-COCO (Lin et al. 2014; captions: Chen et al. 2015) is a folder of JPEG files and a JSON file that says what is on them: a list `images` and a list `annotations`, each of these with the id of its image.
# Five people described each of 123,287 photographs. Nothing is downloaded here: a folder of our own does as well, drawn scenes written to files. Yours may stand in its place.

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
from limner.data.batches import Batches
from limner.data.export import export
from limner.data.tokenizer import Tokenizer
from limner.recipes.schema import Text
from limner_coco.checking import check
from limner_coco.decoding import decode
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
# [pycocotools](https://github.com/cocodataset/cocoapi) reads this file and finds what belongs together.

# %%
coco: Any = COCO(str(folder / "captions.json"))
first = next(iter(coco.imgs))
print(coco.imgs[first]["file_name"], [annotation["caption"] for annotation in coco.imgToAnns[first]])

# %% [markdown]
# ## Captions become numbers
#
# A model reads numbers, so a **tokenizer** cuts a caption into pieces and looks each up in its vocabulary. *WordPiece* (Schuster and Nakajima 2012; BERT's) keeps frequent words whole and puts rare ones together from
# pieces. Here it learns from a few captions as people write them, with all that this brings: capitals, a stray blank, a line break, a typing error.

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
# *Surfer* was never seen and is put together from two pieces; `[UNK]` is what has letters that no caption had. The typing error was seen often enough to become a word of its own: a tokenizer learns what people write.
#
# Captions of one batch have different lengths, and a tensor has none. So short ones are filled up with **padding**, and a **mask** says where words are. The same call as BERT's own tokenizer takes:

# %%
batch_of_captions = said[:3]
encoded = tokenizer.inner(batch_of_captions, padding=True, truncation=True, max_length=16, return_tensors="pt")
print(encoded["input_ids"])
print(encoded["attention_mask"])

# %% [markdown]
# Everything that reads words must take the mask along. If padding had any influence, the same caption would mean another thing beside a longer one. (The tests hold every encoder to that:
# `limner.testing.check_encoder`.)
#
# ## Images become numbers
#
# A photograph is of any size and shape. It is turned upright as the camera noted, its middle square is cut out and shrunk with a good filter; bytes 0 to 255 become values from -1 to 1.

# %%
wide = np.zeros((200, 320, 3), np.uint8)
wide[...] = np.linspace(40, 220, 320)[None, :, None]
wide[60:140, 120:200] = (200, 40, 40)
held = Image.fromarray(wide)
exif = Image.Exif()
exif[0x0112] = 6  # the camera was turned
held.save(root / "turned.jpg", exif=exif)
square = decode(root / "turned.jpg", 64)
values = torch.from_numpy(square).float() / 127.5 - 1
print(held.size, "->", tuple(values.shape), f"from {values.min():.2f} to {values.max():.2f}")
limner.Pictures.of(values[None], ["what the model sees"])

# %% [markdown]
# `CaptionedFolder` does this for a whole folder. Each file is decoded **once**, ever: the squares are kept in a file that is mapped into memory, so that the next epoch, and the next training, read no JPEG. This is how all of
# MS-COCO fits on a small machine.

# %%
for time_of in ("first", "second"):
    start = time.perf_counter()
    data = CaptionedFolder(32, root=str(folder)).load()
    print(
        f"the {time_of} time: {time.perf_counter() - start:.2f} s for {len(data)} images, {data.pixels.nbytes / 1e6:.0f} MB"
    )

# %% [markdown]
# And this is a batch, with everything that the losses read:

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
# In any folder of some size something is broken. Before you train, look (`limner data folder --root mine --thorough`):

# %%
mine = root / "mine"
mine.mkdir()
for number in range(8):
    Image.fromarray(np.full((40, 60, 3), 30 * number, np.uint8)).save(mine / f"{number}.jpg")
    (mine / f"{number}.txt").write_text(f"a gray wall, number {number}\n")
whole = (mine / "1.jpg").read_bytes()
(mine / "1.jpg").write_bytes(whole[: len(whole) // 2])  # a download that broke off
(mine / "2.jpg").write_bytes(b"")
(mine / "3.jpg").write_bytes(b"<html>404 Not Found</html>")
(mine / "4.txt").write_text("  \n")
Image.new("CMYK", (40, 60), (0, 200, 200, 0)).save(mine / "5.jpg")  # made for a printing press
(mine / "6.jpg").unlink()
Image.new("I;16", (40, 60), 40000).save(mine / "6.png")  # of a scanner, with 65,536 grays
sentences = check("mine", mine, "train2017", thorough=True).sentences()
print(*[sentence.replace(f"{mine}/", "") for sentence in sentences], sep="\n")

# %% [markdown]
# Training names what it leaves out and goes on, up to a share of broken files that you allow (`data.bad_images`); beyond that it refuses. It is never silent.

# %%
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    left = CaptionedFolder(32, root=str(mine), bad_images=0.5).load()
print(*[str(warning.message).replace(str(mine), "mine") for warning in told], sep="\n")
limner.Pictures.of(left.pixels.float() / 127.5 - 1, [of[0]["caption"] for of in left.annotations])

# %% [markdown]
# ## An encoder that has read before
#
# An LSTM that starts from nothing learns what *red* means from our captions alone. **BERT** (Devlin et al. 2019) has read a library: in its training one word in seven was hidden and had to be guessed from the others. In a recipe
# the exchange is one line:
#
# ```toml
# encoder = {name = "pretrained", model = "bert-base-uncased"}
# ```
#
# The name is one of the Hugging Face hub, or a folder. Nothing is fetched here, so we make a little one ourselves, just as the large one was made: it reads 3,000 captions for some seconds, and guesses hidden words.

# %%
torch.manual_seed(0)
threads = torch.get_num_threads()
torch.set_num_threads(1)  # two threads for such small tables would wait for each other
small = BertConfig(
    vocab_size=words.vocabulary, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128
)
bert = BertForMaskedLM(small)
optimizer = torch.optim.AdamW(bert.parameters(), 2e-3)
mark, everything = (
    words.inner.get_vocab()["[UNK]"],
    words(captions),
)  # ours has no [MASK], so [UNK] stands for what is hidden
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
    f"{len(guessed)} steps; hidden words guessed right: {np.mean(guessed[:10]):.2f} at first, {np.mean(guessed[-50:]):.2f} at last"
)

# %% [markdown]
# What cannot be guessed is a matter of luck: the color of *a large [UNK] circle* could be any. But what *sort* of word stands there is known now. Words that can stand in each other's place lie near each other:

# %%
table = torch.nn.functional.normalize(bert.bert.embeddings.word_embeddings.weight.detach(), dim=1)
for word in ("red", "circle", "large"):
    near = (table @ table[words.inner.convert_tokens_to_ids(word)]).topk(6).indices[1:]
    print(word, "->", words.inner.convert_ids_to_tokens(near.tolist()))

# %% [markdown]
# ## One line exchanged
#
# Both trainings get the same folder, seed and time. BERT is **frozen**: it is asked once about each caption, and what it says is kept on disk, so that it costs next to nothing. (`fine_tune = 0.02` lets it learn, at a fiftieth of the
# rate.)

# %%
same = [f"data={{name='folder', root='{folder}'}}", "training.seconds=40"]
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
# The scenes came from files, and the folder knows nothing of their judge. We do: 200 fresh prompts, and what is right on the pictures.

# %%
asked = Scenes(32, objects=1).prompts(200, seed=0)
found = {}
for name, model in models.items():
    right = score(read(model.paint_images(asked.texts)), asked.asked)
    found |= {f"{name}/{attribute}": float(values.float().mean()) for attribute, values in right.items()}
limner.Report(found)

# %% [markdown]
# BERT comes out **behind**. Why? It is frozen, and its sentence is the mean of what it says of all tokens, on which two linear maps are learned. How far apart does that put our captions, and in which directions?

# %%
different = list(dict.fromkeys(captions))[:300]
tokens = words(different)
with torch.no_grad():
    said_of = bert.bert.eval()(input_ids=tokens.ids, attention_mask=tokens.mask.long()).last_hidden_state
mean = (said_of * tokens.mask[..., None]).sum(1) / tokens.mask.sum(1, keepdim=True)
stretch = torch.linalg.svdvals(mean - mean.mean(0))
print("the directions in which 300 captions differ, by their length:", [f"{s / stretch[0]:.2f}" for s in stretch[:8]])

# %% [markdown]
# In one direction they lie far apart (whether a background is named at all); those that tell red from blue and circles from squares are some fifteen times shorter. A linear map has to stretch them first, and forty seconds are
# too few. The LSTM makes vectors of its own that differ in what matters. Sentence vectors of large models are uneven in the same way, and evening them out helps (Su et al. 2021, *Whitening sentence representations*); so does fine-tuning. A
# pretrained encoder earns its keep where captions are many and words are rare: of the 7,257 words in the 25,014 captions of MS-COCO's `val2017`, 41 % occur once, and 63 % less than four times. And one seed is no verdict:
# `limner compare coco --vary ... --seeds 3`.
#
# ## What would all of MS-COCO take?
#
# `limner data coco --root coco --download` fetches it (20 GB), `limner train coco --set data.root=coco` trains at 64 px. How long? Measure the recipe's speed for some seconds, on our folder in the place of MS-COCO:

# %%
start = time.perf_counter()
CaptionedFolder(64, root=str(folder)).load()
prepared = count / (time.perf_counter() - start)
trial = limner.train("coco", overrides=[f"data.root={folder}", "training.seconds=12"], quiet=True)
speed = trial.history[-1]["images"] / trial.history[-1]["seconds"]
print(f"measured at 64 px: {prepared:.0f} images/s prepared, once; {speed:.0f} images/s trained on")
rows = []
for machine, factor in {"this machine": 1, "a GPU, if it is 30 times as fast": 30}.items():
    for epochs, like in ((1, "one look at each image"), (120, "as AttnGAN and DF-GAN, at 256 px, were trained")):
        hours = 118_287 * epochs / (speed * factor) / 3600
        rows.append(f"<tr><td>{machine}</td><td>{epochs}</td><td>{like}</td><td>{hours:,.1f} hours</td></tr>")
HTML(f"<table><tr><th>on</th><th>epochs</th><th></th><th>estimated</th></tr>{''.join(rows)}</table>")

# %% [markdown]
# **These are estimates**: the speed was measured for a few seconds, the rest is arithmetic, and the GPU's factor is an assumption. MS-COCO's photographs are larger than our drawings and take longer to prepare, but that happens once. And
# to paint photographs of everything well takes more than time: a larger model, larger images, a closer look at all that may fail. That is why this course paints scenes.
#
# ## Exercises
#
# Fill in the `...` of a cell and run it: it says whether you have it.
#
# **1.** Which share of this batch of tokens is padding?

# %% tags=["exercise"]
share = ...  # of encoded["attention_mask"], above

limner.exercises.check(
    share, 1 - encoded["attention_mask"].float().mean(), hint="The mask is 1 at words and 0 at padding."
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
# **2.** Where training shows the mirror image every other time (`data.mirror = true`), some captions must be kept from it. Which of these?

# %% tags=["exercise"]
four = ["a cat on a sofa", "a man with a bat in his left hand", "a clock shows three", "a dog to the right of a car"]
kept = ...  # their numbers in a list, counted from 0

limner.exercises.check(kept, lambda kept: sorted(kept) == [1, 3], hint="Which sentences stop being true in a mirror?")

# %% [markdown] tags=["solution"]
# <details><summary>Solution</summary>
#
# Those that say left or right. (A clock in a mirror shows nine, and the reader of files does not know it: it looks for words. Leave `mirror` off where such things matter.)
#
# </details>

# %% [markdown]
# **3.** A caption longer than `text.length` is cut. How many tokens must a model read to see every caption of `said` whole?

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
# Fourteen: commas and full stops are pieces, and so are the two marks at the ends.
#
# </details>

# %% tags=["solution"] jupyter={"source_hidden": true}
longest = max(said, key=tokenizer.count)
print(tokenizer.count(longest), [piece for piece, _ in tokenizer.pieces(longest)])
