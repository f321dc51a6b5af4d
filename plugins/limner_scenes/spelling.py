"""How people misspell the words of captions, and back."""

import re
from random import Random

#: Misspellings of each word: letters exchanged, left out, doubled, or written as they sound. "cirlce", "squere",
#: "traingle", "bule", "bellow" and "ha" are from sentences that people wrote about drawings (NLVR, Suhr et al. 2017).
#: British spellings are here, too.
MISSPELLINGS = {
    "circle": "cirlce circel cricle circl",
    "disk": "disc dsik",
    "square": "squere sqaure squre sqare",
    "triangle": "traingle trianlge triange tringle",
    "star": "satr sttar",
    "heart": "haert hart heatr",
    "cross": "corss cros crss",
    "red": "rde redd",
    "orange": "ornage oragne orang",
    "yellow": "yelow yello yellwo",
    "green": "gren greeen geren",
    "cyan": "cyna cian",
    "blue": "bule bleu blu",
    "purple": "purpel puprle purpul",
    "pink": "pnik pinck",
    "white": "whtie wihte whit",
    "gray": "grey gary",
    "black": "balck blak blck",
    "brown": "borwn brwon broun",
    "small": "smal samll",
    "little": "litle littel",
    "tiny": "tinny tiney",
    "large": "lareg larg",
    "big": "bigg",
    "huge": "hugh hueg",
    "left": "lfet letf",
    "right": "rigth rihgt",
    "above": "abvoe abov",
    "over": "ovre",
    "top": "tpo",
    "below": "bellow belwo",
    "under": "udner unter",
    "beneath": "beneth benaeth",
    "underneath": "underneeth undernaeth",
    "higher": "higer hihger",
    "lower": "lowwer",
    "shape": "shpae",
    "background": "backround backgroud backgorund",
    "backdrop": "backdorp",
    "picture": "pictrue picure",
    "there": "ther tehre",
    "with": "wiht wtih",
    "which": "whcih wich",
    "that": "taht",
    "has": "ha",
    "the": "teh",
}
_RIGHT = {wrong: word for word, misspellings in MISSPELLINGS.items() for wrong in misspellings.split()}


def misspell(text: str, random: Random) -> str:
    """A caption with one word misspelled; all its words that ``MISSPELLINGS`` lists are equally likely."""
    places = [match for match in re.finditer(r"\w+", text) if match[0].lower() in MISSPELLINGS]
    place = random.choice(places)
    wrong = random.choice(MISSPELLINGS[place[0].lower()].split())
    return text[: place.start()] + (wrong.capitalize() if place[0][0].isupper() else wrong) + text[place.end() :]


def correct(word: str) -> str:
    """The word that a misspelling stands for; other words are returned as they are."""
    return _RIGHT.get(word, word)
