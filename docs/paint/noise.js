// Noise from N(0, 1). A number depends only on the seed, the image and its place in the noise, so that image 3 of a seed is
// the same however many images are painted.

/** `width` numbers for each of `images` images, one image after the other. */
export function drawNoise(seed, images, width) {
  const noise = new Float32Array(images * width);
  for (let image = 0; image < images; image++) {
    const key = mix(mix(seed >>> 0) ^ image);
    for (let place = 0; place < width; place++) noise[image * width + place] = gaussian(key, place);
  }
  return noise;
}

/** The transform of Box and Muller (1958), with two uniform numbers for each Gaussian one. */
function gaussian(key, place) {
  const radius = Math.sqrt(-2 * Math.log(uniform(key, 2 * place)));
  return radius * Math.cos(2 * Math.PI * uniform(key, 2 * place + 1));
}

/** A number between 0 and 1, without both. */
function uniform(key, place) {
  return (mix(key + Math.imul(place, 0x9e3779b9)) + 0.5) / 2 ** 32;
}

/** Scrambles 32 bits: the finalizer of MurmurHash3 (Appleby 2011), after a step that moves 0. */
function mix(bits) {
  bits = (bits + 0x6d2b79f5) | 0;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}
