"""The scripts of the page "Paint in your browser" in node: tokens and known words as in Python, and Gaussian noise."""

import json
import random
import shutil
import subprocess
import unicodedata

import limner
import numpy as np
import pytest
from limner import LimnerError
from limner.data.captions import storable
from limner.data.tokenizer import split_words
from scipy.stats import kstest
from transformers import PreTrainedTokenizerFast

ODD = [
    "",
    " \n ",
    ".",
    "a red circle.",
    "a red circle . \x1f",
    "A RED  circle's left,above!a b-l-u-e square?",
    "red [SEP] circle [UNK][PAD]",
    "un café rougé, ÇA VA",
    "ΟΔΟΣ ΑΣ.Α İstanbul ß ﬁ ǅ",
    "\ufeffred\u200bcircle\u00adblue\u2028green\u00a0star\u3000heart",
    "красный круг над синим квадратом",
    "蓝色方块上方的红色圆圈 ㊗ ⼈ \uf900",
    "red🎨circle 👩‍👩‍👧 ❤️ ☃",
    "half \ud83c of an emoji",
    "<script>document.title = 'run'</script> &amp; <b>red</b>",
    "a" * 100,
    "a" * 101,
    "a" * 10_001,
    "a red circle " * 30,
    "don’t can't 'tis ''red''",
]


@pytest.fixture
def node(tmp_path, root):
    """Runs a script that may import those of the page; its last expression, `answer(value)`, is returned."""
    found = shutil.which("node")
    if found is None:
        pytest.skip("this test needs node")
    for script in ("tokenizer.js", "noise.js"):
        shutil.copy(root / "docs" / "paint" / script, tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "given.js").write_text(
        "import { readFileSync, writeFileSync } from 'node:fs';\n"
        "export const given = JSON.parse(readFileSync('given.json', 'utf8'));\n"
        "export const answer = (value) => writeFileSync('answer.json', JSON.stringify(value));\n"
    )

    def run(script: str, given: object = None):
        (tmp_path / "given.json").write_text(json.dumps(given))
        (tmp_path / "main.js").write_text(f"import {{ given, answer }} from './given.js';\n{script}")
        done = subprocess.run([found, "main.js"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return json.loads((tmp_path / "answer.json").read_text())

    return run


def random_texts(words: list[str], count: int) -> list[str]:
    """Words of the captions among odd signs of all kinds."""
    source = random.Random(0)
    signs = "  .,'’-!?\t\n\u00a0éÉßΣσçİ中あ🎨❤️️\u0301\u0327[]#_0½Ⅷ²"
    texts = []
    for _ in range(count):
        parts = [source.choice(words) if source.random() < 0.6 else source.choice(signs) for _ in range(9)]
        texts.append("".join(part + source.choice(["", " "]) for part in parts))
    return texts


def letters() -> list[str]:
    """What is of the same kind since Unicode 3.2, because the tokenizer's tables are older than Python's and node's.

    Of large scripts one of 97.
    """
    old = unicodedata.ucd_3_2_0
    every = map(chr, range(0x110000))
    kept = [letter for letter in every if old.category(letter) == unicodedata.category(letter)]
    assigned = [letter for letter in kept if old.category(letter) not in ("Cn", "Cs", "Co")]
    many = ("CJK UNIFIED", "CJK COMP", "HANGUL SYLLABLE", "YI SYL")
    rare = [letter for letter in assigned if unicodedata.name(letter, "").startswith(many)]
    left_out = set(rare) - set(rare[::97])
    return [letter for letter in assigned if letter not in left_out]


READ = """
import { PromptError, Tokenizer, splitWords } from './tokenizer.js';
const tokenizer = new Tokenizer(given.rules, given.about);
const check = (text) => {
  try { return tokenizer.check(text); }
  catch (error) { if (error instanceof PromptError) return error.message.slice(0, 12); throw error; }
};
answer(given.texts.map((text) => {
  const { ids, mask } = tokenizer.encode(text);
  return [ids, mask, splitWords(text), check(text), tokenizer.parts(text).map((part) => part.text).join('')];
}));
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["odd", "random", "letters"])
def test_prompts_are_read_as_in_python(node, kind):
    tokenizer = limner.load("quickstart").tokenizer
    texts = ODD
    if kind == "random":
        texts = random_texts(sorted(tokenizer.words), 3000)
    elif kind == "letters":
        texts = [f"red{letter}circle" for letter in letters()]
    assert isinstance(tokenizer.inner, PreTrainedTokenizerFast)
    rules = json.loads(tokenizer.inner.backend_tokenizer.to_str())
    about = {"length": tokenizer.length, "padding": 0, "words": sorted(tokenizer.words)}
    found = node(READ, {"rules": rules, "about": about, "texts": texts})
    tokens = tokenizer(texts, full=True)
    wrong = []
    for text, ids, mask, (own_ids, own_mask, words, checked, parts) in zip(
        texts, tokens.ids.tolist(), tokens.mask.tolist(), found, strict=True
    ):
        try:
            expected = tokenizer.check(text)
        except LimnerError as error:
            expected = str(error)[:12]
        whole = unicodedata.normalize("NFC", storable(text))
        split = split_words(storable(text))
        if [ids, mask, split, expected, whole] != [own_ids, [bool(one) for one in own_mask], words, checked, parts]:
            wrong.append((text, [ids, split, expected], [own_ids, words, checked]))
    assert (len(wrong), wrong[:3]) == (0, [])


def test_noise_is_gaussian_and_an_image_keeps_its_own(node):
    script = """
import { drawNoise } from './noise.js';
const seeds = Array.from({ length: 500 }, (_, seed) => Array.from(drawNoise(seed, 4, 32)));
answer([seeds, Array.from(drawNoise(7, 2, 32)), Array.from(drawNoise(2 ** 32 - 1, 1, 4))]);
"""
    seeds, fewer, last = node(script)
    noise = np.array(seeds)  # [500 seeds, 4 images of 32 numbers]
    assert kstest(noise.ravel(), "norm").pvalue > 0.01
    correlation = np.corrcoef(noise.reshape(500, -1).T) - np.eye(128)  # of places, over the seeds
    assert abs(correlation).max() < 5 / 500**0.5
    between = np.corrcoef(noise) - np.eye(500)  # of seeds
    assert abs(between).max() < 6 / 128**0.5
    assert len(np.unique(noise)) > 0.999 * noise.size
    np.testing.assert_array_equal(noise[7, :64], fewer)
    assert np.isfinite(last).all()
