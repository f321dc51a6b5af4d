"""What every page of HTML needs that shows pictures and text from outside: escaping, a style, pictures in the page."""

from base64 import b64encode

from PIL import Image

from limner.models.pictures import png_of

STYLE = """<style>
.limner {line-height: 1.45; font-size: 14px}
.limner-grid {display: grid; grid-template-columns: repeat(auto-fit, minmax(min(45%, 150px), 1fr)); gap: 16px}
.limner-grid figure {max-width: 240px}
.limner-row {display: grid; grid-template-columns: repeat(auto-fit, minmax(72px, 1fr)); gap: 8px}
.limner-row figure {max-width: 128px}
.limner-maps {display: flex; flex-wrap: wrap; gap: 16px}
.limner-maps figure {width: 256px; max-width: 100%}
.limner figure {margin: 0}
.limner img {display: block; width: 100%; margin: 0; aspect-ratio: 1; image-rendering: pixelated; border-radius: 4px}
.limner figcaption {margin-top: 6px; overflow-wrap: anywhere}
.limner-reading {display: block; font-style: italic}
.limner-right, .limner-wrong {display: block; font-weight: 600}
.limner .limner-right {color: #15803d !important; color: light-dark(#15803d, #4ade80) !important}
.limner .limner-wrong {color: #c2410c !important; color: light-dark(#c2410c, #fb923c) !important}
.limner-faint {display: block; opacity: .75}
.limner-note {padding: 8px 12px; border-left: 4px solid #d97706; background: rgba(217, 119, 6, .12)}
.limner-prompt {font-size: 16px; overflow-wrap: anywhere}
.limner mark {padding: 0 3px; border-radius: 3px; color: inherit; background: rgba(217, 119, 6, .3);
  text-decoration: underline wavy #d97706}
</style>"""
SIGNS = {ord(sign): f"&#{ord(sign)};" for sign in "&<>\"'`${}"}
"""What a browser, or a template of HTML, could take for something else than text."""


def escape(text: str) -> str:
    """Text from outside as HTML that shows it and does nothing else."""
    return text.translate(SIGNS)


def figure(image: Image.Image, caption: str) -> str:
    """A picture, within the page itself, and HTML below it."""
    data = b64encode(png_of(image)).decode()
    return f'<figure><img src="data:image/png;base64,{data}" alt="">\n<figcaption>{caption}</figcaption></figure>'
