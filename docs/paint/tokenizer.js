// From a prompt to tokens, and to words that the model knows or not: the same as limner.data.tokenizer, in JavaScript.
// It reads the tokenizer that `limner export` writes, if that is a WordPiece tokenizer that splits texts as BERT does.
// Accents and punctuation that Unicode has had only since version 9 may be read differently.

const LONGEST = 10000; // letters of a prompt
const WHITE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000"; // Python's
const ENDS_IN_PERIOD = new RegExp(`\\.[${WHITE}]*$`);
const BLANK = new RegExp(`^[${WHITE}]*$`);
const SPACE = /[\t-\r \x85\p{Z}]/u;
const IDEOGRAPH =
  /[\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}]/u;
const PUNCTUATION = /[!-/:-@[-`{-~\p{P}]/u;

/** A prompt that cannot be painted; the message is one sentence. */
export class PromptError extends Error {}

export class Tokenizer {
  /** `rules`: the content of NAME.tokenizer.json; `about`: that of NAME.json. */
  constructor(rules, about) {
    const kinds = [rules.normalizer?.type, rules.pre_tokenizer?.type, rules.model?.type].join();
    if (kinds !== "BertNormalizer,BertPreTokenizer,WordPiece") {
      throw new PromptError(`This page reads WordPiece tokenizers, and that of the model is another one (${kinds}).`);
    }
    this.model = rules.model;
    this.normalizer = rules.normalizer;
    this.special = new Map(rules.added_tokens.map((token) => [token.content, token.id]));
    const marks = [...this.special.keys()].map((text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
    this.marks = new RegExp(`(${marks.join("|")})`);
    this.vocabulary = new Map(Object.entries(rules.model.vocab));
    [this.unknown, this.begin, this.end] = [rules.model.unk_token, "[CLS]", "[SEP]"].map((t) => this.vocabulary.get(t));
    this.length = about.length;
    this.padding = about.padding;
    this.words = new Set(about.words);
    this.trained = new Set(about.words.flatMap((word) => this.pieces(word)));
    this.trained.delete(this.unknown);
  }

  /** Token ids and mask of a prompt, cut and padded to the model's length. */
  encode(prompt) {
    const ids = [this.begin, ...this.pieces(this.readable(prompt)).slice(0, this.length - 2), this.end];
    const padding = Array(this.length - ids.length).fill(this.padding);
    return { ids: [...ids, ...padding], mask: [...ids.map(() => 1), ...padding.map(() => 0)] };
  }

  /** The prompt without half emoji, and without a final period if training captions had none. */
  readable(prompt) {
    const text = storable(prompt);
    return this.vocabulary.has(".") ? text : text.replace(ENDS_IN_PERIOD, "");
  }

  /** The token ids of a text, without those that begin and end it. */
  pieces(text) {
    return text.split(this.marks).flatMap((part) => {
      if (this.special.has(part)) return [this.special.get(part)];
      return splitAsBert(normalize(part)).flatMap((word) => this.wordPieces(word));
    });
  }

  /** The longest token that a word begins with, then the longest that continues it, and so on. */
  wordPieces(word) {
    const letters = [...word];
    if (letters.length > this.model.max_input_chars_per_word) return [this.unknown];
    const found = [];
    for (let start = 0; start < letters.length; ) {
      const before = start ? this.model.continuing_subword_prefix : "";
      let end = letters.length;
      while (end > start && !this.vocabulary.has(before + letters.slice(start, end).join(""))) end--;
      if (end === start) return [this.unknown];
      found.push(this.vocabulary.get(before + letters.slice(start, end).join("")));
      start = end;
    }
    return found;
  }

  /** The prompt in parts, each with whether it is a word, and whether training captions had it. */
  parts(prompt) {
    const letters = [...storable(prompt).normalize("NFC")];
    const parts = [];
    let done = 0;
    const add = (start, end, isWord) => {
      if (end === start) return;
      const text = letters.slice(start, end).join("");
      parts.push({ text, isWord, known: !isWord || this.words.has(text.toLowerCase()) });
    };
    for (const [start, end] of wordPlaces(letters)) {
      add(done, start, false);
      add(start, end, true);
      done = end;
    }
    add(done, letters.length, false);
    return parts;
  }

  /** The words that training captions did not have. Throws a PromptError for a prompt that cannot be painted. */
  check(prompt) {
    if (BLANK.test(prompt)) throw new PromptError("The prompt is empty; say what to paint.");
    const letters = [...prompt].length;
    if (letters > LONGEST) {
      throw new PromptError(`The prompt has ${letters} letters, at most ${LONGEST} are read; make it shorter.`);
    }
    const count = this.pieces(this.readable(prompt)).length + 2;
    if (count > this.length) {
      throw new PromptError(`The prompt has ${count} tokens and the model reads at most ${this.length}; make it shorter.`);
    }
    const words = [...new Set(splitWords(storable(prompt)))];
    const unknown = words.filter((word) => !this.words.has(word));
    const trained = words.some((word) => this.pieces(word).every((id) => this.trained.has(id)));
    if (unknown.length === words.length && !trained) {
      throw new PromptError(`No word of the prompt was in the training captions; the model knows ${this.words.size} words.`);
    }
    return unknown;
  }
}

/** The words of a text in lower case, without punctuation; its marks if it has nothing else. */
export function splitWords(text) {
  const letters = [...text.normalize("NFC").toLowerCase()];
  return wordPlaces(letters).map(([start, end]) => letters.slice(start, end).join(""));
}

function wordPlaces(letters) {
  const shape = letters.map(shapeOf).join("");
  const words = [...shape.matchAll(/a+(?:'a+)*|o/g)].map((match) => [match.index, match.index + match[0].length]);
  const marks = letters.flatMap((letter, place) => (BLANK.test(letter) ? [] : [[place, place + 1]]));
  return words.length ? words : marks;
}

/** Part of a word (a), a word of its own (o), an apostrophe, or between words. */
function shapeOf(letter) {
  if (letter === "'" || letter === "’") return "'";
  if (/[\p{So}\p{Unified_Ideograph}]|(?=\p{Lo})[\uf900-\ufaff\u{2f800}-\u{2fa1f}]/u.test(letter)) {
    return letter === "\ufffd" ? " " : "o";
  }
  return /[\p{L}\p{N}]|(?![\ufe00-\ufe0f])\p{M}/u.test(letter) ? "a" : " ";
}

function storable(text) {
  return text.replace(/\p{Surrogate}/gu, "\ufffd");
}

/** BERT's normalization: no control characters, ideographs apart, no accents, lower case. */
function normalize(text) {
  const clean = [...text].filter((letter) => /[\t\n\r]/.test(letter) || !/[\0\ufffd\p{Cc}\p{Cf}\p{Co}]/u.test(letter));
  const apart = clean.map((letter) => (SPACE.test(letter) ? " " : IDEOGRAPH.test(letter) ? ` ${letter} ` : letter));
  const bare = [...apart.join("").normalize("NFD")].filter((letter) => !/\p{Mn}/u.test(letter));
  return bare.map((letter) => letter.toLowerCase()).join(""); // letter by letter: at the end of a word, too, Σ is σ
}

/** Words between white space, with each punctuation mark apart. */
function splitAsBert(text) {
  const words = [""];
  for (const letter of text) {
    if (SPACE.test(letter)) words.push("");
    else if (PUNCTUATION.test(letter)) words.push(letter, "");
    else words[words.length - 1] += letter;
  }
  return words.filter((word) => word);
}
