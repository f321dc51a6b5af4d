// The page "Paint in your browser". Nothing that is typed leaves the page, and texts are only ever set as text.

import { drawNoise } from "./noise.js";
import { PromptError, Tokenizer } from "./tokenizer.js";

const HERE = new URL(".", import.meta.url);
const MOST = 16; // pictures of a prompt
const LARGEST_SEED = 2 ** 32 - 1;
const byId = (id) => document.getElementById(`paint-${id}`);
const models = new Map();
let runtime;

/** A model by name: its description, its tokenizer, and, once something was painted, its session. */
function model(name) {
  if (!models.has(name)) {
    const loading = readModel(name);
    loading.catch(() => models.delete(name)); // so that the next try starts anew
    models.set(name, loading);
  }
  return models.get(name);
}

async function readModel(name) {
  const about = await (await fetched(`models/${name}.json`)).json();
  const tokenizer = new Tokenizer(await (await fetched(`models/${about.tokenizer}`)).json(), about);
  return { about, tokenizer, session: null };
}

async function fetched(path) {
  const answer = await fetch(new URL(path, HERE)).catch(() => null);
  if (!answer?.ok) throw new PromptError(`${path} cannot be loaded; check the connection and try again.`);
  return answer;
}

/** Loads ONNX Runtime and the weights when something is painted for the first time. */
async function sessionOf(found) {
  runtime ??= await import(new URL("ort/ort.wasm.min.mjs", HERE));
  runtime.env.wasm.numThreads = 1; // more threads need a server that isolates the page
  runtime.env.wasm.wasmPaths = new URL("ort/", HERE).href;
  const weights = await (await fetched(`models/${found.about.weights}`)).arrayBuffer();
  return runtime.InferenceSession.create(new Uint8Array(weights));
}

/** The pictures of a prompt: those of the last stage, as canvases. */
async function paint(found, prompt, seed, count) {
  const { about, tokenizer } = found;
  tokenizer.check(prompt);
  found.session ??= await sessionOf(found);
  const { ids, mask } = tokenizer.encode(prompt);
  const rows = (values) => Array.from({ length: count }, () => values).flat();
  const shape = [count, about.length];
  const painted = await found.session.run({
    tokens: new runtime.Tensor("int64", BigInt64Array.from(rows(ids), BigInt), shape),
    mask: new runtime.Tensor("bool", Uint8Array.from(rows(mask)), shape),
    noise: new runtime.Tensor("float32", drawNoise(seed, count, about.noise), [count, about.noise]),
  });
  const size = about.sizes.at(-1);
  const pixels = painted[`image_${size}`].data;
  return Array.from({ length: count }, (_, place) => canvasOf(pixels, place, size, `${prompt} (${place + 1})`));
}

/** Image number `place` of values in [-1, 1], ordered by image, channel, row and column. */
function canvasOf(values, place, size, label) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = size;
  canvas.role = "img";
  canvas.ariaLabel = label;
  const area = size * size;
  const image = new ImageData(size, size);
  for (let spot = 0; spot < area; spot++) {
    for (let channel = 0; channel < 3; channel++) {
      const value = values[(place * 3 + channel) * area + spot];
      image.data[4 * spot + channel] = Math.round((value + 1) * 127.5); // clamped to 0 ... 255
    }
    image.data[4 * spot + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

// --- the controls ---------------------------------------------------------------------------------------------------

function say(text, isError = false) {
  byId("note").textContent = text;
  byId("note").classList.toggle("paint-error", isError);
}

function wholeNumber(id, name, low, high) {
  const value = byId(id).valueAsNumber;
  if (Number.isInteger(value) && value >= low && value <= high) return value;
  throw new PromptError(`${name}: expected a whole number from ${low} to ${high}.`);
}

/** Shows the prompt with its unknown words marked, or what is wrong with it. */
async function showMarks() {
  const prompt = byId("prompt").value;
  const { tokenizer } = await model(byId("model").value);
  if (prompt !== byId("prompt").value) return;
  byId("marks").replaceChildren();
  try {
    if (!tokenizer.check(prompt).length) return say("");
  } catch (error) {
    return complain(error);
  }
  say("Training never showed the model the words that are marked.");
  const parts = tokenizer.parts(prompt).map(({ text, known }) => {
    const part = document.createElement(known ? "span" : "mark");
    part.textContent = text;
    return part;
  });
  byId("marks").replaceChildren(...parts);
}

async function showModel() {
  const { about } = await model(byId("model").value);
  const buttons = about.prompts.map((prompt) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = prompt;
    button.addEventListener("click", () => {
      byId("prompt").value = prompt;
      showMarks().then(submit, complain);
    });
    return button;
  });
  byId("try").replaceChildren(...buttons);
  byId("prompt").value ||= about.prompts[0] ?? "";
  await showMarks();
}

async function submit() {
  if (byId("start").disabled) return;
  byId("start").disabled = true;
  try {
    const found = await model(byId("model").value);
    const seed = wholeNumber("seed", "Seed", 0, LARGEST_SEED);
    const count = wholeNumber("count", "Pictures", 1, MOST);
    if (!found.session) {
      found.tokenizer.check(byId("prompt").value);
      say("Loading the model ...");
    }
    byId("pictures").replaceChildren(...(await paint(found, byId("prompt").value, seed, count)));
    await showMarks();
  } catch (error) {
    complain(error);
  } finally {
    byId("start").disabled = false;
  }
}

function complain(error) {
  byId("pictures").replaceChildren();
  say(error instanceof PromptError ? error.message : "This browser cannot run the model; try a current version.", true);
  if (!(error instanceof PromptError)) console.warn(error);
}

byId("form").addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
byId("prompt").addEventListener("input", () => showMarks().catch(complain));
byId("prompt").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    submit();
  }
});
byId("other").addEventListener("click", () => {
  byId("seed").value = Math.floor(Math.random() * 10000);
  submit();
});
byId("model").addEventListener("change", () => showModel().then(submit, complain));
byId("form").hidden = false;
byId("instead").hidden = true;
showModel().catch(complain);
